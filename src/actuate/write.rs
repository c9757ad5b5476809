//! One write, from what it takes to what became of it.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::api::core::v1::{self as core, ObjectReference};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Duration, Instant};
use tracing::{Instrument, debug_span, info, warn};

use super::{events, hotplug::hotplug, pool_writes, quotas, resize};
use crate::{
    api::{
        ClusterWeightedShare, ClusterWeightedShareStatus, StartProfileSpec, WeightedShare,
        WeightedShareStatus,
    },
    cluster::{Pod, PoolId},
    engine::{EnforcedQuota, Hotplug, Notice, PodResize, PoolRef, Refusal, RefusalKind},
    runtime::{CARRIED_OUT, Clock, Serving},
};

/// How long the decision about a pod stands. After a slower answer the cluster may have changed, so the rest is decided anew.
const STILL_DECIDED: Duration = Duration::from_millis(250);

/// What a write is about. Two writes about the same are never on their way at once.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// The resources of a pod, by its namespace and UID.
    Pod(String, String),
    /// The finalizer of a pool.
    Finalizer(PoolId),
    /// The status of a pool.
    Status(PoolId),
    /// The status of a ClusterWeightedShare, by its name.
    TreeStatus(String),
    /// With what new pods of a pool start.
    StartProfile(PoolId),
    /// The last event of a pool that is being deleted.
    Farewell(PoolId),
    /// Our ResourceQuota, by namespace.
    Quota(String),
    /// A virtual machine, by namespace.
    Hotplug(String),
    /// An event in a namespace, by its number.
    Event(String, u64),
}

/// One write, with all that it takes.
#[derive(Clone, Debug)]
pub enum Write {
    /// Resizes of one pod, of this pool or of none. Where a LimitRange could change more, the pod as it was seen.
    Resizes { pool: Option<PoolId>, resizes: Vec<PodResize>, first_try: Option<Box<Pod>> },
    /// Looks what became of resizes without an answer, that were sent at this time.
    ReadBack { pool: Option<PoolId>, resizes: Vec<PodResize>, sent: Instant },
    /// Sets our finalizer, or takes it off.
    Finalizer { pool: PoolRef, ours: bool },
    /// Writes a status.
    Status { id: PoolId, pool: PoolRef, status: Arc<WeightedShareStatus> },
    /// Writes the status of a ClusterWeightedShare.
    TreeStatus { name: String, status: Arc<ClusterWeightedShareStatus> },
    /// Writes with what new pods start.
    StartProfile { id: PoolId, pool: PoolRef, new_pods: Arc<StartProfileSpec> },
    /// Publishes an event on an object.
    Event { on: Box<ObjectReference>, notice: Notice },
    /// Publishes the last event of a pool.
    Farewell { id: PoolId, pool: PoolRef, notice: Notice },
    /// Writes our ResourceQuota into a namespace, or removes it.
    Quota { namespace: String, quota: Option<EnforcedQuota> },
    /// Gives a virtual machine more.
    Hotplug(Hotplug),
}

/// What became of a write.
#[derive(Debug)]
pub enum Answer {
    /// The resizes of one pod: what was sent, the pod as the API server answered last, and what was refused, with all after
    /// it.
    Resized {
        /// The pool; none, where the pod is in none.
        pool: Option<PoolId>,
        /// All that was asked.
        asked: Vec<PodResize>,
        /// The part that was taken.
        sent: Vec<PodResize>,
        /// The pod as it is now, where any was taken.
        pod: Option<Box<core::Pod>>,
        /// Why the next one was not.
        refused: Option<Refusal>,
    },
    /// It is not known what became of the resizes of a pod.
    Unknown {
        /// The pool; none, where the pod is in none.
        pool: Option<PoolId>,
        /// All that was asked.
        asked: Vec<PodResize>,
        /// When.
        sent: Instant,
    },
    /// A pod whose resizes had no answer: as it is now. None: it is gone.
    ReadBack {
        /// The pool; none, where the pod is in none.
        pool: Option<PoolId>,
        /// All that was asked.
        asked: Vec<PodResize>,
        /// The pod.
        pod: Option<Box<core::Pod>>,
    },
    /// The status of a pool as it was written, and the pool as the API server shows it.
    Status(PoolId, Arc<WeightedShareStatus>, Box<WeightedShare>),
    /// The status of a ClusterWeightedShare was written; the object as the API server shows it.
    TreeStatus(String, Box<ClusterWeightedShare>),
    /// With what new pods of a pool start was written.
    StartProfile(PoolId, Arc<StartProfileSpec>),
    /// The last event of a pool that is being deleted was written.
    Farewell(PoolId),
    /// Something else was written, or it failed, which changes nothing for the next decision.
    Other,
}

impl Answer {
    /// Whether the API server had too much to do for it.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        let Self::Resized { refused, .. } = self else { return false };
        refused.as_ref().is_some_and(|refusal| refusal.kind == RefusalKind::Throttled)
    }
}

impl Key {
    /// The namespace in which it is written; empty where the object is in none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::Pod(namespace, _)
            | Self::Hotplug(namespace)
            | Self::Quota(namespace)
            | Self::Event(namespace, _) => namespace,
            Self::Finalizer(id)
            | Self::Status(id)
            | Self::StartProfile(id)
            | Self::Farewell(id) => &id.namespace,
            Self::TreeStatus(_) => "",
        }
    }
}

/// Why a write is to be tried again later.
#[derive(Debug)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// The API server has too much to do.
    pub throttled: bool,
    /// There was no answer, or a 5xx: the API server may recover at any moment.
    pub unanswered: bool,
}

/// Makes one write.
///
/// # Errors
/// When it is to be tried again later.
pub async fn send(
    client: Client,
    clock: Clock,
    serving: Serving,
    write: Write,
) -> Result<Answer, Failure> {
    match write {
        Write::Resizes { pool, resizes, first_try } => {
            Ok(send_resizes(&client, &serving, pool, resizes, first_try.as_deref()).await)
        }
        Write::ReadBack { pool, resizes, sent } => read_back(&client, pool, resizes, sent).await,
        Write::Finalizer { pool, ours } => {
            let done = pool_writes::finalizer(&client, &pool, ours).await;
            done.map_err(failure("finalizer", &pool)).map(|()| Answer::Other)
        }
        Write::Status { id, pool, status } => {
            let shown = pool_writes::status(&client, &pool, &status)
                .instrument(debug_span!("report", namespace = %pool.namespace, pool = %pool.name))
                .await
                .map_err(failure("status", &pool))?;
            Ok(Answer::Status(id, status, Box::new(shown)))
        }
        Write::TreeStatus { name, status } => {
            let shown =
                pool_writes::tree_status(&client, &name, &status).await.map_err(|error| {
                    let what =
                        format!("the status of ClusterWeightedShare {name} could not be written");
                    Failure::of(&what, &error)
                })?;
            // Without: it is gone.
            Ok(shown.map_or(Answer::Other, |shown| Answer::TreeStatus(name, Box::new(shown))))
        }
        Write::StartProfile { id, pool, new_pods } => {
            let done = pool_writes::start_profile(&client, &pool, &new_pods).await;
            done.map_err(failure("StartProfile", &pool))?;
            Ok(Answer::StartProfile(id, new_pods))
        }
        Write::Event { on, notice } => {
            // It must not hold up the division.
            if let Err(error) = events::publish(&client, clock.now(), &on, notice).await {
                let (kind, name) = (on.kind.unwrap_or_default(), on.name.unwrap_or_default());
                warn!(%kind, %name, %error, "an event could not be written");
            }
            Ok(Answer::Other)
        }
        Write::Farewell { id, pool, notice } => {
            match events::publish(&client, clock.now(), &events::on_pool(&pool), notice).await {
                Err(error) if events::may_pass(&error) => {
                    let what = format!(
                        "the event that names the pods of {} that are not restored could not be written",
                        pool.name
                    );
                    Err(Failure::of(&what, &error))
                }
                _ => Ok(Answer::Farewell(id)),
            }
        }
        Write::Quota { namespace, quota } => {
            let done = quotas::enforce(&client, &namespace, quota.as_ref()).await;
            let what = format!(
                "ResourceQuota {namespace}/weightedshare could not be written (is trees.enforce set in the chart?)"
            );
            done.map_err(|error| Failure::of(&what, &error))?;
            info!(%namespace, "the ResourceQuota of the tree was {}", if quota.is_some() { "written" } else { "removed" });
            Ok(Answer::Other)
        }
        Write::Hotplug(plug) => {
            info!(namespace = %plug.namespace, machine = %plug.machine, what = ?plug.what, "giving a virtual machine more");
            let done = hotplug(&client, &plug).await;
            let machine = &plug.machine;
            let what = format!(
                "VirtualMachine {machine} could not be given more (is liveUpdate.enabled set in the chart?)"
            );
            done.map_err(|error| Failure::of(&what, &error))?;
            Ok(Answer::Other)
        }
    }
}

impl Failure {
    fn of(what: &str, error: &kube::Error) -> Self {
        let throttled = matches!(error, kube::Error::Api(status) if status.code == 429);
        let unanswered = !matches!(error, kube::Error::Api(status) if status.code < 500);
        Self { why: format!("{what}: {error}"), throttled, unanswered }
    }
}

fn failure(what: &str, pool: &PoolRef) -> impl FnOnce(kube::Error) -> Failure {
    let pool = format!("{}/{}", pool.namespace, pool.name);
    let what = format!("the {what} of WeightedShare {pool} could not be written");
    move |error| Failure::of(&what, &error)
}

/// Sends the resizes of one pod, one after the other, until one is refused or the answers take too long.
async fn send_resizes(
    client: &Client,
    serving: &Serving,
    pool: Option<PoolId>,
    asked: Vec<PodResize>,
    first_try: Option<&Pod>,
) -> Answer {
    let began = Instant::now();
    let (mut sent, mut pod): (Vec<PodResize>, Option<Box<core::Pod>>) = (Vec::new(), None);
    let mut first_try = first_try.map(Cow::Borrowed);
    let mut refused = None;
    for mut resize in asked.clone() {
        if began.elapsed() > STILL_DECIDED {
            break;
        }
        if let Some(version) = pod.as_ref().and_then(|pod| pod.resource_version()) {
            resize.resource_version = version;
        }
        let span = debug_span!("resize", pod = %resize.pod, resource = %resize.resource, grows = resize.grows());
        let answer = resize::send(client, &resize, first_try.as_deref()).instrument(span).await;
        let read = |pod: &core::Pod| resize::altered(&resize, &Pod::read(pod));
        refused = answer.as_ref().ok().and_then(read);
        let why = answer.as_ref().err().or(refused.as_ref());
        serving.telemetry.resize(
            resize.resource,
            resize.grows(),
            why.map(|refusal| refusal.kind.reason()),
        );
        match answer {
            Ok(answer) => {
                // The next one is held against what this one made of the pod.
                first_try = first_try.map(|_| Cow::Owned(Pod::read(&answer)));
                pod = Some(Box::new(answer));
                if let Some(refusal) = &refused {
                    warn!(namespace = %resize.namespace, "{refusal}");
                    break;
                }
                info!(namespace = %resize.namespace, pod = %resize.pod, "{resize}");
                sent.push(resize);
            }
            Err(refusal) => {
                if refusal.kind != RefusalKind::Outdated {
                    warn!(namespace = %resize.namespace, "{refusal}");
                }
                refused = Some(refusal);
                break;
            }
        }
    }
    if refused.as_ref().is_some_and(|it| it.kind == RefusalKind::Unreachable) {
        return Answer::Unknown { pool, asked, sent: began };
    }
    Answer::Resized { pool, asked, sent, pod, refused }
}

/// Looks what became of resizes without an answer. As long as the pod is as it was, they may still be carried out.
///
/// # Errors
/// When that is not known yet.
async fn read_back(
    client: &Client,
    pool: Option<PoolId>,
    resizes: Vec<PodResize>,
    sent: Instant,
) -> Result<Answer, Failure> {
    let Some(first) = resizes.first() else { return Ok(Answer::Other) };
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &first.namespace);
    let pod = pods.get_opt(&first.pod).await;
    let pod = pod.map_err(|error| {
        Failure::of(&format!("pod {}/{} cannot be read", first.namespace, first.pod), &error)
    })?;
    let pod = pod.filter(|pod| pod.uid().as_ref() == Some(&first.uid));
    let version = pod.as_ref().and_then(ResourceExt::resource_version);
    if version.as_ref() == Some(&first.resource_version) && sent.elapsed() < CARRIED_OUT {
        return Ok(Answer::Unknown { pool, asked: resizes, sent });
    }
    Ok(Answer::ReadBack { pool, asked: resizes, pod: pod.map(Box::new) })
}
