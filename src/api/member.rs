//! A member of a pool, as its user writes it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ContainerPolicy, DynamicWeight, LimitPolicy, LiveUpdate, Objective, Resources, rules, schema,
};

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
