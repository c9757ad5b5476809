//! What an expression may speak of.

use crate::share::Resource;

/// Something that is measured, and may be missing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Signal {
    /// How well the member does against its objective: 1 where that is just met.
    Performance,
    /// What its pods use, in cores or bytes.
    Usage(Resource),
    /// The most that its pods used in the last ten minutes, each at its own time, in cores or bytes.
    Peak(Resource),
    /// What its pods need, in cores or bytes.
    Demand(Resource),
    /// What it is granted, in cores or bytes.
    Share(Resource),
    /// The part of the time in which its pods waited for CPU, from 0 to 1.
    CpuPressure,
}

/// A name in an expression.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Variable {
    /// The weight that the user wrote.
    Weight,
    /// The weight that was worked out last.
    Current,
    /// How many pods the member has.
    Replicas,
    /// The hour of the day in UTC, with its fraction.
    Hour,
    /// The day of the week in UTC: 0 is Sunday.
    Weekday,
    /// Something that is measured.
    Signal(Signal),
}

impl Variable {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 15] = [
        Self::Weight,
        Self::Current,
        Self::Replicas,
        Self::Signal(Signal::Performance),
        Self::Signal(Signal::Usage(Resource::Cpu)),
        Self::Signal(Signal::Peak(Resource::Cpu)),
        Self::Signal(Signal::Demand(Resource::Cpu)),
        Self::Signal(Signal::Share(Resource::Cpu)),
        Self::Signal(Signal::CpuPressure),
        Self::Signal(Signal::Usage(Resource::Memory)),
        Self::Signal(Signal::Peak(Resource::Memory)),
        Self::Signal(Signal::Demand(Resource::Memory)),
        Self::Signal(Signal::Share(Resource::Memory)),
        Self::Hour,
        Self::Weekday,
    ];

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Current => "current",
            Self::Replicas => "replicas",
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::Signal(signal) => signal.name(),
        }
    }

    /// The one with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }
}

impl Signal {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Variable::ALL.into_iter().filter_map(|variable| match variable {
            Variable::Signal(signal) => Some(signal),
            _ => None,
        })
    }

    /// The resource that it counts, in cores or bytes. None: it is a plain number.
    #[must_use]
    pub fn counts(self) -> Option<Resource> {
        match self {
            Self::Usage(resource)
            | Self::Peak(resource)
            | Self::Demand(resource)
            | Self::Share(resource) => Some(resource),
            Self::Performance | Self::CpuPressure => None,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Usage(Resource::Cpu) => "cpu.usage",
            Self::Usage(Resource::Memory) => "memory.usage",
            Self::Peak(Resource::Cpu) => "cpu.peak",
            Self::Peak(Resource::Memory) => "memory.peak",
            Self::Demand(Resource::Cpu) => "cpu.demand",
            Self::Demand(Resource::Memory) => "memory.demand",
            Self::Share(Resource::Cpu) => "cpu.share",
            Self::Share(Resource::Memory) => "memory.share",
            Self::CpuPressure => "cpu.pressure",
        }
    }
}
