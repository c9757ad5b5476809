//! What pods and nodes use, as metrics.k8s.io/v1beta1 tells it: what is read of it, and no more.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
    },
    jiff::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{NodeReading, PodReading};
use crate::share::{Bytes, PerResource, Resource, nanocores};

/// What the containers of one pod use.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct PodMetrics {
    /// The pod's name and namespace.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<ContainerMetrics>,
}

/// What one container uses.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ContainerMetrics {
    /// The container's name.
    pub name: String,
    /// How much of each resource.
    #[serde(default)]
    pub usage: BTreeMap<String, Quantity>,
}

/// What one node uses.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct NodeMetrics {
    /// The node's name.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// How much of each resource.
    #[serde(default)]
    pub usage: BTreeMap<String, Quantity>,
}

impl PodMetrics {
    /// What its containers use together: nanocores of CPU, bytes of memory.
    #[must_use]
    pub fn used(&self) -> PerResource<u64> {
        PerResource::from_fn(|resource| {
            let used = self.containers.iter().map(|container| used(&container.usage, resource));
            used.fold(0, u64::saturating_add)
        })
    }

    /// What it tells. Where it has no time of its own, it is of this `time`; without one, it cannot be told from an older answer,
    /// and is left out.
    #[must_use]
    pub fn reading(&self, time: Option<Timestamp>) -> Option<PodReading> {
        Some(PodReading {
            namespace: self.metadata.namespace.clone()?,
            name: self.metadata.name.clone()?,
            at: self.timestamp.as_ref().map(|known| known.0).or(time)?,
            used: self.used().map(Some),
            waiting: None,
            guest: None,
        })
    }
}

impl NodeMetrics {
    /// What it uses: nanocores of CPU, bytes of memory.
    #[must_use]
    pub fn used(&self) -> PerResource<u64> {
        PerResource::from_fn(|resource| used(&self.usage, resource))
    }

    /// What it tells, of its own time or of this one, as [`PodMetrics::reading`].
    #[must_use]
    pub fn reading(&self, time: Option<Timestamp>) -> Option<NodeReading> {
        let name = self.metadata.name.clone()?;
        let at = self.timestamp.as_ref().map(|known| known.0).or(time)?;
        Some(NodeReading { name, at, used: self.used() })
    }
}

/// The use of one resource. What cannot be read counts as none.
fn used(usage: &BTreeMap<String, Quantity>, resource: Resource) -> u64 {
    let Some(Quantity(text)) = usage.get(resource.name()) else { return 0 };
    match resource {
        Resource::Cpu => nanocores(text).unwrap_or_default(),
        Resource::Memory => Bytes::rounded_up(text).unwrap_or_default().0,
    }
}
