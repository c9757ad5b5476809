//! The two resources that are shared.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

use super::{Bytes, MilliCpu};

/// A resource that a pool divides.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Resource {
    /// CPU, in millicores.
    Cpu,
    /// Memory, in bytes.
    Memory,
}

impl Resource {
    /// Both, in the order in which they are reported.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// Its name in a pod's requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// An amount of it as a Kubernetes quantity.
    #[must_use]
    pub fn quantity(self, amount: u64) -> String {
        match self {
            Self::Cpu => MilliCpu(amount).to_string(),
            Self::Memory => Bytes(amount).to_string(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerResource<T> {
    /// The value for CPU.
    pub cpu: T,
    /// The value for memory.
    pub memory: T,
}

impl<T> PerResource<T> {
    /// The value that `of` gives for each resource.
    pub fn from_fn(mut of: impl FnMut(Resource) -> T) -> Self {
        Self { cpu: of(Resource::Cpu), memory: of(Resource::Memory) }
    }
}

impl<T> Index<Resource> for PerResource<T> {
    type Output = T;

    fn index(&self, resource: Resource) -> &T {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }
}

impl<T> IndexMut<Resource> for PerResource<T> {
    fn index_mut(&mut self, resource: Resource) -> &mut T {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
        }
    }
}
