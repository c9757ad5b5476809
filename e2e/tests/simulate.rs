//! A replay says what the node does: the same load on a real node and replayed, and what Prometheus recorded of it.

mod support;

use std::{fmt::Write, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{cpu_time, kubectl, operator, prometheus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use support::{Bench, container, deployment, pod_spec};
use tokio::time::sleep;

/// How long each part of the load lasts, in seconds. Use is measured every 15 s.
const SLOT: i64 = 45;
/// Members with their weights, and when they work: all of them take all the CPU that they get, and then nothing.
const MEMBERS: [(&str, u32, &[usize]); 3] =
    [("light", 100, &[0, 1, 2, 4, 5]), ("middle", 300, &[1, 2, 3]), ("heavy", 600, &[2, 3, 4])];
const SLOTS: usize = 6;
/// Within so much of all that they get together both have to say the same.
const PERCENT: f64 = 5.0;
/// Prometheus asks the kubelet, which looks now and then.
const RECORDED_PERCENT: f64 = 15.0;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_replay_gives_what_the_node_gave() -> Result<()> {
    let bench = Bench::new("simulate").await?;
    // Time for the pods to start, and for the pool to settle while they are idle.
    let begins = (Timestamp::now().as_second() / SLOT + 2) * SLOT;
    for (name, _, works) in MEMBERS {
        let mut main = container("main", json!({"requests": {"cpu": "500m", "memory": "16Mi"}}));
        main["command"] = json!(["sh", "-c", script(begins, works)]);
        bench.apply(deployment(name, 1, pod_spec(json!([main])))).await?;
    }
    let mut pods = Vec::new();
    for (name, ..) in MEMBERS {
        pods.extend(bench.running(name, 1).await?);
    }
    let folder = std::env::temp_dir().join(format!("simulate-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let files = Files::write(&folder, begins, &pods).await?;
    let members: Vec<Value> =
        MEMBERS.iter().map(|(name, weight, _)| support::member(name, *weight)).collect();
    let mut pool = support::pool("pool", json!({"cpu": "1500m"}), json!(members));
    // As it is by default: idle CPU is lent.
    pool["spec"]["sharing"] = json!({"nodeReservePercent": 0});
    pool["metadata"]["namespace"] = json!(bench.namespace);
    fs::write(&files.pool, pool.to_string())?;
    bench.apply(pool).await?;
    bench.settled("pool").await?;

    let ends = begins + SLOT * i64::try_from(SLOTS)?;
    sleep_until(begins).await;
    let before = used(&pods)?;
    sleep_until(ends).await;
    let node: Vec<f64> = used(&pods)?.iter().zip(before).map(|(now, then)| now - then).collect();

    let replay =
        simulate(&["-f", &files.objects, "-f", &files.pool, "--usage", &files.usage]).await?;
    let got = MEMBERS.map(|(name, ..)| core_seconds(&replay, name, "after"));
    compare("replayed", &node, &got, PERCENT)?;

    // What it recorded is what pods got, which in the replay is what they want. It is asked for rates over two minutes.
    sleep(Duration::from_secs(130)).await;
    let last = format!("{}s", Timestamp::now().as_second() - begins);
    let recorded = ["--from-cluster", &last, "--step", "15s", "--prometheus-url", prometheus::URL];
    let recorded = simulate(&recorded).await?;
    let got = MEMBERS.map(|(name, ..)| core_seconds(&recorded, name, "before"));
    compare("recorded", &node, &got, RECORDED_PERCENT)?;
    let total: f64 = node.iter().sum();
    let sum: f64 = got.iter().sum();
    ensure!((sum / total - 1.0).abs() * 100.0 < RECORDED_PERCENT, "{sum} s of {total} s");

    let suggested = ["--from-cluster", &last, "--prometheus-url", prometheus::URL];
    let suggested = [&["simulate", "--suggest", "simulate"], &suggested[..]].concat();
    let manifest = kubectl::run(&operator::binary().display().to_string(), &suggested, "").await?;
    kubectl::run("kubectl", &["apply", "--dry-run=server", "-f", "-"], &manifest).await?;
    fs::remove_dir_all(&folder)?;
    bench.end().await
}

/// What a user writes to files.
struct Files {
    objects: String,
    pool: String,
    usage: String,
}

impl Files {
    /// The cluster's objects before there is a pool, and what the pods would use if each were alone.
    async fn write(folder: &std::path::Path, begins: i64, pods: &[Pod]) -> Result<Self> {
        let path = |name: &str| folder.join(name).display().to_string();
        let files = Self {
            objects: path("objects.json"),
            pool: path("pool.json"),
            usage: path("usage.csv"),
        };
        let kinds = ["get", "pods,nodes,deployments,replicasets", "-A", "-o", "json"];
        fs::write(&files.objects, kubectl::run("kubectl", &kinds, "").await?)?;
        let cores = std::thread::available_parallelism()?.get();
        let mut usage = "time,namespace,pod,cpu\n".to_owned();
        // Before they begin, they do nothing for a while.
        for slot in -1..i64::try_from(SLOTS)? {
            for at in (0..SLOT).step_by(15) {
                for (pod, (.., works)) in pods.iter().zip(MEMBERS) {
                    let is_at_work = usize::try_from(slot).is_ok_and(|slot| works.contains(&slot));
                    let cpu = if is_at_work { cores } else { 0 };
                    let (time, pod) = (begins + slot * SLOT + at, pod.name_any());
                    writeln!(usage, "{time},simulate,{pod},{cpu}")?;
                }
            }
        }
        fs::write(&files.usage, usage)?;
        Ok(files)
    }
}

/// Works on all processors in these slots, by the clock on the wall.
fn script(begins: i64, works: &[usize]) -> String {
    let works: Vec<String> = works.iter().map(usize::to_string).collect();
    format!(
        "trap 'kill 0; exit 0' TERM; while :; do now=$(date +%s); rest=$(( {SLOT} - (now - {begins} + 100 * {SLOT}) % {SLOT} )); \
         slot=$(( (now - {begins} + 100 * {SLOT}) / {SLOT} - 100 )); case ' {} ' in *\" $slot \"*) \
         for i in $(seq $(nproc)); do timeout $rest sh -c 'while :; do :; done' & done; wait;; \
         *) sleep $rest & wait;; esac; done",
        works.join(" ")
    )
}

async fn sleep_until(second: i64) {
    let now = Timestamp::now().as_millisecond();
    sleep(Duration::from_millis(u64::try_from(second * 1000 - now).unwrap_or(0))).await;
}

/// The CPU time that each has had, in seconds.
fn used(pods: &[Pod]) -> Result<Vec<f64>> {
    pods.iter().map(|pod| Ok(cpu_time::cgroup(pod)?.cpu_time()? as f64 / 1e9)).collect()
}

async fn simulate(arguments: &[&str]) -> Result<Value> {
    let arguments = [&["simulate", "-o", "json"], arguments].concat();
    let output = kubectl::run(&operator::binary().display().to_string(), &arguments, "").await?;
    serde_json::from_str(&output).context(output)
}

/// The CPU time that a member had, in seconds.
fn core_seconds(outcome: &Value, member: &str, when: &str) -> f64 {
    let mut members = outcome["members"].as_array().into_iter().flatten();
    let found = members.find(|it| it["member"] == member && it["namespace"] == "simulate");
    found.and_then(|it| it[when]["cpu"].as_f64()).unwrap_or_default()
}

/// Each has the same part of what they got together, within so many percent of that.
fn compare(what: &str, node: &[f64], other: &[f64], within: f64) -> Result<()> {
    let parts = |of: &[f64]| {
        let all: f64 = of.iter().sum();
        of.iter().map(|it| 100.0 * it / all).collect::<Vec<f64>>()
    };
    let (node, other) = (parts(node), parts(other));
    println!("on the node {node:.1?} %, {what} {other:.1?} %");
    let apart = node.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    ensure!(apart <= within, "{apart:.1} % apart: on the node {node:.1?}, {what} {other:.1?}");
    Ok(())
}
