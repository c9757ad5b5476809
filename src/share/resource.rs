//! The two resources that are shared.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

use serde::{Deserialize, Serialize};

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

    /// An amount of it for people: memory to a hundredth of its unit, such as 1.33Gi.
    #[must_use]
    pub fn readable(self, amount: u64) -> String {
        match self {
            Self::Cpu => MilliCpu(amount).to_string(),
            Self::Memory => hundredths(amount),
        }
    }

    /// An amount of it as a Kubernetes quantity, exactly.
    #[must_use]
    pub fn quantity(self, amount: u64) -> String {
        match self {
            Self::Cpu => MilliCpu(amount).to_string(),
            Self::Memory => Bytes(amount).to_string(),
        }
    }
}

/// Bytes with the largest binary suffix that leaves at least one, to a hundredth, rounded down.
fn hundredths(bytes: u64) -> String {
    let suffixes = ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"].into_iter().zip([60, 50, 40, 30, 20, 10]);
    let Some((suffix, shift)) = suffixes.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return bytes.to_string();
    };
    let hundredths = (u128::from(bytes) * 100) >> shift;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match part {
        0 => format!("{whole}{suffix}"),
        part if part % 10 == 0 => format!("{whole}.{}{suffix}", part / 10),
        part => format!("{whole}.{part:02}{suffix}"),
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each resource.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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

    /// What `of` makes of each value.
    pub fn map<U>(self, of: impl Fn(T) -> U) -> PerResource<U> {
        PerResource { cpu: of(self.cpu), memory: of(self.memory) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_quantities_are_those_of_a_pod() {
        assert_eq!(Resource::ALL.map(|resource| resource.to_string()), ["cpu", "memory"]);
        assert_eq!(Resource::ALL.map(|resource| resource.quantity(1536)), ["1536m", "1536"]);
        assert_eq!(Resource::Memory.quantity(1 << 30), "1Gi");
    }

    #[test]
    fn amounts_are_rounded_for_people() {
        let memory = |bytes| Resource::Memory.readable(bytes);
        assert_eq!([0, 1023, 1024, 1536].map(memory), ["0", "1023", "1Ki", "1.5Ki"]);
        assert_eq!(memory(1_431_655_765), "1.33Gi");
        assert_eq!(memory((5 << 20) + 60_000), "5.05Mi");
        assert_eq!(memory(u64::MAX), "15.99Ei");
        assert_eq!(Resource::Cpu.readable(1333), "1333m");
    }
}
