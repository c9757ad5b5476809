//! The part of a `WeightedShare` that its user writes.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Member, WeightedShareStatus, rules, schema};
use crate::share::{Bytes, MilliCpu, PerResource, Resource};

/// A pool of CPU and memory, and the members that share it by weight.
///
/// Example: six cores, of which `checkout` owns four parts and `search` owns one:
/// `{capacity: {cpu: "6"}, members: [{name: checkout, weight: 400, selector: {matchLabels: {app:
/// checkout}}}, {name: search, weight: 100, targetRef: {apiVersion: apps/v1, kind: Deployment, name:
/// search}}]}`.
#[allow(clippy::duplicated_attributes, reason = "the columns have some values in common")]
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "weightedshare.dev",
    version = "v1alpha1",
    kind = "WeightedShare",
    plural = "weightedshares",
    shortname = "ws",
    category = "weightedshare",
    namespaced,
    status = "WeightedShareStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A pool of CPU and memory, and the members that share it by weight.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".spec.capacity.cpu"),
    printcolumn(name = "CPU Allocated", type_ = "string", json_path = ".status.allocated.cpu"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.capacity.memory"),
    printcolumn(
        name = "Memory Allocated",
        type_ = "string",
        json_path = ".status.allocated.memory",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[x_kube(validation = rules::bounds_in_capacity("cpu"))]
#[x_kube(validation = rules::bounds_in_capacity("memory"))]
#[serde(rename_all = "camelCase")]
pub struct WeightedShareSpec {
    /// What the controller does with the division. `Auto` resizes the pods in place. `Observe` works
    /// everything out, reports it in status, and changes nothing.
    #[serde(default)]
    pub mode: Mode,

    /// How much the members share in all, in the unit of pod requests. At least one of cpu and
    /// memory. A resource that is not named is not touched. Example: `{cpu: "6", memory: 12Gi}`.
    #[x_kube(validation = rules::capacity_named())]
    #[x_kube(validation = rules::capacity_positive("cpu"))]
    #[x_kube(validation = rules::capacity_positive("memory"))]
    pub capacity: Resources,

    /// What becomes of the part of a share that its owner leaves idle, and how much of a node the
    /// pool leaves free.
    #[serde(default)]
    pub sharing: Sharing,

    /// Who shares the pool: at most 256 members, each with its own name. Two managers may own
    /// different members of one list with server-side apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<Member>,
}

/// What the controller does with the division.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    /// Resize the pods in place.
    #[default]
    Auto,
    /// Work everything out, change nothing.
    Observe,
}

/// What becomes of the part of a share that its owner leaves idle, and how much of a node the pool
/// leaves free.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Whether idle capacity moves. `Weighted`: what a member leaves idle is lent to those on the
    /// same node that have a use for it, and comes back when its owner wants it. `Isolated`: every
    /// member holds what it owns, used or not.
    #[serde(default)]
    pub strategy: Strategy,

    /// How much of what a member leaves idle above its min others may have, in percent. The rest
    /// stays with the member, so that it does not wake up with nothing. From 0 to 100.
    #[serde(default = "default_lend_percent")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: u8,

    /// What becomes of capacity that nobody has a use for. `Release`: the pods do not ask for it, so
    /// that the scheduler and the cluster autoscaler see that it is free. `Spread`: the members hold
    /// it in proportion to their weights; for pools that have their nodes to themselves.
    #[serde(default)]
    pub surplus: Surplus,

    /// How much more than it uses a pod has a use for, in percent of what it uses. From 0 to 200.
    #[serde(default = "default_headroom_percent")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::percent("headroomPercent", 200))]
    pub headroom_percent: u8,

    /// How much of what a node can allocate the pool leaves free there, in percent: room for new
    /// pods, and for those that grow. From 0 to 90.
    #[serde(default = "default_node_reserve_percent")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::percent("nodeReservePercent", 90))]
    pub node_reserve_percent: u8,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            lend_percent: default_lend_percent(),
            surplus: Surplus::default(),
            headroom_percent: default_headroom_percent(),
            node_reserve_percent: default_node_reserve_percent(),
        }
    }
}

/// The idle tax that VMware ESX takes.
fn default_lend_percent() -> u8 {
    75
}

fn default_headroom_percent() -> u8 {
    20
}

fn default_node_reserve_percent() -> u8 {
    10
}

/// Whether idle capacity moves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Strategy {
    /// It is lent to those on the same node that have a use for it.
    #[default]
    Weighted,
    /// It stays with its owner.
    Isolated,
}

/// What becomes of capacity that nobody has a use for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Surplus {
    /// The pods do not ask for it.
    #[default]
    Release,
    /// The members hold it in proportion to their weights.
    Spread,
}

/// An amount of CPU, of memory, or of both.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Resources {
    /// CPU in cores. Examples: `"2"`, `500m` (half a core), `"0.25"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCpu>,

    /// Memory in bytes. Examples: `512Mi`, `1.5Gi`, `4G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

impl Resources {
    /// Whether neither resource is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }

    /// The amount of one resource, in its unit (millicores or bytes).
    #[must_use]
    pub fn get(&self, resource: Resource) -> Option<u64> {
        match resource {
            Resource::Cpu => self.cpu.map(|cpu| cpu.0),
            Resource::Memory => self.memory.map(|memory| memory.0),
        }
    }
}

impl From<PerResource<Option<u64>>> for Resources {
    fn from(amounts: PerResource<Option<u64>>) -> Self {
        Self { cpu: amounts.cpu.map(MilliCpu), memory: amounts.memory.map(Bytes) }
    }
}
