//! The part of a `ClusterWeightedShare` that the controller writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LONGEST_MESSAGE, Resources, schema};

/// What the tree divides now, who got what, and why. The controller writes it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterWeightedShareStatus {
    /// The `metadata.generation` of the spec that this status describes. If it is lower than the
    /// object's, the controller has not seen the last edit yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The state of the tree as a whole: Ready, Reconciling, Stalled and Overcommitted, each with a
    /// reason and a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// How much CPU and memory the tree has: its `capacity`, what its nodes have, or what the tree that
    /// has it as a member gives it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub capacity: Resources,

    /// How much the pods of the tree's pools are charged in total.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub allocated: Resources,

    /// How much of what members own is lent to other members now.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub lent: Resources,

    /// How many members the tree has. `kubectl get` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub member_count: Option<u32>,

    /// The members of the tree: what each of them owns and holds, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub members: Vec<TreeMemberStatus>,
}

/// What a member of the tree owns and holds, and why.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeMemberStatus {
    /// The name of the member, as in the spec.
    pub name: String,

    /// The weight of the member, as in the spec.
    #[schemars(with = "i64")]
    pub weight: u32,

    /// The weight with which the member is compared to the others: `weight`, times its namespaces, pods or
    /// virtual CPUs if `weightPer` says so, and at most `maxWeight`.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub effective_weight: u64,

    /// How many pools the member has. Pools that are not divided do not count.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub pools: u32,

    /// How many pods these pools have.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub pods: u32,

    /// How much the member owns: by weight, `min` and `max`, as far as there are pods that can use it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub fair: Resources,

    /// How much the member is granted, all its pods together: `fair`, less what it lends or plus what it
    /// borrows.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub share: Resources,

    /// How much the member's pods are charged now, all together.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub applied: Resources,

    /// What is wrong with the member, or keeps it from what it is promised, as one word in CamelCase, for
    /// programs. It is missing if nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,

    /// The same in words, with what to do about it. At most 1024 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_MESSAGE))]
    pub message: String,
}
