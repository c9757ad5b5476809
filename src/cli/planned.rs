//! Pools with the status that the controller would give them, for what draws a status: `top` and the page. Pure.

use k8s_openapi::jiff::Timestamp;

use super::{Looked, plan::carried_out};
use crate::{
    api::WeightedShareStatus,
    cluster::{Event, Kept, Pool},
    engine::status,
    runtime::PlannedPool,
};

/// The pools of a cluster, each with the status that the controller would write once it has sent all resizes of the
/// plan.
#[must_use]
pub fn planned(looked: &Looked, now: Timestamp) -> Vec<PlannedPool> {
    let preview = looked.preview();
    let view = preview.view(&looked.cluster, &looked.metrics, now);
    let planned = preview.divide(&view).pools.into_iter().map(|(members, shares)| {
        let outcome = carried_out(&members, &shares);
        let status: WeightedShareStatus = status(&view, &members, &shares, &outcome, None);
        let mut pool = members.object.clone();
        pool.status = Some(status);
        let used = members.used();
        PlannedPool { pool, used }
    });
    planned.collect()
}

/// Gives the planned status to each pool that has none. Returns whether there was one.
pub fn fill_in_statuses(looked: &mut Looked, now: Timestamp) -> bool {
    let lacks = |pool: &Pool| pool.is_live() && pool.object.status.is_none();
    if !looked.cluster.pools().any(|(_, pool)| lacks(pool)) {
        return false;
    }
    for PlannedPool { pool, .. } in planned(looked, now) {
        let known = looked.cluster.pools().find(|(_, it)| it.object.metadata == pool.metadata);
        if known.is_some_and(|(_, known)| lacks(known)) {
            looked.cluster.apply(Event::Applied(pool.key(), pool.read()));
        }
    }
    true
}
