//! Virtual machines share by weight while they run, and the guests themselves are the judges: they count their work.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    guest,
    kubevirt::{self, Shape, StandIn},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::LogParams};
use serde_json::{Value, json};
use support::{Bench, MINUTE, actual, bare_pod, cpu_percent, eventually, identity, of, pod_spec};
use tokio::time::{Instant, sleep};

/// What the console of a launcher pod is charged beside the machine, in millicores.
const CONSOLE: u64 = 5;
/// A reading is over so long; where it is off, the next one is over longer, which evens out what the machine did beside.
const WINDOWS: [Duration; 2] = [Duration::from_secs(20), MINUTE];
/// How far the work that is done may be from the weights, in percent.
const TOLERANCE: f64 = 5.0;
/// How long the controller may take to see that the cluster has virtual machines, and to move them.
const PATIENCE: Duration = Duration::from_secs(150);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn guests_work_by_weight_and_follow_an_edit() -> Result<()> {
    let bench = Bench::new("machines").await?;
    bench.cluster.import(&guest::image()?).await?;
    // The controller runs already: it is to find out.
    kubevirt::install().await?;
    let virt = StandIn::new(&bench.client, &bench.namespace);
    for name in ["gold", "bronze"] {
        virt.start(name, &busy(name)).await?;
    }
    weigh(&bench, 300, 100).await?;
    let before = hold(&bench, 900, 300).await?;
    let boots = [boot(&bench, &before[0]).await?, boot(&bench, &before[1]).await?];
    judge(&bench, &before, 3.0).await?;

    let edited = Instant::now();
    weigh(&bench, 100, 300).await?;
    let after = hold(&bench, 300, 900).await?;
    println!("1:3 held {:.1} s after the edit", edited.elapsed().as_secs_f32());
    sleep(Duration::from_secs(15).saturating_sub(edited.elapsed())).await;
    judge(&bench, &after, 1.0 / 3.0).await?;

    ensure!(identity(&after) == identity(&before), "{before:?} became {after:?}");
    let still = [boot(&bench, &after[0]).await?, boot(&bench, &after[1]).await?];
    ensure!(still == boots, "{boots:?} became {still:?}");

    // Plain pods of the same class beside them, on the same node.
    bench.apply(bare_pod("plain", "plain", pod_spec(json!([spinning()])))).await?;
    let plain = bench.running("plain", 1).await?;
    let members =
        json!([machine("gold", 100), machine("bronze", 300), support::member("plain", 200)]);
    bench.pool("pool", "1200m", members).await?;
    bench.settled("pool").await?;
    let pods = [&after[0], &after[1], &plain[0]];
    judge_kernel(&pods, &[100.0 / 6.0, 50.0, 100.0 / 3.0]).await?;

    // One that is stopped holds nothing, and the others share its part.
    virt.stop("bronze").await?;
    let status = eventually(PATIENCE, || async {
        let status = bench.settled("pool").await?;
        ensure!(of(&status, "bronze").pods == 0, "{status:?}");
        Ok(status)
    })
    .await?;
    let shares = ["gold", "bronze", "plain"].map(|it| support::cpu_share(&status, it));
    ensure!(shares == [400, 0, 800], "{shares:?}");
    bench.end().await?;
    kubevirt::uninstall().await
}

/// A machine whose virtual CPU never sleeps, on the last CPU of the node: where there are several CPUs the kernel guesses
/// at how much of a weight counts on each, and may be far out for minutes.
fn busy(name: &str) -> Shape {
    Shape {
        compute: json!({"image": guest::IMAGE, "env": [{"name": "PINNED", "value": "1"}]}),
        ..Shape::idle(name, 1)
    }
}

/// A container that uses all that it gets of the same CPU.
fn spinning() -> Value {
    let mut container =
        support::container("main", json!({"requests": {"cpu": "50m", "memory": "16Mi"}}));
    // Kubernetes makes one dollar of two.
    let script = "taskset -p $(printf %x $((1 << ($(nproc) - 1)))) $$$$; trap 'exit 0' TERM; while :; do :; done";
    container["command"] = json!(["sh", "-c", script]);
    container
}

/// A member that is a virtual machine.
fn machine(name: &str, weight: u32) -> Value {
    let target = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": name});
    json!({"name": name, "weight": weight, "targetRef": target})
}

async fn weigh(bench: &Bench, gold: u32, bronze: u32) -> Result<()> {
    bench.pool("pool", "1200m", json!([machine("gold", gold), machine("bronze", bronze)])).await
}

/// The launcher pods, once the kubelet enforces that they are charged so much.
async fn hold(bench: &Bench, gold: u64, bronze: u64) -> Result<Vec<Pod>> {
    eventually(PATIENCE, || async {
        let mut pods = bench.running("gold", 1).await?;
        pods.extend(bench.running("bronze", 1).await?);
        let held: Vec<u64> = pods.iter().map(|pod| actual(pod, "compute") + CONSOLE).collect();
        ensure!(held == [gold, bronze], "{held:?} is held, not {gold} and {bronze}");
        Ok(pods)
    })
    .await
}

/// What a guest said last: when, of which boot, and how much work it has done.
async fn told(bench: &Bench, pod: &Pod) -> Result<(Timestamp, String, u64)> {
    eventually(MINUTE, || async {
        let lines = LogParams {
            container: Some("compute".into()),
            tail_lines: Some(5),
            timestamps: true,
            ..LogParams::default()
        };
        let log = bench.pods().logs(&pod.name_any(), &lines).await?;
        let last = log.lines().rev().find_map(|line| Some((line, guest::count(line)?)));
        let (line, (boot, count)) = last.with_context(|| format!("it says {log:?}"))?;
        let time = line.split_whitespace().next().context("a time")?;
        Ok((time.parse()?, boot.to_owned(), count))
    })
    .await
}

async fn boot(bench: &Bench, pod: &Pod) -> Result<String> {
    told(bench, pod).await.map(|(_, boot, _)| boot)
}

/// The guests do their work in this proportion.
async fn judge(bench: &Bench, pods: &[Pod], expected: f64) -> Result<()> {
    let mut ratio = 0.0;
    for window in WINDOWS {
        let mut before = Vec::new();
        for pod in pods {
            before.push(told(bench, pod).await?);
        }
        let cpu = cpu_percent(&pods.iter().collect::<Vec<_>>(), window).await?;
        let mut rates = Vec::new();
        for (pod, (since, boot, count)) in pods.iter().zip(before) {
            let (now, still, reached) = told(bench, pod).await?;
            ensure!(boot == still, "{} booted again", pod.name_any());
            rates.push((reached - count) as f64 / now.duration_since(since).as_secs_f64());
        }
        ratio = rates[0] / rates[1];
        println!(
            "work in the guests: {rates:.0?} a second, {ratio:.3} : 1, CPU time {:.3} : 1, by weight {expected:.3} : 1",
            cpu[0] / cpu[1]
        );
        if (ratio / expected - 1.0).abs() * 100.0 <= TOLERANCE {
            return Ok(());
        }
    }
    anyhow::bail!("the work is done {ratio:.3} : 1, not {expected:.3} : 1")
}

/// The kernel gives the pods its time in these parts, within 3 percent of all.
async fn judge_kernel(pods: &[&Pod], expected: &[f64]) -> Result<()> {
    let mut got = Vec::new();
    for window in WINDOWS {
        got = cpu_percent(pods, window).await?;
        println!("CPU time by the kernel: {got:.1?} %, by weight: {expected:.1?} %");
        if got.iter().zip(expected).all(|(got, due)| (got - due).abs() <= 3.0) {
            return Ok(());
        }
    }
    anyhow::bail!("{got:.1?} % is not within 3 of {expected:.1?} %")
}
