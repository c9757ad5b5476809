//! A virtual machine of KubeVirt (kubevirt.io/v1): what is read of it, and no more.

use std::collections::BTreeMap;

use super::amount::amount;
use crate::share::Resource;
use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize};

/// A virtual machine that runs, or is about to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct VirtualMachineInstance {
    /// Its name, labels and owners.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it is to be.
    #[serde(default)]
    pub spec: VirtualMachineInstanceSpec,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<VirtualMachineInstanceStatus>,
}

/// What a virtual machine is to be.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct VirtualMachineInstanceSpec {
    /// The machine itself.
    #[serde(default)]
    pub domain: Domain,
}

/// The machine as its guest sees it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Domain {
    /// Its virtual CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Who does the work of its disks: `shared`, `auto` or `supplementalPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_threads_policy: Option<String>,
    /// More about the threads that do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_threads: Option<IoThreads>,
    /// What its pod asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// Virtual CPUs: the product of the three, where what is left out is one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cpu {
    /// Cores in each socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<u32>,
    /// Threads in each core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
}

/// Threads for the work of disks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IoThreads {
    /// How many there are with the policy `supplementalPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplemental_pool_thread_count: Option<u32>,
}

/// Where a virtual machine runs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachineInstanceStatus {
    /// The nodes of its launcher pods, by the UID of the pod.
    #[serde(default)]
    pub active_pods: BTreeMap<String, String>,
    /// The node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

/// What a virtual machine can make use of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Machine {
    /// Its virtual CPUs.
    pub vcpus: u64,
    /// The threads that do the work of its disks, at most.
    pub io_threads: u64,
}

impl VirtualMachineInstance {
    /// What the machine can make use of: sockets, cores and threads; where it names none of them, the CPUs that it asks
    /// for, or one.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let domain = &self.spec.domain;
        let asked = || {
            let resources = domain.resources.as_ref()?;
            let milli = amount(resources.limits.as_ref(), Resource::Cpu)
                .or_else(|| amount(resources.requests.as_ref(), Resource::Cpu))?;
            Some(milli.div_ceil(1000))
        };
        let vcpus = match domain.cpu {
            Some(cpu) => [cpu.sockets, cpu.cores, cpu.threads]
                .map(|count| u64::from(count.unwrap_or(1)))
                .into_iter()
                .fold(1, u64::saturating_mul),
            None => asked().unwrap_or(1),
        };
        let pool = || domain.io_threads.and_then(|threads| threads.supplemental_pool_thread_count);
        let io_threads = match domain.io_threads_policy.as_deref() {
            Some("shared") => 1,
            Some("auto") => vcpus.saturating_mul(2),
            Some("supplementalPool") => pool().unwrap_or(1).into(),
            _ => 0,
        };
        Machine { vcpus: vcpus.max(1), io_threads }
    }
}
