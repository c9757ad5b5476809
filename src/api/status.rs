//! The part of a `WeightedShare` that the controller writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, condition::RECONCILING, schema};
use crate::share::Bytes;

/// What the controller made of the pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedShareStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Reconciling, Stalled, Overcommitted, MixedClasses, CoarseWeights and MetricsAvailable, each with a
    /// reason and a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// What there is to divide.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub capacity: Resources,

    /// What the pods of the pool hold in all, by their requests.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub allocated: Resources,

    /// How much of what its owners leave idle others hold.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub lent: Resources,

    /// Each member of the spec: what it owns and what it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub members: Vec<MemberStatus>,
}

impl WeightedShareStatus {
    /// Whether pods are on the way to their shares: the condition Reconciling is True.
    #[must_use]
    pub fn is_reconciling(&self) -> bool {
        self.conditions.iter().any(|it| it.type_ == RECONCILING && it.status == "True")
    }
}

/// One member of the pool, as the controller sees it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// The member's name, as in the spec.
    pub name: String,

    /// The weight of the member, as in the spec.
    #[schemars(with = "i64")]
    pub weight: u32,

    /// The weight that the member has beside the others: its weight, counted once, for each pod or for
    /// each virtual CPU, as `weightPer` says.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub effective_weight: u64,

    /// The weight that is worked out, where the spec has `dynamicWeight`: it takes the place of
    /// `weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DynamicWeightStatus")]
    pub dynamic_weight: Option<DynamicWeightStatus>,

    /// How many pods the member has, without those that are finished or terminating.
    #[schemars(with = "i64")]
    pub pods: u32,

    /// What the member's pods have a use for, all together, as the last decision took it. Nothing where
    /// nobody has measured it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub demand: Resources,

    /// What the member owns by its weight, min and max, as far as its nodes have room.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub fair: Resources,

    /// What the member is granted, all its pods together: its fair share, less what it lends or with
    /// what it borrows.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub share: Resources,

    /// What the member's pods hold by now, all together.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub applied: Resources,

    /// What the member would own besides, if its nodes had room for it. The message names a node that
    /// would have to be freed.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub unplaceable: Resources,

    /// The `cpu.shares` (cgroup v1) of the member's pods together: 1024 for each core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub cpu_shares: Option<u64>,

    /// The `cpu.weight` (cgroup v2) of the member's pods together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub cpu_weight: Option<u64>,

    /// What would help virtual machines of the member beyond their share, and is left to their owner: at
    /// most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["virtualMachine"]
    ))]
    pub recommendations: Vec<Recommendation>,

    /// How far the member's pods are on the way to their share. `Settled`: every pod holds it.
    /// `Resizing`: a pod is being resized. `Deferred`: a pod's node has no room now. `Infeasible`: a
    /// pod's node can never give it. `Skipped`: the member is left alone, and the reason says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MemberState")]
    pub state: Option<MemberState>,

    /// Why the member is in this state: one word in CamelCase, for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,

    /// Why the member is in this state, and what can be done about it: a sentence, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A dynamic weight as the last decision took it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicWeightStatus {
    /// The weight, from 1 to 10000.
    #[schemars(with = "i64")]
    pub weight: u32,

    /// What the expression looked at, as it was then: `performance 0.62, cpu.pressure 0.10`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signals: String,
}

/// What would help a virtual machine that is short of something. It is a live migration, so it is not done without its
/// owner.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The name of the virtual machine.
    pub virtual_machine: String,

    /// How many sockets it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub cpu_sockets: Option<u64>,

    /// How much memory its guest should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_memory: Option<Bytes>,

    /// A node that has room for it, where it is short because of the one that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// Why, in a sentence.
    pub message: String,

    /// What to commit, or to give to `kubectl apply --server-side`; for a node, to `kubectl create`.
    pub manifest: String,
}

/// How far the pods of a member are on the way to their share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum MemberState {
    /// Every pod holds its share.
    Settled,
    /// A pod is being resized.
    Resizing,
    /// A pod's node has no room for its share now.
    Deferred,
    /// A pod's node can never give it its share.
    Infeasible,
    /// The member is left alone: the reason says why.
    Skipped,
}
