//! The main promise, with the kernel as the judge: members get CPU time by weight, without a restart.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::audit;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use support::{Bench, cpu_percent, cpu_share, deployment, identity, member, pod_spec, spinning};
use tokio::time::{Instant, sleep};
use weightedshare::{observe, share::Resource};

/// How far from its part of the node's CPU time a member may be, in percent of the node.
const TOLERANCE: f64 = 3.0;
const POOL: u64 = 1_200;
/// Two intervals of measuring. The fault bench looks for minutes, and chaos for two.
const QUIET: Duration = Duration::from_secs(35);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn weights_divide_the_cpu_time_of_a_node() -> Result<()> {
    let bench = Bench::new("division").await?;
    let names = ["bronze", "silver", "gold"];
    for name in names {
        bench.apply(deployment(name, 1, pod_spec(json!([spinning("50m")])))).await?;
    }
    let mut pods = Vec::new();
    for name in names {
        pods.extend(bench.running(name, 1).await?);
    }
    let before = identity(&pods);
    let watch = tokio::spawn(highest_charge(bench.pods()));

    divide(&bench, [100, 200, 500]).await?;
    let took = hold(&bench, [150, 300, 750]).await?;
    println!("1:2:5 held after {:.1} s", took.as_secs_f32());
    judge(&pods, [12.5, 25.0, 62.5]).await?;

    let edited = Instant::now();
    divide(&bench, [500, 200, 100]).await?;
    hold(&bench, [750, 300, 150]).await?;
    let took = edited.elapsed();
    println!("5:2:1 held {:.1} s after the edit", took.as_secs_f32());
    ensure!(took < Duration::from_secs(10), "the pods were resized only after {took:?}");
    judge(&pods, [62.5, 25.0, 12.5]).await?;

    let status = bench.settled("pool").await?;
    let shares = names.map(|name| cpu_share(&status, name));
    ensure!(shares.iter().sum::<u64>() == POOL, "{shares:?}");
    let mut after = Vec::new();
    for name in names {
        after.extend(bench.running(name, 1).await?);
    }
    ensure!(identity(&after) == before, "{:?} became {:?}", before, identity(&after));
    let charged: u64 = after.iter().map(|pod| observe::Pod::read(pod).charge(Resource::Cpu)).sum();
    ensure!(charged == POOL, "the pods are charged {charged}m, the pool has {POOL}m");
    watch.abort();
    match watch.await {
        Ok(result) => println!("the highest charge seen was {}m", result?),
        Err(error) => ensure!(error.is_cancelled(), "{error}"),
    }

    // Nobody touches anything: nobody writes anything, while everything is measured twice and looked at again.
    let quiet_from = Timestamp::now();
    sleep(QUIET).await;
    let writes = audit::writes(&bench.cluster.own()?.audit_log(), quiet_from)?;
    let ours: Vec<_> = writes
        .iter()
        .filter(|write| write.is_of_operator() || write.resource.starts_with("weightedshares"))
        .collect();
    ensure!(ours.is_empty(), "an object that nobody touches caused {ours:?}");
    println!("0 writes of the operator in {} s, of {} in all", QUIET.as_secs(), writes.len());
    bench.end().await
}

/// Applies the pool with these weights.
async fn divide(bench: &Bench, weights: [u32; 3]) -> Result<()> {
    let [bronze, silver, gold] = weights;
    let members = json!([member("bronze", bronze), member("silver", silver), member("gold", gold)]);
    bench.pool("pool", &format!("{POOL}m"), members).await
}

/// Waits until the kubelet enforces these requests.
async fn hold(bench: &Bench, milli: [u64; 3]) -> Result<Duration> {
    let began = Instant::now();
    for (name, milli) in ["bronze", "silver", "gold"].into_iter().zip(milli) {
        bench.holding(name, &[milli]).await?;
    }
    Ok(began.elapsed())
}

/// Asks the kernel who got what, a second time where the first window was disturbed by the machine.
async fn judge(pods: &[Pod], expected: [f64; 3]) -> Result<()> {
    let pods: Vec<&Pod> = pods.iter().collect();
    let mut measured = Vec::new();
    for _ in 0..2 {
        measured = cpu_percent(&pods, Duration::from_secs(15)).await?;
        println!("CPU time by the kernel: {measured:.1?} %, by weight: {expected:.1?} %");
        if measured.iter().zip(expected).all(|(got, due)| (got - due).abs() <= TOLERANCE) {
            return Ok(());
        }
    }
    anyhow::bail!("CPU time {measured:.1?} % is not within {TOLERANCE} of {expected:.1?} %")
}

/// Watches what the pods are charged together, and fails as soon as a step of ours takes it above the pool.
async fn highest_charge(pods: kube::Api<Pod>) -> Result<u64> {
    let mut charges = std::collections::BTreeMap::new();
    let mut highest = 0;
    let mut changes = watcher(pods, watcher::Config::default()).applied_objects().boxed();
    while let Some(pod) = changes.try_next().await? {
        let charge = observe::Pod::read(&pod).charge(Resource::Cpu);
        charges.insert(pod.name_any(), charge);
        highest = highest.max(charges.values().sum());
        ensure!(highest <= POOL, "{charges:?} is more than the pool's {POOL}m");
    }
    Ok(highest)
}
