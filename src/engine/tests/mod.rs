//! The stages of a decision, from a scene to resizes, status and events.

mod backing_off;
mod deciding;
mod dividing;
mod exclusions;
mod hotplugging;
mod memory_floors;
mod migrating;
mod new_pods;
mod pacing;
mod pending;
mod quotas;
mod reporting;
mod simulation;
mod stabilizing;
mod stakes;
mod trees;
mod weighing;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    slice::from_ref,
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    backoff::Backoff,
    division::{Dividing, Trees},
    field_conflicts::FieldConflicts,
    grants::Memory,
    joint_grants::Beside,
    node_rooms::NodeRooms,
    notices::Notice,
    pacing::{Ledger, towards_shares},
    pending_pods::Reserved,
    pool_members::PoolMembers,
    preview::{DividedPool, Preview},
    resize::Outcome,
    restore::{Restore, is_changed, restore},
    shares::{MemberShare, Shares},
    stabilize::Granting,
    tree_division::Dividers,
    *,
};
use crate::{
    api::{MemberState, StartProfileSpec, WeightedShare, WeightedShareStatus},
    cluster::{
        Autoscalers, Binding, Bounds, Cluster, Container, Event, Kept, Key, Kind, Limits, Machine,
        Node, Object, Obstacle, Owner, Pod, Qos, Quota, Resize, TemplateContainer, Workload,
    },
    metrics::{Metrics, PodReading, Readings},
    share::{Held, InitContainer, PerResource, Resource},
};

/// What the pods of one pool are granted from now on. Whether anything was decided.
fn grant<'a>(
    view: &View<'a>,
    pool: &Rc<PoolMembers<'a>>,
    shares: &mut Shares<'a>,
    memory: &mut Memory,
) -> bool {
    let (shares_now, memory_now) = (std::mem::take(shares), std::mem::take(memory));
    let mut one = [Granting::new(pool.clone(), shares_now, memory_now)];
    stabilize::decide(view, &mut one, &[], &[], &Beside::default());
    let [Granting { shares: granted, memory: remembered, decided, .. }] = one;
    (*shares, *memory) = (granted, remembered);
    decided
}

/// What a test decides on, as plain fields that it can change.
#[derive(Clone, Default)]
struct Scene {
    pools: Vec<WeightedShare>,
    pods: Vec<Pod>,
    workloads: BTreeMap<Owner, Workload>,
    nodes: BTreeMap<String, Node>,
    /// By the UID of their instance.
    machines: BTreeMap<String, Machine>,
    updates_live: bool,
    /// Of the namespace shop.
    limits: Limits,
    quotas: Vec<Quota>,
    autoscalers: Autoscalers,
    metrics: Metrics,
    reserved: Reserved,
    backoff: Backoff,
    conflicts: FieldConflicts,
    /// What pods were granted last, in millicores, by UID.
    granted: BTreeMap<String, u64>,
    bounds: Bounds,
    now: Timestamp,
}

/// A scene as the engine sees it.
struct Seen {
    cluster: Cluster,
    metrics: Metrics,
    preview: Preview,
    now: Timestamp,
}

impl Scene {
    fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::bounded(self.bounds.clone());
        let mut put = |kind, namespace: &str, name: &str, object| {
            let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
            cluster.apply(Event::Applied(key, object));
        };
        for (name, node) in &self.nodes {
            put(Kind::Node, "", name, Object::Node(node.clone()));
        }
        for (owner, workload) in &self.workloads {
            let kinds = [
                Kind::Deployment,
                Kind::ReplicaSet,
                Kind::StatefulSet,
                Kind::DaemonSet,
                Kind::Job,
                Kind::VirtualMachineInstance,
            ];
            // One of a kind that is not watched is never seen.
            if let Some(kind) = kinds.into_iter().find(|it| it.workload() == Some(&owner.kind)) {
                put(kind, &owner.namespace, &owner.name, Object::Workload(workload.clone()));
            }
        }
        for quota in &self.quotas {
            put(Kind::ResourceQuota, "shop", &quota.name, Object::Quota(Some(quota.clone())));
        }
        put(Kind::LimitRange, "shop", "limits", Object::Limits(Box::new(self.limits)));
        for pod in &self.pods {
            put(Kind::Pod, &pod.namespace, &pod.name, Object::Pod(Box::new(pod.clone())));
        }
        for pool in &self.pools {
            cluster.apply(Event::Applied(pool.key(), pool.clone().read()));
        }
        let instance = |uid: &String| {
            let launcher = self.pods.iter().find(|pod| pod.machine.as_ref() == Some(uid));
            launcher.and_then(|pod| Some(pod.owner.as_ref()?.name.clone())).unwrap_or_default()
        };
        let machines = self.machines.iter().map(|(uid, machine)| {
            (uid.clone(), Machine { instance: instance(uid), ..machine.clone() })
        });
        cluster.set_for_test("shop", &machines.collect(), &self.autoscalers, self.updates_live);
        cluster
    }

    fn seen(&self) -> Seen {
        let (cluster, metrics, now) = (self.cluster(), self.metrics.clone(), self.now);
        let preview = Preview {
            reserved: self.reserved.clone(),
            backoff: self.backoff.clone(),
            conflicts: self.conflicts.clone(),
            grants: Memory::granting(&self.granted),
            ..Preview::of(&cluster)
        };
        Seen { cluster, metrics, preview, now }
    }
}

impl Seen {
    fn view(&self) -> View<'_> {
        self.preview.view(&self.cluster, &self.metrics, self.now)
    }

    /// The pools with their members, the oldest first.
    fn members(&self) -> Vec<PoolMembers<'_>> {
        let view = self.view();
        let mut pools: Vec<_> = self.cluster.pools().collect();
        pools.sort_by_key(|(id, _)| *id);
        pools
            .into_iter()
            .map(|(id, pool)| PoolMembers::of(&view, &self.preview.membership, id, &pool.object))
            .collect()
    }

    fn divide(&self) -> Vec<DividedPool<'_>> {
        self.preview.divide(&self.view()).pools
    }

    /// One pool, divided as if it were the only one.
    fn divide_one<'a>(&'a self, pool: PoolMembers<'a>) -> DividedPool<'a> {
        let (view, id) = (self.view(), pool.id.clone());
        let dividing = Dividing::new(&view, pool, &self.preview.grants);
        let mut pools = BTreeMap::from([(id.clone(), dividing)]);
        let (mut rooms, mut dividers) = (NodeRooms::default(), Dividers::default());
        let (one, mut trees) = (BTreeSet::from([id.clone()]), Trees::new());
        division::own(&view, &mut pools, &mut trees, &one, &mut rooms, &mut dividers);
        rooms.settle(&view, &mut dividers.pools);
        let ids = [id.clone()];
        let shares = division::share(&view, &ids, &mut pools, &rooms, &mut dividers).remove(0);
        (pools.remove(&id).unwrap().members, shares)
    }

    /// The first pool, divided.
    fn first(&self) -> (Rc<PoolMembers<'_>>, Shares<'_>) {
        self.divide().swap_remove(0)
    }

    /// The resizes that the first pool may send now.
    fn resizes(&self) -> Vec<PodResize> {
        let view = self.view();
        let (pool, shares) = self.first();
        towards_shares(pool.id, &shares, &mut Ledger::new(&view))
    }

    /// With what new pods of the first pool start, where its first member has this weight.
    fn new_pods(
        &self,
        weight: Option<u32>,
        before: Option<&StartProfileSpec>,
        decided: bool,
    ) -> StartProfileSpec {
        let mut pool = self.members().swap_remove(0);
        if let Some(weight) = weight {
            pool.members[0].weight = weight;
        }
        let grants = Memory::default();
        let (pool, shares) = self.divide_one(pool);
        super::new_pods::new_pods(&self.view(), &pool, &shares, &grants, before, decided)
    }

    /// What it takes to restore the pods of no pool.
    fn restore(&self) -> Restore {
        let view = self.view();
        let claimed = |pod: &&Pod| self.preview.membership.owner("shop", &pod.name).is_some();
        let there = self.cluster.namespace("shop").unwrap().pods();
        let orphans: Vec<&Pod> = there.filter(|pod| is_changed(pod) && !claimed(pod)).collect();
        restore(&view, "shop", &orphans, &mut Ledger::new(&view))
    }

    fn status(&self, outcome: &Outcome) -> WeightedShareStatus {
        let (pool, divided) = self.first();
        super::status::status(&self.view(), &pool, &divided, outcome, None)
    }
}

/// A pool of CPU, created `age` seconds after the first.
fn pool(name: &str, age: i64, milli: u64, members: Value) -> WeightedShare {
    let created = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
    serde_json::from_value(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created.to_string(), "generation": 1},
        "spec": {
            "capacity": {"cpu": format!("{milli}m")},
            "sharing": {"nodeReservePercent": 0},
            "members": members,
        },
    }))
    .unwrap()
}

fn member(app: &str, weight: u64) -> Value {
    json!({"name": app, "weight": weight, "selector": {"matchLabels": {"app": app}}})
}

/// A running pod of the ReplicaSet `app`, with one container that holds `milli`.
fn pod(name: &str, app: &str, milli: u64) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uid: name.into(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        owner: Some(Owner {
            namespace: "shop".into(),
            kind: "ReplicaSet".into(),
            name: app.into(),
        }),
        node: Some("n1".into()),
        binding: Some(bound_with(milli)),
        containers: vec![container("main", milli)],
        ..Pod::default()
    }
}

/// A pod that was resized before it was first seen, when it was charged `milli`.
fn bound_with(milli: u64) -> Binding {
    Binding { charge: PerResource { cpu: milli, memory: 0 }, ..Binding::default() }
}

fn container(name: &str, milli: u64) -> Container {
    let cpu = Held { requested: milli, admitted: milli };
    Container {
        name: name.into(),
        held: PerResource { cpu, ..PerResource::default() },
        ..Container::default()
    }
}

/// The namespace at one moment: node n1 has `free` millicores, and every template asks for 50m in `main`.
fn scene(pools: &[WeightedShare], pods: &[Pod], free: u64) -> Scene {
    let template = TemplateContainer {
        request: PerResource { cpu: 50, memory: 0 },
        ..TemplateContainer::default()
    };
    let workload = Workload {
        template: [("main".to_owned(), template)].into(),
        charge: template.request,
        ..Workload::default()
    };
    let charged: u64 = pods.iter().map(|pod| pod.charge(Resource::Cpu)).sum();
    let allocatable = PerResource { cpu: free + charged, memory: 0 };
    Scene {
        pools: pools.to_vec(),
        pods: pods.to_vec(),
        workloads: pods
            .iter()
            .filter_map(|pod| Some((pod.owner.clone()?, workload.clone())))
            .collect(),
        nodes: [("n1".to_owned(), Node { allocatable, ..Node::default() })].into(),
        ..Scene::default()
    }
}

/// The resizes of one decision for the first pool: pod, from, to.
fn resizes(scene: &Scene) -> Vec<(String, u64, u64)> {
    let resizes = scene.seen().resizes();
    resizes.into_iter().map(|resize| (resize.pod, resize.from, resize.to)).collect()
}

/// The status of the first pool after a decision in which `outcome` happened.
fn status(scene: &Scene, outcome: &Outcome) -> WeightedShareStatus {
    scene.seen().status(outcome)
}

/// What pods of the namespace shop were measured to use, in millicores.
fn measured(pods: &[(&str, u64)]) -> Metrics {
    let reading = |&(name, milli): &(&str, u64)| PodReading {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        used: PerResource { cpu: Some(milli * 1_000_000), memory: Some(0) },
        ..PodReading::default()
    };
    Metrics::timeless([Readings {
        pods: pods.iter().map(reading).collect(),
        ..Readings::default()
    }])
}

/// What pod a of the namespace shop was measured to use, in bytes.
fn using(bytes: u64) -> Metrics {
    let used = PerResource { cpu: Some(0), memory: Some(bytes) };
    let (namespace, name) = ("shop".to_owned(), "a".to_owned());
    let a = PodReading { namespace, name, used, ..PodReading::default() };
    Metrics::timeless([Readings { pods: vec![a], ..Readings::default() }])
}

fn member_says(scene: &Scene) -> (MemberState, String, String) {
    let member = status(scene, &Outcome::default()).members.remove(0);
    (member.state.unwrap(), member.reason, member.message)
}

/// The reasons of the conditions that are True.
fn true_conditions(status: &WeightedShareStatus) -> Vec<(&str, &str)> {
    let holding = status.conditions.iter().filter(|condition| condition.status == "True");
    holding.map(|condition| (&*condition.type_, &*condition.reason)).collect()
}
