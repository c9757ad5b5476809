//! The part of a `WeightedShare` that its user writes.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Member, TreeRef, WeightedShareStatus, rules, schema};
use crate::share::{Bytes, MilliCpu, PerResource, Resource};

/// The capacity that the pool divides, and the members that share it by weight.
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
    category = "weighted-sharing",
    namespaced,
    status = "WeightedShareStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A WeightedShare is a pool of CPU and memory, and the members that share it by weight. The controller divides the pool, \
           resizes the running pods of its members in place, and reports in `status` who got what and why.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.memberCount"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.capacity.cpu"),
    printcolumn(name = "Alloc", type_ = "string", json_path = ".status.allocated.cpu"),
    printcolumn(name = "Lent", type_ = "string", json_path = ".status.lent.cpu"),
    printcolumn(
        name = "Memory",
        type_ = "string",
        json_path = ".status.capacity.memory",
        priority = 1
    ),
    printcolumn(
        name = "Memory Alloc",
        type_ = "string",
        json_path = ".status.allocated.memory",
        priority = 1
    ),
    printcolumn(
        name = "Memory Lent",
        type_ = "string",
        json_path = ".status.lent.memory",
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
#[x_kube(validation = rules::one_source_of_capacity())]
#[x_kube(validation = rules::weight_in_tree())]
#[x_kube(validation = rules::bounds_in_capacity("cpu"))]
#[x_kube(validation = rules::bounds_in_capacity("memory"))]
#[serde(rename_all = "camelCase")]
pub struct WeightedShareSpec {
    /// Whether the controller resizes pods. `Auto` (the default): running pods are resized in place.
    /// `Observe`: all shares are computed and reported in `status`, and nothing is changed.
    #[serde(default)]
    pub mode: Mode,

    /// How much CPU and memory the members share in total, in the unit of pod requests. Set `cpu`,
    /// `memory` or both, each above zero. A resource that is not named is not touched. Set either
    /// `capacity` or `capacityFrom`. Example: `{cpu: "6", memory: 12Gi}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[x_kube(validation = rules::capacity_named())]
    #[x_kube(validation = rules::capacity_positive("cpu"))]
    #[x_kube(validation = rules::capacity_positive("memory"))]
    pub capacity: Resources,

    /// What gives the pool its capacity, in place of a fixed `capacity`: a tree that has the pool's
    /// namespace as a member, or a ResourceQuota of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CapacityFrom")]
    pub capacity_from: Option<CapacityFrom>,

    /// How much the pool owns, relative to the other pools of its namespace in the same tree. From 1 to
    /// 10000. Default: 100. It needs `capacityFrom.clusterWeightedShare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 10_000))]
    #[x_kube(validation = rules::weight_range())]
    pub weight: Option<u32>,

    /// Whether the minima of the members count when the pools of the namespace share what it gets.
    /// Default: false. It needs `capacityFrom.clusterWeightedShare`, and reaches beyond the namespace only
    /// if the member of the tree that has it is `expandable`, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expandable: bool,

    /// Whether members lend what they do not need, and how much of each node the pool leaves free.
    /// Each field has a default, so `sharing` can be left out.
    #[serde(default)]
    pub sharing: Sharing,

    /// The members that share the pool, at most 256, each with a name of its own. With server-side
    /// apply, different managers can own different members of the list. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<Member>,
}

/// What gives a pool its capacity.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_giver_of_capacity())]
pub struct CapacityFrom {
    /// The ClusterWeightedShare that has the pool's namespace as a member. The pools of the namespace
    /// share what it gets there, by `spec.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TreeRef")]
    pub cluster_weighted_share: Option<TreeRef>,

    /// A ResourceQuota in the pool's namespace: the pool has its `hard` for requests, less what pods
    /// outside the pool are charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "QuotaRef")]
    pub resource_quota: Option<QuotaRef>,
}

/// The name of a ResourceQuota.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaRef {
    /// Its `metadata.name`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("ResourceQuota"))]
    pub name: String,
}

impl WeightedShareSpec {
    /// The tree that gives the pool its capacity.
    #[must_use]
    pub fn tree(&self) -> Option<&str> {
        let tree = self.capacity_from.as_ref()?.cluster_weighted_share.as_ref()?;
        Some(&tree.name)
    }
}

/// Whether the controller resizes pods.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    /// Running pods are resized in place.
    #[default]
    Auto,
    /// All shares are computed and reported, and nothing is changed.
    Observe,
}

/// Whether members lend what they do not need, and how much of each node the pool leaves free.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Whether members lend what they do not need. `Weighted` (the default): on each node, what a
    /// member owns and does not need is lent to members that need it, by weight, and returned when
    /// its owner needs it. `Isolated`: every member holds what it owns, used or not.
    #[serde(default)]
    pub strategy: Strategy,

    /// How much of its idle share above `min` a member lends, in percent from 0 to 100. The rest stays
    /// with the member, so that it has that part at once when it wakes. A member can set a `lendPercent`
    /// of its own. In a tree, it is also what the pool lends to other pools. Default: 75; in a tree, what
    /// the pool's namespace lends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 100))]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: Option<u8>,

    /// What happens to capacity that no member needs. `Release` (the default): the pods do not
    /// request it, so that the scheduler and the cluster autoscaler see it as free. `Spread`: the
    /// members hold it in proportion to their weights. Use that for pools that have their nodes to
    /// themselves.
    #[serde(default)]
    pub surplus: Surplus,

    /// How much more than its peak usage a pod needs, in percent of that peak, from 0 to 200
    /// (default: 20).
    #[serde(default = "default_headroom_percent")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 200))]
    #[x_kube(validation = rules::percent("headroomPercent", 200))]
    pub headroom_percent: u8,

    /// How much of what each node can allocate the pool leaves free, in percent from 0 to 90
    /// (default: 10). It is room for new pods, and for pods that grow.
    #[serde(default = "default_node_reserve_percent")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 90))]
    #[x_kube(validation = rules::percent("nodeReservePercent", 90))]
    pub node_reserve_percent: u8,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            lend_percent: None,
            surplus: Surplus::default(),
            headroom_percent: default_headroom_percent(),
            node_reserve_percent: default_node_reserve_percent(),
        }
    }
}

/// How much of its idle share a member lends where nothing else is said, in percent: VMware ESX takes that as its idle tax.
pub const LEND_PERCENT: u8 = 75;

fn default_headroom_percent() -> u8 {
    20
}

fn default_node_reserve_percent() -> u8 {
    10
}

/// Whether members lend what they do not need.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Strategy {
    /// They lend it, by weight, to members on the same node that need it.
    #[default]
    Weighted,
    /// Every member holds what it owns.
    Isolated,
}

/// What happens to capacity that no member needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Surplus {
    /// The pods do not request it.
    #[default]
    Release,
    /// The members hold it in proportion to their weights.
    Spread,
}

/// An amount of CPU, of memory, or of both.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Resources {
    /// CPU in cores, in whole millicores, at most 1G. Examples: `"2"`, `500m` (half a core), `"0.25"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCpu>,

    /// Memory in whole bytes, at most 1E. Examples: `512Mi`, `1.5Gi`, `4G`.
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
