//! The cluster as a model that events keep up to date: pools, pods, nodes, workloads, quotas, with the indexes that decisions
//! need. Plain data: it knows no client and no clock.
//!
//! An event costs what it changes. [`Cluster::take_changes`] says what that was, so that nothing else is looked at again.

mod amount;
mod autoscalers;
mod binding;
mod bounds;
mod changes;
mod charges;
mod in_flight;
mod kubevirt;
mod limit_range;
mod machine;
mod namespace;
mod node;
mod object;
mod obstacle;
mod owner;
mod pending;
mod pod;
mod pod_template;
mod pool;
mod qos;
mod quota;
mod read_pod;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

pub use autoscalers::{
    Autoscalers, UpdatePolicy, VerticalPodAutoscaler, VerticalPodAutoscalerSpec, VerticalTarget,
};
pub use binding::Binding;
pub use bounds::{AllowedNamespaces, Bounds, Excess};
pub use changes::Changes;
pub use in_flight::Requests;
pub use kubevirt::{
    Configuration, Cpu, DeveloperConfiguration, Domain, GuestMemory, Instancetype, IoThreads,
    KubeVirt, KubeVirtSpec, MachineCondition, MachineTemplate, UpdateStrategy, VirtualMachine,
    VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineInstanceStatus,
    VirtualMachineSpec, VirtualMachineStatus,
};
pub use limit_range::{Limits, Range};
pub use machine::{COMPUTE, MACHINE_SETS, Machine, MadeFrom};
pub use namespace::Namespace;
pub use node::Node;
pub use object::{EachKind, Event, Kept, Key, Kind, Object, each_kind};
pub use obstacle::Obstacle;
pub use owner::Owner;
pub use pending::{Pending, Terms};
pub use pod::{Container, CpuLimits, FIELD_MANAGER, Pod, Resize};
pub use pod_template::{PodTemplate, Template, TemplateContainer};
pub use pool::{Pool, PoolId, PoolName};
pub use qos::Qos;
pub use quota::{Bounded, ENFORCED_QUOTA, Quota, Scope};
pub use tree::Tree;
pub use workload::Workload;

use crate::share::PerResource;
use machine::{allocation_ratio, updates_live};
use node::NodeEntry;

/// What the API server shows, with what our own writes changed of it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    namespaces: BTreeMap<String, Namespace>,
    nodes: BTreeMap<String, NodeEntry>,
    trees: BTreeMap<String, Tree>,
    kubevirts: BTreeMap<(String, String), KubeVirt>,
    /// What each RuntimeClass adds to a pod.
    overheads: BTreeMap<String, PerResource<u64>>,
    /// Pods that the scheduler finds no room for, by namespace and name.
    pending: BTreeSet<(String, String)>,
    /// Machines with more than one launcher pod, and machines that are being changed, by namespace and the UID of their instance.
    migrating: BTreeSet<(String, String)>,
    changing: BTreeSet<(String, String)>,
    bounds: Bounds,
    changes: Changes,
}

impl Cluster {
    /// Takes in what a watch says.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Applied(key, object) => self.put(&key, object),
            Event::Deleted(key) => self.remove(&key),
            Event::Listed(kind, there) => {
                for key in self.keys(kind).into_iter().filter(|key| !there.contains(key)) {
                    self.remove(&key);
                }
            }
        }
    }

    /// What changed since this was asked last.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Whether a pod changed since the changes were taken: in more than its version.
    #[must_use]
    pub fn has_changed(&self, namespace: &str, pod: &str) -> bool {
        self.changes.pods.contains(&(namespace.to_owned(), pod.to_owned()))
    }

    /// A namespace, where there is anything in it.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Namespace)> {
        self.namespaces.iter().map(|(name, namespace)| (name.as_str(), namespace))
    }

    /// All pools, those of one namespace after those of another.
    pub fn pools(&self) -> impl Iterator<Item = (&PoolId, &Pool)> {
        self.namespaces.values().flat_map(|namespace| &namespace.pools)
    }

    /// A pool.
    #[must_use]
    pub fn pool(&self, id: &PoolId) -> Option<&Pool> {
        self.namespaces.get(&id.namespace)?.pools.get(id)
    }

    /// The trees of pools, by name.
    pub fn trees(&self) -> impl Iterator<Item = (&str, &Tree)> {
        self.trees.iter().map(|(name, tree)| (name.as_str(), tree))
    }

    /// A tree of pools.
    #[must_use]
    pub fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.get(name)
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.namespaces.get(namespace)?.pod(name)
    }

    /// What resizes of a pod ask for that are on their way, or had no answer.
    #[must_use]
    pub fn in_flight(&self, pod: &Pod) -> Option<&Requests> {
        let namespace = self.namespaces.get(&pod.namespace).filter(|_| pod.in_flight)?;
        namespace.pods.get(&pod.name)?.in_flight.as_ref()
    }

    /// A node that was seen.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)?.known.as_ref()
    }

    /// The nodes that were seen, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().filter_map(|(name, entry)| Some((name.as_str(), entry.known.as_ref()?)))
    }

    /// What all pods on a node are charged, in millicores and bytes.
    #[must_use]
    pub fn charged(&self, node: &str) -> PerResource<u128> {
        self.nodes.get(node).map(|entry| entry.charged).unwrap_or_default()
    }

    /// What is free on a node: allocatable less the charges of all pods on it, never below zero. None: it was not seen.
    #[must_use]
    pub fn free(&self, node: &str) -> Option<PerResource<u64>> {
        let entry = self.nodes.get(node)?;
        let allocatable = entry.known.as_ref()?.allocatable;
        Some(PerResource::from_fn(|resource| {
            let charged = u64::try_from(entry.charged[resource]).unwrap_or(u64::MAX);
            allocatable[resource].saturating_sub(charged)
        }))
    }

    /// The pods that the scheduler finds no room for, by namespace and name.
    pub fn pending(&self) -> impl Iterator<Item = &Pod> {
        self.pending.iter().filter_map(|(namespace, name)| self.pod(namespace, name))
    }

    /// Whether KubeVirt carries out changes of machines that run, by live migration.
    #[must_use]
    pub fn updates_live(&self) -> bool {
        updates_live(self.kubevirts.values())
    }

    /// Whether some machine of a namespace moves between nodes, or is being changed.
    #[must_use]
    pub fn has_machine_on_its_way(&self, namespace: &str) -> bool {
        self.migrating.iter().chain(&self.changing).any(|(there, _)| there == namespace)
    }

    /// What LimitRanges allow in a namespace.
    #[must_use]
    pub fn limits(&self, namespace: &str) -> Limits {
        self.namespaces.get(namespace).map(Namespace::limits).unwrap_or_default()
    }

    /// What a RuntimeClass adds to each of its pods, in millicores and bytes. None: it was not seen.
    #[must_use]
    pub fn overhead(&self, class: &str) -> Option<PerResource<u64>> {
        self.overheads.get(class).copied()
    }

    /// The workload of that name, where it was seen.
    #[must_use]
    pub fn workload(&self, owner: &Owner) -> Option<&Workload> {
        self.namespaces.get(&owner.namespace)?.workload(owner)
    }

    /// The template that the pod was made from, if that is known.
    #[must_use]
    pub fn template(&self, pod: &Pod) -> Option<&Template> {
        self.namespaces.get(&pod.namespace)?.template(pod)
    }

    /// The virtual machine that the pod runs, where it is known.
    #[must_use]
    pub fn machine(&self, pod: &Pod) -> Option<&Machine> {
        self.namespaces.get(&pod.namespace)?.machine(pod)
    }

    /// The pod that counts in place of this one, which runs the same machine as that moves between nodes.
    #[must_use]
    pub fn migration_target(&self, pod: &Pod) -> Option<&Pod> {
        self.namespaces.get(&pod.namespace)?.migration_target(pod)
    }

    /// The workloads that the pod belongs to: its controller, the controller of that, and so on.
    pub fn workloads_above<'c>(&'c self, pod: &'c Pod) -> impl Iterator<Item = &'c Owner> {
        let above = |owner: &&'c Owner| self.workload(owner)?.owner.as_ref();
        // Nothing owns itself; if something did, that would be no reason to hang.
        std::iter::successors(pod.owner.as_ref(), above).take(4)
    }

    /// The controller of the pod, or one further up, that was not seen: its watch may be late, or its kind may have come to
    /// the cluster a moment ago.
    #[must_use]
    pub fn unseen_controller<'c>(&'c self, pod: &'c Pod) -> Option<&'c Owner> {
        self.workloads_above(pod).last().filter(|top| self.workload(top).is_none())
    }

    /// The workloads that a pod belonged to before its controllers were deleted, which it outlives while it ends.
    #[must_use]
    pub fn workloads_once_above(&self, pod: &Pod) -> Vec<Owner> {
        let gone = self.unseen_controller(pod).filter(|_| pod.terminating);
        gone.map(|owner| owner.above_by_name(pod)).unwrap_or_default()
    }

    /// Whether the pod belongs to the workload, directly or (as of a Deployment) through another.
    #[must_use]
    pub fn is_owned_by(&self, pod: &Pod, workload: &Owner) -> bool {
        if workload.kind == "Pod" {
            return pod.name == workload.name && pod.namespace == workload.namespace;
        }
        self.workloads_above(pod).any(|owner| owner == workload)
    }

    /// Whether the workload is there. One of a kind that is not watched is seen by what belongs to it.
    #[must_use]
    pub fn has(&self, workload: &Owner) -> bool {
        if workload.kind == "Pod" {
            return self.pod(&workload.namespace, &workload.name).is_some();
        }
        let namespace = self.namespaces.get(&workload.namespace);
        namespace
            .is_some_and(|it| it.workloads.contains_key(workload) || it.has_machine_set(workload))
    }
}
