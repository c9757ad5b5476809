//! The node whose kernel is the judge of who got what. Where it matters, it has cgroup v2, the only version that kubelets accept
//! by default: the machine's own node where that has it, else a guest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use e2e::{
    Cluster,
    cgroups::{Cgroup, Cgroups, Version},
    cpu_time::{self, Reading},
    guest_node::{GUESTS, GuestNode, Size},
    node,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The number of the guest.
const GUEST: u8 = 2;

pub enum Judge {
    Host(Cgroups),
    Guest(Box<GuestNode>),
}

impl Judge {
    /// The machine's own node, whatever version it has.
    pub fn own() -> Result<Self> {
        Ok(Self::Host(Cgroups::detect()?))
    }

    /// The node with cgroup v2, once pods can run there, and says which it is.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let cgroups = Cgroups::detect()?;
        if cgroups.version() == Version::V2 {
            println!("judged on {}: the machine's own node, cgroup v2", node::NAME);
            return Ok(Self::Host(cgroups));
        }
        let began = Instant::now();
        let guest = GuestNode::start(cluster, GUEST, Size::default()).await?;
        println!(
            "judged on {}: a guest with cgroup v2, kernel {}, Ready after {:.1} s",
            guest.name(),
            guest.shell("uname -r").await?.trim(),
            began.elapsed().as_secs_f32()
        );
        Ok(Self::Guest(Box::new(guest)))
    }

    /// The name of the node.
    pub fn node(&self) -> String {
        match self {
            Self::Host(_) => node::NAME.to_owned(),
            Self::Guest(guest) => guest.name(),
        }
    }

    /// How far the CPU time of a pod may be from what its weight says, in percent of the node: on several CPUs beside others
    /// the kernel is less exact.
    pub fn tolerance(&self) -> f64 {
        match self {
            Self::Host(_) => 3.0,
            Self::Guest(_) => 1.0,
        }
    }

    /// Puts the pods of a spec there.
    pub fn put(&self, mut spec: Value) -> Value {
        let (key, value) = GUESTS;
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": self.node()});
        spec["tolerations"] = json!([{"key": key, "value": value, "effect": "NoSchedule"}]);
        spec
    }

    /// What its kernel says in these files of cgroups, in their order.
    pub async fn read(&self, files: &[PathBuf]) -> Result<Vec<String>> {
        match self {
            Self::Host(_) => files
                .iter()
                .map(|file| {
                    let content = std::fs::read_to_string(file);
                    Ok(content.with_context(|| file.display().to_string())?.trim().to_owned())
                })
                .collect(),
            Self::Guest(guest) => guest.read(files).await,
        }
    }

    /// The cgroup of a pod there.
    pub fn cgroup(&self, pod: &Pod) -> Result<Cgroup> {
        match self {
            Self::Host(cgroups) => cpu_time::cgroup_among(cgroups, pod),
            Self::Guest(_) => cpu_time::cgroup_among(&Cgroups::unified(), pod),
        }
    }

    /// The CPU time that each pod has had up to now.
    pub async fn cpu_times(&self, pods: &[&Pod]) -> Result<Vec<Reading>> {
        match self {
            Self::Host(_) => {
                let own: Vec<Pod> = pods.iter().copied().cloned().collect();
                let readings = cpu_time::of_cgroups(&own)?;
                let of = |pod: &&Pod| readings.get(&pod.uid().unwrap_or_default()).copied();
                pods.iter().map(|pod| of(pod).context("a pod without a cgroup")).collect()
            }
            Self::Guest(guest) => guest.cpu_times(pods).await,
        }
    }

    /// The parts of the CPU time that the kernel gives each pod in the next `window`, in percent of what they get together.
    pub async fn percent(&self, pods: &[&Pod], window: Duration) -> Result<Vec<f64>> {
        let before = self.cpu_times(pods).await?;
        sleep(window).await;
        let after = self.cpu_times(pods).await?;
        let used: Vec<u64> =
            after.iter().zip(before).map(|(after, before)| after.used - before.used).collect();
        Ok(percent(&used))
    }

    /// The weight by which the kernel compares each pod with its siblings, as the kernel itself says it.
    pub async fn weights(&self, pods: &[&Pod]) -> Result<Vec<u64>> {
        let mut files = Vec::new();
        for pod in pods {
            files.push(self.cgroup(pod)?.file("cpu", "cpu.weight"));
        }
        let told = self.read(&files).await?;
        told.iter()
            .map(|weight| weight.parse().with_context(|| format!("a weight of {weight:?}")))
            .collect()
    }
}

/// The parts of a whole, in percent.
pub fn percent(parts: &[u64]) -> Vec<f64> {
    let all: u64 = parts.iter().sum();
    parts.iter().map(|part| 100.0 * *part as f64 / all as f64).collect()
}
