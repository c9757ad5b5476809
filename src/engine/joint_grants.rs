//! Grants after a change of demand, for all pods that share nodes: the pods of one pool, or of a tree.

use super::{
    View,
    grants::{Grant, known},
    shares::with_share,
    stabilize::{Carried, Granting},
};
use crate::{
    cluster::PoolId,
    metrics::Freshness,
    share::{Candidate, PerResource, Resource, stabilize},
};

/// Pods of other pools of the tree on the same nodes. They keep their grants unless others need some of that room.
pub type Beside<'s> = PerResource<Vec<BesidePod<'s>>>;

/// A pod of another pool.
#[derive(Clone, Copy, Debug)]
pub struct BesidePod<'s> {
    /// Its pool.
    pub pool: &'s PoolId,
    /// Its place among the pods of the pool that have a share.
    pub place: usize,
    /// Its node.
    pub node: &'s str,
    /// Its grant, and the share that the division gives it.
    pub candidate: Candidate,
}

/// A new grant of a pod of another pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shift {
    /// Its pool.
    pub pool: PoolId,
    /// Its place among the pods of the pool that have a share.
    pub place: usize,
    /// The new grant, in units of the resource.
    pub granted: u64,
}

/// The pods of one pool, among those that are stabilized together.
enum Run<'b> {
    /// Of a pool that is decided for, by its index.
    Decided(usize),
    /// Of another pool.
    Beside(&'b [BesidePod<'b>]),
}

/// All pools, in order: that decides where all else is equal.
fn runs<'b>(pools: &[Granting], resource: Resource, beside: &'b [BesidePod]) -> Vec<Run<'b>> {
    let decided = pools.iter().enumerate().filter(|(_, pool)| pool.shares[resource].is_some());
    let decided = decided.map(|(i, pool)| (pool.members.id, Run::Decided(i)));
    let others = beside.chunk_by(|a, b| a.pool == b.pool).map(|it| (it[0].pool, Run::Beside(it)));
    let mut runs: Vec<(&PoolId, Run)> = decided.chain(others).collect();
    runs.sort_by_key(|(id, _)| *id);
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Grants after a change of demand alone, for the pools whose grants are stabilized: written over `all`, where the others have
/// theirs, which stand. Returns the new grants of pods `beside` them.
pub(super) fn stabilized(
    view: &View,
    pools: &[Granting],
    resource: Resource,
    carried: &[Carried],
    all: &mut [Vec<Grant>],
    beside: &[BesidePod],
) -> Vec<Shift> {
    // Without fresh measurements the demand is unknown: keep the last grants.
    let frozen = matches!(view.metrics.usage(view.now), Freshness::Stale(_));
    let divided = pools.iter().filter_map(|pool| pool.shares[resource].as_ref());
    let mut nodes: Vec<&str> =
        divided.flat_map(with_share).filter_map(|pod| pod.pod.node.as_deref()).collect();
    nodes.extend(beside.iter().map(|pod| pod.node));
    nodes.sort_unstable();
    let number = |node: &str| u32::try_from(nodes.partition_point(|&it| it < node)).ok();
    let runs = runs(pools, resource, beside);
    let mut candidates: Vec<Candidate> = Vec::new();
    for run in &runs {
        match run {
            Run::Decided(i) => {
                candidates.extend(pools[*i].candidates(
                    view,
                    resource,
                    carried[*i],
                    &all[*i],
                    number,
                ));
            }
            Run::Beside(pods) => candidates.extend(
                pods.iter().map(|pod| Candidate { node: number(pod.node), ..pod.candidate }),
            ),
        }
    }
    let granted = match frozen {
        true => candidates.iter().map(|candidate| candidate.granted).collect(),
        false => stabilize(&candidates, resource),
    };
    let (mut granted, mut shifts) = (granted.into_iter(), Vec::new());
    for run in runs {
        match run {
            Run::Decided(i) => {
                let Some(divided) = &pools[i].shares[resource] else { continue };
                let count = with_share(divided).count();
                let of_pool: Vec<u64> = granted.by_ref().take(count).collect();
                if carried[i] == Carried::Stabilized {
                    let before = &pools[i].memory.grants[resource];
                    let moved = |(pod, granted)| known(pod, before).moved_to(view, pod, granted);
                    all[i] = with_share(divided).zip(of_pool).map(moved).collect();
                }
            }
            Run::Beside(pods) => {
                let now = pods.iter().zip(granted.by_ref());
                let shifted = now.filter(|(pod, now)| pod.candidate.granted != *now);
                shifts.extend(shifted.map(|(pod, granted)| Shift {
                    pool: pod.pool.clone(),
                    place: pod.place,
                    granted,
                }));
            }
        }
    }
    shifts
}
