//! How events change the model.

mod pods;
mod trees;
mod workloads;

use trees::{is_in_tree, place};

use super::{
    Cluster, Key, Kind, Namespace, Object, Owner, Pool, PoolId, Tree, autoscalers::Autoscalers,
    limit_range::Limits, node::Node,
};
use crate::{api::WeightedShare, share::PerResource};

impl Cluster {
    pub(super) fn put(&mut self, key: &Key, object: Object) {
        match object {
            Object::Pool(pool) => self.put_pool(Pool::new(*pool)),
            Object::UnreadablePool(meta, why) => self.put_pool(Pool::unreadable(*meta, why)),
            Object::Tree(tree) => self.put_tree(&key.name, Some(Tree::new(*tree))),
            Object::UnreadableTree(meta, why) => {
                self.put_tree(&key.name, Some(Tree::unreadable(*meta, why)));
            }
            Object::Labels(labels) => self.put_labels(&key.name, Some(labels)),
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
                self.put_policy(key, |it| set(&mut it.limit_ranges, key, Some(*limits)));
            }
            Object::Overhead(overhead) => self.put_overhead(key, Some(overhead)),
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
            Kind::ClusterWeightedShare => self.put_tree(&key.name, None),
            Kind::Namespace => self.put_labels(&key.name, None),
            Kind::Pod => self.remove_pod(&key.namespace, &key.name),
            Kind::Node => self.put_node(&key.name, None),
            Kind::VirtualMachine => self.put_machine(key, None),
            Kind::VirtualMachineInstance => self.put_instance(key, None),
            Kind::KubeVirt => self.put_kubevirt(key, None),
            Kind::ResourceQuota => self.put_policy(key, |it| set(&mut it.quotas, key, None)),
            Kind::LimitRange => self.put_policy(key, |it| set(&mut it.limit_ranges, key, None)),
            Kind::RuntimeClass => self.put_overhead(key, None),
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
            | Kind::ControllerRevision
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
            Kind::RuntimeClass => {
                return self.overheads.keys().map(|name| key("", name)).collect();
            }
            Kind::ClusterWeightedShare => {
                return self.trees.keys().map(|name| key("", name)).collect();
            }
            Kind::Namespace => {
                let seen = self.namespaces.iter().filter(|(_, it)| it.labels.is_some());
                return seen.map(|(name, _)| key("", name)).collect();
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
                Kind::Pod => it.pods.keys().chain(&it.finished).map(key).collect(),
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
            self.changes.forest |= is_in_tree(namespace.pools.remove(&gone).as_ref());
            self.changes.pools.insert(gone);
        }
        let (size, mut resized) = (pool.size, true);
        if let Some(before) = namespace.pools.get(&id) {
            pool.succeed(before);
            pool.excess = before.excess;
            resized = before.size != size;
        }
        self.changes.forest |= place(namespace.pools.get(&id)) != place(Some(&pool));
        namespace.pools.insert(id.clone(), pool);
        if resized {
            self.bound(&id.namespace);
        }
        self.changes.pools.insert(id);
    }

    fn remove_pool(&mut self, key: &Key) {
        let Some(namespace) = self.namespaces.get_mut(&key.namespace) else { return };
        if let Some(id) = namespace.pools.keys().find(|id| id.name == key.name).cloned() {
            self.changes.forest |= is_in_tree(namespace.pools.remove(&id).as_ref());
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

    fn put_overhead(&mut self, key: &Key, overhead: Option<PerResource<u64>>) {
        self.changes.everything |= set(&mut self.overheads, key, overhead);
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
                self.fill_in_workloads(&key.namespace);
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
