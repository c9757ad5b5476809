//! The program itself, on pods and a node that the test plays.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::process::Command;
use weightedshare::{api::StartProfile, cluster, share::Resource};

use crate::{
    CRDS, Here, play_node,
    support::{MINUTE, eventually, holds, member, pool},
};

#[tokio::test]
#[ignore = "needs an API server"]
async fn a_plan_is_made() -> Result<()> {
    let here = Here::prepare().await?;
    play_node().await?;
    let asks = json!({"requests": {"cpu": "300m", "memory": "128Mi"}});
    for name in ["a", "b"] {
        here.pod(name, &asks, true).await?;
    }
    let members = json!([member("a", 100), member("b", 300)]);
    here.apply(pool("pool", json!({"cpu": "1"}), members)).await?;
    let binary = operator::binary().display().to_string();
    let plan = kubectl::run(&binary, &["plan", "-A", "-o", "json"], "").await?;
    let plan: Value = serde_json::from_str(&plan)?;
    let pools = plan["pools"].as_array().context("pools")?;
    let pool = pools.iter().find(|pool| pool["namespace"] == here.place.namespace.as_str());
    let pods = pool.context("the pool is not in the plan")?["pods"].as_array().context("pods")?;
    let planned: Vec<_> =
        pods.iter().map(|pod| (pod["name"].as_str(), pod["cpu"]["to"].as_u64())).collect();
    ensure!(planned == [(Some("a"), Some(250)), (Some("b"), Some(750))], "{plan}");
    println!("{}", kubectl::run(&binary, &["plan", "-n", &here.place.namespace], "").await?);
    here.place.leave().await
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn the_controller_divides_and_lets_go() -> Result<()> {
    let here = Here::prepare().await?;
    play_node().await?;
    let crds = ["apply", "--server-side", "--force-conflicts", "-f", CRDS];
    kubectl::run("kubectl", &crds, "").await?;
    let asks = json!({"requests": {"cpu": "300m", "memory": "128Mi"}});
    for name in ["a", "b"] {
        here.pod(name, &asks, true).await?;
    }
    let mut controller = Command::new(operator::binary())
        .args(["controller", "--health-address=0", "--metrics-address=0", "--recall-address=0"])
        .args(["--lease-namespace", &here.place.namespace])
        .env("LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start the controller")?;
    let members = json!([member("a", 100), member("b", 300)]);
    here.apply(pool("pool", json!({"cpu": "1"}), members)).await?;

    let pool = eventually(MINUTE, || async {
        let mut held = Vec::new();
        for name in ["a", "b"] {
            let pod = cluster::Pod::read(&here.carry_out(name).await?);
            held.push(pod.charge(Resource::Cpu));
        }
        ensure!(held == [250, 750], "they hold {held:?}");
        let pool = here.place.pools().get("pool").await?;
        ensure!(pool.status.as_ref().is_some_and(|status| holds(status, "Ready")), "{pool:?}");
        Ok(pool)
    })
    .await?;
    ensure!(pool.finalizers().len() == 1, "{:?}", pool.finalizers());
    let new_pods: Api<StartProfile> = Api::namespaced(here.client().clone(), &here.place.namespace);
    let starts = new_pods.get("pool").await?.spec.starts;
    ensure!(starts.keys().eq(["app=a", "app=b"]), "{starts:?}");
    let lease = ["get", "lease", "-n", &here.place.namespace, "-o", "name"];
    let lease = kubectl::run("kubectl", &lease, "").await?;
    ensure!(lease.trim() == "lease.coordination.k8s.io/weighted-share", "{lease}");

    here.place.pools().delete("pool", &Default::default()).await?;
    eventually(MINUTE, || async {
        ensure!(here.place.pools().get_opt("pool").await?.is_none(), "the pool is there still");
        Ok(())
    })
    .await?;
    ensure!(controller.try_wait()?.is_none(), "the controller has ended");
    controller.kill().await.context("end the controller")?;
    here.place.leave().await
}
