//! Resources of pods that are left to another controller. Pure.

use super::{View, member_pod::MemberPod, ranges};
use crate::{
    api::Member,
    cluster::{Namespace, Obstacle, Owner},
    share::{Holding, PerResource, Resource},
};

/// Why a resource of a pod is left as it is, although it could be resized.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exclusion {
    /// One word for programs.
    pub reason: &'static str,
    /// The cause, and what to do about it.
    pub message: String,
}

/// What the pod holds of the resource, and how that may move: not at all, where it is left to another controller.
#[must_use]
pub fn holding(
    view: &View,
    pod: &MemberPod,
    member: &Member,
    resource: Resource,
    divided: PerResource<bool>,
) -> (Holding, Option<Exclusion>) {
    match exclusion(view, pod, resource) {
        Some(to) => (pod.pod.holding(resource, |_| None), Some(to)),
        None => (ranges::holding(view, pod, member, resource, divided), None),
    }
}

fn exclusion(view: &View, pod: &MemberPod, resource: Resource) -> Option<Exclusion> {
    let MemberPod { pod, namespace, migrates_to, .. } = *pod;
    if pod.critical {
        // A shrink that could not be taken back would be worse than none.
        let message = "it is critical to the system, and growing it could evict other pods. Take it out of the pool";
        return Some(Exclusion { reason: "SystemCritical", message: message.to_owned() });
    }
    // Its own spec may say nothing of that.
    let node = pod.node.as_deref().and_then(|node| view.cluster.node(node));
    if node.is_some_and(|node| node.terms.are_of_windows()) {
        let windows = Obstacle::Windows;
        let message = windows.remedy().to_owned();
        return Some(Exclusion { reason: windows.reason(), message });
    }
    if let Some(target) = migrates_to {
        let target = &target.name;
        let message = format!(
            "its virtual machine is migrating to pod {target}, which has its share. It keeps what it has until the machine \
             is there, and both pods are charged"
        );
        return Some(Exclusion { reason: "Migrating", message });
    }
    if let Some(exclusion) = autoscaled(namespace, || view.cluster.workloads_above(pod), resource) {
        return Some(exclusion);
    }
    let by = view.conflicts.holder(&pod.uid, resource, view.now)?;
    let message = format!(
        "{by} has set its {resource} three times after this pool did, so it is left to {by} for an hour. Let only one of \
         the two set it"
    );
    Some(Exclusion { reason: "ContestedBy", message })
}

/// Why a resource is left to an autoscaler of one of these workloads.
pub fn autoscaled<'w, W: Iterator<Item = &'w Owner>>(
    namespace: &Namespace,
    workloads: impl Fn() -> W,
    resource: Resource,
) -> Option<Exclusion> {
    let autoscalers = namespace.autoscalers();
    // Most namespaces have no autoscalers: skip the walk through the owners.
    if autoscalers.is_empty() {
        return None;
    }
    for workload in workloads() {
        if let Some((name, mode)) = autoscalers.vertical.get(workload) {
            let message = format!(
                "VerticalPodAutoscaler {name} (updateMode {mode}) sets the requests of {} {}. Take the workload out of the \
                 autoscaler or the pool, or set updateMode to \"Off\"",
                workload.kind, workload.name
            );
            return Some(Exclusion { reason: "VerticalPodAutoscaler", message });
        }
    }
    for workload in workloads() {
        let scaler = autoscalers.horizontal.get(workload).and_then(|it| it[resource].as_ref());
        if let Some(name) = scaler {
            let message = format!(
                "HorizontalPodAutoscaler {name} scales {} {} by how much of its {resource} request a pod uses, which every \
                 resize changes. Give it a target of type AverageValue (averageValue) instead of averageUtilization",
                workload.kind, workload.name
            );
            return Some(Exclusion { reason: "HorizontalPodAutoscaler", message });
        }
    }
    None
}
