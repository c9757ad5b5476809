//! Two virtual machines that are short of CPU: as KubeVirt has them by default, each with a tenth of its virtual CPUs as its request, and
//! in a pool.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    loads::{clear_away, list, running},
    measured::median,
    place::{Counted, Place},
    setting::{NAMESPACE, namespace, pool},
};
use crate::{guest, kubectl};

/// What KubeVirt requests for one virtual CPU, in millicores.
const TENTH: u64 = 100;
/// The machines, with their weights in the pool.
const MACHINES: [(&str, u32); 2] = [("database", 300), ("desktop", 100)];
/// What a pod beside them requests that takes all it gets, in millicores.
const BESIDE: u64 = 100;
/// What the pool has, in millicores.
const CAPACITY: u64 = 800;
const SETTLES: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(60);
const BOOTS: Duration = Duration::from_secs(120);

/// How the machines share the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Setting {
    /// As KubeVirt has them.
    FixedTenth,
    /// In a pool.
    Pool,
}

impl Setting {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::FixedTenth, Self::Pool];

    /// Its name in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedTenth => "KubeVirt's fixed tenth",
            Self::Pool => "a pool, 3 : 1",
        }
    }
}

/// What both machines did in one run, in the order of their names.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MachineWork {
    /// How far their guests counted, each second.
    pub counted: [f64; 2],
    /// The CPU that their pods got, in cores.
    pub cpu: [f64; 2],
    /// How often the node's kernel took the processor from them, for each million counted.
    pub switches: [f64; 2],
    /// How often their own kernels took it from what counts, for each million counted.
    pub inside: [f64; 2],
}

impl MachineWork {
    /// The names of the columns that [`fmt::Display`] writes, for both machines each.
    pub const HEAD: &'static str = "                          counted a second |  cores      | switches a million | inside a million";

    /// The median of each figure.
    #[must_use]
    pub fn median(of: &[Self]) -> Self {
        let both =
            |value: fn(&Self) -> [f64; 2]| [0, 1].map(|i| median(of.iter().map(|it| value(it)[i])));
        Self {
            counted: both(|it| it.counted),
            cpu: both(|it| it.cpu),
            switches: both(|it| it.switches),
            inside: both(|it| it.inside),
        }
    }
}

impl fmt::Display for MachineWork {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { counted, cpu, switches, inside } = self;
        write!(f, "{:8.0} {:7.0} | {:5.2} {:5.2} | ", counted[0], counted[1], cpu[0], cpu[1])?;
        write!(f, "{:9.0} {:8.0} | {:8.0} {:7.0}", switches[0], switches[1], inside[0], inside[1])
    }
}

/// Runs both machines, and a pod beside them that takes what it gets.
///
/// # Errors
/// When they do not boot, or do not count.
pub async fn measure(client: &Client, place: &Place, setting: Setting) -> Result<MachineWork> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests(setting)});
    kubectl::apply(&list.to_string()).await?;
    let work = measured(client, place).await;
    clear_away().await?;
    work
}

async fn measured(client: &Client, place: &Place) -> Result<MachineWork> {
    running(client, MACHINES.len() + 1).await?;
    for (name, _) in MACHINES {
        booted(name).await?;
    }
    sleep(SETTLES).await;
    let began = Instant::now();
    let before = readings(client, place).await?;
    sleep(WINDOW).await;
    let seconds = began.elapsed().as_secs_f64();
    let after = readings(client, place).await?;
    let mut work = MachineWork::default();
    for (i, (after, before)) in after.iter().zip(&before).enumerate() {
        ensure!(after.boot == before.boot, "{} booted again", MACHINES[i].0);
        let counted = (after.counted - before.counted) as f64;
        let millions = (counted / 1e6).max(1e-9);
        work.counted[i] = counted / seconds;
        let (now, then) = (after.by_node, before.by_node);
        work.cpu[i] = (now.used - then.used) as f64 / 1e9 / seconds;
        work.switches[i] = now.switches.saturating_sub(then.switches) as f64 / millions;
        work.inside[i] = (after.inside - before.inside) as f64 / millions;
    }
    Ok(work)
}

struct Reading {
    boot: String,
    counted: u64,
    inside: u64,
    by_node: Counted,
}

async fn readings(client: &Client, place: &Place) -> Result<Vec<Reading>> {
    let pods = list(client).await?;
    let mut readings = Vec::new();
    for (name, _) in MACHINES {
        let pod: &Pod =
            pods.iter().find(|pod| pod.name_any() == name).context("a machine is gone")?;
        let (boot, counted, inside) = told(name).await?.context("it counts no more")?;
        let by_node = place.counted(&[pod]).await?.0[0];
        readings.push(Reading { boot, counted, inside, by_node });
    }
    Ok(readings)
}

/// What a guest said last.
async fn told(name: &str) -> Result<Option<(String, u64, u64)>> {
    let logs = ["logs", "--namespace", NAMESPACE, "--tail=5", name];
    let log = kubectl::run("kubectl", &logs, "").await?;
    Ok(log.lines().rev().find_map(|line| {
        let (boot, counted, switches) = guest::told(line)?;
        Some((boot.to_owned(), counted, switches))
    }))
}

async fn booted(name: &str) -> Result<()> {
    let deadline = Instant::now() + BOOTS;
    while told(name).await?.is_none_or(|(_, counted, _)| counted == 0) {
        ensure!(Instant::now() < deadline, "{name} does not count after {} s", BOOTS.as_secs());
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn manifests(setting: Setting) -> Vec<Value> {
    let mut manifests = vec![namespace()];
    // All three meet on one processor.
    manifests.extend(MACHINES.map(|(name, _)| {
        let container = json!({
            "name": "compute", "image": guest::IMAGE, "imagePullPolicy": "Never",
            "env": [{"name": "PINNED", "value": "1"}],
            "resources": {"requests": {"cpu": format!("{TENTH}m"), "memory": "300Mi"}},
        });
        pod(name, container)
    }));
    let spin = "taskset -p $(printf %x $((1 << ($(nproc) - 1)))) $$; trap 'exit 0' TERM; while :; do :; done";
    manifests.push(pod(
        "beside",
        json!({
            "name": "main", "image": crate::image::BUSYBOX, "imagePullPolicy": "Never",
            "command": ["sh", "-c", spin],
            "resources": {"requests": {"cpu": format!("{BESIDE}m"), "memory": "16Mi"}},
        }),
    ));
    if setting == Setting::Pool {
        manifests.push(pool(CAPACITY, json!({"nodeReservePercent": 0}), MACHINES));
    }
    manifests
}

fn pod(name: &str, container: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    })
}
