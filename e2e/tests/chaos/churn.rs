//! What people and workloads do all the time: pools are edited, Deployments scaled and rolled out, pods relabelled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    random::Random,
    support::{Bench, container, deployment, eventually, pod_spec, spinning},
};

/// The label that says to which member a pod belongs; the Deployments go by `app`.
const MEMBER: &str = "member";

/// Deployments whose pods are not replaced.
pub const STEADY: [(&str, u64); 3] = [("front", 3), ("capped", 2), ("gold", 2)];
/// Those that are scaled, and how many replicas they have in the end.
const SCALED: [(&str, u64); 4] = [("swing", 2), ("rolled", 2), ("batch", 1), ("guest", 2)];
/// One that uses CPU, now and then.
const BUSY: &str = "busy";
/// The pools with their members.
pub const POOLS: [(&str, &[&str]); 3] = [
    ("shop", &["front", "capped", "busy", "swing"]),
    ("lab", &["gold", "rolled", "batch"]),
    ("guests", &["guest"]),
];
/// The pool that comes and goes.
const FLEETING: &str = "guests";

fn workload(app: &str, replicas: u64) -> Value {
    let plain = |cpu: &str| container("main", json!({"requests": {"cpu": cpu, "memory": "20Mi"}}));
    let spec = match app {
        "capped" => {
            let resources = json!({
                "requests": {"cpu": "40m", "memory": "20Mi"},
                "limits": {"cpu": "300m", "memory": "96Mi"},
            });
            pod_spec(json!([container("main", resources), plain("10m").with_name("beside")]))
        }
        "gold" => {
            let amounts = json!({"cpu": "60m", "memory": "24Mi"});
            pod_spec(json!([container("main", json!({"requests": amounts, "limits": amounts}))]))
        }
        "front" => {
            let mut spec = pod_spec(json!([plain("50m")]));
            // Its request counts although it is finished.
            let mut init = plain("70m").with_name("first");
            init["command"] = json!(["true"]);
            spec["initContainers"] = json!([init]);
            spec
        }
        BUSY => {
            let mut spinning = spinning("50m");
            spinning["resources"]["limits"] = json!({"cpu": "250m"});
            pod_spec(json!([spinning]))
        }
        _ => pod_spec(json!([plain("50m")])),
    };
    let mut workload = deployment(app, u32::try_from(replicas).unwrap_or_default(), spec);
    workload["spec"]["template"]["metadata"]["labels"][MEMBER] = json!(app);
    workload["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    workload
}

trait Named {
    fn with_name(self, name: &str) -> Self;
}

impl Named for Value {
    fn with_name(mut self, name: &str) -> Self {
        self["name"] = json!(name);
        self
    }
}

/// The pool as it is in the end, unless weights and capacity are drawn.
fn pool(name: &str, random: Option<&mut Random>) -> Result<Value> {
    let (_, members) = POOLS.iter().find(|(pool, _)| *pool == name).context("a pool")?;
    let last = match name {
        "shop" => (800, 1_200),
        "lab" => (480, 600),
        _ => (160, 300),
    };
    let mut random = random;
    let mut draw = |list: &[u64], last| random.as_mut().map_or(last, |random| random.pick(list));
    let cpu = last.0 * draw(&[50, 75, 100, 100, 120], 100) / 100;
    let memory = last.1 * draw(&[70, 100, 100, 130], 100) / 100;
    let members = members.iter().map(|member| {
        let weight = draw(&[50, 100, 200, 400], 100);
        json!({"name": member, "weight": weight, "selector": {"matchLabels": {MEMBER: member}}})
    });
    let members: Vec<Value> = members.collect();
    let strategy = if name == "lab" { "Isolated" } else { "Weighted" };
    Ok(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")},
            "sharing": {"strategy": strategy, "nodeReservePercent": 0},
            "members": members,
        },
    }))
}

/// Makes all that there is, and waits until it runs and all pools are settled.
pub async fn begin(bench: &Bench) -> Result<()> {
    for (app, replicas) in STEADY.into_iter().chain(SCALED) {
        bench.apply(workload(app, replicas)).await?;
    }
    bench.apply(workload(BUSY, 0)).await?;
    for (app, replicas) in STEADY.into_iter().chain(SCALED) {
        bench.running(app, usize::try_from(replicas)?).await?;
    }
    for (name, _) in POOLS {
        bench.apply(pool(name, None)?).await?;
    }
    for (name, _) in POOLS {
        bench.settled(name).await?;
    }
    Ok(())
}

/// Changes something every second or two, until it is told to end. Returns how many changes were made, and how many
/// failed, as they must while there is no answer.
pub async fn go_on(bench: Arc<Bench>, end: Arc<AtomicBool>, mut random: Random) -> (usize, usize) {
    let (mut made, mut failed) = (0, 0);
    while !end.load(Ordering::Relaxed) {
        match timeout(Duration::from_secs(5), change(&bench, &mut random)).await {
            Ok(Ok(())) => made += 1,
            _ => failed += 1,
        }
        sleep(Duration::from_millis(random.range(500, 2_000))).await;
    }
    (made, failed)
}

async fn change(bench: &Bench, random: &mut Random) -> Result<()> {
    match random.range(0, 9) {
        0..=3 => {
            let name = random.pick(&["shop", "shop", "lab", "guests"]);
            let edited = pool(name, Some(random))?;
            let patch = Patch::Merge(json!({"spec": edited["spec"]}));
            bench.pools().patch(name, &PatchParams::default(), &patch).await?;
        }
        4..=5 => {
            let (app, _) = random.pick(&SCALED);
            scale(bench, app, random.range(0, 3)).await?;
        }
        6 => {
            let replicas = random.range(0, 1);
            scale(bench, BUSY, replicas).await?;
        }
        7 => {
            let again = json!({"metadata": {"annotations": {"rollout": random.range(0, 1 << 30).to_string()}}});
            let patch = Patch::Merge(json!({"spec": {"template": again}}));
            deployments(bench).patch("rolled", &PatchParams::default(), &patch).await?;
        }
        8 => {
            let member = random.pick(&["swing", "swing", "front", "gold", "absent"]);
            let swinging = ListParams::default().labels("app=swing");
            let pods: Vec<String> =
                bench.pods().list(&swinging).await?.iter().map(ResourceExt::name_any).collect();
            if !pods.is_empty() {
                let place = random.range(0, pods.len() as u64 - 1);
                relabel(bench, &pods[usize::try_from(place)?], member).await?;
            }
        }
        _ => {
            let edited = pool(FLEETING, Some(random))?;
            match bench.pools().get_opt(FLEETING).await? {
                Some(_) => drop(bench.pools().delete(FLEETING, &DeleteParams::default()).await?),
                None => {
                    let edited = serde_json::from_value(edited)?;
                    bench.pools().create(&PostParams::default(), &edited).await?;
                }
            }
        }
    }
    Ok(())
}

/// Puts everything into the state that the test looks at in the end. It ends with an edit of each pool.
pub async fn settle(bench: &Bench) -> Result<()> {
    let limit = Duration::from_secs(180);
    eventually(limit, || scale(bench, BUSY, 0)).await?;
    for (app, replicas) in SCALED {
        eventually(limit, || scale(bench, app, replicas)).await?;
    }
    for (app, replicas) in STEADY.into_iter().chain(SCALED).chain([(BUSY, 0)]) {
        eventually(limit, || bench.running(app, replicas as usize)).await?;
    }
    for pod in bench.pods().list(&ListParams::default().labels("app=swing")).await? {
        relabel(bench, &pod.name_any(), "swing").await?;
    }
    // By now it is measured that no pod is busy.
    sleep(Duration::from_secs(45)).await;
    for (name, _) in POOLS {
        eventually(limit, || async { bench.apply(pool(name, None)?).await }).await?;
    }
    Ok(())
}

async fn scale(bench: &Bench, app: &str, replicas: u64) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments(bench).patch(app, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn relabel(bench: &Bench, pod: &str, member: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {MEMBER: member}}}));
    bench.pods().patch(pod, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn deployments(bench: &Bench) -> Api<Deployment> {
    Api::namespaced(bench.client.clone(), &bench.namespace)
}
