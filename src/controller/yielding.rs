//! Resources of pods that are left to somebody else. Pure.

use super::play;
use crate::{
    api::Member,
    observe::{Pod, Snapshot},
    share::{Holding, PerResource, Resource},
};

/// Why a resource of a pod is left as it is, although it could be resized.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Yield {
    /// One word for programs.
    pub reason: &'static str,
    /// The cause, and what to do about it.
    pub message: String,
}

/// What the pod holds of the resource, and how that may move: not at all, where it is left to somebody else.
#[must_use]
pub fn holding(
    snapshot: &Snapshot,
    pod: &Pod,
    member: &Member,
    resource: Resource,
    divided: PerResource<bool>,
) -> (Holding, Option<Yield>) {
    match yields(snapshot, pod, resource) {
        Some(to) => (pod.holding(resource, |_| None), Some(to)),
        None => (play::holding(snapshot, pod, member, resource, divided), None),
    }
}

fn yields(snapshot: &Snapshot, pod: &Pod, resource: Resource) -> Option<Yield> {
    let neighbours = &snapshot.neighbours;
    if pod.critical {
        // A shrink that could not be taken back would be worse than none.
        let message = "it is critical to the system, and room for more of it could cost others theirs (they are \
                       evicted): take it out of the pool";
        return Some(Yield { reason: "SystemCritical", message: message.to_owned() });
    }
    if let Some(home) = snapshot.copies.get(&pod.uid) {
        let message = format!(
            "its virtual machine moves, and pod {home} has its share: it keeps what it has until the machine is there, \
             and both are charged"
        );
        return Some(Yield { reason: "Migrating", message });
    }
    for workload in snapshot.workloads_above(pod) {
        if let Some((name, mode)) = neighbours.vertical.get(workload) {
            let message = format!(
                "VerticalPodAutoscaler {name} (updateMode {mode}) sets what {} {} requests: take the workload out of one \
                 of the two, or set its updateMode to \"Off\"",
                workload.kind, workload.name
            );
            return Some(Yield { reason: "VerticalPodAutoscaler", message });
        }
    }
    for workload in snapshot.workloads_above(pod) {
        let scaler = neighbours.horizontal.get(workload).and_then(|it| it[resource].as_ref());
        if let Some(name) = scaler {
            let message = format!(
                "HorizontalPodAutoscaler {name} counts the replicas of {} {} by how much of its {resource} request a pod \
                 uses, which every resize would change: give it a target of type AverageValue (averageValue) instead of \
                 averageUtilization",
                workload.kind, workload.name
            );
            return Some(Yield { reason: "HorizontalPodAutoscaler", message });
        }
    }
    let by = snapshot.contested.get(&pod.uid).and_then(|by| by[resource].as_ref())?;
    let message = format!(
        "{by} has set its {resource} three times after this pool did, so it is left to {by} for an hour: let one of \
         the two do it"
    );
    Some(Yield { reason: "ContestedBy", message })
}
