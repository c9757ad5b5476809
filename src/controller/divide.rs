//! From members and pods to shares: how far each container may move, and what the division gives. Pure.

use super::weigh::{Weighed, WeighedMember};
use crate::{
    api::Resources,
    observe::{Container, Pod, Qos, Resize, Template},
    share::{self, Holding, MemberClaim, PerResource, Play, PodClaim, PoolTooSmall, Resource},
};

/// The least that a pod is given, whatever its weight.
const MIN_PER_POD: PerResource<u64> = PerResource { cpu: 10, memory: 16 << 20 };

/// The division of one resource of a pool.
#[derive(Debug)]
pub struct Divided<'a> {
    /// What there is to divide, in units of the resource.
    pub capacity: u64,
    /// For each member, in the order of the spec, its pods.
    pub members: Vec<Vec<PodShare<'a>>>,
    /// The minima together exceed what can be divided.
    pub overcommitted: bool,
    /// Not even the least that each pod needs fits: nothing is changed. With what would be needed.
    pub too_small: Option<u128>,
    /// What the pods that are being deleted still hold.
    pub leaving: u64,
    /// Some pod is being deleted, or still holds more than it is granted: room for the others is on its way.
    pub frees_room: bool,
}

/// One resource of one pod.
#[derive(Debug)]
pub struct PodShare<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// What it holds, and how that may move.
    pub holding: Holding,
    /// What it is to be charged. None: it is left alone, at what it holds.
    pub share: Option<u64>,
}

impl PodShare<'_> {
    /// What it is granted: its share, or what it holds where it is left alone.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.share.unwrap_or_else(|| self.holding.charge())
    }
}

impl Divided<'_> {
    /// What all pods of the pool are charged, those that are being deleted too.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.members.iter().flatten().map(|pod| pod.holding.charge()).sum::<u64>() + self.leaving
    }
}

/// Divides each resource that the pool names. `template` finds what a pod was made from.
#[must_use]
pub fn divide<'a>(
    weighed: &Weighed<'a>,
    capacity: &Resources,
    template: impl Fn(&'a Pod) -> Option<&'a Template>,
) -> PerResource<Option<Divided<'a>>> {
    PerResource::from_fn(|resource| {
        capacity.get(resource).map(|capacity| divide_one(weighed, resource, capacity, &template))
    })
}

fn divide_one<'a>(
    weighed: &Weighed<'a>,
    resource: Resource,
    capacity: u64,
    template: &impl Fn(&'a Pod) -> Option<&'a Template>,
) -> Divided<'a> {
    let mut members: Vec<Vec<PodShare>> = weighed
        .members
        .iter()
        .map(|member| {
            let pod = |&pod| PodShare {
                pod,
                holding: holding(pod, template(pod), resource),
                share: None,
            };
            member.pods.iter().map(pod).collect()
        })
        .collect();
    // A pod that cannot be resized leaves the division, and what it is charged leaves the pool.
    let aside: u64 = members.iter().flatten().map(fixed_charge).sum();
    let claims: Vec<MemberClaim> = weighed
        .members
        .iter()
        .zip(&members)
        .map(|(member, pods)| claim(member, pods, resource))
        .collect();

    let mut divided = Divided {
        capacity,
        members: Vec::new(),
        overcommitted: false,
        too_small: None,
        leaving: weighed.leaving.iter().map(|pod| pod.charge(resource)).sum(),
        frees_room: false,
    };
    match share::divide(capacity.saturating_sub(aside), &claims) {
        Ok(division) => {
            divided.overcommitted = division.overcommitted;
            for (pods, share) in members.iter_mut().zip(division.members) {
                let movable = pods.iter_mut().filter(|pod| can_move(&pod.holding));
                for (pod, share) in movable.zip(share.pods) {
                    pod.share = Some(share);
                }
            }
        }
        Err(PoolTooSmall { needed }) => divided.too_small = Some(needed + u128::from(aside)),
    }
    let gives = |pod: &PodShare| pod.granted() < pod.holding.charge();
    divided.frees_room = divided.leaving > 0 || members.iter().flatten().any(gives);
    divided.members = members;
    divided
}

fn claim(member: &WeighedMember, pods: &[PodShare], resource: Resource) -> MemberClaim {
    let aside: u64 = pods.iter().map(fixed_charge).sum();
    let within = |bound: Option<u64>| bound.map(|bound| bound.saturating_sub(aside));
    MemberClaim {
        name: member.spec.name.clone(),
        weight: member.weight,
        min: within(member.spec.min.get(resource)).unwrap_or_default(),
        max: within(member.spec.max.get(resource)),
        pods: pods
            .iter()
            .filter(|pod| can_move(&pod.holding))
            .map(|pod| {
                let cap = pod.holding.most();
                let floor = MIN_PER_POD[resource].min(cap.unwrap_or(u64::MAX));
                PodClaim {
                    name: pod.pod.name.clone(),
                    weight: 1,
                    floor: floor.max(pod.holding.fixed()),
                    cap,
                }
            })
            .collect(),
    }
}

fn can_move(holding: &Holding) -> bool {
    holding.containers.iter().any(|container| container.play.is_some())
}

fn fixed_charge(pod: &PodShare) -> u64 {
    if can_move(&pod.holding) { 0 } else { pod.holding.charge() }
}

/// What the pod holds of the resource, and how each of its containers may move.
fn holding(pod: &Pod, template: Option<&Template>, resource: Resource) -> Holding {
    if pod.obstacle.is_some() || matches!(pod.resize, Resize::Infeasible(_)) {
        return pod.holding(resource, |_| None);
    }
    // Were every request to reach its limit, a Burstable pod would become Guaranteed, which Kubernetes refuses.
    let keeps_apart = (pod.qos == Qos::Burstable && pod.limited)
        .then(|| pod.containers.iter().find(|container| !container.restarts[resource]))
        .flatten()
        .map(|container| container.name.as_str());
    pod.holding(resource, |container| {
        let apart = keeps_apart == Some(container.name.as_str());
        play(pod.qos, container, template, resource, apart)
    })
}

/// How the request of a container may move. None: it is left alone.
fn play(
    qos: Qos,
    container: &Container,
    template: Option<&Template>,
    resource: Resource,
    below_limit: bool,
) -> Option<Play> {
    if container.restarts[resource] {
        return None;
    }
    let requested = container.held[resource].requested;
    let weight = match template {
        // A container that the template does not know was injected: it keeps its own.
        Some(template) => template.get(&container.name)?.request[resource],
        None => requested,
    };
    Some(match qos {
        // Its limit moves along. A lower memory limit could end it, so memory only grows.
        Qos::Guaranteed => Play {
            weight,
            least: if resource == Resource::Memory { requested } else { 1 },
            most: None,
        },
        // A request that is there stays there: without any, the pod would be BestEffort.
        _ => Play {
            weight,
            least: requested.min(1),
            most: container.limit[resource]
                .map(|limit| limit - u64::from(below_limit && limit > 0)),
        },
    })
}
