//! The objects of one namespace: apart from nodes, all that its pools depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Machine, Obstacle, Owner, Pod, Pool, PoolId, Qos, Quota, Template, VirtualMachine,
    VirtualMachineInstance, Workload,
    autoscalers::{Autoscalers, Horizontal, Vertical},
    in_flight::Requests,
    limit_range::Limits,
    machine::MACHINE_SETS,
    workload::REVISION,
};
use crate::share::Resource;

/// The objects of one namespace, each kind by name.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// The labels of the namespace itself. None: it was not seen.
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) pools: BTreeMap<PoolId, Pool>,
    pub(super) pods: BTreeMap<String, PodEntry>,
    /// Pods that have run to their end and are still there: they hold nothing.
    pub(super) finished: BTreeSet<String>,
    pub(super) workloads: BTreeMap<Owner, Workload>,
    /// What belongs to a workload, whether the workload itself was seen or not.
    children: BTreeMap<Owner, Children>,
    pub(super) quotas: BTreeMap<String, Quota>,
    pub(super) limit_ranges: BTreeMap<String, Limits>,
    /// What all LimitRanges allow together.
    pub(super) limits: Limits,
    pub(super) horizontal: BTreeMap<String, Horizontal>,
    pub(super) vertical: BTreeMap<String, Vertical>,
    /// What all autoscalers do, by workload.
    pub(super) autoscalers: Autoscalers,
    pub(super) virtual_machines: BTreeMap<String, VirtualMachine>,
    pub(super) instances: BTreeMap<String, VirtualMachineInstance>,
    /// What virtual machines can make use of, by the UID of their instance.
    pub(super) machines: BTreeMap<String, Machine>,
    /// The pods that run each machine, by the UID of its instance.
    launchers: BTreeMap<String, BTreeSet<String>>,
}

/// A pod of the model.
#[derive(Clone, Debug, Default)]
pub(super) struct PodEntry {
    /// As decisions see it.
    pub shown: Pod,
    /// As the API server showed it, where that differs.
    pub observed: Option<Box<Pod>>,
    /// What resizes ask for that are on their way, or had no answer.
    pub in_flight: Option<Requests>,
}

#[derive(Clone, Debug, Default)]
struct Children {
    workloads: BTreeSet<Owner>,
    pods: BTreeSet<String>,
}

impl PodEntry {
    /// As the API server showed it.
    pub fn observed(&self) -> &Pod {
        self.observed.as_deref().unwrap_or(&self.shown)
    }
}

impl Namespace {
    /// Its labels. None: it was not seen.
    #[must_use]
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_ref()
    }

    /// The pools, the oldest first.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<PoolId, Pool> {
        &self.pools
    }

    /// The pods that hold something, by name.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(|entry| &entry.shown)
    }

    /// A pod by its name.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.get(name).map(|entry| &entry.shown)
    }

    /// Whether a pod of that name is there that has run to its end.
    #[must_use]
    pub fn has_finished(&self, pod: &str) -> bool {
        self.finished.contains(pod)
    }

    /// The workloads.
    pub fn workloads(&self) -> impl Iterator<Item = (&Owner, &Workload)> {
        self.workloads.iter()
    }

    /// A workload, where it was seen.
    #[must_use]
    pub fn workload(&self, owner: &Owner) -> Option<&Workload> {
        self.workloads.get(owner)
    }

    /// The virtual machine that a pod runs, where it is known: its label names the UID, and it belongs to that instance. A label alone
    /// anybody can write.
    #[must_use]
    pub fn machine(&self, pod: &Pod) -> Option<&Machine> {
        let machine = self.machines.get(pod.machine.as_ref()?)?;
        pod.owner.as_ref().is_some_and(|owner| owner.name == machine.instance).then_some(machine)
    }

    /// What its LimitRanges allow.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What the autoscalers do.
    #[must_use]
    pub fn autoscalers(&self) -> &Autoscalers {
        &self.autoscalers
    }

    /// The quotas, by name.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        self.quotas.values()
    }

    /// The quotas that others wrote: these bound what pools divide. Ours follow what they divide.
    pub fn quotas_of_others(&self) -> impl Iterator<Item = &Quota> {
        self.quotas().filter(|quota| quota.of_tree.is_none())
    }

    /// Our quota.
    #[must_use]
    pub fn enforced_quota(&self) -> Option<&Quota> {
        self.quotas().find(|quota| quota.of_tree.is_some())
    }

    /// The pods of a workload: its own, and those of the workloads that belong to it.
    pub fn pods_below<'n>(&'n self, workload: &Owner) -> Vec<&'n str> {
        let mut found = Vec::new();
        let mut next = vec![workload];
        let mut seen = BTreeSet::new();
        while let Some(workload) = next.pop() {
            let Some((workload, children)) = self.children.get_key_value(workload) else {
                continue;
            };
            if seen.insert(workload) {
                found.extend(children.pods.iter().map(String::as_str));
                next.extend(&children.workloads);
            }
        }
        found
    }

    /// Whether some pod runs a virtual machine that is known.
    #[must_use]
    pub fn runs_machines(&self) -> bool {
        self.launchers.keys().any(|machine| self.machines.contains_key(machine))
    }

    /// The template that a pod was made from, if its controller is known: as that has it now, or kept as an earlier revision.
    #[must_use]
    pub fn template(&self, pod: &Pod) -> Option<&Template> {
        let owner = pod.owner.as_ref()?;
        self.workload(owner)?.template_of(pod).or_else(|| self.earlier_template(pod, owner))
    }

    /// The template of the revision that a pod names: a pod of a StatefulSet by its name, one of a DaemonSet by the end of it.
    fn earlier_template(&self, pod: &Pod, owner: &Owner) -> Option<&Template> {
        let hash = pod.labels.get("controller-revision-hash")?;
        let of = |name: String| {
            let kind = REVISION.to_owned();
            let revision = Owner { namespace: owner.namespace.clone(), kind, name };
            self.workload(&revision).filter(|it| it.owner.as_ref() == Some(owner))
        };
        of(hash.clone()).or_else(|| of(format!("{}-{hash}", owner.name))).map(|it| &it.template)
    }

    /// The pods that name this workload as their controller.
    pub fn own_pods(&self, workload: &Owner) -> impl Iterator<Item = &Pod> {
        let names = self.children.get(workload).map(|it| &it.pods);
        names.into_iter().flatten().filter_map(|name| self.pod(name))
    }

    /// The pods that say that they run a machine, by the UID of its instance.
    pub fn launchers(&self, machine: &str) -> impl Iterator<Item = &Pod> {
        let names = self.launchers.get(machine);
        names.into_iter().flatten().filter_map(|name| self.pod(name))
    }

    /// The pod that counts, where this pod runs a machine that runs in another one too as it moves from node to node: the
    /// newest that has a node is the one that will be left, if all goes well; where it does not, it ends.
    #[must_use]
    pub fn migration_target(&self, pod: &Pod) -> Option<&Pod> {
        let machine = pod.machine.as_ref().filter(|_| !pod.terminating)?;
        let all = self.launchers(machine).filter(|pod| !pod.terminating);
        let all = all.filter(|pod| self.machine(pod).is_some());
        let target = all.max_by_key(|it| (it.node.is_some(), it.created, &it.name))?;
        (target.uid != pod.uid).then_some(target)
    }

    /// Whether a workload of a kind that is not watched is seen by what belongs to it.
    pub(super) fn has_machine_set(&self, set: &Owner) -> bool {
        MACHINE_SETS.contains(&&*set.kind)
            && self.children.get(set).is_some_and(|it| !it.workloads.is_empty())
    }

    /// Notes that a pod belongs to what it says.
    pub(super) fn link_pod(&mut self, pod: &Pod) {
        if let Some(owner) = &pod.owner {
            self.children.entry(owner.clone()).or_default().pods.insert(pod.name.clone());
        }
        if let Some(machine) = &pod.machine {
            self.launchers.entry(machine.clone()).or_default().insert(pod.name.clone());
        }
    }

    /// Forgets that.
    pub(super) fn unlink_pod(&mut self, pod: &Pod) {
        if let Some(owner) = &pod.owner {
            self.unlink(owner, |children| {
                children.pods.remove(&pod.name);
            });
        }
        if let Some(machine) = &pod.machine
            && let Some(launchers) = self.launchers.get_mut(machine)
        {
            launchers.remove(&pod.name);
            if launchers.is_empty() {
                self.launchers.remove(machine);
            }
        }
    }

    /// Notes, or forgets, that a workload belongs to another.
    pub(super) fn link_workload(&mut self, workload: &Owner, owner: &Owner, linked: bool) {
        if linked {
            self.children.entry(owner.clone()).or_default().workloads.insert(workload.clone());
        } else {
            self.unlink(owner, |children| {
                children.workloads.remove(workload);
            });
        }
    }

    fn unlink(&mut self, owner: &Owner, remove: impl FnOnce(&mut Children)) {
        if let Some(children) = self.children.get_mut(owner) {
            remove(children);
            if children.pods.is_empty() && children.workloads.is_empty() {
                self.children.remove(owner);
            }
        }
    }

    /// A pod as decisions are to see it. None: as the API server shows it.
    pub(super) fn shown(&self, observed: &Pod, in_flight: Option<&Requests>) -> Option<Pod> {
        let starts = observed.containers.iter().any(|container| container.unheard);
        let obstacle = self.obstacle(observed);
        if !starts && obstacle == observed.obstacle && in_flight.is_none() {
            return None;
        }
        let mut pod = Pod { obstacle, ..observed.clone() };
        if starts {
            self.set_admitted(&mut pod);
        }
        if let Some(requests) = in_flight {
            requests.charge(&mut pod);
        }
        Some(pod)
    }

    /// A container that its node has not reported on yet may hold what it started with. If it was resized meanwhile, that is
    /// what its template says, or less if it started inside a pool. Without a template that is unknown, and the container counts
    /// as holding nothing until its node reports.
    fn set_admitted(&self, pod: &mut Pod) {
        let template = self.template(pod);
        let parts = pod.containers.iter_mut().chain(pod.pod_level.as_deref_mut());
        for container in parts.filter(|it| it.unheard) {
            let template = template.and_then(|it| it.get(&container.name));
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

    /// What keeps a pod from being resized. A launcher pod can be, where its virtual machine is known, and shares CPUs.
    fn obstacle(&self, pod: &Pod) -> Option<Obstacle> {
        match (pod.obstacle, self.machine(pod)) {
            (Some(Obstacle::UnknownMachine), Some(machine)) if machine.dedicated => {
                Some(Obstacle::DedicatedCpu)
            }
            (Some(Obstacle::UnknownMachine), Some(_)) => match pod.qos {
                Qos::Guaranteed => Some(Obstacle::GuaranteedMachine),
                Qos::BestEffort => Some(Obstacle::BestEffort),
                Qos::Burstable => None,
            },
            (obstacle, _) => obstacle,
        }
    }

    /// Whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_none()
            && self.pools.is_empty()
            && self.pods.is_empty()
            && self.finished.is_empty()
            && self.workloads.is_empty()
            && self.children.is_empty()
            && self.quotas.is_empty()
            && self.limit_ranges.is_empty()
            && self.horizontal.is_empty()
            && self.vertical.is_empty()
            && self.virtual_machines.is_empty()
            && self.instances.is_empty()
    }
}
