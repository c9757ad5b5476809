//! From shares to the resizes that may be sent now: shrink before grow, into confirmed room only. Pure.

use std::collections::BTreeMap;

use super::{
    shares::{Divided, PodShare, Shares},
    weigh,
};
use crate::{
    actuate::PodResize,
    observe::{Pod, Qos, Snapshot, Template},
    share::{self, Holding, PerResource, Play, Resource, Standing},
};

/// What is free on each node, in units of each resource.
type Free = BTreeMap<String, PerResource<u64>>;

/// Takes what resizes ask for off what is free, so that it is not promised again.
pub fn take(free: &mut Free, snapshot: &Snapshot, resizes: &[PodResize]) {
    for resize in resizes {
        let name = (&resize.namespace, &resize.pod);
        let pod = snapshot.pods.iter().find(|pod| (&pod.namespace, &pod.name) == name);
        if let Some(room) = pod.and_then(|pod| free.get_mut(pod.node.as_ref()?)) {
            let room = &mut room[resize.resource];
            *room = room.saturating_sub(resize.to.saturating_sub(resize.from));
        }
    }
}

/// The resizes that bring the pods of a divided pool nearer to their shares.
#[must_use]
pub fn towards_shares(divided: &Shares, free: &Free) -> Vec<PodResize> {
    Resource::ALL
        .into_iter()
        .filter_map(|resource| Some((resource, divided[resource].as_ref()?)))
        .flat_map(|(resource, divided)| moves(resource, divided, free))
        .collect()
}

fn moves(resource: Resource, divided: &Divided, free: &Free) -> Vec<PodResize> {
    let pods: Vec<(&PodShare, u64)> =
        divided.pods().filter_map(|pod| Some((pod, pod.share?.share))).collect();
    let room = divided.capacity.saturating_sub(divided.charged());
    let standings = pods.iter().map(|(pod, target)| (pod.pod, &pod.holding, *target));
    let allowed = steps(standings, resource, room, free);

    pods.iter()
        .zip(allowed)
        .filter_map(|((pod, share), allowed)| {
            let (now, holding) = (pod.holding.charge(), &pod.holding);
            if allowed != *share && allowed == now {
                // It waits for room.
                return None;
            }
            let mut requests = holding.split(allowed);
            if holding.charge_with(&requests) > allowed.max(now) {
                // One container gives what another takes: the giving comes first.
                for (request, container) in requests.iter_mut().zip(&holding.containers) {
                    *request = (*request).min(container.held.requested);
                }
            }
            resize(pod.pod, resource, &requests, |i| Some(requests[i]))
        })
        .collect()
}

/// The resize to `requests`; the limits of a Guaranteed pod go with them, as `limits` says.
fn resize(
    pod: &Pod,
    resource: Resource,
    requests: &[u64],
    limits: impl Fn(usize) -> Option<u64>,
) -> Option<PodResize> {
    PodResize::to(pod, resource, requests, |i| {
        if pod.qos == Qos::Guaranteed { limits(i) } else { None }
    })
}

fn steps<'a>(
    pods: impl Iterator<Item = (&'a Pod, &'a Holding, u64)>,
    resource: Resource,
    room: u64,
    free: &Free,
) -> Vec<u64> {
    let nodes: Vec<&String> = free.keys().collect();
    let node_room: Vec<u64> = free.values().map(|free| free[resource]).collect();
    let standings: Vec<Standing> = pods
        .map(|(pod, holding, target)| Standing {
            charge: holding.charge(),
            admitted: holding.admitted().min(holding.charge()),
            target,
            node: pod.node.as_ref().and_then(|node| nodes.binary_search(&node).ok()),
        })
        .collect();
    share::steps(&standings, room, &node_room)
}

/// What it takes to put pods that belong to no pool any more back to their templates.
#[derive(Debug, Default)]
pub struct Release {
    /// What may be sent now.
    pub resizes: Vec<PodResize>,
    /// Pods that wait for room, or for the kubelet.
    pub waiting: Vec<String>,
    /// Pods that cannot go back, each with the reason.
    pub stuck: Vec<(String, &'static str)>,
}

/// Puts the pods of a namespace that a resize of ours changed, and that no pool claims any more, back to what their
/// templates say: shrinks first, grows where the node has room for all of it.
#[must_use]
pub fn back_to_templates(snapshot: &Snapshot, namespace: &str, free: &Free) -> Release {
    let mut release = Release::default();
    let ours = |pod: &&Pod| Resource::ALL.iter().any(|&resource| pod.resized_by_us[resource]);
    let pods: Vec<&Pod> =
        weigh::unclaimed(snapshot, namespace).filter(|pod| !pod.terminating).filter(ours).collect();
    if pods.is_empty() {
        return release;
    }
    for &pod in &pods {
        if snapshot.template(pod).is_none() {
            release.stuck.push((
                pod.name.clone(),
                "it has no controller whose template says what it started with",
            ));
        }
    }
    for resource in Resource::ALL {
        let returning: Vec<(&Pod, Holding, Vec<u64>)> = pods
            .iter()
            .filter(|pod| pod.resized_by_us[resource])
            .filter_map(|&pod| Some((pod, snapshot.template(pod)?)))
            .map(|(pod, template)| {
                let holding =
                    pod.holding(resource, |_| Some(Play { weight: 1, least: 0, most: None }));
                (pod, holding, started_with(pod, template, resource))
            })
            .collect();
        let standings = returning.iter().map(|(pod, holding, requests)| {
            let settled = Holding {
                containers: holding
                    .containers
                    .iter()
                    .zip(requests)
                    .map(|(container, &to)| share::Container {
                        held: share::Held { requested: to, admitted: to },
                        ..*container
                    })
                    .collect(),
                ..holding.clone()
            };
            (*pod, holding, settled.charge())
        });
        let targets: Vec<u64> = standings.clone().map(|(_, _, target)| target).collect();
        let allowed = steps(standings, resource, u64::MAX, free);
        for ((pod, holding, requests), (target, allowed)) in
            returning.iter().zip(targets.into_iter().zip(allowed))
        {
            let limit =
                |i: usize| snapshot.template(pod)?.get(&pod.containers[i].name)?.limit[resource];
            let move_ = resize(pod, resource, requests, limit);
            if move_.is_some() || holding.charge() != target {
                release.waiting.push(pod.name.clone());
            }
            if allowed == target {
                release.resizes.extend(move_);
            }
        }
    }
    release
}

/// What the template says for each regular container; one that it does not know keeps its own.
fn started_with(pod: &Pod, template: &Template, resource: Resource) -> Vec<u64> {
    pod.containers
        .iter()
        .map(|container| match template.get(&container.name) {
            Some(template) => template.request[resource],
            None => container.held[resource].requested,
        })
        .collect()
}
