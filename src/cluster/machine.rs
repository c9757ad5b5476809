//! A virtual machine of KubeVirt: what it can make use of, what it started with, and what can be changed of it.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    amount::amount,
    kubevirt::{KubeVirt, MachineCondition, VirtualMachine, VirtualMachineInstance},
    owner::Owner,
    pod_template::TemplateContainer,
    workload::Workload,
};
use crate::share::{Bytes, PerResource, Resource};

/// How many virtual CPUs share what one CPU is requested for, unless it is set otherwise.
const ALLOCATION_RATIO: u32 = 10;

/// The container of a launcher pod in which the virtual machine runs.
pub const COMPUTE: &str = "compute";

/// The kinds that virtual machines belong to. They are not watched: one is known by the machines that it has.
pub const MACHINE_SETS: [&str; 2] = ["VirtualMachinePool", "VirtualMachineInstanceReplicaSet"];

/// What a virtual machine can make use of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Machine {
    /// The name of its instance, which its launcher pods belong to.
    pub instance: String,
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
            instance: self.metadata.name.clone().unwrap_or_default(),
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
    pub fn workload(&self, allocation_ratio: u32) -> Workload {
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
        Workload {
            owner: Owner::of(&self.metadata),
            template: [(COMPUTE.to_owned(), compute)].into(),
            charge: PerResource { cpu, memory: 0 },
            pods: 1,
            ..Workload::default()
        }
    }
}

impl VirtualMachine {
    /// It has no pods of its own: those are its instance's.
    #[must_use]
    pub fn workload(&self) -> Workload {
        Workload { owner: Owner::of(&self.metadata), ..Workload::default() }
    }

    /// What an instance of it needs to know of it. None where it cannot be changed by us: another object writes it, or its
    /// size is that of an instancetype.
    #[must_use]
    pub fn made_from(&self) -> Option<MadeFrom> {
        if Owner::of(&self.metadata).is_some() || self.spec.instancetype.is_some() {
            return None;
        }
        let conditions = self.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let domain = &self.spec.template.spec.domain;
        Some(MadeFrom {
            namespace: text(&self.metadata.namespace),
            name: text(&self.metadata.name),
            resource_version: text(&self.metadata.resource_version),
            sockets: domain.cpu.and_then(|cpu| cpu.sockets).unwrap_or(1).into(),
            memory: domain.memory.as_ref().and_then(|memory| bytes(memory.guest.as_ref())),
            restart_required: holding(conditions, "RestartRequired").map(|it| it.message.clone()),
        })
    }
}
