//! The caches that the API server's watches keep filled, and the snapshots taken of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::{
    api::{apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource as KubeResource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt, reflector,
        reflector::{Store, store::WriterDropped},
        watcher,
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::{
    Clock, KubeVirt, VirtualMachine, VirtualMachineInstance,
    limit_range::Limits,
    machine::{allocation_ratio, updates_live},
    neighbours::{Neighbours, VerticalPodAutoscaler},
    optional::{self, watch_where_served},
    pod::{Owner, Pod},
    signals::{self, Asked, Measured, MemberKey, Objective},
    snapshot::{Node, Snapshot},
    strip,
    waiting::Waiting,
    workload::Workload,
};
use crate::api::{Member, WeightedShare};

/// How long a watch goes on before it is taken up anew, from where it was. A connection that died unnoticed is left
/// shortly after, and nobody decides for longer on what no longer is so.
const WATCH_SECONDS: u32 = 60;

/// A pool as it is watched: one that cannot be read does not stop the watch of the others.
pub type Guarded = DeserializeGuard<WeightedShare>;

/// Something that pools could depend on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// An object in this namespace changed.
    In(String),
    /// There is something new of what is measured.
    Measured,
    /// A pod finds no room on any node.
    Waiting,
    /// All objects of a kind were listed, at the start or after a watch lost its place: some may be gone.
    Listed,
}

/// The changes, as they come.
pub type Changes = stream::BoxStream<'static, Change>;

/// What the watches have seen.
pub struct World {
    /// The pools, as the reconciler's queue needs them.
    pub pools: Store<Guarded>,
    pods: Store<core::Pod>,
    nodes: Store<core::Node>,
    deployments: Store<PartialObjectMeta<apps::Deployment>>,
    replica_sets: Store<apps::ReplicaSet>,
    stateful_sets: Store<apps::StatefulSet>,
    daemon_sets: Store<apps::DaemonSet>,
    jobs: Store<batch::Job>,
    quotas: Store<core::ResourceQuota>,
    horizontal: Store<autoscaling::HorizontalPodAutoscaler>,
    vertical: Store<VerticalPodAutoscaler>,
    limit_ranges: Store<core::LimitRange>,
    vms: Store<VirtualMachine>,
    vmis: Store<VirtualMachineInstance>,
    kubevirts: Store<KubeVirt>,
    /// What the sources told.
    measured: Arc<Mutex<Measured>>,
    /// The answers to our own writes that the watch has not shown yet, by UID.
    written: Mutex<HashMap<String, core::Pod>>,
    /// The pods, by namespace and name, that a write of ours is on its way to, or had no answer.
    unanswered: Mutex<BTreeSet<(String, String)>>,
}

impl World {
    /// Begins to watch, and to ask the sources. The caches fill while the changes are polled.
    #[must_use]
    pub fn watch(client: &Client, sources: Vec<Asked>, clock: &Clock) -> (Self, Changes) {
        let mut changes = Vec::new();
        let world = Self {
            pools: cache(watch(client), strip::metadata, &mut changes),
            pods: cache_of(watch(client), strip::pod, of_pod, &mut changes),
            nodes: cache(watch(client), strip::node, &mut changes),
            deployments: cache(watch(client), strip::metadata, &mut changes),
            replica_sets: cache(watch(client), strip::replica_set, &mut changes),
            stateful_sets: cache(watch(client), strip::stateful_set, &mut changes),
            daemon_sets: cache(watch(client), strip::daemon_set, &mut changes),
            jobs: cache(watch(client), strip::job, &mut changes),
            quotas: cache(watch(client), strip::quota, &mut changes),
            horizontal: cache(watch(client), strip::horizontal, &mut changes),
            vertical: cache_where_served(client, strip::metadata, &mut changes),
            limit_ranges: cache(watch(client), strip::metadata, &mut changes),
            vms: cache_where_served(client, strip::machine, &mut changes),
            vmis: cache_where_served(client, strip::machine, &mut changes),
            kubevirts: cache_where_served(client, strip::machine, &mut changes),
            measured: Arc::default(),
            written: Mutex::default(),
            unanswered: Mutex::default(),
        };
        for asked in sources {
            let pools = world.pools.clone();
            let asks = move || pools.state().iter().flat_map(|pool| objectives(pool)).collect();
            let signals = signals::poll(asked, world.measured.clone(), asks, clock.clone());
            changes.push(signals.map(|()| Change::Measured).boxed());
        }
        (world, stream::select_all(changes).boxed())
    }

    /// Waits until every cache has been filled once.
    ///
    /// # Errors
    /// When a watch was dropped, which is the end of the process.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        self.pools.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.nodes.wait_until_ready().await?;
        self.deployments.wait_until_ready().await?;
        self.replica_sets.wait_until_ready().await?;
        self.stateful_sets.wait_until_ready().await?;
        self.daemon_sets.wait_until_ready().await?;
        self.jobs.wait_until_ready().await?;
        self.quotas.wait_until_ready().await?;
        self.horizontal.wait_until_ready().await?;
        self.vertical.wait_until_ready().await?;
        self.limit_ranges.wait_until_ready().await?;
        self.vms.wait_until_ready().await?;
        self.vmis.wait_until_ready().await?;
        self.kubevirts.wait_until_ready().await
    }

    /// A write to this pod is about to be sent. Until there is an answer, nobody knows what the pod asks for.
    pub fn writes(&self, namespace: &str, pod: &str) {
        lock(&self.unanswered).insert((namespace.to_owned(), pod.to_owned()));
    }

    /// The write was refused: the pod is as it was.
    pub fn refused(&self, namespace: &str, pod: &str) {
        lock(&self.unanswered).remove(&(namespace.to_owned(), pod.to_owned()));
    }

    /// Reads the pods whose writes had no answer, because it was lost, or the turn was abandoned: the room that such a
    /// write took must not be given to another pod, whose write no conflict would stop. The turn that sent them is over.
    ///
    /// # Errors
    /// When the API server does not say it: then nothing can be decided.
    pub async fn find_out(&self, client: &Client) -> Result<(), kube::Error> {
        let unanswered = lock(&self.unanswered).clone();
        for (namespace, name) in unanswered {
            let pods = Api::<core::Pod>::namespaced(client.clone(), &namespace);
            match pods.get_opt(&name).await? {
                Some(pod) => self.wrote(pod),
                None => self.refused(&namespace, &name),
            }
        }
        Ok(())
    }

    /// Remembers the answer to a write of ours until the watch shows it, so that nobody decides on what was before.
    pub fn wrote(&self, pod: core::Pod) {
        self.refused(&pod.namespace().unwrap_or_default(), &pod.name_any());
        lock(&self.written).insert(pod.uid().unwrap_or_default(), pod);
    }

    /// What there is now.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let pools = self.pools.state();
        let mut limits: BTreeMap<String, Limits> = BTreeMap::new();
        for range in self.limit_ranges.state() {
            limits.entry(range.namespace().unwrap_or_default()).or_default().add(&range);
        }
        let mut nodes: BTreeMap<String, Node> =
            self.nodes.state().iter().map(|it| (it.name_any(), Node::read(it))).collect();
        let pods = Snapshot::in_order(self.pods());
        let mut measured = signals::lock(&self.measured);
        measured.note_held(&pods, now);
        for (name, used) in measured.nodes() {
            if let Some(node) = nodes.get_mut(name) {
                node.uses(used);
            }
        }
        Snapshot {
            pools: Snapshot::by_age(
                pools.iter().filter_map(|pool| pool.0.as_ref().ok().cloned()).collect(),
            ),
            pods,
            workloads: self.workloads(),
            machines: Snapshot::machines_of(
                self.vms.state().iter().map(Arc::as_ref),
                self.vmis.state().iter().map(Arc::as_ref),
            ),
            updates_live: updates_live(self.kubevirts.state().iter().map(Arc::as_ref)),
            nodes,
            limits,
            neighbours: Neighbours::read(
                self.horizontal.state().iter().map(Arc::as_ref),
                self.vertical.state().iter().map(Arc::as_ref),
            ),
            quotas: Snapshot::by_namespace(self.quotas.state().iter().map(Arc::as_ref)),
            signals: measured.signals(now),
            ..Snapshot::default()
        }
        .with_unheard()
        .with_machines()
    }

    /// The pods of the cache, each at least as new as the last answer to a write of ours.
    fn pods(&self) -> Vec<Pod> {
        let mut written = lock(&self.written);
        let mut ahead = HashMap::new();
        let read = |pod: &Arc<core::Pod>| {
            let answer = pod.metadata.uid.as_ref().and_then(|uid| written.remove_entry(uid));
            match answer {
                Some((uid, answer)) if pod.metadata.generation < answer.metadata.generation => {
                    let newer = Pod::read(&answer);
                    ahead.insert(uid, answer);
                    newer
                }
                _ => Pod::read(pod),
            }
        };
        let pods = self.pods.state().iter().map(read).collect();
        // What is left belongs to pods that are gone.
        *written = ahead;
        pods
    }

    fn workloads(&self) -> BTreeMap<Owner, Workload> {
        let deployments = self.deployments.state();
        let sets = (self.replica_sets.state(), self.stateful_sets.state());
        let (daemon_sets, jobs) = (self.daemon_sets.state(), self.jobs.state());
        let deployments = deployments.iter().map(|it| Workload::of_deployment(&it.metadata));
        let (vms, vmis) = (self.vms.state(), self.vmis.state());
        let ratio = allocation_ratio(self.kubevirts.state().iter().map(Arc::as_ref));
        deployments
            .chain(sets.0.iter().map(|it| Workload::of_replica_set(it)))
            .chain(sets.1.iter().map(|it| Workload::of_stateful_set(it)))
            .chain(daemon_sets.iter().map(|it| Workload::of_daemon_set(it)))
            .chain(jobs.iter().map(|it| Workload::of_job(it)))
            .chain(vms.iter().map(|it| it.workload()))
            .chain(vmis.iter().map(|it| it.workload(ratio)))
            .collect()
    }
}

fn lock<T>(memory: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it is held; it would be whole all the same.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The questions that a pool asks.
fn objectives(pool: &Guarded) -> Vec<Objective> {
    let Ok(pool) = &pool.0 else { return Vec::new() };
    let of = |member: &Member| {
        let query = member.objective.as_ref()?.query.clone();
        let member = MemberKey {
            namespace: pool.namespace().unwrap_or_default(),
            pool: pool.name_any(),
            member: member.name.clone(),
        };
        Some(Objective { member, query })
    };
    pool.spec.members.iter().filter_map(of).collect()
}

fn watch<K>(client: &Client) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: KubeResource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(Api::<K>::all(client.clone()), watcher::Config::default().timeout(WATCH_SECONDS))
}

/// What changes with a pod: one without a node may wait for room that any pool could make.
fn of_pod(pod: &core::Pod) -> Option<Change> {
    match Waiting::read(pod) {
        Some(_) => Some(Change::Waiting),
        None => of_namespace(pod),
    }
}

fn of_namespace<K: KubeResource>(object: &K) -> Option<Change> {
    object.meta().namespace.clone().map(Change::In)
}

/// Keeps what `events` tell in a store, less what `strip` removes, and adds what they concern to the changes.
///
/// While a kind is listed, the store still holds what was there before; the end of a list is a change of its own, as the
/// pools may be listed last of all.
fn cache<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    strip: fn(&mut K),
    changes: &mut Vec<Changes>,
) -> Store<K>
where
    K: KubeResource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    cache_of(events, strip, of_namespace, changes)
}

/// As `cache`, of a kind that the cluster may not have.
fn cache_where_served<K>(client: &Client, strip: fn(&mut K), changes: &mut Vec<Changes>) -> Store<K>
where
    K: KubeResource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    cache(watch_where_served(client, optional::POLL), strip, changes)
}

/// Keeps what `events` tell in a store, less what `strip` removes, and adds to the changes what `change` makes of them.
fn cache_of<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    strip: fn(&mut K),
    change: fn(&K) -> Option<Change>,
    changes: &mut Vec<Changes>,
) -> Store<K>
where
    K: KubeResource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let touched = events.modify(strip).default_backoff().reflect(writer).filter_map(move |event| {
        future::ready(match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => change(&object),
            Ok(Event::InitDone) => Some(Change::Listed),
            Ok(Event::Init | Event::InitApply(_)) => None,
            Err(error) => {
                warn!(kind = %K::kind(&()), %error, "the watch broke and is taken up again");
                None
            }
        })
    });
    changes.push(touched.boxed());
    reader
}
