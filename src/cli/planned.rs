//! Pools with the status that the controller would give them, for what draws a status: `top` and the page. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::plan::carried_out;
use crate::{
    api::WeightedShareStatus,
    controller::{divide, status, weigh},
    observe::Snapshot,
    serve::PlannedPool,
    share::Divider,
};

/// The pools of a snapshot, each with the status that the controller would write once it has sent all resizes of the
/// plan.
#[must_use]
pub fn planned(snapshot: &Snapshot, now: Timestamp) -> Vec<PlannedPool> {
    let pools = weigh(snapshot);
    let shares = divide(snapshot, &pools, &mut Divider::default());
    let planned = pools.iter().zip(&shares).map(|(weighed, shares)| {
        let outcome = carried_out(weighed, shares);
        let status: WeightedShareStatus =
            status(weighed, shares, &outcome, snapshot, true, Time(now));
        let mut pool = weighed.pool.clone();
        pool.status = Some(status);
        let used = weighed.members.iter().map(|member| member.used(snapshot)).collect();
        PlannedPool { pool, used }
    });
    planned.collect()
}

/// Gives the planned status to each pool that has none. Returns whether there was one.
pub fn fill_in_statuses(snapshot: &mut Snapshot, now: Timestamp) -> bool {
    if snapshot.pools.iter().all(|pool| pool.status.is_some()) {
        return false;
    }
    let planned = planned(snapshot, now);
    for (pool, PlannedPool { pool: planned, .. }) in snapshot.pools.iter_mut().zip(planned) {
        if pool.status.is_none() {
            pool.status = planned.status;
        }
    }
    true
}
