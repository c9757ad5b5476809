//! What a decision rests on.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    backoff::Backoff, field_conflicts::FieldConflicts, forest::Forest, pending_pods::Reserved,
};
use crate::{
    api::{LEND_PERCENT, Sharing},
    cluster::{Cluster, Pod, Pool, PoolId},
    metrics::{MemberKey, Metrics, PodMeasures},
    share::{PerResource, Resource},
};

/// How long the other pods of a pool wait for a node to confirm a shrink.
const UNCONFIRMED: SignedDuration = SignedDuration::from_secs(30);

/// As long as measurements come every so many seconds, all is lent that may be.
pub const TIMELY: u64 = 30;

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The time of day. That clock may be set.
    pub wall: Timestamp,
    /// The time since the process began. It never goes back.
    pub steady: Duration,
}

/// The cluster, what is measured, and what is remembered of pods and nodes, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The trees of pools.
    pub forest: &'a Forest,
    /// What is measured.
    pub metrics: &'a Metrics,
    /// Room that is kept free on nodes, for pods that the scheduler finds none for.
    pub reserved: &'a Reserved,
    /// Resizes that went wrong.
    pub backoff: &'a Backoff,
    /// The managers that keep setting what we set.
    pub conflicts: &'a FieldConflicts,
    /// Whether pods may grow: not while writes of the process that led before may still be carried out.
    pub may_grow: bool,
    /// The time of the decision.
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// A pool that is neither being deleted nor over a bound, with its name as the cluster keeps it.
    #[must_use]
    pub fn live_pool(&self, id: &PoolId) -> Option<(&'a PoolId, &'a Pool)> {
        let pools = self.cluster.namespace(&id.namespace)?.pools();
        pools.get_key_value(id).filter(|(_, pool)| pool.is_live())
    }

    /// The pool of a member.
    #[must_use]
    pub fn pool_of(&self, member: &MemberKey) -> Option<&'a PoolId> {
        let namespace = self.cluster.namespace(&member.namespace)?;
        namespace.pools().keys().find(|id| id.name == member.pool)
    }

    /// How much of its idle share each member of a pool lends that does not say so itself, in percent.
    #[must_use]
    pub fn lend_percent(&self, pool: &PoolId, sharing: &Sharing) -> u8 {
        let of_tree = || {
            let place = self.forest.place(pool)?;
            Some(self.forest.tree(place.tree)?.lend_percent(self.cluster, place.branch))
        };
        sharing.lend_percent.or_else(of_tree).unwrap_or(LEND_PERCENT)
    }

    /// How much is lent of what lies idle, of so many percent: who sees late that an owner is back lends less.
    #[must_use]
    pub fn lend_in_time(&self, percent: u8) -> u8 {
        match self.metrics.interval() {
            0..=TIMELY => percent,
            interval => u8::try_from(u64::from(percent) * TIMELY / interval).unwrap_or(percent),
        }
    }

    /// What is measured of a pod.
    #[must_use]
    pub fn measured(&self, pod: &Pod) -> Option<PodMeasures> {
        self.metrics.pod(&pod.namespace, &pod.name, self.now)
    }

    /// When the other pods of its pool stop waiting for the pod's shrink. None: no shrink of it is under way.
    #[must_use]
    pub fn unconfirmed_until(&self, pod: &Pod) -> Option<Timestamp> {
        let shrinks = |resource| {
            let mut held = pod.parts(resource).iter().map(|it| it.held[resource]);
            held.any(|held| held.requested < held.admitted)
        };
        let asked = pod.resized_at.filter(|_| Resource::ALL.into_iter().any(shrinks));
        asked.map(|at| at + UNCONFIRMED)
    }

    /// Whether a pod that is being deleted no longer counts in its pool: its grace period has passed twice, and its node is silent
    /// or gone, so no kubelet will report its end. On a live node the pod counts until its kubelet has ended it.
    #[must_use]
    pub fn is_lost(&self, pod: &Pod) -> bool {
        let node = pod.node.as_deref().and_then(|node| self.cluster.node(node));
        pod.is_overdue(self.now) && node.is_none_or(|node| node.is_silent)
    }

    /// Whether a node uses nearly all that it can allocate: 95 % or more.
    #[must_use]
    pub fn is_busy(&self, node: &str, resource: Resource) -> bool {
        // Of CPU nanocores are measured.
        let unit = PerResource { cpu: 1_000_000u128, memory: 1 };
        let all = self.cluster.node(node).map_or(0, |node| node.allocatable[resource]);
        let all = u128::from(all) * unit[resource];
        let used = self.metrics.node(node).map_or(0, |used| used[resource]);
        all > 0 && u128::from(used) * 100 >= all * 95
    }

    /// What is free on a node: allocatable less the charges of all pods on it and the room that is kept free there, never
    /// below zero. None: the node was not seen.
    #[must_use]
    pub fn free(&self, node: &str) -> Option<PerResource<u64>> {
        let free = self.cluster.free(node)?;
        // Its kubelet would not carry a grow out, and does not report which pods are gone.
        if self.cluster.node(node).is_some_and(|node| node.is_silent) {
            return Some(PerResource::default());
        }
        let reserved = self.reserved.get(node).copied().unwrap_or_default();
        Some(PerResource::from_fn(|it| free[it].saturating_sub(reserved[it])))
    }
}
