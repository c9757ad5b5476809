//! Other controllers that have a say in what pods hold: HorizontalPodAutoscalers and VerticalPodAutoscalers.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2 as autoscaling;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::pod::Owner;
use crate::share::{PerResource, Resource};

/// The autoscalers, by the workload that they scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// The HorizontalPodAutoscalers that count replicas by how much of what it requests a pod uses, of each resource.
    pub horizontal: BTreeMap<Owner, PerResource<Option<String>>>,
    /// The VerticalPodAutoscalers that change requests, each with its mode.
    pub vertical: BTreeMap<Owner, (String, String)>,
}

/// What a VerticalPodAutoscaler is to do: what is read of it, and no more.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "autoscaling.k8s.io",
    version = "v1",
    kind = "VerticalPodAutoscaler",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VerticalPodAutoscalerSpec {
    /// The workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<VerticalTarget>,
    /// How it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
}

/// The workload of a VerticalPodAutoscaler.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct VerticalTarget {
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// How a VerticalPodAutoscaler acts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// `Off`: it only recommends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_mode: Option<String>,
}

impl Neighbours {
    /// Reads all autoscalers. Of several on one workload, the first by name is told of.
    pub fn read<'o>(
        horizontal: impl Iterator<Item = &'o autoscaling::HorizontalPodAutoscaler>,
        vertical: impl Iterator<Item = &'o VerticalPodAutoscaler>,
    ) -> Self {
        let mut neighbours = Self::default();
        for scaler in horizontal {
            let follows = PerResource::from_fn(|resource| follows(scaler, resource));
            let Some(spec) = scaler.spec.as_ref().filter(|_| follows.cpu || follows.memory) else {
                continue;
            };
            let target = &spec.scale_target_ref;
            let target = workload(scaler.namespace(), &target.kind, &target.name);
            let known = neighbours.horizontal.entry(target).or_default();
            for resource in Resource::ALL.into_iter().filter(|it| follows[*it]) {
                let first = known[resource].take().into_iter().chain([scaler.name_any()]).min();
                known[resource] = first;
            }
        }
        for scaler in vertical {
            let spec = &scaler.spec;
            let mode = spec.update_policy.as_ref().and_then(|it| it.update_mode.clone());
            let mode = mode.filter(|mode| !mode.is_empty()).unwrap_or_else(|| "Recreate".into());
            let Some(target) = spec.target_ref.as_ref().filter(|_| mode != "Off") else { continue };
            let target = workload(scaler.namespace(), &target.kind, &target.name);
            let this = (scaler.name_any(), mode);
            let known = neighbours.vertical.entry(target).or_insert_with(|| this.clone());
            if this.0 < known.0 {
                *known = this;
            }
        }
        neighbours
    }
}

/// Whether the number of replicas follows how much of its requests a pod uses.
fn follows(scaler: &autoscaling::HorizontalPodAutoscaler, resource: Resource) -> bool {
    let Some(spec) = &scaler.spec else { return false };
    let Some(metrics) = spec.metrics.as_ref().filter(|metrics| !metrics.is_empty()) else {
        // As the API server fills it in.
        return resource == Resource::Cpu;
    };
    metrics.iter().any(|metric| {
        let pod = metric.resource.as_ref().map(|it| (&it.name, &it.target));
        let container = metric.container_resource.as_ref().map(|it| (&it.name, &it.target));
        pod.into_iter()
            .chain(container)
            .any(|(name, target)| name == resource.name() && target.average_utilization.is_some())
    })
}

fn workload(namespace: Option<String>, kind: &str, name: &str) -> Owner {
    Owner { namespace: namespace.unwrap_or_default(), kind: kind.to_owned(), name: name.to_owned() }
}
