//! On a node with cgroup v2 only, a guest with a kernel of its own: what its kernel gives is what its weights say.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::guest_node::{self, GUESTS, GuestNode, Size};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use support::{Bench, MINUTE, actual, bare_pod, eventually, identity, pod_spec, pool, spinning};
use tokio::time::{Instant, sleep};

/// How long CPU time is measured. The kernel needs some of it to settle.
const WINDOW: Duration = Duration::from_secs(20);

/// What the kernel gives a pod may differ by so much of the node from what the weights say.
const PERCENT_OF_NODE: f64 = 1.0;

/// A pod that spins on the guest.
fn spinner(name: &str, cpu: &str) -> Value {
    let mut spec = pod_spec(json!([spinning(cpu)]));
    on_guest(&mut spec, &guest_node::name(2));
    bare_pod(name, name, spec)
}

/// Puts a pod on a guest.
fn on_guest(spec: &mut Value, node: &str) {
    let (key, value) = GUESTS;
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    spec["tolerations"] = json!([{"key": key, "value": value, "effect": "NoSchedule"}]);
}

/// The weight by which the kernel compares the pod with its siblings, as the kernel itself says it.
async fn weights(guest: &GuestNode, pods: &[Pod]) -> Result<Vec<u64>> {
    let mut files = Vec::new();
    for pod in pods {
        files.push(guest_node::cgroup(pod)?.file("cpu", "cpu.weight"));
    }
    let told = guest.read(&files).await?;
    told.iter()
        .map(|weight| weight.parse().with_context(|| format!("a weight of {weight:?}")))
        .collect()
}

/// Measures what each pod gets of the CPU time that all of them get, in percent, and compares it with the weights.
async fn split(guest: &GuestNode, pods: &[Pod]) -> Result<Vec<f64>> {
    let pods: Vec<&Pod> = pods.iter().collect();
    let before = guest.cpu_times(&pods).await?;
    sleep(WINDOW).await;
    let after = guest.cpu_times(&pods).await?;
    let used: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    let all: u64 = used.iter().sum();
    Ok(used.iter().map(|used| 100.0 * *used as f64 / all as f64).collect())
}

/// The parts that weights say, in percent.
fn percent(weights: &[u64]) -> Vec<f64> {
    let all: u64 = weights.iter().sum();
    weights.iter().map(|weight| 100.0 * *weight as f64 / all as f64).collect()
}

/// The weight that the kubelet gives a pod with this request: linear.
fn linear(milli: u64) -> u64 {
    let shares = (milli * 1024 / 1000).max(2);
    1 + (shares - 2) * 9999 / 262_142
}

/// The kernel's weights are those of the requests, and it gives what they say.
async fn follows(guest: &GuestNode, pods: &[Pod], milli: &[u64]) -> Result<()> {
    let weights = weights(guest, pods).await?;
    let expected: Vec<u64> = milli.iter().map(|milli| linear(*milli)).collect();
    ensure!(weights == expected, "the weights of {milli:?}m are {weights:?}, not {expected:?}");
    let (says, got) = (percent(&weights), split(guest, pods).await?);
    println!(
        "{milli:?}m: by shares {:.1?} %, by cpu.weight {weights:?} {says:.1?} %, the kernel gave {got:.1?} %",
        percent(milli)
    );
    for (says, got) in says.iter().zip(&got) {
        ensure!(
            (says - got).abs() <= PERCENT_OF_NODE,
            "the weights say {says:.1} %, the kernel gave {got:.1} %"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn cpu_time_follows_the_weights_of_cgroup_v2() -> Result<()> {
    let bench = Bench::new("cgroup-v2").await?;
    let began = Instant::now();
    let guest = GuestNode::start(&bench.cluster, 2, Size::default()).await?;
    println!("the guest was Ready after {:.1} s", began.elapsed().as_secs_f32());
    let kernel = guest.shell("uname -r; cat /sys/fs/cgroup/cgroup.controllers").await?;
    println!("its kernel and its controllers: {}", kernel.replace('\n', ": "));

    let names = ["one", "two", "five"];
    containers_of_one_pod(&bench, &guest).await?;
    for (name, cpu) in names.into_iter().zip(["100m", "200m", "500m"]) {
        bench.apply(spinner(name, cpu)).await?;
    }
    let pods = async || -> Result<Vec<Pod>> {
        let mut pods = Vec::new();
        for name in names {
            pods.extend(bench.running(name, 1).await?);
        }
        Ok(pods)
    };
    let before = eventually(2 * MINUTE, pods).await?;
    follows(&guest, &before, &[100, 200, 500]).await?;

    let members = json!(
        names
            .iter()
            .zip([5, 2, 1])
            .map(|(name, weight)| support::member(name, weight))
            .collect::<Vec<_>>()
    );
    bench.apply(pool("pool", json!({"cpu": "800m"}), members)).await?;
    bench.settled("pool").await?;
    let after = pods().await?;
    let held: Vec<u64> = after.iter().map(|pod| actual(pod, "main")).collect();
    ensure!(held == [500, 200, 100], "they hold {held:?}");
    follows(&guest, &after, &held).await?;
    ensure!(identity(&before) == identity(&after), "a pod was restarted");
    bench.end_with_all().await
}

/// The weight that newer runtimes give a container: log-quadratic, the same at the ends and at one core.
fn quadratic(milli: u64) -> u64 {
    let shares = ((milli * 1024 / 1000).max(2)) as f64;
    let log = shares.log2();
    10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
}

/// The containers of one pod are weighed by the container runtime, whichever of the two conversions it has.
async fn containers_of_one_pod(bench: &Bench, guest: &GuestNode) -> Result<()> {
    let names = ["one", "three"];
    let containers = names.into_iter().zip(["100m", "300m"]).map(|(name, cpu)| {
        let mut container = spinning(cpu);
        container["name"] = json!(name);
        container
    });
    let mut spec = pod_spec(containers.collect());
    on_guest(&mut spec, &guest.name());
    bench.apply(bare_pod("pair", "pair", spec)).await?;
    let pod = eventually(2 * MINUTE, || bench.running("pair", 1)).await?.remove(0);
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let of_pod = guest_node::cgroup(&pod)?;
    let mut files = vec![of_pod.file("cpu", "cpu.weight")];
    for name in names {
        let id =
            statuses.clone().find(|it| it.name == name).and_then(|it| it.container_id.as_deref());
        let id = id.and_then(|id| id.rsplit_once("//")).context("a container without an id")?.1;
        files.extend(
            ["cpu.weight", "cpu.stat"].map(|file| of_pod.file("cpu", &format!("{id}/{file}"))),
        );
    }
    let before = guest.read(&files).await?;
    sleep(WINDOW).await;
    let after = guest.read(&files).await?;
    let used = |at: usize| -> Result<u64> {
        let usage = |told: &[String]| e2e::cgroups::usage(&told[at]).context("no usage_usec");
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
    ensure!((says[0] - got[0]).abs() <= PERCENT_OF_NODE, "the weights say {says:.1?} %");
    bench.pods().delete("pair", &Default::default()).await?;
    Ok(())
}
