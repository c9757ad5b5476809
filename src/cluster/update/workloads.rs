//! How workloads change the model, and virtual machines, which are workloads that more is known of.

use super::{
    super::{
        Cluster, Key, Kind, KubeVirt, Owner, VirtualMachine, VirtualMachineInstance, Workload,
        allocation_ratio, machine::Machine, workload::REVISION,
    },
    set,
};

impl Cluster {
    /// A workload is so now, or gone.
    pub(super) fn put_workload(&mut self, owner: &Owner, workload: Option<Workload>) {
        let namespace = self.namespaces.entry(owner.namespace.clone()).or_default();
        let workload = workload.map(|it| it.filled_in(&namespace.limits));
        let before = namespace.workloads.get(owner);
        if before == workload.as_ref() {
            return;
        }
        let above = |workload: Option<&Workload>| workload.and_then(|it| it.owner.clone());
        let (old, new) = (above(before), above(workload.as_ref()));
        let is_revision = owner.kind == REVISION;
        let whose = new.clone().or_else(|| old.clone()).filter(|_| is_revision);
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
            .pods_below(whose.as_ref().unwrap_or(owner))
            .into_iter()
            .map(str::to_owned)
            .collect();
        self.look_again(&owner.namespace, &pods);
    }

    /// Fills in all workloads of a namespace again, after its LimitRanges changed.
    pub(super) fn fill_in_workloads(&mut self, namespace: &str) {
        let workloads = self.namespaces.get(namespace).map(|it| it.workloads.clone());
        for (owner, workload) in workloads.into_iter().flatten() {
            self.put_workload(&owner, Some(workload));
        }
    }

    pub(super) fn put_machine(&mut self, key: &Key, machine: Option<VirtualMachine>) {
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

    pub(super) fn put_instance(&mut self, key: &Key, instance: Option<VirtualMachineInstance>) {
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
            self.changing.insert((namespace.to_owned(), uid.to_owned()));
        } else {
            self.changing.remove(&(namespace.to_owned(), uid.to_owned()));
        }
        match machine {
            Some(machine) => drop(there.machines.insert(uid.to_owned(), machine)),
            None => drop(there.machines.remove(uid)),
        }
        let pods: Vec<String> = there.launchers(uid).map(|pod| pod.name.clone()).collect();
        self.look_again(namespace, &pods);
    }

    pub(super) fn put_kubevirt(&mut self, key: &Key, kubevirt: Option<KubeVirt>) {
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
}

#[cfg(test)]
impl Cluster {
    /// Sets what follows from objects of KubeVirt and from autoscalers, without these.
    pub fn set_for_test(
        &mut self,
        namespace: &str,
        machines: &std::collections::BTreeMap<String, Machine>,
        autoscalers: &super::super::Autoscalers,
        updates_live: bool,
    ) {
        let there = self.namespaces.entry(namespace.to_owned()).or_default();
        there.autoscalers = autoscalers.clone();
        for (uid, machine) in machines {
            self.set_model_of_machine(namespace, uid, Some(machine.clone()));
        }
        if updates_live {
            let mut kubevirt = KubeVirt::new("kubevirt", super::super::KubeVirtSpec::default());
            kubevirt.spec.configuration.vm_rollout_strategy = Some("LiveUpdate".to_owned());
            kubevirt.spec.workload_update_strategy.workload_update_methods =
                vec!["LiveMigrate".to_owned()];
            self.kubevirts.insert((String::new(), String::new()), kubevirt);
        }
    }
}
