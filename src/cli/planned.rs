//! Pools and trees with the status that the controller would give them, for what draws a status: `top` and the page. Pure.

use k8s_openapi::jiff::Timestamp;

use super::{Looked, Wanted, plan::carried_out};
use crate::{
    api::{ClusterWeightedShare, WeightedShareStatus},
    cluster::{Event, Kept, Pool},
    engine::status,
    runtime::PlannedPool,
};

/// The pools and trees of a cluster, each with the status that the controller would write once it has sent all resizes of the
/// plan.
#[derive(Debug, Default)]
pub struct Planned {
    /// The ClusterWeightedShares: of each tree the root first.
    pub trees: Vec<ClusterWeightedShare>,
    /// The pools, the oldest first.
    pub pools: Vec<PlannedPool>,
}

impl Planned {
    /// Plans them.
    #[must_use]
    pub fn of(looked: &Looked, now: Timestamp) -> Self {
        let preview = looked.preview();
        let view = preview.view(&looked.cluster, &looked.metrics, now);
        let divisions = preview.divide(&view);
        let pools = divisions.pools.into_iter().map(|(members, shares)| {
            let outcome = carried_out(&members, &shares);
            let status: WeightedShareStatus = status(&view, &members, &shares, &outcome, None);
            let mut pool = members.object.clone();
            pool.status = Some(status);
            let used = members.used();
            PlannedPool { pool, used }
        });
        let trees = divisions.trees.into_iter().filter_map(|planned| {
            let mut tree = looked.cluster.tree(&planned.name)?.object.clone();
            tree.status = Some(planned.status);
            Some(tree)
        });
        Self { trees: trees.collect(), pools: pools.collect() }
    }

    /// Keeps only the wanted pools; and trees only if that leaves out none.
    pub fn keep(&mut self, wanted: &Wanted) {
        let all = self.pools.len();
        self.pools.retain(|planned| wanted.includes(&planned.pool));
        if self.pools.len() < all {
            self.trees.clear();
        }
    }
}

/// Gives the planned status to each pool and tree that has none. Returns whether a pool had none.
pub fn fill_in_statuses(looked: &mut Looked, now: Timestamp) -> bool {
    let lacks = |pool: &Pool| pool.is_live() && pool.object.status.is_none();
    let some_lack = looked.cluster.pools().any(|(_, pool)| lacks(pool));
    if !some_lack && looked.cluster.trees().all(|(_, tree)| tree.object.status.is_some()) {
        return false;
    }
    let Planned { trees, pools } = Planned::of(looked, now);
    for PlannedPool { pool, .. } in pools {
        let known = looked.cluster.pools().find(|(_, it)| it.object.metadata == pool.metadata);
        if known.is_some_and(|(_, known)| lacks(known)) {
            looked.cluster.apply(Event::Applied(pool.key(), pool.read()));
        }
    }
    for tree in trees {
        let known = looked.cluster.tree(&tree.key().name);
        if known.is_some_and(|known| known.object.status.is_none()) {
            looked.cluster.apply(Event::Applied(tree.key(), tree.read()));
        }
    }
    some_lack
}
