//! The part of a `WeightedShare` that the controller writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        IntoDeserializer,
        value::{self, StringDeserializer},
    },
};

use super::{Resources, condition::RECONCILING, schema};
use crate::share::Bytes;

/// The most bytes of a message in a status, and so the most characters. A longer one is cut.
pub const LONGEST_MESSAGE: usize = 1024;
/// The most recommendations for one member.
pub const MOST_RECOMMENDATIONS: usize = 8;
/// The most recommendations for all members of a pool together, so that etcd can store its status.
pub const MOST_RECOMMENDATIONS_IN_POOL: usize = 128;

/// What the pool divides now, who got what, and why. The controller writes it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedShareStatus {
    /// The `metadata.generation` of the spec that this status describes. If it is lower than the
    /// object's, the controller has not seen the last edit yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The state of the pool as a whole: Ready, Reconciling, Stalled, Overcommitted, MixedClasses,
    /// CoarseWeights and MetricsAvailable, each with a reason and a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// How much CPU and memory the pool has.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub capacity: Resources,

    /// How much the pods of the pool are charged in total. A pod's charge is the largest of what it
    /// requests, what its node has allocated to it, and what is in force.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub allocated: Resources,

    /// How much of what members own is lent to other members now.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub lent: Resources,

    /// How many members the pool has. `kubectl get` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub member_count: Option<u32>,

    /// The members of the pool: what each of them owns and holds, and why.
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

/// What a member of the pool owns and holds, and why.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// The name of the member, as in the spec.
    pub name: String,

    /// The weight of the member, as in the spec.
    #[schemars(with = "i64")]
    pub weight: u32,

    /// The weight with which the member is compared to the others: `weight`, or the dynamic one in its
    /// place, times its pods or virtual CPUs if `weightPer` says so.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub effective_weight: u64,

    /// The computed weight, if the spec has `dynamicWeight`. It takes the place of `weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DynamicWeightStatus")]
    pub dynamic_weight: Option<DynamicWeightStatus>,

    /// How many pods the member has. Pods that are finished or terminating do not count.
    #[schemars(with = "i64")]
    pub pods: u32,

    /// How much the member's pods need, all together, as of the last decision. It is missing until they
    /// are measured.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub demand: Resources,

    /// How much the member owns: by weight, `min` and `max`, as far as its nodes have room. Demand does
    /// not change it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub fair: Resources,

    /// How much the member is granted, all its pods together: `fair`, less what it lends or plus what
    /// it borrows.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub share: Resources,

    /// How much the member's pods are charged now, all together. It becomes `share` as they are
    /// resized.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub applied: Resources,

    /// How much more the member would own if its nodes had room for it. The message names a node to
    /// free.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub unplaceable: Resources,

    /// The sum of the `cpu.shares` of the member's pods on nodes with cgroup v1: 1024 for each core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub cpu_shares: Option<u64>,

    /// The sum of the `cpu.weight` of the member's pods on nodes with cgroup v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub cpu_weight: Option<u64>,

    /// The changes that would help virtual machines of the member beyond their share, one for each
    /// machine. At most 8 for a member, and at most 128 for all members of a pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_RECOMMENDATIONS), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["virtualMachine"]
    ))]
    pub recommendations: Vec<Recommendation>,

    /// The most urgent state among the member's pods. `Settled`: every pod holds its share.
    /// `Resizing`: a pod is being resized. `Deferred`: a pod waits for room. `Infeasible`: a pod's node
    /// can never give it its share. `Skipped`: the member is left alone, and `reason` says why. Later
    /// versions may add states.
    #[serde(default, deserialize_with = "known_state", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub state: Option<MemberState>,

    /// The reason for the state, as one word in CamelCase, for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,

    /// The reason for the state in words, with what to do about it. At most 1024 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_MESSAGE))]
    pub message: String,
}

/// Reads a state. One of a later version, which this one does not know, counts as none.
fn known_state<'de, D: Deserializer<'de>>(state: D) -> Result<Option<MemberState>, D::Error> {
    let state = Option::<String>::deserialize(state)?;
    let known = |name: String| {
        let name: StringDeserializer<value::Error> = name.into_deserializer();
        MemberState::deserialize(name).ok()
    };
    Ok(state.and_then(known))
}

/// A dynamic weight as of the last decision.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicWeightStatus {
    /// The computed weight, from 1 to 10000.
    #[schemars(with = "i64")]
    pub weight: u32,

    /// The values that the expression used. Example: `performance 0.62, cpu.pressure 0.10`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signals: String,
}

/// A change that would help a virtual machine that is short of something. It takes a live migration, so its owner decides.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The name of the virtual machine.
    pub virtual_machine: String,

    /// How many CPU sockets the machine should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub cpu_sockets: Option<u64>,

    /// How much memory the machine's guest should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_memory: Option<Bytes>,

    /// A node that has room for the machine, if the machine is short because of the node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// Why the machine is short, and what would help. At most 1024 characters.
    #[schemars(length(max = LONGEST_MESSAGE))]
    pub message: String,

    /// The manifest that makes the change. Commit it, or give it to `kubectl apply --server-side`; if `node` is set, to
    /// `kubectl create`.
    pub manifest: String,
}

/// How far the pods of a member are on the way to their share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum MemberState {
    /// Every pod holds its share.
    Settled,
    /// A pod is being resized.
    Resizing,
    /// A pod waits for room.
    Deferred,
    /// A pod's node can never give it its share.
    Infeasible,
    /// The member is left alone: the reason says why.
    Skipped,
}
