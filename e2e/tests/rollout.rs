//! Room for what comes: rollouts where a node and a quota are full only through what the pool grew.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::kubectl;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, container, cpu_share, deployment, eventually, member, pod_spec,
};
use tokio::time::Instant;

/// The members: name, replicas, what the template asks for.
const MEMBERS: [(&str, u32, u64); 3] = [("web", 2, 150), ("api", 1, 100), ("batch", 1, 100)];
/// How much longer a rollout may take than without us.
const LONGER: Duration = Duration::from_secs(15);

fn workload(app: &str, replicas: u32, milli: u64) -> Value {
    let requests = json!({"requests": {"cpu": format!("{milli}m"), "memory": "16Mi"}});
    let mut workload = deployment(app, replicas, pod_spec(json!([container("main", requests)])));
    workload["spec"]["strategy"] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    });
    workload
}

fn quota(milli: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "compute"},
        "spec": {"hard": {"requests.cpu": format!("{milli}m")}},
    })
}

/// Rolls all members out at once, and returns how long that takes.
async fn roll_out(bench: &Bench, run: &str) -> Result<Duration> {
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let again = json!({"spec": {"template": {"metadata": {"annotations": {"rollout": run}}}}});
    let began = Instant::now();
    for (app, ..) in MEMBERS {
        deployments.patch(app, &PatchParams::default(), &Patch::Merge(&again)).await?;
    }
    for (app, ..) in MEMBERS {
        let deployment = format!("deployment/{app}");
        let arguments =
            ["-n", &bench.namespace, "rollout", "status", &deployment, "--timeout=180s"];
        kubectl::run("kubectl", &arguments, "").await?;
    }
    let took = began.elapsed();
    println!("a rollout of every member, {run}: {:.1} s", took.as_secs_f32());
    // The old pods are gone.
    for (app, replicas, _) in MEMBERS {
        bench.running(app, replicas as usize).await?;
    }
    Ok(took)
}

/// What the pods hold together, once the pool is settled and they hold their shares.
async fn held(bench: &Bench) -> Result<u64> {
    eventually(MINUTE, || async {
        let status = bench.settled("pool").await?;
        let shares: u64 = MEMBERS.iter().map(|(app, ..)| cpu_share(&status, app)).sum();
        let mut held = 0;
        for (app, replicas, _) in MEMBERS {
            let pods = bench.running(app, replicas as usize).await?;
            held += pods.iter().map(|pod| actual(pod, "main")).sum::<u64>();
        }
        ensure!(held == shares, "{held}m of {shares}m are held");
        Ok(held)
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_rollout_of_every_member_takes_hardly_longer_than_without_us() -> Result<()> {
    let bench = Bench::new("rollouts").await?;
    for (app, replicas, milli) in MEMBERS {
        bench.apply(workload(app, replicas, milli)).await?;
    }
    for (app, replicas, _) in MEMBERS {
        bench.running(app, replicas as usize).await?;
    }
    let alone = roll_out(&bench, "without us").await?;

    let room = bench.room().await?;
    let members = json!([member("web", 300), member("api", 100), member("batch", 100)]);
    bench.pool("pool", &format!("{room}m"), members).await?;
    ensure!(held(&bench).await? == room, "the node is not full");
    let node = roll_out(&bench, "on a full node").await?;
    ensure!(node <= alone + LONGER, "{node:?}, without us {alone:?}");
    ensure!(held(&bench).await? == room, "the node is not full again");

    // Now the quota is full, with room for one more pod of the largest template; the node has just that left, too.
    bench.apply(quota(room)).await?;
    eventually(MINUTE, || async {
        let held = held(&bench).await?;
        ensure!(held == room - 150, "they hold {held}m of {room}m");
        Ok(())
    })
    .await?;
    let full = roll_out(&bench, "under a full quota").await?;
    ensure!(full <= alone + LONGER, "{full:?}, without us {alone:?}");
    ensure!(held(&bench).await? == room - 150, "they do not hold what they held");
    bench.end().await
}
