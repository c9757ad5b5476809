//! What a resize may change besides requests: the limits, virtual machines and containers of a member.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// What happens to the limit of a container when its request is resized.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LimitPolicy {
    /// It stays, and the request stops at the limit.
    #[default]
    Keep,
    /// It moves with the request, in the proportion of the pod's template.
    Ratio,
    /// It is the request: the pod never gets more than it is granted.
    Cap,
}

/// What the controller may change in virtual machines while they run. Each change is a live migration.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveUpdate {
    /// Whether a machine that is short of CPU gets one more socket, up to its `maxSockets`. Default:
    /// false. A machine is short of CPU if it used all of its virtual CPUs for five minutes, and owns
    /// what they can use. Each change is a live migration: one machine of a namespace at a time, and
    /// each machine at most once in ten minutes. Take `cpu.sockets` out of the VirtualMachine that you
    /// apply, because the controller sets it.
    #[serde(default)]
    pub cpu_sockets: bool,
    /// Whether a machine that is short of memory gets a quarter more, in whole GiB, up to its
    /// `maxGuest`. Default: false. A machine is short of memory if its guest used at least nine tenths
    /// of it for five minutes, as Prometheus measured. Each change is a live migration: one machine of
    /// a namespace at a time, and each machine at most once in ten minutes. Take `memory.guest` out of
    /// the VirtualMachine that you apply, because the controller sets it.
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

/// How one container is treated.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPolicy {
    /// The name of the container in its pod, at most 63 characters.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::container_name())]
    pub name: String,

    /// Whether the container is resized. `Auto` (the default): it is. `Off`: it keeps its requests and
    /// limits, and is charged to the pool. Write `"Off"` in quotes: without them, YAML reads it as
    /// false.
    #[serde(default)]
    pub mode: ContainerMode,
}

/// Whether a container is resized.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ContainerMode {
    /// It is.
    #[default]
    Auto,
    /// It keeps its requests and limits.
    Off,
}
