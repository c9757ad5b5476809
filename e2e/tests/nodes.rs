//! Several nodes: a pool over the host and guests, which are silenced, lost, drained, and join again.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    guest_node::{self, GUESTS, GuestNode, Size},
    kubectl,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, container, deployment, eventually, identity, ledger::Ledger, member, of,
    pod_spec, pool,
};

/// The kubelet's lease must be this old before its node is no longer Ready, and the controllers look now and then.
const UNTIL_NOT_READY: Duration = Duration::from_secs(120);

/// A Deployment of one pod that waits on this node.
fn on_node(app: &str, node: &str) -> Value {
    let resources = json!({"requests": {"cpu": "100m", "memory": "16Mi"}});
    let mut spec = pod_spec(json!([container("main", resources)]));
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    // It stays on a node that is silent or lost.
    spec["tolerations"] = json!([
        guest_node::toleration(),
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    ]);
    deployment(app, 1, spec)
}

/// Waits until the cluster knows that the node does not answer.
async fn not_ready(nodes: &Api<Node>, name: &str) -> Result<()> {
    eventually(UNTIL_NOT_READY, || async {
        let node = nodes.get(name).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let status = ready.context("no condition yet")?.status;
        ensure!(status == "Unknown", "{name} is Ready: {status}");
        Ok(())
    })
    .await
}

/// What the pods of a member hold, actually, in millicores.
async fn held(bench: &Bench, app: &str) -> Result<u64> {
    Ok(bench.running(app, 1).await?.iter().map(|pod| actual(pod, "main")).sum())
}

/// Waits until the two pods on the host hold so much, actually, in millicores.
async fn near_hold(bench: &Bench, near: u64, also_near: u64) -> Result<()> {
    eventually(MINUTE, || async {
        let now = (held(bench, "near").await?, held(bench, "also-near").await?);
        ensure!(now == (near, also_near), "near and also-near hold {}m and {}m", now.0, now.1);
        Ok(())
    })
    .await
}

fn members(near: u32, also_near: u32, far: u32) -> Value {
    json!([member("near", near), member("also-near", also_near), member("far", far)])
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pool_outlives_a_node_that_is_silent_lost_and_joins_again() -> Result<()> {
    let bench = Bench::new("nodes").await?;
    let nodes: Api<Node> = Api::all(bench.client.clone());
    let guest = GuestNode::start(&bench.cluster, 3, Size::default()).await?;
    let name = guest.name();
    for (app, node) in [("near", e2e::node::NAME), ("also-near", e2e::node::NAME), ("far", &name)] {
        bench.apply(on_node(app, node)).await?;
    }
    eventually(2 * MINUTE, || bench.running("far", 1)).await?;
    bench.apply(pool("pool", json!({"cpu": "600m"}), members(100, 100, 100))).await?;
    bench.settled("pool").await?;
    for app in ["near", "also-near", "far"] {
        ensure!(held(&bench, app).await? == 200, "{app} does not hold its third");
    }
    let before = identity(&bench.running("near", 1).await?);

    println!("{name} is silent");
    let silence = guest.silence()?;
    not_ready(&nodes, &name).await?;
    // What the host's own pods have between them is divided anew, whatever becomes of the guest.
    bench.apply(pool("pool", json!({"cpu": "600m"}), members(150, 50, 100))).await?;
    near_hold(&bench, 300, 100).await?;
    drop(silence);
    guest.wait_ready().await?;
    println!("{name} answers again");
    bench.settled("pool").await?;

    println!("{name} is lost");
    let lost = guest.lose().await?;
    not_ready(&nodes, &name).await?;
    bench.apply(pool("pool", json!({"cpu": "600m"}), members(50, 150, 100))).await?;
    near_hold(&bench, 100, 300).await?;

    let _guest = GuestNode::start(&bench.cluster, 3, Size::default()).await?;
    lost.keep();
    println!("{name} has joined again");
    // Its pod runs anew, in the share that it has.
    let status = bench.status("pool", |status| of(status, "far").pods == 1).await?;
    println!("the status of far: {:?}", of(&status, "far").state);
    eventually(3 * MINUTE, || async {
        let held = held(&bench, "far").await?;
        ensure!(held == 200, "far holds {held}m");
        bench.settled("pool").await
    })
    .await?;
    let after = identity(&bench.running("near", 1).await?);
    ensure!(before == after, "a pod on the host was restarted: {before:?} became {after:?}");
    bench.end_with_all().await
}

/// A Deployment, a StatefulSet and a DaemonSet over three nodes, one of which is drained.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pool_over_three_nodes_outlives_a_drain() -> Result<()> {
    let bench = Bench::new("three-nodes").await?;
    let second = GuestNode::start(&bench.cluster, 3, Size::default()).await?;
    let _third = GuestNode::start(&bench.cluster, 4, Size::default()).await?;
    for (kind, name, replicas) in
        [("StatefulSet", "ordered", Some(2)), ("DaemonSet", "everywhere", None)]
    {
        bench.apply(spread(kind, name, replicas)).await?;
    }
    bench.apply(on_node("near", e2e::node::NAME)).await?;
    let everywhere = eventually(3 * MINUTE, || bench.running("everywhere", 3)).await?;
    eventually(3 * MINUTE, || bench.running("ordered", 2)).await?;
    let members = json!([member("near", 100), member("ordered", 100), member("everywhere", 300)]);
    bench.apply(pool("pool", json!({"cpu": "1000m"}), members.clone())).await?;
    bench.settled("pool").await?;
    bench.holding("everywhere", &[200; 3]).await?;
    bench.holding("ordered", &[100; 2]).await?;
    let ledger = Ledger::of(bench.pods(), "", 1_000);
    let before = identity(&bench.running("near", 1).await?);

    println!("{} is drained", second.name());
    let drain =
        ["drain", &second.name(), "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"];
    kubectl::run("kubectl", &drain, "").await?;
    eventually(3 * MINUTE, || async {
        let pods = bench.running("ordered", 2).await?;
        let there = |pod: &Pod| pod.spec.as_ref().and_then(|it| it.node_name.clone());
        ensure!(pods.iter().all(|pod| there(pod) != Some(second.name())), "it is not drained");
        Ok(())
    })
    .await?;
    eventually(3 * MINUTE, || bench.settled("pool")).await?;
    bench.holding("ordered", &[100; 2]).await?;
    // A DaemonSet's pods stay where they are.
    let after = bench.holding("everywhere", &[200; 3]).await?;
    ensure!(identity(&everywhere) == identity(&after), "a pod of the DaemonSet was replaced");
    kubectl::run("kubectl", &["uncordon", &second.name()], "").await?;
    println!("{} takes pods again", second.name());

    bench.apply(pool("pool", json!({"cpu": "500m"}), members)).await?;
    bench.holding("everywhere", &[100; 3]).await?;
    ensure!(identity(&bench.running("near", 1).await?) == before, "a pod was restarted");
    ledger.was_kept().await?;
    bench.end_with_all().await
}

/// A workload whose pods may run on guests: one with `replicas` runs only there.
fn spread(kind: &str, name: &str, replicas: Option<u32>) -> Value {
    let resources = json!({"requests": {"cpu": "50m", "memory": "16Mi"}});
    let mut spec = pod_spec(json!([container("main", resources)]));
    spec["tolerations"] = json!([guest_node::toleration()]);
    if replicas.is_some() {
        // A drain moves its pods, and they stay with the guests.
        let (key, value) = GUESTS;
        spec["nodeSelector"] = json!({key: value});
    }
    let mut workload = deployment(name, 1, spec);
    workload["kind"] = json!(kind);
    match replicas {
        Some(replicas) => workload["spec"]["replicas"] = json!(replicas),
        None => drop(workload["spec"].as_object_mut().map(|spec| spec.remove("replicas"))),
    }
    workload
}

/// The node of a pod is lost for good. Once the pod is past its grace period, the other members share what it held.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_lost_node_held_is_divided_among_the_others() -> Result<()> {
    let bench = Bench::new("lost-node").await?;
    let nodes: Api<Node> = Api::all(bench.client.clone());
    let guest = GuestNode::start(&bench.cluster, 3, Size::default()).await?;
    let name = guest.name();
    bench.apply(on_node("near", e2e::node::NAME)).await?;
    bench.apply(on_node("far", &name)).await?;
    eventually(2 * MINUTE, || bench.running("far", 1)).await?;
    let members = json!([member("near", 100), member("far", 100)]);
    bench.apply(pool("pool", json!({"cpu": "400m"}), members)).await?;
    bench.settled("pool").await?;
    let _lost = guest.lose().await?;
    not_ready(&nodes, &name).await?;
    // As a Deployment's controller, or a person, gives it up.
    let delete = ["-n", &bench.namespace, "delete", "deployment", "far", "--wait=false"];
    kubectl::run("kubectl", &delete, "").await?;
    eventually(MINUTE, || async {
        let held = held(&bench, "near").await?;
        ensure!(held == 400, "near holds {held}m");
        Ok(())
    })
    .await?;
    bench.end().await
}
