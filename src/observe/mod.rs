//! The world as it is: pools, pods, nodes and workloads, from the API server's watches to one `Snapshot`.

mod amount;
mod clock;
mod kubevirt;
mod limit_range;
mod look;
mod machine;
mod metrics;
mod neighbours;
mod objects;
mod obstacle;
mod optional;
mod pod;
mod qos;
mod quota;
pub mod signals;
mod snapshot;
mod strip;
#[cfg(test)]
mod tests;
mod waiting;
mod workload;
mod world;

pub use clock::Clock;
pub use kubevirt::{
    Configuration, Cpu, DeveloperConfiguration, Domain, GuestMemory, Instancetype, IoThreads,
    KubeVirt, KubeVirtSpec, MachineCondition, MachineTemplate, UpdateStrategy, VirtualMachine,
    VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineInstanceStatus,
    VirtualMachineSpec, VirtualMachineStatus,
};
pub use limit_range::{Limits, Range};
pub use look::{LookError, look};
pub use machine::{COMPUTE, MACHINE_SETS, Machine, MadeFrom};
pub use metrics::{ContainerMetrics, NodeMetrics, PodMetrics};
pub use neighbours::{
    Neighbours, UpdatePolicy, VerticalPodAutoscaler, VerticalPodAutoscalerSpec, VerticalTarget,
};
pub use objects::Objects;
pub use obstacle::Obstacle;
pub use pod::{Barred, Container, FIELD_MANAGER, Owner, Pod, Resize};
pub use qos::Qos;
pub use quota::{Bounded, Quota, Scope};
pub use snapshot::{Node, Snapshot};
pub use waiting::{Terms, Waiting};
pub use workload::{Template, TemplateContainer, Workload};
pub use world::{Change, Changes, Guarded, World};
