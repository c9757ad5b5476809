//! The world as it is: pools, pods, nodes and workloads, from the API server's watches to one `Snapshot`.

mod pod;
mod snapshot;
mod strip;
#[cfg(test)]
mod tests;
mod workload;
mod world;

pub use pod::{Container, FIELD_MANAGER, Obstacle, Owner, Pod, Qos, Resize};
pub use snapshot::Snapshot;
pub use workload::{Template, TemplateContainer, Workload};
pub use world::{Changes, Guarded, World};
