//! A virtual machine of KubeVirt (kubevirt.io/v1): what is read of it, and no more.

use std::collections::BTreeMap;

use super::{
    amount::amount,
    pod::Owner,
    workload::{TemplateContainer, Workload},
};
use crate::share::{Bytes, PerResource, Resource};
use k8s_openapi::{
    api::core::v1::ResourceRequirements,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
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

/// How many virtual CPUs share what one CPU is requested for, where nobody says otherwise.
const ALLOCATION_RATIO: u32 = 10;

/// The container of a launcher pod in which the virtual machine runs.
pub const COMPUTE: &str = "compute";

/// The kinds that virtual machines belong to. They are not watched: one is known by the machines that it has.
pub const MACHINE_SETS: [&str; 2] = ["VirtualMachinePool", "VirtualMachineInstanceReplicaSet"];

/// What a virtual machine can make use of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Machine {
    /// Its virtual CPUs.
    pub vcpus: u64,
    /// How many sockets they are in, where it says so.
    pub sockets: Option<u64>,
    /// How many sockets there can be without another start.
    pub max_sockets: Option<u64>,
    /// The memory that its guest has, in bytes, where it says so.
    pub memory: Option<u64>,
    /// The memory that its guest can have without another start, in bytes.
    pub max_memory: Option<u64>,
    /// The threads that do the work of its disks, at most.
    pub io_threads: u64,
    /// Its virtual CPUs have CPUs of the node to themselves: nothing of it is shared.
    pub dedicated: bool,
    /// It can be moved to another node while it runs.
    pub migratable: bool,
    /// Something is being plugged into it.
    pub plugging: bool,
    /// What it was made from, where that is a VirtualMachine.
    pub made_from: Option<MadeFrom>,
}

/// The VirtualMachine that an instance was made from, and that decides of its size.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MadeFrom {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub resource_version: String,
    /// How many sockets it is to have: one, where it does not say.
    pub sockets: u64,
    /// The memory that its guest is to have, in bytes.
    pub memory: Option<u64>,
    /// It takes no more changes until it was restarted: why, in KubeVirt's words.
    pub restart_required: Option<String>,
}

impl Machine {
    /// Whether it is being changed while it runs, or is about to be: something is being plugged in, or is asked for.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        let asked = self.made_from.as_ref().is_some_and(|it| {
            let differs = |asked: Option<u64>, has: Option<u64>| {
                asked.zip(has).is_some_and(|(asked, has)| asked != has)
            };
            it.restart_required.is_none()
                && (differs(Some(it.sockets), self.sockets) || differs(it.memory, self.memory))
        });
        self.plugging || asked
    }
}

/// How many virtual CPUs share what one CPU is requested for in this cluster.
#[must_use]
pub fn allocation_ratio<'k>(mut kubevirts: impl Iterator<Item = &'k KubeVirt>) -> u32 {
    let ratio = |it: &KubeVirt| it.spec.configuration.developer_configuration.cpu_allocation_ratio;
    kubevirts.find_map(ratio).filter(|ratio| *ratio > 0).unwrap_or(ALLOCATION_RATIO)
}

/// Whether KubeVirt carries out changes of machines that run, by live migration.
#[must_use]
pub fn updates_live<'k>(mut kubevirts: impl Iterator<Item = &'k KubeVirt>) -> bool {
    kubevirts.any(|it| {
        let methods = &it.spec.workload_update_strategy.workload_update_methods;
        it.spec.configuration.vm_rollout_strategy.as_deref() == Some("LiveUpdate")
            && methods.iter().any(|method| method == "LiveMigrate")
    })
}

fn bytes(quantity: Option<&Quantity>) -> Option<u64> {
    Some(Bytes::rounded_up(&quantity?.0).ok()?.0)
}

/// The condition, where it is True.
fn holding<'c>(conditions: &'c [MachineCondition], type_: &str) -> Option<&'c MachineCondition> {
    conditions.iter().find(|it| it.type_ == type_ && it.status == "True")
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
        let dedicated = domain.cpu.is_some_and(|cpu| cpu.dedicated_cpu_placement);
        let sockets = domain.cpu.and_then(|cpu| cpu.sockets).map(u64::from);
        let max_sockets = domain.cpu.and_then(|cpu| cpu.max_sockets).map(u64::from);
        let memory = domain.memory.as_ref();
        let conditions = self.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let holds = |type_| holding(conditions, type_).is_some();
        Machine {
            vcpus: vcpus.max(1),
            sockets,
            max_sockets,
            memory: memory.and_then(|memory| bytes(memory.guest.as_ref())),
            max_memory: memory.and_then(|memory| bytes(memory.max_guest.as_ref())),
            io_threads,
            dedicated,
            migratable: holds("LiveMigratable"),
            plugging: holds("HotVCPUChange") || holds("HotMemoryChange"),
            made_from: None,
        }
    }

    /// What its launcher pods start with: the CPU that it asks for, or, as KubeVirt works it out, its virtual CPUs by the
    /// allocation ratio. Its memory is not told, as it is left alone.
    #[must_use]
    pub fn workload(&self, allocation_ratio: u32) -> (Owner, Workload) {
        let resources = self.spec.domain.resources.as_ref();
        let asked = amount(resources.and_then(|it| it.requests.as_ref()), Resource::Cpu);
        let limit = amount(resources.and_then(|it| it.limits.as_ref()), Resource::Cpu);
        let by_ratio =
            || self.machine().vcpus.saturating_mul(1000) / u64::from(allocation_ratio.max(1));
        let cpu = asked.or(limit).unwrap_or_else(by_ratio);
        let compute = TemplateContainer {
            request: PerResource { cpu, memory: 0 },
            limit: PerResource { cpu: limit, memory: None },
        };
        let workload = Workload {
            owner: Owner::of(&self.metadata),
            template: [(COMPUTE.to_owned(), compute)].into(),
            charge: PerResource { cpu, memory: 0 },
            pods: 1,
            ..Workload::default()
        };
        (name("VirtualMachineInstance", &self.metadata), workload)
    }
}

impl VirtualMachine {
    /// It has no pods of its own: those are its instance's.
    #[must_use]
    pub fn workload(&self) -> (Owner, Workload) {
        let workload = Workload { owner: Owner::of(&self.metadata), ..Workload::default() };
        (name("VirtualMachine", &self.metadata), workload)
    }

    /// What an instance of it needs to know of it. None where it cannot be changed by us: another object writes it, or its
    /// size is that of an instancetype.
    #[must_use]
    pub fn made_from(&self) -> Option<MadeFrom> {
        if Owner::of(&self.metadata).is_some() || self.spec.instancetype.is_some() {
            return None;
        }
        let conditions = self.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let owner = name("VirtualMachine", &self.metadata);
        let domain = &self.spec.template.spec.domain;
        Some(MadeFrom {
            namespace: owner.namespace,
            name: owner.name,
            resource_version: self.metadata.resource_version.clone().unwrap_or_default(),
            sockets: domain.cpu.and_then(|cpu| cpu.sockets).unwrap_or(1).into(),
            memory: domain.memory.as_ref().and_then(|memory| bytes(memory.guest.as_ref())),
            restart_required: holding(conditions, "RestartRequired").map(|it| it.message.clone()),
        })
    }
}

fn name(kind: &str, meta: &ObjectMeta) -> Owner {
    Owner {
        namespace: meta.namespace.clone().unwrap_or_default(),
        kind: kind.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
    }
}
