//! Other controllers that have a say in what pods hold: HorizontalPodAutoscalers and VerticalPodAutoscalers.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2 as autoscaling;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use crate::share::{PerResource, Resource};

/// What the autoscalers of a namespace do, by the workload that they scale. Of several on one workload, the first by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Autoscalers {
    /// The HorizontalPodAutoscalers that count replicas by how much of what it requests a pod uses, of each resource.
    pub horizontal: BTreeMap<Owner, PerResource<Option<String>>>,
    /// The VerticalPodAutoscalers that change requests, each with its mode.
    pub vertical: BTreeMap<Owner, (String, String)>,
}

impl Autoscalers {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.horizontal.is_empty() && self.vertical.is_empty()
    }
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
#[serde(rename_all = "camelCase")]
pub struct VerticalTarget {
    /// Its API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
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

/// A HorizontalPodAutoscaler that counts replicas by how much of what it requests a pod uses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Horizontal {
    /// The workload that it scales.
    pub workload: Owner,
    /// The resources that it looks at.
    pub follows: PerResource<bool>,
}

/// A VerticalPodAutoscaler that changes requests.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vertical {
    /// The workload whose pods it changes.
    pub workload: Owner,
    /// Its update mode.
    pub mode: String,
}

impl Horizontal {
    /// Reads a HorizontalPodAutoscaler. None: it does not look at requests.
    #[must_use]
    pub fn read(scaler: &autoscaling::HorizontalPodAutoscaler) -> Option<Self> {
        let follows = PerResource::from_fn(|resource| follows(scaler, resource));
        let spec = scaler.spec.as_ref().filter(|_| follows.cpu || follows.memory)?;
        let target = &spec.scale_target_ref;
        let version = target.api_version.as_deref();
        let workload = workload(scaler.namespace(), version, &target.kind, &target.name);
        Some(Self { workload, follows })
    }
}

impl Vertical {
    /// Reads a VerticalPodAutoscaler. None: it only recommends, or has no workload.
    #[must_use]
    pub fn read(scaler: &VerticalPodAutoscaler) -> Option<Self> {
        let spec = &scaler.spec;
        let mode = spec.update_policy.as_ref().and_then(|it| it.update_mode.clone());
        let mode = mode.filter(|mode| !mode.is_empty()).unwrap_or_else(|| "Recreate".into());
        let target = spec.target_ref.as_ref().filter(|_| mode != "Off")?;
        let version = target.api_version.as_deref();
        let workload = workload(scaler.namespace(), version, &target.kind, &target.name);
        Some(Self { workload, mode })
    }
}

impl Autoscalers {
    /// What these do together.
    pub(super) fn of(
        horizontal: &BTreeMap<String, Horizontal>,
        vertical: &BTreeMap<String, Vertical>,
    ) -> Self {
        let mut all = Self::default();
        for (name, Horizontal { workload, follows }) in horizontal {
            let known = all.horizontal.entry(workload.clone()).or_default();
            for resource in Resource::ALL.into_iter().filter(|it| follows[*it]) {
                known[resource].get_or_insert_with(|| name.clone());
            }
        }
        for (name, Vertical { workload, mode }) in vertical {
            all.vertical.entry(workload.clone()).or_insert_with(|| (name.clone(), mode.clone()));
        }
        all
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

fn workload(namespace: Option<String>, api_version: Option<&str>, kind: &str, name: &str) -> Owner {
    Owner {
        namespace: namespace.unwrap_or_default(),
        kind: Owner::kind_of(api_version.unwrap_or_default(), kind),
        name: name.to_owned(),
    }
}
