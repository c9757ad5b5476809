//! With what new pods of a pool start: written by the controller, read by the API server.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, schema};

/// With what new pods of a pool start. The controller writes it beside the pool, under the same name, and
/// the policy `weighted-share-new-pods` reads it: the requests of new pods are lowered to it, never raised, and what they
/// start with is written on them.
///
/// The API server reads all of it for each pod that is created, so it holds no more than it takes.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "weightedshare.dev",
    version = "v1alpha1",
    kind = "NewPods",
    plural = "newpods",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "With what new pods of a pool start. The controller writes it, the API server reads it."
)]
#[serde(rename_all = "camelCase")]
pub struct NewPodsSpec {
    /// What one more pod would own, by what it is found by: a label, as `app=checkout`; the workload of a
    /// `targetRef`, as `Deployment/checkout`; or `*`, any pod. Nothing while the pool changes nothing.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub starts: BTreeMap<String, Vec<Start>>,

    /// No container starts with less than this: a LimitRange of the namespace asks for it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub container_min: Resources,

    /// Pods that run a virtual machine start with it too: only where the controller knows their machines,
    /// as it could not give back what they lack.
    #[serde(default)]
    pub virtual_machines: bool,
}

/// With what one more pod of a member starts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The member's name. A pod that several match belongs to the first by name.
    pub member: String,

    /// What else the member's selector asks of the pod's labels. Nothing where the pod is found already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector_told")]
    pub selector: Option<LabelSelector>,

    /// What it asks for at most, all its containers together, with its sidecars and overhead. A resource that is not named is
    /// not lowered.
    #[schemars(schema_with = "schema::amounts")]
    pub request: Resources,

    /// The containers whose requests are not lowered: those with `mode: Off` in the member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<String>,
}
