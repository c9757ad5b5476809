//! The kinds of KubeVirt (kubevirt.io/v1): what is read of them, and no more.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity,
};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// A virtual machine as its owner wants it, running or not.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "kubevirt.io",
    version = "v1",
    kind = "VirtualMachine",
    namespaced,
    status = "VirtualMachineStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct VirtualMachineSpec {
    /// What its instances are made from.
    #[serde(default)]
    pub template: MachineTemplate,
    /// Where their size comes from, if not from the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<Instancetype>,
}

/// The instancetype that a virtual machine takes its size from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Instancetype {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// What instances of a virtual machine are made from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct MachineTemplate {
    /// What they are to be.
    #[serde(default)]
    pub spec: VirtualMachineInstanceSpec,
}

/// How a virtual machine stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachineStatus {
    /// One word for people, such as `Running` or `Stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printable_status: Option<String>,
    /// What else there is to say of it.
    #[serde(default)]
    pub conditions: Vec<MachineCondition>,
}

/// Something that holds for a virtual machine, or does not.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct MachineCondition {
    /// What, such as `LiveMigratable` or `RestartRequired`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in words.
    #[serde(default)]
    pub message: String,
}

/// What a virtual machine that runs, or is about to, is to be.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "kubevirt.io",
    version = "v1",
    kind = "VirtualMachineInstance",
    namespaced,
    status = "VirtualMachineInstanceStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
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
    /// Its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<GuestMemory>,
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
#[serde(rename_all = "camelCase")]
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
    /// How many sockets there can be without another start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sockets: Option<u32>,
    /// Each of them has a CPU of the node to itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dedicated_cpu_placement: bool,
}

/// What the guest sees as its memory.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GuestMemory {
    /// How much there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Quantity>,
    /// How much there can be without another start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_guest: Option<Quantity>,
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
    /// What else there is to say of it.
    #[serde(default)]
    pub conditions: Vec<MachineCondition>,
}

/// How KubeVirt is set up in this cluster.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "kubevirt.io",
    version = "v1",
    kind = "KubeVirt",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct KubeVirtSpec {
    /// Its settings.
    #[serde(default)]
    pub configuration: Configuration,
    /// What it does with machines that run when what they are made from changes.
    #[serde(default)]
    pub workload_update_strategy: UpdateStrategy,
}

/// What KubeVirt does with machines that run when what they are made from changes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// `LiveMigrate`, `Evict`, both or none.
    #[serde(default)]
    pub workload_update_methods: Vec<String>,
}

/// Settings of KubeVirt.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Those that are called so.
    #[serde(default)]
    pub developer_configuration: DeveloperConfiguration,
    /// When a change of a machine that runs is carried out: `Stage` (at its next start) or `LiveUpdate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_rollout_strategy: Option<String>,
}

/// Settings of KubeVirt that are called so.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeveloperConfiguration {
    /// How many virtual CPUs share what one CPU is requested for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_allocation_ratio: Option<u32>,
}
