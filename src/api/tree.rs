//! A tree of pools, as its administrator writes it: `ClusterWeightedShare`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterWeightedShareStatus, Resources, Surplus, rules, schema, tree_rules};

/// The capacity that the tree divides, and the members that share it by weight: namespaces, and other
/// trees.
///
/// Example: 64 cores, of which the namespaces of `web` own four parts and those of `batch` own one:
/// `{capacity: {cpu: "64"}, members: [{name: web, weight: 400, namespaces: [shop]}, {name: batch,
/// weight: 100, namespaceSelector: {matchLabels: {kind: batch}}}]}`.
#[allow(clippy::duplicated_attributes, reason = "the columns have some values in common")]
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "weightedshare.dev",
    version = "v1alpha1",
    kind = "ClusterWeightedShare",
    plural = "clusterweightedshares",
    shortname = "cws",
    category = "weighted-sharing",
    status = "ClusterWeightedShareStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A ClusterWeightedShare divides CPU and memory of the cluster among namespaces, by weight. The pools in these namespaces \
           (WeightedShares with `capacityFrom.clusterWeightedShare`) share what their namespace gets. Only administrators should \
           be allowed to write it.",
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
#[x_kube(validation = tree_rules::one_capacity_of_tree())]
#[x_kube(validation = tree_rules::bounds_in_capacity_of_tree("cpu"))]
#[x_kube(validation = tree_rules::bounds_in_capacity_of_tree("memory"))]
#[serde(rename_all = "camelCase")]
pub struct ClusterWeightedShareSpec {
    /// How much CPU and memory the members share in total, in the unit of pod requests. A resource that
    /// is not named is not touched. Set `capacity` or `nodes`; neither, if another ClusterWeightedShare
    /// has this one as a member and gives it its capacity. Example: `{cpu: "64", memory: 256Gi}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[x_kube(validation = rules::capacity_named())]
    #[x_kube(validation = rules::capacity_positive("cpu"))]
    #[x_kube(validation = rules::capacity_positive("memory"))]
    pub capacity: Resources,

    /// The nodes whose CPU and memory the members share, in place of a fixed `capacity`: what these nodes
    /// can allocate, less what pods outside the tree are charged there. It follows nodes as they join and
    /// leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TreeNodes")]
    pub nodes: Option<TreeNodes>,

    /// Whether members lend what they do not need. Each field has a default, so `sharing` can be left
    /// out.
    #[serde(default, skip_serializing_if = "TreeSharing::is_default")]
    pub sharing: TreeSharing,

    /// The members that share the tree, at most 256, each with a name of its own. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<TreeMember>,
}

/// The nodes whose CPU and memory a tree divides.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeNodes {
    /// The labels of the nodes. An empty selector (`{}`) matches all nodes. Example: `{matchLabels:
    /// {pool: shared}}`.
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: LabelSelector,

    /// How much of what each node can allocate the tree divides, in percent from 1 to 100 (default: 100).
    #[serde(default = "whole")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 100))]
    #[x_kube(validation = tree_rules::percent_of_nodes())]
    pub percent: u8,
}

fn whole() -> u8 {
    100
}

/// Whether the members of a tree lend what they do not need.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeSharing {
    /// How much of its idle share above `min` a member lends to its siblings, in percent from 0 to 100.
    /// The rest stays with the member, so that it has that part at once when it wakes. A member can set a
    /// `lendPercent` of its own. Default: what the member that has this tree lends, and 75 if there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 100))]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: Option<u8>,

    /// What happens to capacity that no member needs. `Release` (the default): the pods do not request
    /// it, so that the scheduler and the cluster autoscaler see it as free. `Spread`: pools that spread
    /// their surplus hold it, across members, in proportion to their weights.
    #[serde(default)]
    pub surplus: Surplus,
}

impl TreeSharing {
    /// Whether nothing is said.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A member of the tree: namespaces that have one weight together, or another tree.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = tree_rules::one_kind_of_tree_member())]
#[x_kube(validation = tree_rules::weight_of_namespaces())]
#[x_kube(validation = tree_rules::max_weight_where_it_grows())]
#[x_kube(validation = tree_rules::enforced_in_namespaces())]
#[x_kube(validation = rules::min_below_max("cpu"))]
#[x_kube(validation = rules::min_below_max("memory"))]
pub struct TreeMember {
    /// The name of the member, unique in its tree. It consists of lower-case letters, digits and `-`,
    /// with a letter or digit at both ends, and has at most 63 characters.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::member_name())]
    pub name: String,

    /// How much the member owns, relative to the weights of the others. From 1 to 10000 (default: 100).
    #[serde(default = "default_weight")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 10_000))]
    #[x_kube(validation = rules::weight_range())]
    pub weight: u32,

    /// What the weight counts for. `Member` (the default): all namespaces of the member together.
    /// `Namespace`: each namespace, which then is a member of the tree by itself, with this `weight`,
    /// `min` and `max`. `Replica`: each pod. `VCPU`: each virtual CPU of its virtual machines; a pod
    /// without a machine counts as one. All but `Member` need `maxWeight`.
    #[serde(default)]
    pub weight_per: TreeWeightPer,

    /// The most that the weight of the member grows to, all its namespaces, pods or virtual CPUs
    /// together. From 1 to 1000000. It is required if `weightPer` is not `Member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 1_000_000))]
    #[x_kube(validation = tree_rules::max_weight_range())]
    pub max_weight: Option<u32>,

    /// The amount that the member is promised before weights count, while it has pods that can use it.
    /// Default: zero. It is never lent, and is not added to what the member owns by weight. Example:
    /// `{cpu: "8"}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub min: Resources,

    /// The most that the pools of the member hold together. Default: no maximum. It is above zero and not
    /// below `min`. Example: `{cpu: "32"}`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[x_kube(validation = rules::max_positive("cpu"))]
    #[x_kube(validation = rules::max_positive("memory"))]
    pub max: Resources,

    /// How much of its idle share above `min` this member lends, in percent from 0 to 100. Default:
    /// `sharing.lendPercent` of the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 100))]
    #[x_kube(validation = rules::percent("lendPercent", 100))]
    pub lend_percent: Option<u8>,

    /// Whether the minima inside the member count like a `min` of its own, and those of each of its
    /// namespaces beside the others. Default: false. Of pools, those count that are `expandable`, too. The
    /// `min` of its siblings, and the least that their pods need, come first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expandable: bool,

    /// What keeps each namespace of the member to its part when pods are created. `ResourceQuota`: the
    /// controller writes a ResourceQuota `weightedshare` into each of its namespaces that has a pool of
    /// this tree. It allows what the namespace owns by weight, what it borrows, and one more pod, and is
    /// never below what its pods hold. Default: nothing. The controller needs the right to write quotas
    /// (`trees.enforce` in the chart).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Enforce")]
    pub enforce: Option<Enforce>,

    /// The names of the member's namespaces, at most 128. Set one of `namespaces`, `namespaceSelector`
    /// and `clusterWeightedShare`. Example: `[shop, shop-staging]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespace_names")]
    pub namespaces: Vec<String>,

    /// The labels of the member's namespaces. An empty selector (`{}`) matches all namespaces. Example:
    /// `{matchLabels: {kind: team}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,

    /// Another ClusterWeightedShare, without a `capacity` of its own, whose members share what this
    /// member gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TreeRef")]
    pub cluster_weighted_share: Option<TreeRef>,
}

impl Default for TreeMember {
    fn default() -> Self {
        Self {
            name: String::new(),
            weight: default_weight(),
            weight_per: TreeWeightPer::default(),
            max_weight: None,
            min: Resources::default(),
            max: Resources::default(),
            lend_percent: None,
            expandable: false,
            enforce: None,
            namespaces: Vec::new(),
            namespace_selector: None,
            cluster_weighted_share: None,
        }
    }
}

fn default_weight() -> u32 {
    100
}

/// What keeps namespaces to their part when pods are created.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Enforce {
    /// A ResourceQuota in each of them.
    ResourceQuota,
}

/// What the weight of a tree's member counts for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TreeWeightPer {
    /// All its namespaces together.
    #[default]
    Member,
    /// Each of its namespaces.
    Namespace,
    /// Each of its pods.
    Replica,
    /// Each virtual CPU of its virtual machines.
    #[serde(rename = "VCPU")]
    Vcpu,
}

/// The name of a ClusterWeightedShare.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeRef {
    /// Its `metadata.name`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("ClusterWeightedShare"))]
    pub name: String,
}
