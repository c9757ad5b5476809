//! The world at one moment, as far as one namespace's pools are concerned.

use std::collections::BTreeMap;

use super::{
    pod::{Owner, Pod},
    workload::{Template, Workload},
};
use crate::{
    api::WeightedShare,
    share::{PerResource, Resource},
};

/// Everything that the decisions about one namespace's pools rest on.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The pools of the namespace, oldest first, then by name. Those being deleted are not among them.
    pub pools: Vec<WeightedShare>,
    /// The pods of the namespace that hold something, by name.
    pub pods: Vec<Pod>,
    /// The workloads of the namespace. A Deployment has no template of its own: its ReplicaSets do.
    pub workloads: BTreeMap<Owner, Workload>,
    /// What is free on each node: allocatable less the charges of all pods on it, of any namespace.
    pub free: BTreeMap<String, PerResource<u64>>,
}

impl Snapshot {
    /// Orders the pools by age, then by name: the oldest has the first claim on a pod.
    #[must_use]
    pub fn by_age(mut pools: Vec<WeightedShare>) -> Vec<WeightedShare> {
        pools.retain(|pool| pool.metadata.deletion_timestamp.is_none());
        pools.sort_by_cached_key(|pool| {
            let created = pool.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, pool.metadata.name.clone())
        });
        pools
    }

    /// The template that the pod was made from, where its controller is known.
    #[must_use]
    pub fn template(&self, pod: &Pod) -> Option<&Template> {
        self.workloads.get(pod.owner.as_ref()?).map(|workload| &workload.template)
    }

    /// Whether the pod belongs to the workload, directly or (as of a Deployment) through another.
    #[must_use]
    pub fn is_owned_by(&self, pod: &Pod, workload: &Owner) -> bool {
        if workload.kind == "Pod" {
            return pod.name == workload.name;
        }
        let Some(owner) = &pod.owner else { return false };
        owner == workload
            || self.workloads.get(owner).and_then(|set| set.owner.as_ref()) == Some(workload)
    }

    /// Whether the workload is there.
    #[must_use]
    pub fn has(&self, workload: &Owner) -> bool {
        match workload.kind.as_str() {
            "Pod" => self.pods.iter().any(|pod| pod.name == workload.name),
            _ => self.workloads.contains_key(workload),
        }
    }
}

/// Allocatable less the charges, never below zero.
pub(super) fn free(
    allocatable: BTreeMap<String, PerResource<u64>>,
    pods: &[Pod],
) -> BTreeMap<String, PerResource<u64>> {
    let mut free = allocatable;
    for pod in pods {
        if let Some(room) = pod.node.as_ref().and_then(|node| free.get_mut(node)) {
            for resource in Resource::ALL {
                room[resource] = room[resource].saturating_sub(pod.charge(resource));
            }
        }
    }
    free
}
