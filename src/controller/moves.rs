//! From shares to the resizes that may be sent now: shrink before grow, into confirmed room only. Pure.

use std::collections::BTreeMap;

use super::{
    quotas::QuotaRoom,
    shares::{Divided, PodShare, Shares},
};
use crate::{
    actuate::PodResize,
    observe::{Pod, Resize, Snapshot},
    share::{self, Common, Holding, PerResource, Resource, Standing},
};

/// What is free on each node, in units of each resource.
pub type Free = BTreeMap<String, PerResource<u64>>;

/// Takes what resizes ask for off what is free, so that it is not promised again.
pub fn take(free: &mut Free, snapshot: &Snapshot, resizes: &[PodResize]) {
    for resize in resizes {
        let pod = snapshot.pod(&resize.namespace, &resize.pod);
        if let Some(room) = pod.and_then(|pod| free.get_mut(pod.node.as_ref()?)) {
            let room = &mut room[resize.resource];
            *room = room.saturating_sub(resize.to.saturating_sub(resize.from));
        }
    }
}

/// The resizes that bring the pods of a divided pool nearer to their shares, and those that take back what a node could
/// not carry out.
#[must_use]
pub fn towards_shares(divided: &Shares, free: &Free) -> Vec<PodResize> {
    Resource::ALL
        .into_iter()
        .filter_map(|resource| Some((resource, divided[resource].as_ref()?)))
        .flat_map(|(resource, divided)| {
            let failed = |pod: &&PodShare| {
                matches!(pod.pod.resize, Resize::Infeasible(_) | Resize::Failing(_))
            };
            let back = divided.pods().filter(failed);
            let back = back.filter_map(move |pod| PodResize::back(pod.pod, resource));
            moves(resource, divided, free).into_iter().chain(back).collect::<Vec<_>>()
        })
        .collect()
}

fn moves(resource: Resource, divided: &Divided, free: &Free) -> Vec<PodResize> {
    let pods: Vec<(&PodShare, u64)> =
        divided.pods().filter_map(|pod| Some((pod, pod.reach()?))).collect();
    let room = divided.divisible.saturating_sub(divided.charged());
    let standings = pods.iter().map(|(pod, target)| (pod.pod, &pod.holding, *target));
    let allowed = steps(standings, resource, room, free, &divided.quotas);

    pods.iter()
        .zip(allowed)
        .filter_map(|((pod, target), allowed)| {
            let now = pod.holding.charge();
            if pod.is_being_given() && allowed <= now {
                return None;
            }
            if allowed != *target && allowed == now {
                // It waits for room.
                return None;
            }
            let holding = pod.in_use.as_ref().map_or(&pod.holding, |in_use| &in_use.holding);
            let mut requests = holding.split(allowed);
            if holding.charge_with(&requests) > allowed.max(now) {
                // One container gives what another takes: the giving comes first.
                for (request, container) in requests.iter_mut().zip(&holding.containers) {
                    *request = (*request).min(container.held.requested);
                }
            }
            // What its node has not spoken of yet is not to hold more than its template says: taken back later, nobody
            // could tell whether the node has seen that.
            for (request, container) in requests.iter_mut().zip(&pod.pod.containers) {
                if container.unheard {
                    *request = (*request).min(container.held[resource].requested);
                }
            }
            let mut limits = holding.limits(&requests);
            if let Some(in_use) = &pod.in_use {
                limits = in_use.limits(limits);
            }
            PodResize::to(pod.pod, resource, &requests, |i| limits[i])
        })
        .collect()
}

/// How far each pod may go now, given the room in the pool and on the nodes.
pub fn steps<'a>(
    pods: impl Iterator<Item = (&'a Pod, &'a Holding, u64)>,
    resource: Resource,
    room: u64,
    free: &Free,
    quotas: &[QuotaRoom],
) -> Vec<u64> {
    let pods: Vec<(&Pod, &Holding, u64)> = pods.collect();
    let counted = |quota: &QuotaRoom| {
        (0..pods.len()).filter(|&i| quota.counts(pods[i].0, pods[i].1)).collect::<Vec<_>>()
    };
    let common =
        quotas.iter().map(|quota| Common { room: quota.free, pods: counted(quota) }).collect();
    let nodes: Vec<&String> = free.keys().collect();
    let node_room: Vec<u64> = free.values().map(|free| free[resource]).collect();
    let standings: Vec<Standing> = pods
        .iter()
        .map(|&(pod, holding, target)| Standing {
            charge: holding.charge(),
            admitted: holding.admitted().min(holding.charge()),
            target,
            node: pod.node.as_ref().and_then(|node| nodes.binary_search(&node).ok()),
        })
        .collect();
    share::steps(&standings, room, &node_room, common)
}
