//! The part of a `WeightedShare` that its user writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContainerPolicy, LimitPolicy, LiveUpdate, WeightedShareStatus, rules, schema};
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

/// One member of the pool: some pods, and the weight they have together.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_source_of_pods())]
#[x_kube(validation = rules::min_below_max("cpu"))]
#[x_kube(validation = rules::min_below_max("memory"))]
#[x_kube(validation = rules::performance_has_objective())]
pub struct Member {
    /// The member's name in this pool: lower-case letters, digits and `-`, at most 63.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::member_name())]
    pub name: String,

    /// How much the member owns, against the weights of the others: of two members, one with 200
    /// owns twice as much as one with 100. From 1 to 10000.
    #[serde(default = "default_weight")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::weight_range())]
    pub weight: u32,

    /// What the weight counts for. `Member`: all pods of the member together, so that scaling out
    /// buys no share. `Replica`: each pod by itself, so that the member's weight grows with its pods.
    /// `VCPU`: each virtual CPU of its virtual machines (a pod without one counts as one).
    #[serde(default)]
    pub weight_per: WeightPer,

    /// A weight that follows what is measured, instead of `weight`: how well the member does, what it
    /// uses, how long it waits, or the time of day. `weight` is where it begins, and what counts while
    /// it cannot be worked out. Example, a member that grows while it waits for CPU:
    /// `{expression: "weight * (1 + cpu.pressure)", max: 2000}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DynamicWeight")]
    pub dynamic_weight: Option<DynamicWeight>,

    /// What it means that the member does well: a number that Prometheus knows, and what it should be.
    /// How near the member comes to it is `performance` in the expression of `dynamicWeight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Objective")]
    pub objective: Option<Objective>,

    /// What the member holds at least, all its pods together. Example: `{cpu: 500m}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub min: Resources,

    /// What the member holds at most, all its pods together. Example: `{cpu: "4"}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[x_kube(validation = rules::max_positive("cpu"))]
    #[x_kube(validation = rules::max_positive("memory"))]
    pub max: Resources,

    /// What each pod of the member holds at least. Without it: 10m of CPU and 16Mi of memory.
    /// Example: `{cpu: 50m}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub min_per_pod: Resources,

    /// How much of what this member leaves idle above its min others may have, in percent. Without
    /// it: `sharing.lendPercent` of the pool. From 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: Option<u8>,

    /// What becomes of a container's limit when its request moves. `Keep`: it stays as it is, and the
    /// request stops there. `Ratio`: it moves along, in the proportion that the pod's template has (as
    /// under `Keep` where there is none). `Cap`: it is the request, so that the pod never gets more than it is granted, also where CPU
    /// lies idle; a container without a limit is given one, which stays for the life of the pod. The
    /// limits of a Guaranteed pod move along in any case. A limit of memory goes down in steps only,
    /// never under what was used of late, and not at all where nobody measures that.
    #[serde(default)]
    pub limit_policy: LimitPolicy,

    /// Containers that are treated in their own way, by name. Example, a proxy that keeps what it has:
    /// `[{name: istio-proxy, mode: "Off"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub containers: Vec<ContainerPolicy>,

    /// Whether containers may be restarted by a resize, where their `resizePolicy` says that a new
    /// amount takes a restart (`RestartContainer`). Without it they are left alone.
    #[serde(default)]
    pub allow_restart: bool,

    /// What may be changed of the member's virtual machines while they run, beside the CPU that they are
    /// granted. Without it, `status.members[].recommendations` says what would help them.
    #[serde(default, skip_serializing_if = "LiveUpdate::is_none")]
    #[schemars(with = "LiveUpdate")]
    pub live_update: LiveUpdate,

    /// The member's pods, by label, in the namespace of the pool. Either this or `targetRef`.
    /// Example: `{matchLabels: {app: checkout}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,

    /// The workload whose pods these are, in the namespace of the pool. Either this or `selector`.
    /// Example: `{apiVersion: apps/v1, kind: Deployment, name: checkout}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TargetRef")]
    pub target_ref: Option<TargetRef>,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            name: String::new(),
            weight: default_weight(),
            weight_per: WeightPer::default(),
            dynamic_weight: None,
            objective: None,
            min: Resources::default(),
            max: Resources::default(),
            min_per_pod: Resources::default(),
            lend_percent: None,
            limit_policy: LimitPolicy::default(),
            containers: Vec::new(),
            allow_restart: false,
            live_update: LiveUpdate::default(),
            selector: None,
            target_ref: None,
        }
    }
}

/// The weight of a member that names none.
fn default_weight() -> u32 {
    100
}

/// What a weight counts for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WeightPer {
    /// All pods of the member together.
    #[default]
    Member,
    /// Each pod of the member.
    Replica,
    /// Each virtual CPU of the member's virtual machines.
    #[serde(rename = "VCPU")]
    Vcpu,
}

/// A weight that is worked out from what is measured.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::weights_in_order())]
pub struct DynamicWeight {
    /// The weight, in CEL: numbers, `+ - * /`, comparisons, `&& || !`, `condition ? a : b`,
    /// `min(a, b)`, `max(a, b)` and `clamp(a, least, most)`, over
    /// `weight` (what the member names, 100 where it names none),
    /// `current` (the weight that was worked out last),
    /// `replicas` (how many pods it has),
    /// `performance` (1 where its objective is just met, less where it is missed),
    /// `cpu.usage`, `cpu.demand` and `cpu.share` (cores, all its pods together),
    /// `cpu.pressure` (from 0 to 1: the part of the time in which its pods waited for CPU),
    /// `memory.usage`, `memory.demand` and `memory.share` (bytes),
    /// `hour` (UTC, 0 until just under 24: 8.5 is half past eight) and
    /// `weekday` (UTC, 0 is Sunday, 6 is Saturday). At most 1024 characters.
    /// Examples:
    /// `current * clamp(1.25 / performance, 1.0, 2.0) * clamp(2.0 / performance, 0.9, 1.0)`;
    /// `hour >= 8 && hour < 18 ? weight * 2 : weight`.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::expression_written())]
    pub expression: String,

    /// The least that the weight becomes, whatever the expression says. From 1 to 10000. Without it: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::dynamic_bound("min", 1))]
    pub min: Option<u32>,

    /// The most that the weight becomes, whatever the expression says. From 1 to 10000. Without it:
    /// 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::dynamic_bound("max", 10_000))]
    pub max: Option<u32>,

    /// How fast the weight follows the expression: after this many seconds half of the way is made. In
    /// one step it never more than doubles, and never loses more than half. 0: at once. From 0 to 3600.
    #[serde(default = "default_half_life")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::half_life())]
    pub half_life_seconds: u32,
}

impl Default for DynamicWeight {
    fn default() -> Self {
        Self {
            expression: String::new(),
            min: None,
            max: None,
            half_life_seconds: default_half_life(),
        }
    }
}

/// Slow against the noise of one measurement, quick against a day.
fn default_half_life() -> u32 {
    60
}

/// What it means that a member does well.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// PromQL that comes to one number. It sees the series of the pool's namespace only. At most 2048
    /// characters. Example, the time that 99 of 100 requests keep within, in seconds:
    /// `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[2m])))`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::query_written())]
    pub query: String,

    /// What the number should be, in the unit of the query: a decimal number above zero, in quotes.
    /// Example: `"0.25"`.
    #[schemars(length(max = 24))]
    #[x_kube(validation = rules::target_number())]
    pub target: String,

    /// Which side of the target is good. `Lower`: what should not be above it, such as a response time
    /// or a queue. `Higher`: what should not be below it, such as requests per second.
    pub better: Better,
}

/// Which side of an objective's target is good.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Better {
    /// The number should not be above the target.
    Lower,
    /// The number should not be below the target.
    Higher,
}

/// One workload by name, as in a HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::target_kind())]
pub struct TargetRef {
    /// The workload's API version: `apps/v1`, `batch/v1` for a Job, `v1` for a Pod, `kubevirt.io/v1` for a virtual machine,
    /// `pool.kubevirt.io/v1beta1` for a VirtualMachinePool.
    #[schemars(length(max = 64))]
    pub api_version: String,

    /// The workload's kind: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, Pod, VirtualMachine,
    /// VirtualMachineInstance, VirtualMachineInstanceReplicaSet or VirtualMachinePool.
    #[schemars(length(max = 64))]
    pub kind: String,

    /// The workload's name, in the namespace of the pool.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::target_name())]
    pub name: String,
}
