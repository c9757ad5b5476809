//! A member of a pool, as users write it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ContainerPolicy, DynamicWeight, LimitPolicy, LiveUpdate, Objective, Resources, rules, schema,
};

/// A member of the pool: pods that have one weight together.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_source_of_pods())]
#[x_kube(validation = rules::min_below_max("cpu"))]
#[x_kube(validation = rules::min_below_max("memory"))]
#[x_kube(validation = rules::performance_has_objective())]
pub struct Member {
    /// The name of the member, unique in its pool. It consists of lower-case letters, digits and `-`,
    /// with a letter or digit at both ends, and has at most 63 characters.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::member_name())]
    pub name: String,

    /// How much the member owns, relative to the weights of the others. From 1 to 10000 (default:
    /// 100). A member with 200 owns twice as much as one with 100.
    #[serde(default = "default_weight")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 10_000))]
    #[x_kube(validation = rules::weight_range())]
    pub weight: u32,

    /// What the weight counts for. `Member` (the default): all pods of the member together, so that
    /// more replicas do not own more. `Replica`: each pod, so that the member's weight grows with its
    /// pods. `VCPU`: each virtual CPU of its virtual machines. A pod without a machine counts as one.
    #[serde(default)]
    pub weight_per: WeightPer,

    /// A weight that follows measurements or the time of day, in place of `weight`. It begins at
    /// `weight`, which also counts while it cannot be computed. Default: none. Example, a member whose
    /// weight grows while it waits for CPU: `{expression: "weight * (1 + cpu.pressure)", max: 2000}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DynamicWeight")]
    pub dynamic_weight: Option<DynamicWeight>,

    /// What good performance means for the member: a Prometheus query, and the value that it should
    /// have. The expression of `dynamicWeight` reads as `performance` how well the member does.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Objective")]
    pub objective: Option<Objective>,

    /// The least that the member holds, all its pods together. Default: zero. It is never lent, and is
    /// not added to what the member owns by weight. It can only name resources of the pool's
    /// `capacity`. Example: `{cpu: 500m}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub min: Resources,

    /// The most that the member holds, all its pods together. Default: no maximum. It is above zero
    /// and not below `min`, and can only name resources of the pool's `capacity`. Example:
    /// `{cpu: "4"}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[x_kube(validation = rules::max_positive("cpu"))]
    #[x_kube(validation = rules::max_positive("memory"))]
    pub max: Resources,

    /// The least that each pod of the member holds. Default: 10m of CPU and 16Mi of memory. It can
    /// only name resources of the pool's `capacity`. Example: `{cpu: 50m}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub min_per_pod: Resources,

    /// How much of its idle share above `min` this member lends, in percent from 0 to 100. Default:
    /// `sharing.lendPercent` of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 100))]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: Option<u8>,

    /// What happens to the limits of containers when their requests are resized. `Keep` (the default):
    /// limits stay, and a request stops at its limit. `Ratio`: a limit moves with its request, in the
    /// proportion of the pod's template. Without such a proportion, `Keep` applies. `Cap`: the limit is
    /// the request, so that the pod never gets more than it is granted, even if CPU is idle. A
    /// container without a limit is given one, which stays for the life of the pod. In Guaranteed
    /// pods, limits always move with requests. Memory limits are lowered in steps, never below recent
    /// usage, and not at all if that was not measured.
    #[serde(default)]
    pub limit_policy: LimitPolicy,

    /// Containers that are treated differently from the others, by name, at most 16. Default: none.
    /// Example, a proxy that keeps its requests: `[{name: istio-proxy, mode: "Off"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub containers: Vec<ContainerPolicy>,

    /// Whether a resize may restart containers. Default: false. It matters for containers whose
    /// `resizePolicy` is `RestartContainer` for a resource: without it, that resource is left alone.
    #[serde(default)]
    pub allow_restart: bool,

    /// What the controller may change in the member's virtual machines while they run, besides the CPU
    /// that they are granted. Default: nothing, and `status.members[].recommendations` says what would
    /// help them. The controller also needs the right to do so: `liveUpdate.enabled` in its chart.
    #[serde(default, skip_serializing_if = "LiveUpdate::is_none")]
    #[schemars(with = "LiveUpdate")]
    pub live_update: LiveUpdate,

    /// The labels of the member's pods, in the namespace of the pool. Set either `selector` or
    /// `targetRef`. An empty selector (`{}`) matches all pods. Example: `{matchLabels: {app:
    /// checkout}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,

    /// The workload whose pods are the member's, in the namespace of the pool. Set either `targetRef`
    /// or `selector`. Example: `{apiVersion: apps/v1, kind: Deployment, name: checkout}`.
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

/// The weight of a member that does not set one.
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
    /// The API version of the workload: `apps/v1`, `batch/v1` for a Job, `v1` for a Pod, `kubevirt.io/v1`
    /// for a virtual machine, `pool.kubevirt.io/v1beta1` for a VirtualMachinePool.
    #[schemars(length(max = 64))]
    pub api_version: String,

    /// The kind of the workload: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, Pod, VirtualMachine,
    /// VirtualMachineInstance, VirtualMachineInstanceReplicaSet or VirtualMachinePool.
    #[schemars(length(max = 64))]
    pub kind: String,

    /// The name of the workload, in the namespace of the pool.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::target_name())]
    pub name: String,
}
