//! From pools and pods to shares. Pure.

use super::{
    claim::Draft,
    nodes::Nodes,
    quotas,
    shares::{Divided, Shares},
    weigh::Weighed,
};
use crate::{
    api::Mode,
    observe::{Pod, Snapshot},
    share::{Divider, Pool, Resource},
};

/// Divides all pools, in the order of `weighed`, with the buffers of `divider`.
///
/// The pools that only observe are worked out as if they were carried out; the others take no notice of them.
#[must_use]
pub fn divide<'a>(
    snapshot: &'a Snapshot,
    weighed: &[Weighed<'a>],
    divider: &mut Divider,
) -> Vec<Shares<'a>> {
    let observes = |pool: &Weighed| pool.pool.spec.mode == Mode::Observe;
    let mut shares: Vec<Shares> = weighed.iter().map(|_| Shares::default()).collect();
    for resource in Resource::ALL {
        let names = |i: &usize| weighed[*i].pool.spec.capacity.get(resource).is_some();
        let all: Vec<usize> = (0..weighed.len()).filter(names).collect();
        let acting: Vec<usize> = all.iter().copied().filter(|&i| !observes(&weighed[i])).collect();
        let mut keep = |which: &[usize], kept: &dyn Fn(&Weighed) -> bool| {
            let pools = which.iter().map(|&i| &weighed[i]).collect::<Vec<_>>();
            for (&i, divided) in which.iter().zip(divide_all(snapshot, &pools, resource, divider)) {
                if kept(&weighed[i]) {
                    shares[i][resource] = Some(divided);
                }
            }
        };
        keep(&acting, &|_| true);
        if acting.len() < all.len() {
            keep(&all, &observes);
        }
    }
    shares
}

/// Divides one resource of pools that all name it.
fn divide_all<'a>(
    snapshot: &'a Snapshot,
    weighed: &[&Weighed<'a>],
    resource: Resource,
    divider: &mut Divider,
) -> Vec<Divided<'a>> {
    let nodes = Nodes::of(snapshot);
    let (drafts, mut pools): (Vec<Draft>, Vec<Pool>) =
        weighed.iter().map(|pool| Draft::new(snapshot, pool, resource, &nodes)).unzip();
    let movable: Vec<Vec<&Pod>> = drafts.iter().map(|draft| draft.movable().collect()).collect();
    let bounds = quotas::bound(snapshot, weighed, resource, &movable, &mut pools);
    // What moves, or is about to be gone, is in nobody's way.
    let leaving = weighed.iter().flat_map(|pool| &pool.leaving).filter(|pod| {
        // But in that of pods that wait for room there.
        pod.node.as_ref().is_none_or(|node| !snapshot.wanted.contains_key(node))
    });
    let rooms =
        nodes.rooms(snapshot, resource, movable.into_iter().flatten().chain(leaving.copied()));
    let mut divisions = Vec::new();
    divider.divide(&pools, &rooms, &mut divisions);
    let done = drafts.into_iter().zip(pools).zip(divisions).zip(bounds);
    done.map(|(((draft, pool), division), quota)| Divided {
        quota,
        ..draft.finish(&pool, &division, &nodes)
    })
    .collect()
}
