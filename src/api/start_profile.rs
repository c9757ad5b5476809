//! What new pods of a pool start with: written by the controller, read by the API server.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, schema};

/// What new pods of a pool start with. The policy `weighted-share-new-pods` lowers their requests to
/// these amounts, and never raises them. It also writes on each pod what it starts with.
///
/// The API server reads the whole object for each pod that is created, so it holds nothing else.
#[allow(clippy::duplicated_attributes, reason = "the columns have some values in common")]
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "weightedshare.dev",
    version = "v1alpha1",
    kind = "StartProfile",
    plural = "startprofiles",
    category = "weighted-sharing",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "A StartProfile says what new pods of a pool start with. The controller writes it beside the pool, under the same \
           name, and the API server reads it. Only the controller should write it.",
    printcolumn(name = "Virtual Machines", type_ = "boolean", json_path = ".spec.virtualMachines"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Container Min CPU",
        type_ = "string",
        json_path = ".spec.containerMin.cpu",
        priority = 1
    ),
    printcolumn(
        name = "Container Min Memory",
        type_ = "string",
        json_path = ".spec.containerMin.memory",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct StartProfileSpec {
    /// The amounts, by what a new pod is found by: a label (`app=checkout`), the workload of a
    /// `targetRef` (`Deployment/checkout`), or `*` for any pod. It is empty while the pool resizes no
    /// pods.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub starts: BTreeMap<String, Vec<Start>>,

    /// The least that each container starts with, because a LimitRange of the namespace asks for it.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub container_min: Resources,

    /// Whether pods that run a virtual machine are lowered too. It is false while the controller does
    /// not know their machines, because it could not restore them.
    #[serde(default)]
    pub virtual_machines: bool,
}

/// What one more pod of a member starts with.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The name of the member. A pod that several members match belongs to the first by name.
    pub member: String,

    /// The rest of the member's selector, which the pod has to match too. It is missing if nothing else
    /// is left to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector_told")]
    pub selector: Option<LabelSelector>,

    /// The most that the pod requests at its start: all its containers together, with sidecars and
    /// overhead. A resource that is not named is not lowered.
    #[schemars(schema_with = "schema::amounts")]
    pub request: Resources,

    /// The names of the containers whose requests are not lowered: those with `mode: Off` in the
    /// member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<String>,
}
