//! Promises on a real node, in situations that once broke them.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::kubectl;
use serde_json::{Value, json};
use support::{
    Bench, actual, bare_pod, container, cpu_charge, deployment, holds, ledger::Ledger, member,
    pod_spec,
};
use tokio::time::sleep;

fn asking(requests: Value, limits: Value) -> Value {
    pod_spec(json!([container("main", json!({"requests": requests, "limits": limits}))]))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_that_outlive_their_deployment_are_charged_until_they_are_gone() -> Result<()> {
    let bench = Bench::new("laws-leaving").await?;
    let mut slow = container("main", json!({"requests": {"cpu": "100m", "memory": "16Mi"}}));
    let script = "trap 'sleep 12; exit 0' TERM; while :; do sleep 3600 & wait; done";
    slow["command"] = json!(["sh", "-c", script]);
    let slow = json!({"terminationGracePeriodSeconds": 30, "containers": [slow]});
    bench.apply(deployment("web", 1, slow)).await?;
    let quick = asking(json!({"cpu": "100m", "memory": "16Mi"}), json!({}));
    bench.apply(deployment("batch", 1, quick)).await?;
    let by_target = |name: &str| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
        json!({"name": name, "targetRef": target})
    };
    bench.pool("pool", "900m", json!([by_target("web"), by_target("batch")])).await?;
    bench.holding("web", &[450]).await?;
    bench.holding("batch", &[450]).await?;

    let ledger = Ledger::of(bench.pods(), "", 900);
    let delete = ["-n", &bench.namespace, "delete", "deployment", "web", "--wait=false"];
    kubectl::run("kubectl", &delete, "").await?;
    sleep(Duration::from_secs(8)).await;
    let batch = bench.running("batch", 1).await?;
    ensure!(actual(&batch[0], "main") == 450, "it took what the other still holds");
    bench.holding("batch", &[900]).await?;
    ledger.was_kept().await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pod_level_resources_are_charged_and_resized() -> Result<()> {
    let bench = Bench::new("laws-pod-level").await?;
    let mut whole = pod_spec(json!([container("main", json!({}))]));
    whole["resources"] = json!({"requests": {"cpu": "600m", "memory": "32Mi"}});
    bench.apply(bare_pod("whole", "whole", whole)).await?;
    let parts = asking(json!({"cpu": "100m", "memory": "16Mi"}), json!({}));
    bench.apply(bare_pod("parts", "parts", parts)).await?;
    let before = bench.running("whole", 1).await?;
    bench.running("parts", 1).await?;
    let ledger = Ledger::of(bench.pods(), "", 900);
    bench.pool("pool", "900m", json!([member("whole", 100), member("parts", 200)])).await?;
    bench.holding("parts", &[600]).await?;
    bench.settled("pool").await?;
    let whole = bench.running("whole", 1).await?;
    ensure!(cpu_charge(&whole[0]) == 300, "it is charged {}m", cpu_charge(&whole[0]));
    ensure!(support::identity(&whole) == support::identity(&before), "it was restarted");
    ledger.was_kept().await?;
    bench.end().await
}

/// A pending pod of another namespace gets the room that pods hold beyond what they started with, and no more.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_waits_elsewhere_takes_nothing_of_what_a_pod_started_with() -> Result<()> {
    let (bench, other) = (Bench::new("laws-stakes").await?, Bench::new("laws-other").await?);
    let room = bench.room().await?;
    let template = room * 6 / 10;
    let asks = |milli: u64| asking(json!({"cpu": format!("{milli}m")}), json!({}));
    bench.apply(deployment("web", 1, asks(template))).await?;
    bench.pool("pool", &format!("{room}m"), json!([member("web", 100)])).await?;
    bench.holding("web", &[room]).await?;

    // More than is left beside the template: it waits, as it would without us.
    other.apply(bare_pod("large", "large", asks(room - template + 50))).await?;
    let mut observing = support::pool("pool", json!({"cpu": "1M"}), json!([member("large", 100)]));
    observing["spec"]["mode"] = json!("Observe");
    other.apply(observing).await?;
    for _ in 0..15 {
        sleep(Duration::from_secs(1)).await;
        let held = cpu_charge(&bench.running("web", 1).await?[0]);
        ensure!(held >= template, "it holds {held}m of {template}m");
    }
    ensure!(node_of(&other, "large").await?.is_none(), "it was given room that is another's");
    kubectl::run("kubectl", &["-n", "laws-other", "delete", "pod", "large"], "").await?;

    // What fits beside the template gets its room.
    bench.gives_room(&other, asks(room - template - 50), template).await?;
    other.end().await?;
    bench.end().await
}

async fn node_of(bench: &Bench, pod: &str) -> Result<Option<String>> {
    Ok(bench.pods().get(pod).await?.spec.and_then(|spec| spec.node_name))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_limit_range_would_refuse_is_known_and_holds_up_nobody() -> Result<()> {
    let bench = Bench::new("laws-ratio").await?;
    limit_range(&bench, json!({"maxLimitRequestRatio": {"cpu": "4"}})).await?;
    for app in ["heavy", "light"] {
        let spec = asking(json!({"cpu": "300m", "memory": "16Mi"}), json!({"cpu": "1200m"}));
        bench.apply(deployment(app, 1, spec)).await?;
    }
    bench.pool("pool", "1200m", json!([member("heavy", 900), member("light", 100)])).await?;
    bench.holding("heavy", &[900]).await?;
    bench.holding("light", &[300]).await?;
    let status = bench.settled("pool").await?;
    ensure!(!holds(&status, "Stalled"), "{:?}", status.conditions);
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_goes_back_to_what_a_limit_range_gave_it() -> Result<()> {
    let bench = Bench::new("laws-default").await?;
    limit_range(&bench, json!({"defaultRequest": {"cpu": "200m"}})).await?;
    bench.apply(deployment("web", 1, asking(json!({"memory": "16Mi"}), json!({})))).await?;
    bench.holding("web", &[200]).await?;
    bench.pool("pool", "500m", json!([member("web", 100)])).await?;
    bench.holding("web", &[500]).await?;
    kubectl::run("kubectl", &["-n", "laws-default", "delete", "ws", "pool"], "").await?;
    bench.holding("web", &[200]).await?;
    bench.end().await
}

/// Bounds what the containers of the namespace ask for.
async fn limit_range(bench: &Bench, mut bounds: Value) -> Result<()> {
    bounds["type"] = json!("Container");
    bench
        .apply(json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds"},
            "spec": {"limits": [bounds]},
        }))
        .await
}
