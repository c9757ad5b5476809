//! All that is remembered from one decision to the next: plain data. It is lost with the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    Now,
    backoff::Backoff,
    clock_watch::{ClockWatch, shifted},
    dynamic_weights::Weights,
    field_conflicts::FieldConflicts,
    grants::Memory,
    pending_pods::PendingPods,
    reclaim_latency::ReclaimLatency,
    resize::{PodResize, Refusal},
    tree_plan::Noticed,
};
use crate::{
    api::{ClusterWeightedShareStatus, StartProfileSpec, WeightedShare, WeightedShareStatus},
    cluster::PoolId,
};

/// Resizes of a pool within so long are told of in one event.
const TOLD_TOGETHER: SignedDuration = SignedDuration::from_secs(45);

/// How long a status is kept while pods are being resized: most would never be written.
const WORKED_OUT_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// What was decided, sent and refused so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What was worked out for each pool.
    pub(super) pools: BTreeMap<PoolId, PoolHistory>,
    /// The pods that room was made for on nodes.
    pub(super) pending: PendingPods,
    /// What ClusterWeightedShares were last worked out to say.
    pub(super) trees: Noticed,
    /// The managers that keep setting what we set.
    pub(super) conflicts: FieldConflicts,
    /// Resizes that went wrong.
    pub(super) backoff: Backoff,
    /// When a virtual machine was last given more, since the process began: the watch of machines may lag behind that.
    pub(super) hotplugged: Option<Duration>,
    /// No pod grows before, since the process began: writes of the process that led before may be carried out so long.
    pub(super) grows_from: Duration,
    /// Pools of which something was noted since the last decision.
    pub(super) noted: BTreeSet<PoolId>,
    /// Tells when the system clock is set, and whether it was since the last decision.
    clock: ClockWatch,
    clock_was_set: bool,
}

/// What was worked out for one pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolHistory {
    /// The UID of the pool: another one of that name has no history.
    pub uid: String,
    /// The weights of members that have a dynamic one.
    pub weights: Weights,
    /// What its pods were granted.
    pub grants: Memory,
    /// The pods that it had at the last decision, by UID, with their names.
    pub pods: Arc<BTreeMap<String, String>>,
    /// The members that wait to get back what they own.
    pub reclaims: ReclaimLatency,
    /// The status that events were last told about, and when it last changed.
    pub noticed: Option<Arc<WeightedShareStatus>>,
    pub noticed_at: Option<Timestamp>,
    /// That status was kept while pods were resized: it is to be worked out again.
    pub is_outdated: bool,
    /// Resizes that the API server took, of which no event was told, and since when there are some.
    pub resized: Vec<PodResize>,
    pub resized_since: Option<Timestamp>,
    /// With what its new pods are to start.
    pub new_pods: Option<Arc<StartProfileSpec>>,
    /// It is deleted: since when its pods are restored, since the process began.
    pub restoring: Option<Duration>,
    /// It is deleted: whether the event that names the pods that keep what they have was written.
    pub farewell: bool,
}

impl PoolHistory {
    /// Takes note of a status, whose events are told now. One that is as it was is kept once.
    pub(super) fn notice(
        &mut self,
        status: WeightedShareStatus,
        now: Timestamp,
    ) -> Arc<WeightedShareStatus> {
        let same = self.noticed.take().filter(|known| **known == status);
        let status = same.unwrap_or_else(|| {
            self.noticed_at = Some(now);
            Arc::new(status)
        });
        self.noticed = Some(status.clone());
        status
    }

    /// The status that was worked out last, if that was a moment ago, and of the present spec.
    pub(super) fn fresh_status(
        &self,
        pool: &WeightedShare,
        now: Timestamp,
    ) -> Option<Arc<WeightedShareStatus>> {
        let since = self.noticed_at?;
        let status = self.noticed.as_ref()?;
        let is_fresh = (since..since + WORKED_OUT_AFTER).contains(&now)
            && status.observed_generation == pool.metadata.generation;
        is_fresh.then(|| status.clone())
    }

    /// Takes note of resizes that the API server took. Of two of one pod, one event tells where it came to.
    fn note_resized(&mut self, sent: Vec<PodResize>, now: Timestamp) {
        for resize in sent {
            self.resized_since.get_or_insert(now);
            let same = |it: &&mut PodResize| it.uid == resize.uid && it.resource == resize.resource;
            match self.resized.iter_mut().find(same) {
                Some(known) => known.to = resize.to,
                None => self.resized.push(resize),
            }
        }
    }

    /// The resizes that events are told of now: once the pool comes to rest, or has moved for some time.
    pub(super) fn take_resized(&mut self, moves: bool, now: Timestamp) -> Vec<PodResize> {
        let waits = |since: Timestamp| (since..since + TOLD_TOGETHER).contains(&now);
        if moves && self.resized_since.is_some_and(waits) {
            return Vec::new();
        }
        self.resized_since = None;
        std::mem::take(&mut self.resized)
    }

    /// When there is more to say of the pool, whether or not it still moves.
    pub(super) fn tells_at(&self) -> Option<Timestamp> {
        // Events are told with a status that is worked out anew.
        let status = self.noticed_at.filter(|_| self.is_outdated).map(|at| at + WORKED_OUT_AFTER);
        status.or(self.resized_since.map(|since| since + TOLD_TOGETHER))
    }

    /// Moves its times along when the system clock is set.
    fn shift(&mut self, by: SignedDuration) {
        self.weights.shift(by);
        self.grants.shift(by);
        for at in [&mut self.noticed_at, &mut self.resized_since].into_iter().flatten() {
            *at = shifted(*at, by);
        }
    }
}

impl History {
    /// Nothing is remembered, and no pod grows before this time since the process began.
    #[must_use]
    pub fn growing_from(grows_from: Duration) -> Self {
        Self { grows_from, ..Self::default() }
    }

    /// Moves all remembered times along if the system clock was set, so that every wait keeps its length. Returns whether the
    /// clock was set since the last decision.
    pub(super) fn follow_clock(&mut self, now: Now) -> bool {
        self.shift_times(now);
        std::mem::take(&mut self.clock_was_set)
    }

    fn shift_times(&mut self, now: Now) {
        let Some(by) = self.clock.jump(now) else { return };
        self.clock_was_set = true;
        self.pending.shift(by);
        self.conflicts.shift(by);
        self.backoff.shift(by);
        self.pools.values_mut().for_each(|known| known.shift(by));
    }

    /// Takes in what the API server said to the resizes of one pod, of this pool or of none: those that it took, and why it
    /// did not take the next.
    pub fn resized(
        &mut self,
        pool: Option<&PoolId>,
        asked: &[PodResize],
        sent: Vec<PodResize>,
        refused: Option<&Refusal>,
        now: Now,
    ) {
        self.shift_times(now);
        self.conflicts.sent(&sent);
        self.backoff.answered(asked, &sent, refused, now.wall);
        if let Some(pool) = pool {
            if let Some(known) = self.pools.get_mut(pool) {
                known.note_resized(sent, now.wall);
            }
            self.noted.insert(pool.clone());
        }
    }

    /// A status of a pool was written. Something else may have been decided meanwhile.
    pub fn reported(&mut self, pool: &PoolId, status: &WeightedShareStatus) {
        if let Some(known) = self.pools.get_mut(pool)
            && known.noticed.as_deref() == Some(status)
        {
            known.grants.set_reported();
        }
        self.noted.insert(pool.clone());
    }

    /// What a ClusterWeightedShare was last worked out to say.
    #[must_use]
    pub fn tree_status(&self, name: &str) -> Option<&ClusterWeightedShareStatus> {
        self.trees.get(name).map(|(_, status)| &**status)
    }

    /// Something is known now that a pool waited for.
    pub fn note(&mut self, pool: Option<PoolId>) {
        self.noted.extend(pool);
    }

    /// The last event of a pool that is being deleted was written.
    pub fn said_farewell(&mut self, pool: &PoolId) {
        if let Some(known) = self.pools.get_mut(pool) {
            known.farewell = true;
        }
        self.noted.insert(pool.clone());
    }
}
