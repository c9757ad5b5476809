//! The main promise, with the kernel as the judge: members get CPU time by weight, without a restart.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{audit, cgroups};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use support::{
    Bench, MINUTE, bare_pod, cpu_share, deployment, eventually, identity,
    judge::{Judge, percent},
    member, pod_spec, spinning,
};
use tokio::time::{Instant, sleep};

const POOL: u64 = 800;
const NAMES: [&str; 3] = ["bronze", "silver", "gold"];
/// How long CPU time is measured. The kernel needs some of it to settle.
const WINDOW: Duration = Duration::from_secs(20);
/// Two intervals of measuring. The fault bench looks for minutes, and chaos for two.
const QUIET: Duration = Duration::from_secs(35);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn weights_divide_the_cpu_time_of_a_node() -> Result<()> {
    let bench = Bench::new("division").await?;
    let judge = Judge::start(&bench.cluster).await?;
    containers_of_one_pod(&bench, &judge).await?;
    for name in NAMES {
        let spec = judge.put(pod_spec(json!([spinning("50m")])));
        bench.apply(deployment(name, 1, spec)).await?;
    }
    let pods = eventually(2 * MINUTE, || all(&bench)).await?;
    let before = identity(&pods);
    let watch = tokio::spawn(highest_charge(bench.pods()));

    divide(&bench, [100, 200, 500]).await?;
    let took = hold(&bench, [100, 200, 500]).await?;
    println!("1:2:5 held after {:.1} s", took.as_secs_f32());
    follows(&judge, &pods, &[100, 200, 500]).await?;

    let edited = Instant::now();
    divide(&bench, [500, 200, 100]).await?;
    hold(&bench, [500, 200, 100]).await?;
    let took = edited.elapsed();
    println!("5:2:1 held {:.1} s after the edit", took.as_secs_f32());
    let soon = Duration::from_secs(10) + judge.lateness();
    ensure!(took < soon, "the pods were resized only after {took:?}");
    follows(&judge, &pods, &[500, 200, 100]).await?;

    let status = bench.settled("pool").await?;
    let shares = NAMES.map(|name| cpu_share(&status, name));
    ensure!(shares.iter().sum::<u64>() == POOL, "{shares:?}");
    let after = all(&bench).await?;
    ensure!(identity(&after) == before, "{:?} became {:?}", before, identity(&after));
    let charged: u64 = after.iter().map(support::cpu_charge).sum();
    ensure!(charged == POOL, "the pods are charged {charged}m, the pool has {POOL}m");
    watch.abort();
    match watch.await {
        Ok(result) => println!("the highest charge seen was {}m", result?),
        Err(error) => ensure!(error.is_cancelled(), "{error}"),
    }

    // Nothing is touched: nothing is written while everything is measured twice and looked at again.
    let quiet_from = Timestamp::now();
    sleep(QUIET).await;
    let writes = audit::writes(&bench.cluster.own()?.audit_log(), quiet_from)?;
    let ours: Vec<_> = writes
        .iter()
        .filter(|write| write.is_of_operator() || write.resource.starts_with("weightedshares"))
        .collect();
    ensure!(ours.is_empty(), "an object that is not touched caused {ours:?}");
    println!("0 writes of the operator in {} s, of {} in all", QUIET.as_secs(), writes.len());
    bench.end_with_all().await
}

/// The pods, in the order of their names.
async fn all(bench: &Bench) -> Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for name in NAMES {
        pods.extend(bench.running(name, 1).await?);
    }
    Ok(pods)
}

/// Applies the pool with these weights.
async fn divide(bench: &Bench, weights: [u32; 3]) -> Result<()> {
    let members: Vec<_> =
        NAMES.into_iter().zip(weights).map(|(name, weight)| member(name, weight)).collect();
    bench.pool("pool", &format!("{POOL}m"), json!(members)).await
}

/// Waits until the kubelet enforces these requests.
async fn hold(bench: &Bench, milli: [u64; 3]) -> Result<Duration> {
    let began = Instant::now();
    for (name, milli) in NAMES.into_iter().zip(milli) {
        // A guest carries it out while its pods spin, and the machine emulates it.
        let milli = [milli];
        eventually(2 * MINUTE, || bench.holding(name, &milli)).await?;
    }
    Ok(began.elapsed())
}

/// The kernel's weights are those of the requests, and it gives what they say: a second window where the machine disturbed
/// the first.
async fn follows(judge: &Judge, pods: &[Pod], milli: &[u64]) -> Result<()> {
    let pods: Vec<&Pod> = pods.iter().collect();
    let weights = judge.weights(&pods).await?;
    let expected: Vec<u64> = milli.iter().map(|milli| linear(*milli)).collect();
    ensure!(weights == expected, "the weights of {milli:?}m are {weights:?}, not {expected:?}");
    let says = percent(&weights);
    let mut got = Vec::new();
    for _ in 0..2 {
        got = judge.percent(&pods, WINDOW).await?;
        println!(
            "{milli:?}m: by shares {:.1?} %, by cpu.weight {weights:?} {says:.1?} %, the kernel gave {got:.1?} %",
            percent(milli)
        );
        if says.iter().zip(&got).all(|(says, got)| (says - got).abs() <= judge.tolerance()) {
            return Ok(());
        }
    }
    anyhow::bail!("the weights say {says:.1?} %, the kernel gave {got:.1?} %")
}

/// The weight that the kubelet gives a pod with this request: linear.
fn linear(milli: u64) -> u64 {
    let shares = (milli * 1024 / 1000).max(2);
    1 + (shares - 2) * 9999 / 262_142
}

/// The weight that newer runtimes give a container: log-quadratic, the same at the ends and at one core.
fn quadratic(milli: u64) -> u64 {
    let shares = ((milli * 1024 / 1000).max(2)) as f64;
    let log = shares.log2();
    10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
}

/// The containers of one pod are weighed by the container runtime, whichever of the two conversions it has.
async fn containers_of_one_pod(bench: &Bench, judge: &Judge) -> Result<()> {
    let names = ["one", "three"];
    let containers = names.into_iter().zip(["100m", "300m"]).map(|(name, cpu)| {
        let mut container = spinning(cpu);
        container["name"] = json!(name);
        container
    });
    let spec = judge.put(pod_spec(containers.collect()));
    bench.apply(bare_pod("pair", "pair", spec)).await?;
    let pod = eventually(2 * MINUTE, || bench.running("pair", 1)).await?.remove(0);
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let of_pod = judge.cgroup(&pod)?;
    let mut files = vec![of_pod.file("cpu", "cpu.weight")];
    for name in names {
        let id =
            statuses.clone().find(|it| it.name == name).and_then(|it| it.container_id.as_deref());
        let id = id.and_then(|id| id.rsplit_once("//")).context("a container without an id")?.1;
        files.extend(
            ["cpu.weight", "cpu.stat"].map(|file| of_pod.file("cpu", &format!("{id}/{file}"))),
        );
    }
    let before = judge.read(&files).await?;
    sleep(WINDOW).await;
    let after = judge.read(&files).await?;
    let used = |at: usize| -> Result<u64> {
        let usage = |told: &[String]| cgroups::usage(&told[at]).context("no usage_usec");
        Ok(usage(&after)? - usage(&before)?)
    };
    let weights: Vec<u64> =
        [0, 1, 3].iter().map(|at| before[*at].parse()).collect::<Result<_, _>>()?;
    let got = percent(&[used(2)?, used(4)?]);
    let says = percent(&weights[1..]);
    println!(
        "a pod of 100m and 300m: cpu.weight {weights:?}, {says:.1?} %, the kernel gave {got:.1?} %"
    );
    ensure!(weights[0] == linear(400), "the pod's weight is {}, not {}", weights[0], linear(400));
    let known = [[linear(100), linear(300)], [quadratic(100), quadratic(300)]];
    ensure!(
        known.iter().any(|it| it == &weights[1..]),
        "the containers' weights are none of {known:?}"
    );
    ensure!((says[0] - got[0]).abs() <= judge.tolerance(), "the weights say {says:.1?} %");
    bench.pods().delete("pair", &Default::default()).await?;
    Ok(())
}

/// Watches what the pods are charged together, and fails as soon as a step of ours takes it above the pool.
async fn highest_charge(pods: kube::Api<Pod>) -> Result<u64> {
    let mut charges = std::collections::BTreeMap::new();
    let mut highest = 0;
    let mut changes = watcher(pods, watcher::Config::default()).applied_objects().boxed();
    while let Some(pod) = changes.try_next().await? {
        let charge = support::cpu_charge(&pod);
        charges.insert(pod.name_any(), charge);
        highest = highest.max(charges.values().sum());
        ensure!(highest <= POOL, "{charges:?} is more than the pool's {POOL}m");
    }
    Ok(highest)
}
