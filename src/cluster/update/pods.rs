//! How pods change the model: what they are charged on their nodes, and whose they are.

use std::collections::BTreeMap;

use super::super::{Cluster, Owner, Pod, Requests, namespace::PodEntry};
use crate::share::Resource;

impl Cluster {
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
    pub(super) fn put_pod(&mut self, mut pod: Pod) {
        if pod.finished {
            self.remove_pod(&pod.namespace, &pod.name);
            self.namespaces.entry(pod.namespace).or_default().finished.insert(pod.name);
            return;
        }
        if !self.bounds.started_is_guarded
            && let Some(binding) = &mut pod.binding
        {
            binding.written = None;
        }
        let known = self.namespaces.get(&pod.namespace).and_then(|it| it.pods.get(&pod.name));
        let mut in_flight = None;
        if let Some(known) = known.filter(|it| it.shown.uid == pod.uid) {
            if pod.generation < known.observed().generation {
                return;
            }
            in_flight.clone_from(&known.in_flight);
            pod.binding = known.observed().binding.or(pod.binding);
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
        namespace.finished.remove(&key.1);
        let now = (entry.shown.node.clone(), charges(&entry.shown));
        let after_uid = entry.shown.uid.clone();
        let waits = entry.shown.pending.is_some() && !entry.shown.terminating;
        let machine = entry.shown.machine.clone();
        let known = namespace.pods.get(&key.1);
        if known.is_none_or(|known| matched_by(&known.shown) != matched_by(&entry.shown)) {
            self.changes.rematched.insert(key.clone());
        }
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
        // It may have been gone for a moment.
        self.changes.gone.remove(&after_uid);
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

    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(there) = self.namespaces.get_mut(namespace) else { return };
        there.finished.remove(name);
        let Some(PodEntry { shown: pod, .. }) = there.pods.remove(name) else { return };
        there.unlink_pod(&pod);
        self.charge(pod.node.as_deref(), charges(&pod), false);
        self.changes.gone.insert(pod.uid.clone());
        let key = (namespace.to_owned(), name.to_owned());
        self.pending.remove(&key);
        self.changes.rematched.insert(key.clone());
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
            self.migrating.insert((namespace.to_owned(), machine.to_owned()));
        } else {
            self.migrating.remove(&(namespace.to_owned(), machine.to_owned()));
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

    /// What is on its way for a pod is charged from now on; or, with None, it is known what became of it.
    pub fn set_in_flight(&mut self, namespace: &str, pod: &str, requests: Option<Requests>) {
        let known = self.namespaces.get(namespace).and_then(|it| it.pods.get(pod));
        let Some(entry) = known else { return };
        let requests = requests.filter(|it| it.uid == entry.shown.uid);
        if entry.in_flight != requests {
            self.set_pod(entry.observed().clone(), requests);
        }
    }

    /// Something changed that says how these pods are to be seen.
    pub(super) fn look_again(&mut self, namespace: &str, pods: &[String]) {
        for name in pods {
            let key = (namespace.to_owned(), name.clone());
            self.changes.rematched.insert(key.clone());
            self.changes.pods.insert(key);
            let entry = self.namespaces.get(namespace).and_then(|it| it.pods.get(name));
            if let Some(entry) = entry {
                let (observed, in_flight) = (entry.observed().clone(), entry.in_flight.clone());
                self.set_pod(observed, in_flight);
            }
        }
    }
}

/// The properties of a pod that decide which members match it.
fn matched_by(pod: &Pod) -> (&BTreeMap<String, String>, Option<&Owner>, bool) {
    (&pod.labels, pod.owner.as_ref(), pod.terminating)
}

fn charges(pod: &Pod) -> [u64; 2] {
    Resource::ALL.map(|resource| pod.charge(resource))
}
