//! The world at one moment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::{
    amount::amount,
    kubevirt::{VirtualMachine, VirtualMachineInstance},
    limit_range::Limits,
    machine::{MACHINE_SETS, Machine, MadeFrom},
    neighbours::Neighbours,
    obstacle::Obstacle,
    pod::{Owner, Pod},
    qos::Qos,
    quota::Quota,
    signals::Signals,
    waiting::Terms,
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
    /// KubeVirt carries out changes of machines that run, by live migration.
    pub updates_live: bool,
    /// Pods that run a machine which runs in another one too, as it moves from node to node: by their UID, with the name of
    /// the pod that counts.
    pub copies: BTreeMap<String, String>,
    /// What LimitRanges allow, by namespace.
    pub limits: BTreeMap<String, Limits>,
    /// What ResourceQuotas allow, by namespace, each by name.
    pub quotas: BTreeMap<String, Vec<Quota>>,
    /// Who else has a say in what pods hold.
    pub neighbours: Neighbours,
    /// The resources of pods that are left to those who keep setting them, by the pods' UIDs.
    pub contested: BTreeMap<String, PerResource<Option<String>>>,
    /// What pods were granted last, by their UIDs: they hold it, or are on their way there.
    pub granted: BTreeMap<String, PerResource<Option<u64>>>,
    /// Room that is made and left free on nodes, for pods that the scheduler finds none for.
    pub wanted: BTreeMap<String, PerResource<u64>>,
    /// What is measured.
    pub signals: Signals,
}

/// What is read of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// What its pods can be charged in all.
    pub allocatable: PerResource<u64>,
    /// It uses nearly all of that: 95 % or more.
    pub busy: PerResource<bool>,
    /// Which pods it takes.
    pub terms: Terms,
}

impl Node {
    /// Reads a node.
    #[must_use]
    pub fn read(node: &core::Node) -> Self {
        let quantities = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = |resource| amount(quantities, resource).unwrap_or_default();
        Self {
            allocatable: PerResource::from_fn(allocatable),
            terms: Terms::read(node),
            ..Self::default()
        }
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

    /// A container of which its node has not spoken may hold what it started with. Where it was resized meanwhile, that is
    /// what its template says (or less, where it started inside a pool); where it has no template, nobody knows what, and
    /// it is not taken to hold anything until its node has spoken.
    #[must_use]
    pub(super) fn with_unheard(mut self) -> Self {
        for pod in &mut self.pods {
            let workload = pod.owner.as_ref().and_then(|it| self.workloads.get(it));
            for container in pod.containers.iter_mut().filter(|it| it.unheard) {
                let template = workload.and_then(|it| it.template.get(&container.name));
                for resource in Resource::ALL {
                    let admitted = &mut container.held[resource].admitted;
                    match template {
                        Some(template) if pod.unseen => *admitted = template.request[resource],
                        Some(_) => {}
                        None => *admitted = 0,
                    }
                }
            }
        }
        self
    }

    /// A launcher pod can be resized where its virtual machine is known, and shares CPUs.
    #[must_use]
    pub(crate) fn with_machines(mut self) -> Self {
        for pod in &mut self.pods {
            let Some(machine) = pod.machine.as_ref().and_then(|uid| self.machines.get(uid)) else {
                continue;
            };
            pod.obstacle = match pod.obstacle {
                Some(Obstacle::UnknownMachine) if machine.dedicated => Some(Obstacle::DedicatedCpu),
                Some(Obstacle::UnknownMachine) if pod.qos == Qos::Guaranteed => {
                    Some(Obstacle::GuaranteedMachine)
                }
                Some(Obstacle::UnknownMachine) if pod.qos == Qos::BestEffort => {
                    Some(Obstacle::BestEffort)
                }
                Some(Obstacle::UnknownMachine) => None,
                other => other,
            };
        }
        self.copies = self.find_copies();
        self
    }

    /// While a machine moves, it has a pod on each of two nodes. The newest that has a node is the one that will be left,
    /// if all goes well; where it does not, it ends.
    fn find_copies(&self) -> BTreeMap<String, String> {
        let mut pods: BTreeMap<&String, Vec<&Pod>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| !pod.terminating) {
            if let Some(machine) = &pod.machine {
                pods.entry(machine).or_default().push(pod);
            }
        }
        let mut copies = BTreeMap::new();
        for pods in pods.into_values() {
            let Some(home) = pods.iter().max_by_key(|it| (it.node.is_some(), it.created, &it.name))
            else {
                continue;
            };
            let others = pods.iter().filter(|pod| pod.uid != home.uid);
            copies.extend(others.map(|pod| (pod.uid.clone(), home.name.clone())));
        }
        copies
    }

    /// A pod by its name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        let key = |pod: &Pod| (pod.namespace.as_str(), pod.name.as_str()).cmp(&(namespace, name));
        self.pods.binary_search_by(key).ok().map(|i| &self.pods[i])
    }

    /// The quotas of each namespace, each by name.
    #[must_use]
    pub fn by_namespace<'q>(
        quotas: impl Iterator<Item = &'q core::ResourceQuota>,
    ) -> BTreeMap<String, Vec<Quota>> {
        let mut all: BTreeMap<String, Vec<Quota>> = BTreeMap::new();
        for quota in quotas {
            let namespace = quota.metadata.namespace.clone().unwrap_or_default();
            all.entry(namespace).or_default().extend(Quota::read(quota));
        }
        all.values_mut().for_each(|quotas| quotas.sort_by(|a, b| a.name.cmp(&b.name)));
        all
    }

    /// What virtual machines can make use of, by the UID of their instance.
    #[must_use]
    pub fn machines_of<'v>(
        vms: impl Iterator<Item = &'v VirtualMachine>,
        vmis: impl Iterator<Item = &'v VirtualMachineInstance>,
    ) -> BTreeMap<String, Machine> {
        let vms: BTreeMap<(String, String), MadeFrom> = vms
            .filter_map(VirtualMachine::made_from)
            .map(|vm| ((vm.namespace.clone(), vm.name.clone()), vm))
            .collect();
        vmis.filter_map(|vmi| {
            let owner = Owner::of(&vmi.metadata).filter(|owner| owner.kind == "VirtualMachine");
            let made_from = owner.and_then(|it| vms.get(&(it.namespace, it.name)).cloned());
            Some((vmi.metadata.uid.clone()?, Machine { made_from, ..vmi.machine() }))
        })
        .collect()
    }

    /// The pods of a namespace.
    #[must_use]
    pub fn pods_of(&self, namespace: &str) -> &[Pod] {
        let start = self.pods.partition_point(|pod| *pod.namespace < *namespace);
        let count = self.pods[start..].partition_point(|pod| pod.namespace == namespace);
        &self.pods[start..start + count]
    }

    /// The workloads of a namespace.
    pub fn workloads_of(&self, namespace: &str) -> impl Iterator<Item = (&Owner, &Workload)> {
        let first = Owner { namespace: namespace.to_owned(), ..Owner::default() };
        let from = self.workloads.range(first..);
        from.take_while(move |(owner, _)| owner.namespace == namespace)
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

    /// The workloads that the pod belongs to: its controller, the controller of that, and so on.
    pub fn workloads_above<'s>(&'s self, pod: &'s Pod) -> impl Iterator<Item = &'s Owner> {
        let above = |owner: &&'s Owner| self.workloads.get(*owner)?.owner.as_ref();
        // Nothing owns itself; if something did, that would be no reason to hang.
        std::iter::successors(pod.owner.as_ref(), above).take(4)
    }

    /// The controller of the pod, or one further up, that is not in the cache: its watch may be late, or its kind may have
    /// come to the cluster a moment ago.
    #[must_use]
    pub fn unseen_controller<'s>(&'s self, pod: &'s Pod) -> Option<&'s Owner> {
        self.workloads_above(pod).last().filter(|top| !self.workloads.contains_key(*top))
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
        match workload.kind.as_str() {
            "Pod" => self.pod(&workload.namespace, &workload.name).is_some(),
            kind if MACHINE_SETS.contains(&kind) => self
                .workloads_of(&workload.namespace)
                .any(|(_, it)| it.owner.as_ref() == Some(workload)),
            _ => self.workloads.contains_key(workload),
        }
    }

    /// What is free on each node: allocatable less the charges of all pods on it and the room that others wait for,
    /// never below zero.
    #[must_use]
    pub fn free(&self) -> BTreeMap<String, PerResource<u64>> {
        let mut free: BTreeMap<String, PerResource<u64>> =
            self.nodes.iter().map(|(name, node)| (name.clone(), node.allocatable)).collect();
        for (node, wanted) in &self.wanted {
            if let Some(room) = free.get_mut(node) {
                for resource in Resource::ALL {
                    room[resource] = room[resource].saturating_sub(wanted[resource]);
                }
            }
        }
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
