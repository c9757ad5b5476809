//! What a member lets happen to its containers: its limits, and what is left alone.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// What becomes of a container's limit when its request moves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LimitPolicy {
    /// It stays as it is, and the request stops there.
    #[default]
    Keep,
    /// It moves along, in the proportion that the pod's template has.
    Ratio,
    /// It is the request: what the pod is granted is all that it gets.
    Cap,
}

/// What may be changed of virtual machines while they run. Each change is a live migration.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveUpdate {
    /// A machine that uses all of its virtual CPUs for five minutes, and owns what they can use, is given
    /// one more socket, up to its `maxSockets`: one machine of a namespace at a time, each at most once in ten minutes.
    /// `cpu.sockets` of its VirtualMachine is then the controller's: take it out of what you apply.
    #[serde(default)]
    pub cpu_sockets: bool,
    /// A machine whose guest uses nine tenths of its memory, or more, for five minutes is given a quarter
    /// more, in whole GiB, up to its `maxGuest`: one machine of a namespace at a time, each at most once in ten minutes.
    /// It takes Prometheus. `memory.guest` of its VirtualMachine is then the controller's: take it out of
    /// what you apply.
    #[serde(default)]
    pub memory: bool,
}

impl LiveUpdate {
    /// Whether nothing may be changed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What happens to one container.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPolicy {
    /// The container's name in the pod.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::container_name())]
    pub name: String,

    /// `Off`: the container keeps its requests and limits, and what it holds is charged to the pool.
    /// `Auto`: it takes part, as without an entry. Write `"Off"` in quotes: without them, YAML reads
    /// it as false.
    #[serde(default)]
    pub mode: ContainerMode,
}

/// Whether a container takes part in the division of its pod.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ContainerMode {
    /// It does.
    #[default]
    Auto,
    /// It is left alone.
    Off,
}
