//! What happens while a pool is at work: scaling, rollouts, members that come and go, the end of the pool.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::kubectl;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use support::{Bench, container, cpu_share, deployment, identity, member, pod_spec};
use tokio::time::Instant;

fn waiting(cpu: &str) -> serde_json::Value {
    pod_spec(json!([container("main", json!({"requests": {"cpu": cpu, "memory": "16Mi"}}))]))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn scaling_moves_shares_and_deleting_gives_everything_back() -> Result<()> {
    let bench = Bench::new("scaling").await?;
    bench.apply(deployment("left", 1, waiting("50m"))).await?;
    bench.apply(deployment("right", 1, waiting("60m"))).await?;
    let mut per_replica = member("right", 100);
    per_replica["weightPer"] = json!("Replica");
    bench.pool("pool", "600m", json!([member("left", 100), per_replica.clone()])).await?;
    let left = bench.holding("left", &[300]).await?;
    bench.holding("right", &[300]).await?;

    // Scaling the one that weighs by member buys it nothing; by replica, it does.
    let scale = async |app: &str, replicas: u32| {
        let replicas = format!("--replicas={replicas}");
        kubectl::run("kubectl", &["-n", "scaling", "scale", "deployment", app, &replicas], "").await
    };
    scale("left", 3).await?;
    bench.holding("left", &[100, 100, 100]).await?;
    bench.holding("right", &[300]).await?;
    scale("right", 2).await?;
    bench.holding("right", &[200, 200]).await?;
    bench.settled_with("pool", |status| cpu_share(status, "left") == 200).await?;
    // A member whose pods are all gone leaves its part to the other.
    scale("right", 0).await?;
    let all = bench.running("left", 3).await?;
    bench.holding("left", &[200, 200, 200]).await?;
    scale("right", 1).await?;
    bench.holding("right", &[300]).await?;

    // A member that leaves the pool goes back to its template, and so do all when the pool goes.
    bench.pool("pool", "600m", json!([per_replica])).await?;
    bench.holding("left", &[50, 50, 50]).await?;
    bench.holding("right", &[600]).await?;
    kubectl::run("kubectl", &["-n", "scaling", "delete", "ws", "pool"], "").await?;
    bench.holding("right", &[60]).await?;
    let after = bench.running("left", 3).await?;
    ensure!(identity(&after) == identity(&all), "pods were restarted");
    ensure!(identity(&after).contains(&identity(&left)[0]), "the first pod was replaced");
    bench.end().await
}

/// The node is full only through what we grew: the pool gives back what the new pod needs.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_rollout_without_unavailability_goes_through_on_a_full_node() -> Result<()> {
    let bench = Bench::new("rollout").await?;
    let mut web = deployment("web", 1, waiting("200m"));
    web["spec"]["strategy"] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    });
    bench.apply(web).await?;
    bench.apply(deployment("batch", 1, waiting("100m"))).await?;
    bench.running("web", 1).await?;
    bench.running("batch", 1).await?;

    let room = bench.room().await?;
    bench
        .pool("pool", &format!("{room}m"), json!([member("web", 300), member("batch", 100)]))
        .await?;
    let share = cpu_share(&bench.settled("pool").await?, "web");
    bench.holding("web", &[share]).await?;
    println!("the node is full: web holds {share}m of {room}m");

    let began = Instant::now();
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), "rollout");
    let again = json!({"spec": {"template": {"metadata": {"annotations": {"rollout": "again"}}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(again)).await?;
    let arguments = ["-n", "rollout", "rollout", "status", "deployment/web", "--timeout=120s"];
    kubectl::run("kubectl", &arguments, "").await?;
    let took = began.elapsed();
    println!("the rollout took {:.1} s", took.as_secs_f32());
    ensure!(took < Duration::from_secs(60), "the rollout took {took:?}");
    let shared = |status: &_| cpu_share(status, "web") + cpu_share(status, "batch");
    bench.settled_with("pool", |status| room == shared(status)).await?;
    // When the old pod is gone, the new one has the whole part.
    bench.holding("web", &[share]).await?;
    bench.end().await
}
