//! How events change the model.

use super::{
    Cluster, Key, Kind, KubeVirt, Namespace, Object, Owner, Pod, Pool, PoolId, Requests,
    VirtualMachine, VirtualMachineInstance, Workload, allocation_ratio, autoscalers::Autoscalers,
    limit_range::Limits, machine::Machine, namespace::PodEntry, node::Node,
};
use crate::{api::WeightedShare, share::Resource};

impl Cluster {
    pub(super) fn put(&mut self, key: &Key, object: Object) {
        match object {
            Object::Pool(pool) => self.put_pool(Pool::new(*pool)),
            Object::UnreadablePool(meta, why) => self.put_pool(Pool::unreadable(*meta, why)),
            Object::Pod(pod) => self.put_pod(*pod),
            Object::Node(node) => self.put_node(&key.name, Some(node)),
            Object::Workload(workload) => {
                if let Some(owner) = key.owner() {
                    self.put_workload(&owner, Some(workload));
                }
            }
            Object::Machine(machine) => self.put_machine(key, Some(*machine)),
            Object::Instance(instance) => self.put_instance(key, Some(*instance)),
            Object::KubeVirt(kubevirt) => self.put_kubevirt(key, Some(*kubevirt)),
            Object::Quota(quota) => self.put_policy(key, |it| set(&mut it.quotas, key, quota)),
            Object::Limits(limits) => {
                self.put_policy(key, |it| set(&mut it.limit_ranges, key, Some(limits)));
            }
            Object::Horizontal(scaler) => {
                self.put_policy(key, |it| set(&mut it.horizontal, key, scaler));
            }
            Object::Vertical(scaler) => {
                self.put_policy(key, |it| set(&mut it.vertical, key, scaler))
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        match key.kind {
            Kind::WeightedShare => self.remove_pool(key),
            Kind::Pod => self.remove_pod(&key.namespace, &key.name),
            Kind::Node => self.put_node(&key.name, None),
            Kind::VirtualMachine => self.put_machine(key, None),
            Kind::VirtualMachineInstance => self.put_instance(key, None),
            Kind::KubeVirt => self.put_kubevirt(key, None),
            Kind::ResourceQuota => self.put_policy(key, |it| set(&mut it.quotas, key, None)),
            Kind::LimitRange => self.put_policy(key, |it| set(&mut it.limit_ranges, key, None)),
            Kind::HorizontalPodAutoscaler => {
                self.put_policy(key, |it| set(&mut it.horizontal, key, None));
            }
            Kind::VerticalPodAutoscaler => {
                self.put_policy(key, |it| set(&mut it.vertical, key, None));
            }
            Kind::Deployment
            | Kind::ReplicaSet
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job => {
                if let Some(owner) = key.owner() {
                    self.put_workload(&owner, None);
                }
            }
        }
        if self.namespaces.get(&key.namespace).is_some_and(Namespace::is_empty) {
            self.namespaces.remove(&key.namespace);
        }
    }

    /// All objects of a kind that the model has.
    pub(super) fn keys(&self, kind: Kind) -> Vec<Key> {
        let key = |namespace: &str, name: &str| Key {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        match kind {
            Kind::Node => {
                let known = self.nodes.iter().filter(|(_, entry)| entry.known.is_some());
                return known.map(|(name, _)| key("", name)).collect();
            }
            Kind::KubeVirt => {
                return self
                    .kubevirts
                    .keys()
                    .map(|(namespace, name)| key(namespace, name))
                    .collect();
            }
            _ => {}
        }
        let of = |(namespace, it): (&String, &Namespace)| -> Vec<Key> {
            let key = |name: &String| key(namespace, name);
            match kind {
                Kind::WeightedShare => it.pools.keys().map(|id| key(&id.name)).collect(),
                Kind::Pod => it.pods.keys().map(key).collect(),
                Kind::ResourceQuota => it.quotas.keys().map(key).collect(),
                Kind::LimitRange => it.limit_ranges.keys().map(key).collect(),
                Kind::HorizontalPodAutoscaler => it.horizontal.keys().map(key).collect(),
                Kind::VerticalPodAutoscaler => it.vertical.keys().map(key).collect(),
                Kind::VirtualMachine => it.virtual_machines.keys().map(key).collect(),
                Kind::VirtualMachineInstance => it.instances.keys().map(key).collect(),
                _ => {
                    let of_kind = |owner: &&Owner| Some(&*owner.kind) == kind.workload();
                    it.workloads.keys().filter(of_kind).map(|owner| key(&owner.name)).collect()
                }
            }
        };
        self.namespaces.iter().flat_map(of).collect()
    }

    fn put_pool(&mut self, mut pool: Pool) {
        let id = PoolId::of(&pool.object.metadata);
        let namespace = self.namespaces.entry(id.namespace.clone()).or_default();
        // One of that name that was created at another time is gone.
        let same_name = |known: &&PoolId| known.name == id.name && **known != id;
        if let Some(gone) = namespace.pools.keys().find(same_name).cloned() {
            namespace.pools.remove(&gone);
            self.changes.pools.insert(gone);
        }
        let (size, mut resized) = (pool.size, true);
        if let Some(before) = namespace.pools.get(&id) {
            pool.succeed(before);
            pool.excess = before.excess;
            resized = before.size != size;
        }
        namespace.pools.insert(id.clone(), pool);
        if resized {
            self.bound(&id.namespace);
        }
        self.changes.pools.insert(id);
    }

    fn remove_pool(&mut self, key: &Key) {
        let Some(namespace) = self.namespaces.get_mut(&key.namespace) else { return };
        if let Some(id) = namespace.pools.keys().find(|id| id.name == key.name).cloned() {
            namespace.pools.remove(&id);
            self.bound(&id.namespace);
            self.changes.pools.insert(id);
        }
    }

    /// Notes the status that we wrote to a pool, which is `shown` in the answer of the API server.
    pub fn set_status(&mut self, id: &PoolId, shown: &WeightedShare) {
        let pool = self.namespaces.get_mut(&id.namespace).and_then(|it| it.pools.get_mut(id));
        let version = shown.metadata.resource_version.as_ref().and_then(|it| it.parse().ok());
        if let Some(pool) = pool.filter(|it| it.object.metadata.uid == shown.metadata.uid)
            && let (Some(version), Some(status)) = (version, &shown.status)
        {
            pool.set_status(version, status.clone());
            self.changes.pools.insert(id.clone());
        }
    }

    /// Takes in a pod as the API server answered a write of ours. One that is gone does not come back by that, and what a watch
    /// has shown since stands.
    pub fn answered(&mut self, pod: Pod) {
        let version = |pod: &Pod| pod.resource_version.parse::<u64>().ok();
        let known = self.pod(&pod.namespace, &pod.name).filter(|known| known.uid == pod.uid);
        let is_as_new = |known: &Pod| {
            // Versions of one kind are numbers that grow. Where a server has others, its answer is taken.
            version(known).zip(version(&pod)).is_none_or(|(known, answered)| known <= answered)
        };
        if known.is_some_and(is_as_new) {
            self.put_pod(pod);
        }
    }

    /// Takes in a pod as a watch shows it, or the answer to a write of ours. What is older than what is known is left out.
    fn put_pod(&mut self, pod: Pod) {
        if pod.finished {
            return self.remove_pod(&pod.namespace, &pod.name);
        }
        let known = self.namespaces.get(&pod.namespace).and_then(|it| it.pods.get(&pod.name));
        let mut in_flight = None;
        if let Some(known) = known.filter(|it| it.shown.uid == pod.uid) {
            if pod.generation < known.observed().generation {
                return;
            }
            in_flight.clone_from(&known.in_flight);
        }
        self.set_pod(pod, in_flight);
    }

    /// A pod is so now, and charged what it may have been resized to.
    fn set_pod(&mut self, observed: Pod, in_flight: Option<Requests>) {
        let key = (observed.namespace.clone(), observed.name.clone());
        let namespace = self.namespaces.entry(key.0.clone()).or_default();
        let entry = match namespace.shown(&observed, in_flight.as_ref()) {
            Some(shown) => PodEntry { shown, observed: Some(Box::new(observed)), in_flight },
            None => PodEntry { shown: observed, observed: None, in_flight },
        };
        if let Some(before) = namespace.pods.get_mut(&key.1) {
            let version = &entry.shown.resource_version;
            before.shown.resource_version.clone_from(version);
            if before.shown == entry.shown {
                *before = entry;
                return;
            }
        }
        let links = Pod {
            name: entry.shown.name.clone(),
            owner: entry.shown.owner.clone(),
            machine: entry.shown.machine.clone(),
            ..Pod::default()
        };
        namespace.link_pod(&links);
        let now = (entry.shown.node.clone(), charges(&entry.shown));
        let after_uid = entry.shown.uid.clone();
        let waits = entry.shown.pending.is_some() && !entry.shown.terminating;
        let machine = entry.shown.machine.clone();
        let before = namespace.pods.insert(key.1.clone(), entry).map(|entry| entry.shown);
        if let Some(before) = &before {
            if before.owner != links.owner || before.machine != links.machine {
                namespace.unlink_pod(before);
                namespace.link_pod(&links);
            }
            if before.uid != after_uid {
                self.changes.gone.insert(before.uid.clone());
            }
        }
        let charged = before.as_ref().map(|it| (it.node.clone(), charges(it)));
        if charged.as_ref() != Some(&now) {
            if let Some((node, charges)) = charged {
                self.charge(node.as_deref(), charges, false);
            }
            self.charge(now.0.as_deref(), now.1, true);
        }
        if waits {
            self.pending.insert(key.clone());
        } else {
            self.pending.remove(&key);
        }
        let machines = [machine, before.and_then(|it| it.machine)];
        self.changes.pods.insert(key.clone());
        machines.into_iter().flatten().for_each(|machine| self.note_migration(&key.0, &machine));
    }

    fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(there) = self.namespaces.get_mut(namespace) else { return };
        let Some(PodEntry { shown: pod, .. }) = there.pods.remove(name) else { return };
        there.unlink_pod(&pod);
        self.charge(pod.node.as_deref(), charges(&pod), false);
        self.changes.gone.insert(pod.uid.clone());
        let key = (namespace.to_owned(), name.to_owned());
        self.pending.remove(&key);
        self.changes.pods.insert(key);
        if let Some(machine) = &pod.machine {
            self.note_migration(namespace, machine);
        }
    }

    /// The other launcher pods of a machine count, or do not count any more.
    fn note_migration(&mut self, namespace: &str, machine: &str) {
        let there = self.namespaces.get(namespace);
        let launchers: Vec<&Pod> = there.into_iter().flat_map(|it| it.launchers(machine)).collect();
        if launchers.iter().filter(|pod| !pod.terminating).count() > 1 {
            self.migrating.insert(machine.to_owned());
        } else {
            self.migrating.remove(machine);
        }
        let key = |pod: &&Pod| (namespace.to_owned(), pod.name.clone());
        self.changes.pods.extend(launchers.iter().map(key));
    }

    fn charge(&mut self, node: Option<&str>, charges: [u64; 2], added: bool) {
        let Some(name) = node else { return };
        self.changes.charged.insert(name.to_owned());
        let entry = self.nodes.entry(name.to_owned()).or_default();
        for (resource, charge) in Resource::ALL.into_iter().zip(charges) {
            let charged = &mut entry.charged[resource];
            *charged =
                if added { *charged + u128::from(charge) } else { *charged - u128::from(charge) };
        }
        entry.pods = if added { entry.pods + 1 } else { entry.pods - 1 };
        if entry.pods == 0 && entry.known.is_none() {
            self.nodes.remove(name);
        }
    }

    fn put_node(&mut self, name: &str, node: Option<Node>) {
        let entry = self.nodes.entry(name.to_owned()).or_default();
        if entry.known == node {
            return;
        }
        entry.known = node;
        if entry.pods == 0 && entry.known.is_none() {
            self.nodes.remove(name);
        }
        self.changes.nodes.insert(name.to_owned());
    }

    /// What is on its way for a pod is charged from now on; or, with None, it is known what became of it.
    pub fn set_in_flight(&mut self, namespace: &str, pod: &str, requests: Option<Requests>) {
        let known = self.namespaces.get(namespace).and_then(|it| it.pods.get(pod));
        let Some(entry) = known else { return };
        let requests = requests.filter(|it| it.uid == entry.shown.uid);
        if entry.in_flight != requests {
            self.set_pod(entry.observed().clone(), requests);
        }
    }

    /// A workload is so now, or gone.
    fn put_workload(&mut self, owner: &Owner, workload: Option<Workload>) {
        let namespace = self.namespaces.entry(owner.namespace.clone()).or_default();
        let before = namespace.workloads.get(owner);
        if before == workload.as_ref() {
            return;
        }
        let above = |workload: Option<&Workload>| workload.and_then(|it| it.owner.clone());
        let (old, new) = (above(before), above(workload.as_ref()));
        if old != new {
            old.iter().for_each(|above| namespace.link_workload(owner, above, false));
            new.iter().for_each(|above| namespace.link_workload(owner, above, true));
            // One of a kind that is not watched may be seen by this one only.
            self.changes.workloads.extend(old.into_iter().chain(new));
        }
        match workload {
            Some(workload) => drop(namespace.workloads.insert(owner.clone(), workload)),
            None => drop(namespace.workloads.remove(owner)),
        }
        self.changes.workloads.insert(owner.clone());
        let pods: Vec<String> = self.namespaces[&owner.namespace]
            .pods_below(owner)
            .into_iter()
            .map(str::to_owned)
            .collect();
        self.look_again(&owner.namespace, &pods);
    }

    /// Something changed that says how these pods are to be seen.
    fn look_again(&mut self, namespace: &str, pods: &[String]) {
        for name in pods {
            self.changes.pods.insert((namespace.to_owned(), name.clone()));
            let entry = self.namespaces.get(namespace).and_then(|it| it.pods.get(name));
            if let Some(entry) = entry {
                let (observed, in_flight) = (entry.observed().clone(), entry.in_flight.clone());
                self.set_pod(observed, in_flight);
            }
        }
    }

    fn put_machine(&mut self, key: &Key, machine: Option<VirtualMachine>) {
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        let workload = machine.as_ref().map(VirtualMachine::workload);
        set(&mut namespace.virtual_machines, key, machine);
        if let Some(owner) = key.owner() {
            let below: Vec<String> = namespace
                .instances
                .iter()
                .filter(|(_, it)| Owner::of(&it.metadata).as_ref() == Some(&owner))
                .map(|(name, _)| name.clone())
                .collect();
            self.put_workload(&owner, workload);
            below.iter().for_each(|name| self.set_instance(&key.namespace, name));
        }
    }

    fn put_instance(&mut self, key: &Key, instance: Option<VirtualMachineInstance>) {
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        let before = namespace.instances.get(&key.name).and_then(|it| it.metadata.uid.clone());
        let now = instance.as_ref().and_then(|it| it.metadata.uid.clone());
        set(&mut namespace.instances, key, instance);
        if let Some(gone) = before.filter(|before| now.as_ref() != Some(before)) {
            self.set_model_of_machine(&key.namespace, &gone, None);
        }
        self.set_instance(&key.namespace, &key.name);
    }

    /// What follows from an instance, what it was made from, and the settings of KubeVirt.
    fn set_instance(&mut self, namespace: &str, name: &str) {
        let ratio = allocation_ratio(self.kubevirts.values());
        let Some(there) = self.namespaces.get(namespace) else { return };
        let key = Key {
            kind: Kind::VirtualMachineInstance,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let Some(owner) = key.owner() else { return };
        let Some(instance) = there.instances.get(name) else {
            return self.put_workload(&owner, None);
        };
        let above = Owner::of(&instance.metadata).filter(|owner| owner.kind == "VirtualMachine");
        let made_from = above.and_then(|it| there.virtual_machines.get(&it.name)?.made_from());
        let machine = Machine { made_from, ..instance.machine() };
        let (uid, workload) = (instance.metadata.uid.clone(), instance.workload(ratio));
        if let Some(uid) = uid {
            self.set_model_of_machine(namespace, &uid, Some(machine));
        }
        self.put_workload(&owner, Some(workload));
    }

    fn set_model_of_machine(&mut self, namespace: &str, uid: &str, machine: Option<Machine>) {
        let Some(there) = self.namespaces.get_mut(namespace) else { return };
        if there.machines.get(uid) == machine.as_ref() {
            return;
        }
        if machine.as_ref().is_some_and(Machine::is_changing) {
            self.changing.insert(uid.to_owned());
        } else {
            self.changing.remove(uid);
        }
        match machine {
            Some(machine) => drop(there.machines.insert(uid.to_owned(), machine)),
            None => drop(there.machines.remove(uid)),
        }
        let pods: Vec<String> = there.launchers(uid).map(|pod| pod.name.clone()).collect();
        self.look_again(namespace, &pods);
    }

    fn put_kubevirt(&mut self, key: &Key, kubevirt: Option<KubeVirt>) {
        let name = (key.namespace.clone(), key.name.clone());
        if self.kubevirts.get(&name) == kubevirt.as_ref() {
            return;
        }
        match kubevirt {
            Some(kubevirt) => drop(self.kubevirts.insert(name, kubevirt)),
            None => drop(self.kubevirts.remove(&name)),
        }
        self.changes.everything = true;
        let instances: Vec<(String, String)> = self
            .namespaces
            .iter()
            .flat_map(|(namespace, it)| {
                it.instances.keys().map(|name| (namespace.clone(), name.clone()))
            })
            .collect();
        instances.iter().for_each(|(namespace, name)| self.set_instance(namespace, name));
    }

    /// Changes what holds for a whole namespace. `change` says whether anything did.
    fn put_policy(&mut self, key: &Key, change: impl FnOnce(&mut Namespace) -> bool) {
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        if !change(namespace) {
            return;
        }
        match key.kind {
            Kind::LimitRange => {
                namespace.limits = Limits::all(namespace.limit_ranges.values());
            }
            Kind::HorizontalPodAutoscaler | Kind::VerticalPodAutoscaler => {
                namespace.autoscalers = Autoscalers::of(&namespace.horizontal, &namespace.vertical);
            }
            _ => {}
        }
        self.changes.namespaces.insert(key.namespace.clone());
    }
}

/// Sets, or removes, an entry. Whether that changed anything.
fn set<T: PartialEq>(
    map: &mut std::collections::BTreeMap<String, T>,
    key: &Key,
    value: Option<T>,
) -> bool {
    if map.get(&key.name) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => drop(map.insert(key.name.clone(), value)),
        None => drop(map.remove(&key.name)),
    }
    true
}

fn charges(pod: &Pod) -> [u64; 2] {
    Resource::ALL.map(|resource| pod.charge(resource))
}

#[cfg(test)]
impl Cluster {
    /// Sets what follows from objects of KubeVirt and from autoscalers, without these.
    pub fn set_for_test(
        &mut self,
        namespace: &str,
        machines: &std::collections::BTreeMap<String, Machine>,
        autoscalers: &Autoscalers,
        updates_live: bool,
    ) {
        let there = self.namespaces.entry(namespace.to_owned()).or_default();
        there.autoscalers = autoscalers.clone();
        for (uid, machine) in machines {
            self.set_model_of_machine(namespace, uid, Some(machine.clone()));
        }
        if updates_live {
            let mut kubevirt = KubeVirt::new("kubevirt", super::KubeVirtSpec::default());
            kubevirt.spec.configuration.vm_rollout_strategy = Some("LiveUpdate".to_owned());
            kubevirt.spec.workload_update_strategy.workload_update_methods =
                vec!["LiveMigrate".to_owned()];
            self.kubevirts.insert((String::new(), String::new()), kubevirt);
        }
    }
}
