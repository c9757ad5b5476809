//! How long a day of many pods takes to replay, and how much memory: `cargo bench --bench simulate`, with the number of pods as an argument.

use std::{fs, time::Instant};

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use weightedshare::{
    api::WeightedShare,
    cluster::{Cluster, Event, Kept},
    share::PerResource,
    simulate::{
        Options, replay,
        trace::{Facts, Recorder, Trace},
    },
};

const PODS: usize = 10_000;
const MEMBERS: usize = 5;
const PODS_OF_A_POOL: usize = 10;
const PODS_OF_A_NODE: usize = 50;
const MINUTES: u32 = 24 * 60;
const MINUTE: u32 = 60;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let pods = asked.unwrap_or(PODS);
    let began = Instant::now();
    let trace = day(pods);
    println!(
        "{pods} pods, {} steps: made up in {:.1} s",
        trace.steps,
        began.elapsed().as_secs_f64()
    );
    let objects = objects(pods);
    let began = Instant::now();
    let outcome = replay(objects, &trace, &Options::default(), &mut |_| true);
    let took = began.elapsed().as_secs_f64();
    let resizes: u64 = outcome.members.iter().map(|member| member.resizes).sum();
    let hours = outcome.seconds as f64 / 3600.0;
    println!(
        "replayed in {took:.1} s, {:.2} us per pod and step; {:.3} resizes per pod and hour; at most {} MiB",
        took * 1e6 / (pods * trace.steps) as f64,
        resizes as f64 / pods as f64 / hours,
        most_memory().unwrap_or_default() >> 10
    );
}

/// The most memory that this process ever had, in KiB.
fn most_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn objects(pods: usize) -> Cluster {
    let mut cluster = Cluster::default();
    for node in 0..pods.div_ceil(PODS_OF_A_NODE) {
        let node = json!({
            "metadata": {"name": format!("node-{node}")},
            "status": {"allocatable": {"cpu": "64", "memory": "256Gi"}},
        });
        let Ok(node) = serde_json::from_value::<Node>(node) else { continue };
        cluster.apply(Event::Applied(node.key(), node.read()));
    }
    for pool in 0..pods.div_ceil(PODS_OF_A_POOL) {
        let member = |member: usize| {
            json!({
                "name": format!("member-{member}"), "weight": 100 * (member + 1),
                "selector": {"matchLabels": {"app": format!("app-{pool}-{member}")}},
            })
        };
        let pool = json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {"name": format!("pool-{pool}"), "namespace": format!("space-{}", pool % 50), "uid": format!("pool-{pool}")},
            "spec": {"capacity": {"cpu": "8"}, "members": (0..MEMBERS).map(member).collect::<Vec<_>>()},
        });
        let Ok(pool) = serde_json::from_value::<WeightedShare>(pool) else { continue };
        cluster.apply(Event::Applied(pool.key(), pool.read()));
    }
    cluster
}

fn day(pods: usize) -> Trace {
    let mut recorder = Recorder::default();
    for pod in 0..pods {
        let (pool, member) = (pod / PODS_OF_A_POOL, pod % MEMBERS);
        let (namespace, name) = (format!("space-{}", pool % 50), format!("pod-{pod}"));
        let facts = Facts {
            labels: [("app".to_owned(), format!("app-{pool}-{member}"))].into(),
            node: Some(format!("node-{}", pod / PODS_OF_A_NODE)),
            requests: PerResource { cpu: Some(800), memory: Some(1 << 30) },
            limits: PerResource::default(),
        };
        recorder.describe(&namespace, &name, facts);
        for minute in 0..MINUTES {
            let cpu = Some(used(pod as u64, minute) as u64);
            let used = PerResource { cpu, memory: Some(512 << 20) };
            recorder.record(&namespace, &name, minute * MINUTE, used);
        }
    }
    recorder.finish(None).unwrap_or_default()
}

/// What a pod uses in a minute, in millicores: steady, like the day, or in bursts; each with some noise.
fn used(pod: u64, minute: u32) -> f64 {
    let noise = 0.9 + 0.2 * random(u64::from(minute), pod);
    let hour = f64::from(minute) / 60.0;
    let base = match pod % 5 {
        0 | 1 => 300.0,
        2 => 400.0 * (1.0 + (hour / 24.0 * std::f64::consts::TAU).sin()),
        3 if random(u64::from(minute / 30), pod) < 0.2 => 1500.0,
        3 => 50.0,
        _ => 700.0,
    };
    base * noise
}

/// From 0 to 1: splitmix64.
fn random(n: u64, seed: u64) -> f64 {
    let mut x = n.wrapping_add(seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
