//! The world at one moment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::{
    amount::amount,
    kubevirt::Machine,
    limit_range::Limits,
    pod::{Owner, Pod},
    signals::Signals,
    workload::{Template, Workload},
};
use crate::{
    api::WeightedShare,
    share::{PerResource, Resource},
};

/// Everything that the decisions rest on.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The pools, oldest first, then by namespace and name. Those being deleted are not among them.
    pub pools: Vec<WeightedShare>,
    /// The pods that hold something, by namespace and name.
    pub pods: Vec<Pod>,
    /// The workloads. A Deployment has no template of its own: its ReplicaSets do.
    pub workloads: BTreeMap<Owner, Workload>,
    /// The nodes, by name.
    pub nodes: BTreeMap<String, Node>,
    /// The virtual machines, by their UID.
    pub machines: BTreeMap<String, Machine>,
    /// What LimitRanges allow, by namespace.
    pub limits: BTreeMap<String, Limits>,
    /// What is measured.
    pub signals: Signals,
}

/// What is read of a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// What its pods can be charged in all.
    pub allocatable: PerResource<u64>,
    /// It uses nearly all of that: 95 % or more.
    pub busy: PerResource<bool>,
}

impl Node {
    /// Reads a node.
    #[must_use]
    pub fn read(node: &core::Node) -> Self {
        let quantities = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = |resource| amount(quantities, resource).unwrap_or_default();
        Self { allocatable: PerResource::from_fn(allocatable), ..Self::default() }
    }

    /// Notes what it uses (nanocores of CPU, bytes of memory).
    pub fn uses(&mut self, used: PerResource<u64>) {
        let unit = PerResource { cpu: 1_000_000u128, memory: 1 };
        self.busy = PerResource::from_fn(|resource| {
            let all = u128::from(self.allocatable[resource]) * unit[resource];
            all > 0 && u128::from(used[resource]) * 100 >= all * 95
        });
    }
}

impl Snapshot {
    /// Orders the pools by age, then by name: the oldest has the first claim on a pod, and on a full node.
    #[must_use]
    pub fn by_age(mut pools: Vec<WeightedShare>) -> Vec<WeightedShare> {
        pools.retain(|pool| pool.metadata.deletion_timestamp.is_none());
        pools.sort_by_cached_key(|pool| {
            let meta = &pool.metadata;
            let created = meta.creation_timestamp.as_ref().map(|time| time.0);
            (created, meta.namespace.clone(), meta.name.clone())
        });
        pools
    }

    /// Leaves out the pods that hold nothing any more, and orders the others by namespace and name.
    #[must_use]
    pub fn in_order(mut pods: Vec<Pod>) -> Vec<Pod> {
        pods.retain(|pod| !pod.finished);
        pods.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        pods
    }

    /// A pod by its name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        let key = |pod: &Pod| (pod.namespace.as_str(), pod.name.as_str()).cmp(&(namespace, name));
        self.pods.binary_search_by(key).ok().map(|i| &self.pods[i])
    }

    /// The template that the pod was made from, where its controller is known.
    #[must_use]
    pub fn template(&self, pod: &Pod) -> Option<&Template> {
        self.workloads.get(pod.owner.as_ref()?).map(|workload| &workload.template)
    }

    /// The virtual machine that the pod runs, where it is known.
    #[must_use]
    pub fn machine(&self, pod: &Pod) -> Option<&Machine> {
        self.machines.get(pod.machine.as_ref()?)
    }

    /// Whether the pod belongs to the workload, directly or (as of a Deployment) through another.
    #[must_use]
    pub fn is_owned_by(&self, pod: &Pod, workload: &Owner) -> bool {
        if workload.kind == "Pod" {
            return pod.name == workload.name && pod.namespace == workload.namespace;
        }
        let Some(owner) = &pod.owner else { return false };
        owner == workload
            || self.workloads.get(owner).and_then(|set| set.owner.as_ref()) == Some(workload)
    }

    /// Whether the workload is there.
    #[must_use]
    pub fn has(&self, workload: &Owner) -> bool {
        match workload.kind.as_str() {
            "Pod" => self.pod(&workload.namespace, &workload.name).is_some(),
            _ => self.workloads.contains_key(workload),
        }
    }

    /// What is free on each node: allocatable less the charges of all pods on it, never below zero.
    #[must_use]
    pub fn free(&self) -> BTreeMap<String, PerResource<u64>> {
        let mut free: BTreeMap<String, PerResource<u64>> =
            self.nodes.iter().map(|(name, node)| (name.clone(), node.allocatable)).collect();
        for pod in &self.pods {
            if let Some(room) = pod.node.as_ref().and_then(|node| free.get_mut(node)) {
                for resource in Resource::ALL {
                    room[resource] = room[resource].saturating_sub(pod.charge(resource));
                }
            }
        }
        free
    }
}
