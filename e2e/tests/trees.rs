//! A tree of pools on a real cluster: three namespaces share it by weight, and it can go and come back without a move.

mod support;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use e2e::kubectl;
use kube::Api;
use serde_json::{Value, json};
use support::{Bench, MINUTE, container, deployment, eventually, identity, member, pod_spec};
use tokio::time::sleep;
use weightedshare::api::{ClusterWeightedShare, ClusterWeightedShareStatus};

const TREE: &str = "tree-of-teams";
/// The namespaces with their weights, and what each of them gets of 700m.
const TEAMS: [(&str, u32, u64); 3] =
    [("tree-gold", 400, 400), ("tree-silver", 200, 200), ("tree-bronze", 100, 100)];

fn tree(members: &Value) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": TREE},
        "spec": {"capacity": {"cpu": "700m"}, "members": members},
    })
}

/// One member for each namespace.
fn members() -> Value {
    let member = |&(namespace, weight, _): &(&str, u32, u64)| {
        let name = namespace.trim_start_matches("tree-");
        json!({"name": name, "weight": weight, "namespaces": [namespace]})
    };
    TEAMS.iter().map(member).collect()
}

/// A pool that takes its capacity from a tree.
fn pool(name: &str, app: &str, tree: &str) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name},
        "spec": {
            "capacityFrom": {"clusterWeightedShare": {"name": tree}},
            "sharing": {"strategy": "Isolated", "nodeReservePercent": 0},
            "members": [member(app, 100)],
        },
    })
}

/// Whether a condition has this status and reason.
fn is(conditions: &Value, type_: &str, status: &str, reason: &str) -> bool {
    let mut all = conditions.as_array().into_iter().flatten();
    all.any(|it| it["type"] == type_ && it["status"] == status && it["reason"] == reason)
}

/// The tree, once a condition of it is so.
async fn told(
    bench: &Bench,
    type_: &str,
    status: &str,
    reason: &str,
) -> Result<ClusterWeightedShareStatus> {
    let trees: Api<ClusterWeightedShare> = Api::all(bench.client.clone());
    eventually(MINUTE, || async {
        let said = trees.get(TREE).await?.status.unwrap_or_default();
        let conditions = serde_json::to_value(&said.conditions)?;
        ensure!(is(&conditions, type_, status, reason), "{}", serde_json::to_string_pretty(&said)?);
        Ok(said)
    })
    .await
}

/// Waits until a pool says that it is not Ready, for this reason.
async fn not_ready(bench: &Bench, pool: &str, reason: &str) -> Result<()> {
    bench
        .status(pool, |status| {
            let conditions = serde_json::to_value(&status.conditions).unwrap_or_default();
            is(&conditions, "Ready", "False", reason) && is(&conditions, "Stalled", "True", reason)
        })
        .await
        .map(drop)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn namespaces_share_a_tree_by_weight_and_it_can_go_and_come_back_without_a_move() -> Result<()>
{
    let mut benches = Vec::new();
    for (namespace, ..) in TEAMS {
        benches.push(Bench::new(namespace).await?);
    }
    let spec = || pod_spec(json!([container("main", json!({"requests": {"cpu": "50m"}}))]));
    for bench in &benches {
        bench.apply(deployment("web", 1, spec())).await?;
        bench.apply(pool("web", "web", TREE)).await?;
    }
    let [gold, _, bronze] = &benches[..] else { bail!("there are three") };
    // A pool that names a missing tree says so, and its pods keep what they hold.
    not_ready(gold, "web", "TreeNotFound").await?;
    gold.holding("web", &[50]).await?;

    kubectl::apply(&tree(&members()).to_string()).await?;
    for (bench, (.., milli)) in benches.iter().zip(TEAMS) {
        bench.holding("web", &[milli]).await?;
    }
    let said = told(gold, "Ready", "True", "Divided").await?;
    println!("{}", serde_json::to_string(&said)?);
    let table = kubectl::run("kubectl", &["get", "cws", TREE], "").await?;
    ensure!(table.contains("700m") && table.contains("Divided"), "{table}");

    // Two pools of a namespace divide what the namespace gets by their weights. No other pod moves.
    let mut second = pool("batch", "batch", TREE);
    second["spec"]["weight"] = json!(300);
    gold.apply(deployment("batch", 1, spec())).await?;
    gold.apply(second).await?;
    gold.holding("batch", &[300]).await?;
    gold.holding("web", &[100]).await?;
    bronze.holding("web", &[100]).await?;

    // A tree that does not list the namespace gives its pools nothing.
    let rich = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
        "metadata": {"name": "tree-of-others"},
        "spec": {"capacity": {"cpu": "8"}, "members": [{"name": "others", "namespaces": ["tree-others"]}]},
    });
    kubectl::apply(&rich.to_string()).await?;
    bronze.apply(pool("web", "web", "tree-of-others")).await?;
    not_ready(bronze, "web", "NamespaceNotInTree").await?;
    bronze.holding("web", &[100]).await?;
    bronze.apply(pool("web", "web", TREE)).await?;
    bronze.settled("web").await?;

    // A broken tree says what is wrong, and no pod moves. No pod moves when it is mended, either.
    let before = identities(&benches).await?;
    let mut broken = members();
    if let Some(members) = broken.as_array_mut() {
        members
            .push(json!({"name": "gone", "clusterWeightedShare": {"name": "tree-that-is-gone"}}));
    }
    kubectl::apply(&tree(&broken).to_string()).await?;
    told(gold, "Stalled", "True", "MemberNotFound").await?;
    not_ready(gold, "batch", "TreeNotDivided").await?;
    sleep(Duration::from_secs(3)).await;
    ensure!(identities(&benches).await? == before, "a pod was resized");
    kubectl::apply(&tree(&members()).to_string()).await?;
    told(gold, "Ready", "True", "Divided").await?;
    ensure!(identities(&benches).await? == before, "a pod was resized");

    for bench in benches {
        bench.end().await?;
    }
    let delete = ["delete", "cws", TREE, "tree-of-others", "--wait=false"];
    kubectl::run("kubectl", &delete, "").await.map(drop)
}

/// The pods of all namespaces, with what they hold.
async fn identities(benches: &[Bench]) -> Result<String> {
    let mut all = String::new();
    for bench in benches {
        let pods = bench.pods().list(&Default::default()).await?.items;
        let held: Vec<u64> = pods.iter().map(|pod| support::actual(pod, "main")).collect();
        all += &format!("{:?} {held:?}\n", identity(&pods));
    }
    Ok(all)
}
