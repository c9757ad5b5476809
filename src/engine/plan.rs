//! What was decided: everything that is to be written, and when to decide again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    enforced_quotas::EnforcedQuotas, notices::Notice, resize::PodResize, tree_plan::TreePlan,
};
use crate::{
    api::{StartProfileSpec, WeightedShare, WeightedShareStatus},
    cluster::PoolId,
    share::{PerResource, Resource},
};

/// What a member's pods use, in millicores and bytes. None: not all of them are measured.
pub type Used = PerResource<Option<u64>>;

/// A decision. It has the pools for which something may have changed: the others keep what was planned for them.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be written for pools.
    pub pools: BTreeMap<PoolId, PoolPlan>,
    /// What ClusterWeightedShares are to say, by name.
    pub trees: BTreeMap<String, TreePlan>,
    /// Our ResourceQuotas that are to be written or removed, by namespace.
    pub quotas: EnforcedQuotas,
    /// Resizes that restore pods of no pool, by namespace. All of them: what an earlier plan had is forgotten.
    pub restores: BTreeMap<String, Vec<PodResize>>,
    /// The pools that are being deleted. All of them.
    pub deletions: BTreeMap<PoolId, Deletion>,
    /// Pools that are gone.
    pub gone: Vec<PoolId>,
    /// What the members use, in the order of the spec, of the pools that were decided for or measured anew.
    pub used: BTreeMap<PoolId, Vec<Used>>,
    /// One virtual machine is to have more.
    pub hotplug: Option<Hotplug>,
    /// Decide again after this time, if nothing happens before.
    pub wake_after: Option<Duration>,
}

/// What is to be written for one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolPlan {
    /// The pool as it was seen, without its status.
    pub pool: PoolRef,
    /// Our finalizer is to be set before any pod is resized: without it, no controller would restore the pods.
    pub finalizer: bool,
    /// The resizes that may be sent now.
    pub resizes: Vec<PodResize>,
    /// What the object is to say.
    pub status: Arc<WeightedShareStatus>,
    /// Whether it says so already.
    pub is_reported: bool,
    /// What happened, for events.
    pub notices: Vec<Notice>,
    /// With what new pods are to start. None: what was told before stands.
    pub new_pods: Option<Arc<StartProfileSpec>>,
    /// How long members waited that have back what they own.
    pub reclaimed: Vec<(Resource, Duration)>,
}

/// What is to be written for a pool that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The pool as it was seen.
    pub pool: PoolRef,
    /// Some pods keep what they have: an event is to say so.
    pub notice: Option<Notice>,
    /// Its pods are restored, or nothing more can be done: our finalizer is to be taken off.
    pub done: bool,
}

/// What a write of ours must name of a pool.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PoolRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Its finalizers, ours among them.
    pub finalizers: Vec<String>,
}

/// More for a virtual machine while it runs: KubeVirt makes a live migration of that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hotplug {
    /// The VirtualMachine's namespace.
    pub namespace: String,
    /// Its name.
    pub machine: String,
    /// The version of it that the decision rests on: on any other, the API server refuses.
    pub resource_version: String,
    /// What.
    pub what: Plugged,
}

/// What can be plugged in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plugged {
    /// So many sockets in all.
    Sockets(u64),
    /// So many bytes of memory in all.
    Memory(u64),
}

impl PoolRef {
    /// What a write must name of this pool.
    #[must_use]
    pub fn of(pool: &WeightedShare) -> Self {
        let meta = &pool.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            namespace: text(&meta.namespace),
            name: text(&meta.name),
            uid: text(&meta.uid),
            resource_version: text(&meta.resource_version),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
        }
    }
}
