//! Trees of pools: one cluster on which decisions are carried out, one after the other.

mod changes;
mod division;
mod enforced_quotas;
mod full_nodes;

use super::*;
use crate::{
    api::{ClusterWeightedShare, ClusterWeightedShareStatus},
    cluster::{Bounded, Changes, ENFORCED_QUOTA, PoolId, Quota},
    engine::FINALIZER,
    metrics::News,
};

/// A controller, and a cluster on which what it decides is carried out at once. The node n1 has 64 cores.
struct World {
    cluster: Cluster,
    metrics: Metrics,
    engine: Engine,
    history: History,
    now: Now,
    age: u64,
    used: BTreeMap<(String, String), u64>,
    /// What each tree said last.
    told: BTreeMap<String, ClusterWeightedShareStatus>,
    /// What each pool said last, by namespace and name.
    said: BTreeMap<(String, String), WeightedShareStatus>,
    /// The resizes that were carried out: pod, from, to.
    resizes: Vec<(String, u64, u64)>,
    /// The pools for which something was decided.
    decided: BTreeSet<PoolId>,
    /// What our quotas have, by namespace, in millicores.
    quotas: BTreeMap<String, u64>,
    /// The events of trees: tree, reason.
    events: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            cluster: Cluster::default(),
            metrics: Metrics::default(),
            engine: Engine::default(),
            history: History::default(),
            now: Now::default(),
            age: 0,
            used: BTreeMap::new(),
            told: BTreeMap::new(),
            said: BTreeMap::new(),
            resizes: Vec::new(),
            decided: BTreeSet::new(),
            quotas: BTreeMap::new(),
            events: Vec::new(),
        };
        world.node("n1", 64_000);
        world
    }

    fn see(&mut self, kind: Kind, namespace: &str, name: &str, object: Object) {
        let key = Key { kind, namespace: namespace.into(), name: name.into() };
        self.cluster.apply(Event::Applied(key, object));
    }

    fn node(&mut self, name: &str, milli: u64) {
        let allocatable = PerResource { cpu: milli, memory: 1 << 40 };
        self.see(Kind::Node, "", name, Object::Node(Node { allocatable, ..Node::default() }));
    }

    fn namespace(&mut self, name: &str, labels: Value) {
        let labels = serde_json::from_value(labels).unwrap();
        self.see(Kind::Namespace, "", name, Object::Labels(labels));
    }

    fn tree(&mut self, name: &str, generation: i64, spec: Value) {
        let tree: ClusterWeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "ClusterWeightedShare",
            "metadata": {"name": name, "uid": name, "generation": generation},
            "spec": spec,
        }))
        .unwrap();
        self.cluster.apply(Event::Applied(tree.key(), tree.read()));
    }

    fn without_tree(&mut self, name: &str) {
        let kind = Kind::ClusterWeightedShare;
        let key = Key { kind, namespace: String::new(), name: name.into() };
        self.cluster.apply(Event::Deleted(key));
    }

    /// A pool with a member for all pods of its app, which takes its capacity from a tree.
    fn pool(&mut self, namespace: &str, name: &str, tree: &str, more: Value) {
        self.age += 1;
        let created = Timestamp::from_second(self.age as i64).unwrap();
        let mut spec = json!({
            "capacityFrom": {"clusterWeightedShare": {"name": tree}},
            "sharing": {"nodeReservePercent": 0},
            "members": [member(name, 100)],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pool: WeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "metadata": {
                "name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"), "generation": 1,
                "creationTimestamp": created.to_string(), "finalizers": [FINALIZER],
            },
            "spec": spec,
        }))
        .unwrap();
        self.cluster.apply(Event::Applied(pool.key(), pool.read()));
    }

    fn pod(&mut self, namespace: &str, name: &str, app: &str, milli: u64) {
        let owner = Owner { namespace: namespace.into(), ..pod(name, app, milli).owner.unwrap() };
        let pod = Pod {
            namespace: namespace.into(),
            uid: format!("{namespace}-{name}"),
            owner: Some(owner),
            ..pod(name, app, milli)
        };
        self.see(Kind::Pod, namespace, name, Object::Pod(Box::new(pod)));
    }

    /// A pod is on another node than n1.
    fn is_on(&mut self, node: &str, namespace: &str, name: &str) {
        let mut pod = self.cluster.pod(namespace, name).unwrap().clone();
        pod.node = Some(node.to_owned());
        self.see(Kind::Pod, namespace, name, Object::Pod(Box::new(pod)));
    }

    /// From now on a pod uses so much.
    fn uses(&mut self, namespace: &str, pod: &str, milli: u64) {
        self.used.insert((namespace.into(), pod.into()), milli);
    }

    /// Measures, decides and resizes until nothing is left to do. All pods together are never charged more than `most`. Returns what
    /// each pod holds, by namespace and name.
    fn settle(&mut self, most: u64) -> BTreeMap<String, u64> {
        for _ in 0..50 {
            self.now.wall += std::time::Duration::from_secs(15);
            self.now.steady += std::time::Duration::from_secs(15);
            let at = self.now.wall;
            let reading = |((namespace, name), milli): (&(String, String), &u64)| PodReading {
                namespace: namespace.clone(),
                name: name.clone(),
                at,
                used: PerResource { cpu: Some(milli * 1_000_000), memory: Some(0) },
                ..PodReading::default()
            };
            if !self.used.is_empty() {
                let pods = self.used.iter().map(reading).collect();
                self.metrics.take("test", Ok(Readings { pods, ..Readings::default() }));
            }
            if !self.turn() {
                return self.held();
            }
            let all: u64 = self.held().values().sum();
            assert!(all <= most, "{all}m are charged, of {most}m");
        }
        panic!("no end: {:?}", self.resizes);
    }

    /// One decision, carried out. Whether any pod moved.
    fn turn(&mut self) -> bool {
        let changes = self.cluster.take_changes();
        let news = self.metrics.take_news();
        let history = &mut self.history;
        let plan =
            self.engine.decide(&self.cluster, &self.metrics, &changes, &news, history, self.now);
        for (name, plan) in plan.trees {
            let reasons = plan.notices.into_iter().map(|notice| notice.reason);
            self.events.extend(reasons.map(|reason| (name.clone(), reason)));
            self.told.insert(name, ClusterWeightedShareStatus::clone(&plan.status));
        }
        let mut moved = !plan.quotas.is_empty();
        for (id, plan) in plan.pools {
            self.decided.insert(id.clone());
            self.said.insert((id.namespace.clone(), id.name.clone()), (*plan.status).clone());
            for resize in plan.resizes {
                moved = true;
                let before = self.cluster.pod(&id.namespace, &resize.pod).unwrap();
                let mut pod = before.clone();
                pod.generation += 1;
                let held = Held { requested: resize.to, admitted: resize.to };
                pod.containers[0].held[resize.resource] = held;
                self.resizes.push((resize.pod.clone(), resize.from, resize.to));
                self.see(Kind::Pod, &id.namespace, &resize.pod, Object::Pod(Box::new(pod)));
            }
        }
        // Quotas are written last, so that what was decided needs no larger ones. Before the first one, nothing bounds.
        let before = self.quotas.clone();
        for (namespace, quota) in plan.quotas {
            let read = quota.map(|quota| {
                let hard = quota.hard.get(Resource::Cpu).unwrap();
                self.quotas.insert(namespace.clone(), hard);
                Quota {
                    name: ENFORCED_QUOTA.into(),
                    of_tree: Some(quota.tree.name),
                    requests: PerResource { cpu: Some(Bounded { hard, used: 0 }), memory: None },
                    ..Quota::default()
                }
            });
            if read.is_none() {
                self.quotas.remove(&namespace);
            }
            self.see(Kind::ResourceQuota, &namespace, ENFORCED_QUOTA, Object::Quota(read));
        }
        for (namespace, hard) in self.quotas.iter().filter(|(it, _)| before.contains_key(*it)) {
            let pods = self.cluster.namespace(namespace).unwrap().pods();
            let held: u64 = pods.map(|pod| pod.charge(Resource::Cpu)).sum();
            assert!(held <= *hard, "{namespace} holds {held}m, and its quota is {hard}m");
        }
        moved
    }

    fn held(&self) -> BTreeMap<String, u64> {
        let pods = self.cluster.namespaces().flat_map(|(_, namespace)| namespace.pods());
        let held =
            |pod: &Pod| (format!("{}/{}", pod.namespace, pod.name), pod.charge(Resource::Cpu));
        pods.map(held).collect()
    }

    /// The condition Ready of a pool: its status and reason.
    fn pool_is(&self, namespace: &str, name: &str) -> (String, String) {
        let status = &self.said[&(namespace.to_owned(), name.to_owned())];
        let ready = status.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
        (ready.status.clone(), ready.reason.clone())
    }

    /// A condition of a tree: its status and reason.
    fn tree_is(&self, name: &str, condition: &str) -> (String, String) {
        let found = self.told[name].conditions.iter().find(|it| it.type_ == condition).unwrap();
        (found.status.clone(), found.reason.clone())
    }
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn amounts(held: &BTreeMap<String, u64>) -> Vec<u64> {
    held.values().copied().collect()
}

/// Two namespaces, 3 : 1, with a pool of one pod each; and 1000m.
fn two_namespaces() -> World {
    let mut world = World::new();
    world.tree(
        "tenants",
        1,
        json!({"capacity": {"cpu": "1"}, "members": [
            {"name": "web", "weight": 300, "namespaces": ["shop"]},
            {"name": "batch", "weight": 100, "namespaces": ["farm"]},
        ]}),
    );
    for (namespace, app) in [("shop", "a"), ("farm", "b")] {
        world.namespace(namespace, json!({}));
        world.pool(namespace, app, "tenants", json!({}));
        world.pod(namespace, app, app, 100);
    }
    world
}
