//! A tree of pools over two nodes with cgroup v2: what its namespaces and pools get of their CPU time while some of them sleep, and
//! once they wake.

mod support;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    guest_node::{GuestNode, Size},
    kubectl, operator,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, container, deployment, eventually,
    judge::{Judge, percent},
    pod_spec,
};
use tokio::process::Command;
use weightedshare::share::{CpuWeight, MilliCpu};

const TREE: &str = "tree-over-nodes";
/// The namespaces with their weights.
const TEAMS: [(&str, u32); 3] = [("nodes-gold", 400), ("nodes-silver", 200), ("nodes-bronze", 100)];
/// The pools of each of them with their weights.
const POOLS: [(&str, u32); 2] = [("front", 200), ("back", 100)];
/// The numbers of the nodes.
const NODES: [u8; 2] = [2, 3];
/// How long CPU time is measured.
const WINDOW: Duration = Duration::from_secs(30);
/// How far CPU time may be from what weights say, in percent of the node.
const TOLERANCE: f64 = 3.0;

/// A container that sleeps, and uses all the CPU that it gets once there is a file.
fn sleeper() -> Value {
    let mut container = container("main", json!({"requests": {"cpu": "50m", "memory": "16Mi"}}));
    let script = "trap 'kill 0; exit 0' TERM; (while :; do if [ -e /tmp/awake ]; then n=0; \
                  while [ $n -lt 2000 ]; do n=$((n+1)); done; else sleep 1; fi; done) & wait";
    container["command"] = json!(["sh", "-c", script]);
    container
}

/// A pool of the tree, with its pods on both nodes.
fn pool(name: &str, weight: u32) -> Value {
    let apps = NODES.map(|node| format!("{name}-{node}"));
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]});
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name},
        "spec": {
            "weight": weight,
            "capacityFrom": {"clusterWeightedShare": {"name": TREE}},
            "sharing": {"nodeReservePercent": 0},
            "members": [{"name": "all", "selector": selector}],
        },
    })
}

/// A pod of a pool on one of the nodes.
struct Placed {
    team: usize,
    pool: &'static str,
    node: usize,
    pod: Pod,
}

/// The teams, the nodes, and who is awake.
struct Company {
    benches: Vec<Bench>,
    judges: Vec<Judge>,
    awake: Vec<usize>,
}

impl Company {
    async fn new() -> Result<Self> {
        let mut benches = Vec::new();
        for (namespace, _) in TEAMS {
            benches.push(Bench::new(namespace).await?);
        }
        let mut judges = Vec::new();
        for number in NODES {
            let guest = GuestNode::start(&benches[0].cluster, number, Size::default()).await?;
            judges.push(Judge::Guest(Box::new(guest)));
        }
        for bench in &benches {
            for (name, weight) in POOLS {
                for (number, judge) in NODES.iter().zip(&judges) {
                    let spec = judge.put(pod_spec(json!([sleeper()])));
                    bench.apply(deployment(&format!("{name}-{number}"), 1, spec)).await?;
                }
                bench.apply(pool(name, weight)).await?;
            }
        }
        let members: Vec<Value> = TEAMS
            .iter()
            .map(|(name, weight)| json!({"name": name, "weight": weight, "namespaces": [name]}))
            .collect();
        let tree = json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "ClusterWeightedShare",
            "metadata": {"name": TREE},
            "spec": {"capacity": {"cpu": "1680m"}, "members": members},
        });
        kubectl::apply(&tree.to_string()).await?;
        Ok(Self { benches, judges, awake: Vec::new() })
    }

    /// All pods, by team, pool and node.
    async fn pods(&self) -> Result<Vec<Placed>> {
        let mut all = Vec::new();
        for (team, bench) in self.benches.iter().enumerate() {
            for (pool, _) in POOLS {
                for (node, number) in NODES.iter().enumerate() {
                    let app = format!("{pool}-{number}");
                    let pod = eventually(4 * MINUTE, || bench.running(&app, 1)).await?.remove(0);
                    all.push(Placed { team, pool, node, pod });
                }
            }
        }
        Ok(all)
    }

    /// All pods of a team have work from now on.
    async fn wake(&mut self, team: usize) -> Result<()> {
        let (namespace, _) = TEAMS[team];
        for (pool, _) in POOLS {
            for number in NODES {
                let deployment = format!("deployment/{pool}-{number}");
                let touch = ["exec", "-n", namespace, &*deployment, "--", "touch", "/tmp/awake"];
                kubectl::run("kubectl", &touch, "").await?;
            }
        }
        self.awake.push(team);
        Ok(())
    }

    /// The pods once each holds what the plan says, with that in millicores, in their order.
    async fn settled(&self) -> Result<(Vec<Placed>, Vec<u64>)> {
        eventually(6 * MINUTE, || async {
            let planned = planned().await?;
            let pods = self.pods().await?;
            let mut shares = Vec::new();
            for Placed { team, pod, .. } in &pods {
                let name = pod.metadata.name.clone().unwrap_or_default();
                let share = planned.get(&(TEAMS[*team].0.to_owned(), name.clone()));
                let share = *share.with_context(|| format!("{name} is not in the plan"))?;
                let held = actual(pod, "main");
                ensure!(held == share, "{name} holds {held}m of {share}m");
                shares.push(share);
            }
            Ok((pods, shares))
        })
        .await
    }

    /// What the namespaces and pools get of each node is what their weights say, and these are those of the plan.
    async fn judge(&self, phase: &str) -> Result<()> {
        // A resize in the meantime would blur it.
        eventually(8 * MINUTE, || async {
            let (pods, shares) = self.settled().await?;
            let mut told = Vec::new();
            for node in 0..NODES.len() {
                let here =
                    |it: &(&Placed, &u64)| it.0.node == node && self.awake.contains(&it.0.team);
                let (awake, shares): (Vec<&Placed>, Vec<u64>) =
                    pods.iter().zip(&shares).filter(here).map(|(pod, share)| (pod, *share)).unzip();
                let awake_pods: Vec<&Pod> = awake.iter().map(|it| &it.pod).collect();
                let weights = self.judges[node].weights(&awake_pods).await?;
                let of_plan: Vec<u64> =
                    shares.iter().map(|share| CpuWeight::of(MilliCpu(*share)).0).collect();
                ensure!(weights == of_plan, "the kernel weighs {weights:?}, the plan {of_plan:?}");
                told.push((awake, weights));
            }
            let mut got = Vec::new();
            for (judge, (awake, _)) in self.judges.iter().zip(&told) {
                let pods: Vec<&Pod> = awake.iter().map(|it| &it.pod).collect();
                got.push(judge.percent(&pods, WINDOW).await?);
            }
            let (_, after) = self.settled().await?;
            ensure!(after == shares, "shares moved meanwhile: {shares:?} became {after:?}");
            for (node, ((awake, weights), got)) in told.iter().zip(got).enumerate() {
                compare(&format!("{phase}, node {node}"), awake, &percent(weights), &got)?;
            }
            Ok(())
        })
        .await
        .with_context(|| phase.to_owned())
    }
}

/// Holds what namespaces and their pools got of a node against what weights say, both in percent.
fn compare(what: &str, awake: &[&Placed], says: &[f64], got: &[f64]) -> Result<()> {
    let mut sums: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for ((placed, says), got) in awake.iter().zip(says).zip(got) {
        let namespace = TEAMS[placed.team].0;
        for name in [namespace.to_owned(), format!("{namespace}/{}", placed.pool)] {
            let sum = sums.entry(name).or_default();
            *sum = [sum[0] + says, sum[1] + got];
        }
    }
    println!("{what}:");
    for (name, [says, got]) in &sums {
        println!("  {name:<20} {says:5.1} % by weight, {got:5.1} % of the CPU time");
    }
    let far = sums.iter().find(|(_, [says, got])| (says - got).abs() > TOLERANCE);
    ensure!(far.is_none(), "{what}: {far:?}");
    Ok(())
}

/// What each pod would hold, by namespace and name, in millicores: the plan of all namespaces.
async fn planned() -> Result<BTreeMap<(String, String), u64>> {
    let plan = Command::new(operator::binary()).args(["plan", "-A", "-o", "json"]).output().await?;
    ensure!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    let plan: Value = serde_json::from_slice(&plan.stdout)?;
    let mut all = BTreeMap::new();
    for pool in plan["pools"].as_array().into_iter().flatten() {
        let namespace = pool["namespace"].as_str().context("a namespace")?;
        for pod in pool["pods"].as_array().into_iter().flatten() {
            let name = pod["name"].as_str().context("a name")?;
            let to = pod["cpu"]["to"].as_u64().context("an amount")?;
            all.insert((namespace.to_owned(), name.to_owned()), to);
        }
    }
    Ok(all)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn namespaces_get_the_cpu_time_of_two_nodes_by_weight_while_others_sleep_and_wake()
-> Result<()> {
    let mut company = Company::new().await?;
    company.wake(2).await?;
    company.judge("bronze has work").await?;
    company.wake(1).await?;
    company.judge("silver wakes").await?;
    company.wake(0).await?;
    company.judge("gold wakes").await?;
    let Company { benches, judges, .. } = company;
    for bench in benches {
        bench.end().await?;
    }
    drop(judges);
    kubectl::run("kubectl", &["delete", "cws", TREE, "--wait=false"], "").await.map(drop)
}
