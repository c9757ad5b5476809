//! Why a pod cannot be resized, as it is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::Qos;

/// Why a pod, as it is, can never be resized.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Obstacle {
    /// It has no requests, and requests would change its class.
    BestEffort,
    /// It is defined by a file on its node.
    StaticPod,
    /// It runs on Windows.
    Windows,
    /// It runs a virtual machine of which nothing is known.
    UnknownMachine,
    /// It runs a virtual machine whose virtual CPUs have CPUs to themselves.
    DedicatedCpu,
    /// It runs a virtual machine that is Guaranteed all that it has.
    GuaranteedMachine,
}

/// Whether a pod runs on Windows: it says so, or asks for such a node, as a RuntimeClass may have it do.
fn is_for_windows(spec: &core::PodSpec) -> bool {
    let os = spec.node_selector.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    spec.os.as_ref().is_some_and(|os| os.name == "windows") || os.is_some_and(|os| os == "windows")
}

impl Obstacle {
    /// What stands in the way of resizing this pod, if anything.
    pub(super) fn of(pod: &core::Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let has = |of: &Option<BTreeMap<String, String>>, key: &str| {
            of.as_ref().is_some_and(|map| map.contains_key(key))
        };
        if has(&pod.metadata.annotations, "kubernetes.io/config.mirror") {
            Some(Self::StaticPod)
        } else if has(&pod.metadata.labels, "kubevirt.io") {
            Some(Self::UnknownMachine)
        } else if is_for_windows(spec) {
            Some(Self::Windows)
        } else if Qos::of(pod) == Qos::BestEffort {
            Some(Self::BestEffort)
        } else {
            None
        }
    }

    /// One word for programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::StaticPod => "StaticPod",
            Self::Windows => "Windows",
            Self::UnknownMachine => "UnknownMachine",
            Self::DedicatedCpu => "DedicatedCpu",
            Self::GuaranteedMachine => "GuaranteedMachine",
        }
    }

    /// The cause, and what to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::BestEffort => {
                "it has no requests, and a resize cannot add them to a BestEffort pod. Give its template a cpu or memory \
                 request"
            }
            Self::StaticPod => {
                "it is a static pod, which only its node's manifest can change. Exclude it from the member's selector"
            }
            Self::Windows => {
                "Kubernetes does not resize Windows pods in place. Exclude it from the member's selector"
            }
            Self::UnknownMachine => {
                "it has the label kubevirt.io, but its virtual machine was not found. Check that it belongs to a \
                 VirtualMachineInstance, or remove the label"
            }
            Self::DedicatedCpu => {
                "its virtual CPUs have dedicated CPUs, which cannot be shared by weight. Remove dedicatedCpuPlacement \
                 from its virtual machine's domain, or exclude it from the pool"
            }
            Self::GuaranteedMachine => {
                "its virtual machine's requests equal its limits, so all of them are guaranteed. Remove the limits from \
                 the virtual machine's domain, or exclude it from the pool"
            }
        }
    }
}
