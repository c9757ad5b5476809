//! A pod of a member with the related objects and its measurements, looked up once for all stages of a decision.

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
    /// The template that it was made from, if the watch has shown it.
    pub template: Option<&'a Template>,
    /// The virtual machine that it runs, if the watch has shown it.
    pub machine: Option<&'a Machine>,
    /// The pod that its virtual machine migrates to. That pod gets the share.
    pub migrates_to: Option<&'a Pod>,
    /// Its measurements. None: no source has reported its usage.
    pub measured: Option<PodMeasures>,
}

impl<'a> MemberPod<'a> {
    /// Looks up the objects that belong to a pod in its namespace, and its measurements.
    #[must_use]
    pub fn of(namespace: &'a Namespace, measured: &MeasuredPods, pod: &'a Pod) -> Self {
        Self {
            pod,
            namespace,
            template: namespace.template(pod),
            machine: namespace.machine(pod),
            migrates_to: namespace.migration_target(pod),
            measured: measured.pod(&pod.name),
        }
    }
}
