//! How far the requests of a pod may move. Pure.

use crate::{
    observe::{Container, Machine, Obstacle, Pod, Qos, Resize, Snapshot, Template},
    share::{Holding, Play, Resource},
};

/// The container of a launcher pod in which the virtual machine runs.
const COMPUTE: &str = "compute";

/// Whether a resize of ours can change what the pod holds.
#[must_use]
pub fn can_move(holding: &Holding) -> bool {
    holding.containers.iter().any(|container| container.play.is_some())
}

/// What the pod holds of the resource, and how each of its containers may move.
#[must_use]
pub fn holding(snapshot: &Snapshot, pod: &Pod, resource: Resource) -> Holding {
    let machine = snapshot.machine(pod);
    let obstacle = match pod.obstacle {
        Some(Obstacle::VirtualMachine) => machine.is_none() || pod.qos == Qos::Guaranteed,
        other => other.is_some(),
    };
    if obstacle || matches!(pod.resize, Resize::Infeasible(_)) {
        return pod.holding(resource, |_| None);
    }
    // Were every request to reach its limit, a Burstable pod would become Guaranteed, which Kubernetes refuses.
    let keeps_apart = (pod.qos == Qos::Burstable && pod.limited)
        .then(|| pod.containers.iter().find(|container| !container.restarts[resource]))
        .flatten()
        .map(|container| container.name.as_str());
    let range = snapshot.limits.get(&pod.namespace).map(|limits| limits.container[resource]);
    let range = range.unwrap_or_default();
    pod.holding(resource, |container| {
        let play = match machine {
            Some(machine) => of_machine(machine, container, resource),
            None => {
                let apart = keeps_apart == Some(container.name.as_str());
                play(pod.qos, container, snapshot.template(pod), resource, apart)
            }
        }?;
        let most = play.most.into_iter().chain(range.max).min();
        Some(Play { least: play.least.max(range.min), most, ..play })
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

/// How the request of a launcher pod's container may move: the CPU of the machine alone, which can make use of its
/// virtual CPUs and the threads of its disks. Memory that a guest has is never taken from it.
fn of_machine(machine: &Machine, container: &Container, resource: Resource) -> Option<Play> {
    if container.name != COMPUTE || resource == Resource::Memory {
        return None;
    }
    let threads = machine.vcpus.saturating_add(machine.io_threads).saturating_mul(1000);
    let most = container.limit[resource].into_iter().chain([threads]).min();
    Some(Play { weight: 1, least: 1, most })
}
