//! A pod of a member, with what else is known of it: looked up once, for all stages of a decision.

use crate::{
    cluster::{Machine, Namespace, Pod, Template},
    metrics::{MeasuredPods, PodMeasures},
};

/// A pod of a member.
#[derive(Clone, Copy, Debug)]
pub struct MemberPod<'a> {
    /// The pod itself.
    pub pod: &'a Pod,
    /// The namespace that it is in.
    pub namespace: &'a Namespace,
    /// The template that it was made from, where its controller is known.
    pub template: Option<&'a Template>,
    /// The virtual machine that it runs, where that is known.
    pub machine: Option<&'a Machine>,
    /// The pod that counts in its place, as its virtual machine moves there.
    pub migrates_to: Option<&'a Pod>,
    /// What is measured of it.
    pub measured: Option<PodMeasures>,
}

impl<'a> MemberPod<'a> {
    /// Looks up what is known of a pod in its namespace.
    #[must_use]
    pub fn of(namespace: &'a Namespace, measured: &MeasuredPods, pod: &'a Pod) -> Self {
        let workload = pod.owner.as_ref().and_then(|owner| namespace.workload(owner));
        Self {
            pod,
            namespace,
            template: workload.map(|workload| &workload.template),
            machine: namespace.machine(pod),
            migrates_to: namespace.migration_target(pod),
            measured: measured.pod(&pod.name),
        }
    }
}
