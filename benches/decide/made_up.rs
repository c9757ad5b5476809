//! A cluster that is made up: pools in fifty namespaces, their pods on nodes that others use as well.

#![allow(clippy::expect_used, reason = "whatever is looked up was made up here")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};
use weightedshare::{
    api::{ClusterWeightedShare, WeightedShare},
    cluster::{Cluster, Event, Kept},
    engine::{FINALIZER, History, Now, Plan, PodResize},
    metrics::{Metrics, PodReading, Readings},
    share::PerResource,
};

use crate::measure::Random;

const NAMESPACES: usize = 50;
/// On each node: pods that belong to a pool, and pods that belong to none.
const ON_A_NODE: usize = 20;
const FOREIGN: usize = 10;

/// How much there is. There is a node for every twenty pods of pools.
pub struct Size {
    pub pods: usize,
    pub pools: usize,
    /// The members of each pool.
    pub members: usize,
    /// All pools are in one tree, of which each namespace is a member.
    pub tree: bool,
}

/// The cluster, and its objects as an API server has them.
pub struct MadeUp {
    pub cluster: Cluster,
    pub metrics: Metrics,
    pools: BTreeMap<(String, String), WeightedShare>,
    pods: BTreeMap<(String, String), Value>,
    names: Vec<(String, String)>,
}

impl MadeUp {
    pub fn new(random: &mut Random, size: &Size) -> Self {
        let mut this = Self {
            cluster: Cluster::default(),
            metrics: Metrics::default(),
            pools: BTreeMap::new(),
            pods: BTreeMap::new(),
            names: Vec::new(),
        };
        let nodes = size.pods / ON_A_NODE;
        (0..nodes).for_each(|node| this.cluster.apply(applied(a_node(&format!("node-{node}")))));
        if size.tree {
            this.cluster.apply(applied(a_tree(size)));
        }
        for pool in 0..size.pools {
            this.add_pool(pool, size);
        }
        let foreign = |pod: usize| (pod / FOREIGN, json!({"app": "foreign"}));
        for pod in 0..nodes * FOREIGN {
            let (node, labels) = foreign(pod);
            this.add_pod("foreign", &format!("foreign-{pod}"), &labels, node, 500);
        }
        for pod in 0..size.pods {
            let (pool, member) = (pod % size.pools, pod / size.pools % size.members);
            let labels = json!({"pool": format!("pool-{pool}"), "app": format!("app-{member}")});
            let node = random.below(nodes as u64) as usize;
            let held = 50 + random.below(300);
            this.add_pod(&namespace_of(pool), &format!("pod-{pod}"), &labels, node, held);
            this.names.push((namespace_of(pool), format!("pod-{pod}")));
        }
        this.measure(random);
        this
    }

    /// Every pod was measured.
    fn measure(&mut self, random: &mut Random) {
        let pods = self.names.iter().map(|(namespace, name)| PodReading {
            namespace: namespace.clone(),
            name: name.clone(),
            used: PerResource { cpu: Some(random.below(300_000_000)), memory: Some(32 << 20) },
            ..PodReading::default()
        });
        self.metrics.expect("made up", true, true);
        let readings = Readings { pods: pods.collect(), ..Readings::default() };
        self.metrics.take("made up", Ok(readings));
    }

    fn add_pool(&mut self, number: usize, size: &Size) {
        let members: Vec<Value> = (0..size.members)
            .map(|member| {
                json!({
                    "name": format!("app-{member}"),
                    "weight": 100 * (1 + member),
                    "selector": {"matchLabels": {
                        "pool": format!("pool-{number}"), "app": format!("app-{member}"),
                    }},
                })
            })
            .collect();
        let each = size.pods / size.pools;
        let (of, amounts) = match size.tree {
            true => ("capacityFrom", json!({"clusterWeightedShare": {"name": "tree"}})),
            false => ("capacity", amounts(each)),
        };
        let pool = json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {
                "name": format!("pool-{number}"), "namespace": namespace_of(number),
                "uid": format!("uid-of-pool-{number}"), "resourceVersion": "1", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER],
            },
            "spec": {of: amounts, "members": members},
        });
        let pool: WeightedShare = serde_json::from_value(pool).expect("a pool");
        self.cluster.apply(applied(pool.clone()));
        self.pools.insert((namespace_of(number), format!("pool-{number}")), pool);
    }

    fn add_pod(&mut self, namespace: &str, name: &str, labels: &Value, node: usize, held: u64) {
        let pod = a_pod(namespace, name, labels, &format!("node-{node}"), held);
        self.cluster.apply(applied(read(&pod)));
        self.pods.insert((namespace.to_owned(), name.to_owned()), pod);
    }

    /// Moves the CPU request of a random pod by one millicore.
    pub fn change_a_pod(&mut self, random: &mut Random) -> Event {
        let name = &self.names[random.below(self.names.len() as u64) as usize];
        let pod = self.pods.get_mut(name).expect("a pod");
        let held = pod["held"].as_u64().unwrap_or_default();
        set(pod, "cpu", if held.is_multiple_of(2) { held + 1 } else { held - 1 });
        applied(read(pod))
    }

    /// All that was planned is done, and the nodes have followed.
    pub fn carry_out(&mut self, plan: &Plan, history: &mut History, now: Now) {
        for (id, pool) in &plan.pools {
            for resize in &pool.resizes {
                self.resize(resize);
                let sent = vec![resize.clone()];
                history.resized(Some(id), &sent.clone(), sent, None, now);
            }
            if pool.is_reported {
                continue;
            }
            let key = (id.namespace.clone(), id.name.clone());
            let shown = self.pools.get_mut(&key).expect("a pool");
            let version: u64 = shown
                .metadata
                .resource_version
                .as_deref()
                .unwrap_or("1")
                .parse()
                .expect("a version");
            shown.metadata.resource_version = Some((version + 1).to_string());
            shown.status = Some((*pool.status).clone());
            history.reported(id, &pool.status);
            self.cluster.set_status(id, shown);
        }
    }

    fn resize(&mut self, resize: &PodResize) {
        let key = (resize.namespace.clone(), resize.pod.clone());
        let pod = self.pods.get_mut(&key).expect("a pod");
        set(pod, resize.resource.name(), resize.to);
        self.cluster.apply(applied(read(pod)));
    }
}

/// What so many pods share.
fn amounts(pods: usize) -> Value {
    json!({"cpu": format!("{}m", pods * 200), "memory": format!("{}Mi", pods * 64)})
}

/// A tree of which each namespace is a member.
fn a_tree(size: &Size) -> ClusterWeightedShare {
    let member = |number: usize| {
        let namespace = namespace_of(number);
        json!({"name": namespace, "weight": 100 + number, "namespaces": [namespace]})
    };
    let tree = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
        "metadata": {"name": "tree", "uid": "uid-of-tree", "resourceVersion": "1", "generation": 1},
        "spec": {
            "capacity": amounts(size.pods),
            "members": (0..NAMESPACES).map(member).collect::<Vec<_>>(),
        },
    });
    serde_json::from_value(tree).expect("a tree")
}

/// A node that joins, or is gone.
pub fn spare_node(joins: bool) -> Event {
    let node = a_node("spare");
    if joins { applied(node) } else { Event::Deleted(node.key()) }
}

fn applied(object: impl Kept) -> Event {
    Event::Applied(object.key(), object.read())
}

fn namespace_of(pool: usize) -> String {
    format!("team-{}", pool % NAMESPACES)
}

fn a_node(name: &str) -> core::Node {
    let node = json!({
        "metadata": {"name": name},
        "status": {"allocatable": {"cpu": "64", "memory": "256Gi"}},
    });
    serde_json::from_value(node).expect("a node")
}

/// A pod that runs, with what it holds.
fn a_pod(namespace: &str, name: &str, labels: &Value, node: &str, held: u64) -> Value {
    let mut pod = json!({
        "held": 0,
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("uid-of-{name}"), "labels": labels,
            "resourceVersion": "1", "generation": 1,
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "resources": {"requests": {"memory": "64Mi"}}}],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "observedGeneration": 1,
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "allocatedResources": {"memory": "64Mi"},
                "resources": {"requests": {"memory": "64Mi"}},
            }],
        },
    });
    set(&mut pod, "cpu", held);
    pod
}

/// A pod asks for so much of a resource, and holds it.
fn set(pod: &mut Value, resource: &str, amount: u64) {
    let quantity = if resource == "cpu" { format!("{amount}m") } else { amount.to_string() };
    if resource == "cpu" {
        pod["held"] = amount.into();
    }
    let generation = pod["metadata"]["generation"].as_u64().unwrap_or_default() + 1;
    pod["metadata"]["generation"] = generation.into();
    pod["metadata"]["resourceVersion"] = generation.to_string().into();
    pod["status"]["observedGeneration"] = generation.into();
    let of_container = &mut pod["status"]["containerStatuses"][0];
    of_container["allocatedResources"][resource] = quantity.clone().into();
    of_container["resources"]["requests"][resource] = quantity.clone().into();
    pod["spec"]["containers"][0]["resources"]["requests"][resource] = quantity.into();
}

fn read(pod: &Value) -> core::Pod {
    serde_json::from_value(pod.clone()).expect("a pod")
}
