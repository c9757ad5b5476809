//! A tree of four levels over 200 namespaces and a thousand nodes that kwok plays, as they join and leave.

mod support;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e::{
    audit, kubectl,
    kwok::{FAKE, FakeNodes},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use support::{Bench, MINUTE, actual, eventually};
use tokio::time::Instant;

const ROOT: &str = "scale-company";
/// The weights of the divisions, of the departments of each, and of the namespaces of each of these. The least of these owns more
/// than the floors of its pods, of 400 nodes, too.
const DIVISIONS: [u64; 4] = [400, 300, 200, 100];
const DEPARTMENTS: [u64; 5] = [300, 250, 200, 150, 100];
const NAMESPACES: [u64; 10] = [190, 180, 170, 160, 150, 140, 130, 120, 110, 100];
const PODS_OF_NAMESPACE: usize = 2;
/// What a node can allocate, in cores, and what of it is the tree's, in millicores.
const NODE: &str = "8";
const OF_NODE: u64 = 80;
/// The pods are on so many nodes: these stay.
const WITH_PODS: usize = 100;
/// Each level rounds to whole millicores, so that a namespace may be so far from the exact part.
const ROUNDED: f64 = 4.0;
/// A pod is not resized for less than a twentieth of its share, unless the tree was edited.
const NOT_WORTH_A_MOVE: f64 = 0.05;
/// How often a pod may be resized in one step, on average.
const RESIZES: f64 = 3.0;

/// A namespace of the tree.
struct Leaf {
    namespace: String,
    department: String,
    weight: u64,
    /// Its part of all.
    part: f64,
}

/// All namespaces.
fn leaves() -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (i, division) in DIVISIONS.into_iter().enumerate() {
        for (j, department) in DEPARTMENTS.into_iter().enumerate() {
            for (k, weight) in NAMESPACES.into_iter().enumerate() {
                let of = |weight: u64, all: &[u64]| weight as f64 / all.iter().sum::<u64>() as f64;
                leaves.push(Leaf {
                    namespace: format!("scale-{i}-{j}-{k}"),
                    department: format!("scale-{i}-{j}"),
                    weight,
                    part: of(division, &DIVISIONS)
                        * of(department, &DEPARTMENTS)
                        * of(weight, &NAMESPACES),
                });
            }
        }
    }
    leaves
}

/// The ClusterWeightedShares, the root first.
fn trees(leaves: &[Leaf]) -> Vec<Value> {
    let tree = |name: &str, mut spec: Value, members: Vec<Value>| {
        spec["members"] = members.into();
        json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
            "metadata": {"name": name}, "spec": spec,
        })
    };
    let part = |name: &str, weight: u64| json!({"name": name, "weight": weight, "clusterWeightedShare": {"name": name}});
    let numbered = |prefix: &str, weights: &[u64]| -> Vec<Value> {
        let all = weights.iter().enumerate();
        all.map(|(i, weight)| part(&format!("{prefix}-{i}"), *weight)).collect()
    };
    let (key, value) = FAKE;
    let nodes = json!({"nodes": {"selector": {"matchLabels": {key: value}}, "percent": 1}});
    let mut trees = vec![tree(ROOT, nodes, numbered("scale", &DIVISIONS))];
    for i in 0..DIVISIONS.len() {
        let name = format!("scale-{i}");
        trees.push(tree(&name, json!({}), numbered(&name, &DEPARTMENTS)));
    }
    let mut departments: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Leaf { namespace, department, weight, .. } in leaves {
        let member = json!({"name": namespace, "weight": weight, "namespaces": [namespace]});
        departments.entry(department).or_default().push(member);
    }
    trees.extend(departments.into_iter().map(|(name, members)| tree(name, json!({}), members)));
    trees
}

fn pool(namespace: &str, department: &str) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {"name": "all", "namespace": namespace},
        "spec": {
            "capacityFrom": {"clusterWeightedShare": {"name": department}},
            "sharing": {"strategy": "Isolated", "nodeReservePercent": 0},
            "members": [{"name": "all", "selector": {}}],
        },
    })
}

fn pod(namespace: &str, index: usize, node: usize) -> Value {
    let (key, _) = FAKE;
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{index}"), "namespace": namespace, "labels": {"part-of": ROOT}},
        "spec": {
            "nodeName": format!("fake-{node}"), "automountServiceAccountToken": false,
            "tolerations": [{"key": key, "operator": "Exists"}],
            "containers": [{"name": "main", "image": "fake", "resources": {"requests": {"cpu": "50m"}}}],
        },
    })
}

/// The company on its nodes, and what became of it.
struct Company {
    bench: Bench,
    nodes: FakeNodes,
    leaves: Vec<Leaf>,
}

impl Company {
    async fn new(nodes: usize) -> Result<Self> {
        // The namespace of the bench has no pods.
        let bench = Bench::new("scale-aside").await?;
        let nodes = FakeNodes::start(&bench.cluster, nodes, NODE, "32Gi").await?;
        let leaves = leaves();
        let mut objects = trees(&leaves);
        let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        objects.extend(leaves.iter().map(|leaf| namespace(&leaf.namespace)));
        objects.extend(leaves.iter().map(|leaf| pool(&leaf.namespace, &leaf.department)));
        let mut places = (0..WITH_PODS).cycle();
        for leaf in &leaves {
            let pods = (0..PODS_OF_NAMESPACE).zip(&mut places);
            objects.extend(pods.map(|(index, node)| pod(&leaf.namespace, index, node)));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        kubectl::apply(&list.to_string()).await?;
        Ok(Self { bench, nodes, leaves })
    }

    /// Waits until all namespaces hold their part of what so many nodes have, and returns how many resizes that took for each
    /// pod.
    async fn divided(&self, step: &str, nodes: usize, since: Timestamp) -> Result<f64> {
        let capacity = OF_NODE * nodes as u64;
        let began = Instant::now();
        let pods: Api<Pod> = Api::all(self.bench.client.clone());
        let on_fakes = ListParams::default().labels("part-of=scale-company");
        let held = eventually(5 * MINUTE, || async {
            let mut held: BTreeMap<String, u64> = BTreeMap::new();
            for pod in pods.list(&on_fakes).await? {
                let namespace = pod.metadata.namespace.clone().unwrap_or_default();
                *held.entry(namespace).or_default() += actual(&pod, "main");
            }
            for Leaf { namespace, part, .. } in &self.leaves {
                let (held, exact) = (held.get(namespace).copied(), part * capacity as f64);
                let off = (held.unwrap_or_default() as f64 - exact).abs();
                let small = exact * NOT_WORTH_A_MOVE;
                ensure!(
                    off <= ROUNDED + small,
                    "{step}: {namespace} holds {held:?} of {exact:.1}m"
                );
            }
            let all: u64 = held.values().sum();
            ensure!(all <= capacity, "{step}: all hold {all}m of {capacity}m");
            Ok(all)
        })
        .await?;
        let took = began.elapsed().as_secs_f32();
        let writes = audit::writes(&self.bench.cluster.own()?.audit_log(), since)?;
        let resizes =
            writes.iter().filter(|it| it.is_of_operator() && it.resource == "pods/resize");
        let (resizes, pods) = (resizes.count(), self.leaves.len() * PODS_OF_NAMESPACE);
        println!(
            "{step}: {held}m of {capacity}m on {nodes} nodes after {took:.1} s, {resizes} resizes"
        );
        Ok(resizes as f64 / pods as f64)
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_tree_of_four_levels_follows_a_thousand_nodes() -> Result<()> {
    let began = Timestamp::now();
    let mut company = Company::new(400).await?;
    // Here pools and pods come one after the other, and each of them changes what the others own.
    company.divided("at first", 400, began).await?;
    for (step, joins, leaves) in
        [("600 join", 600, 0), ("500 leave", 0, 500), ("500 come back", 500, 0)]
    {
        let since = Timestamp::now();
        company.nodes.join(joins).await?;
        company.nodes.leave(leaves).await?;
        let resizes = company.divided(step, company.nodes.count(), since).await?;
        ensure!(resizes <= RESIZES, "{step}: {resizes} resizes of each pod");
    }
    let Company { bench, mut nodes, leaves } = company;
    let mut delete = vec!["delete", "namespaces", "--wait=false"];
    delete.extend(leaves.iter().map(|leaf| leaf.namespace.as_str()));
    kubectl::run("kubectl", &delete, "").await?;
    kubectl::run("kubectl", &["delete", "cws", "--all", "--wait=false"], "").await?;
    // Their pods go with the namespaces.
    nodes.leave(nodes.count()).await?;
    drop(nodes);
    bench.end().await
}
