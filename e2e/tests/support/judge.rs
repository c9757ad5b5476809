//! The node whose kernel says how much CPU time each pod got. [`Judge::start`] takes one with cgroup v2, the only version that
//! kubelets accept by default: the machine's own node if it has that version, otherwise a guest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use e2e::{
    Cluster,
    cgroups::{Cgroup, Cgroups, Version},
    cpu_time::{self, Reading},
    guest_node::{self, GuestNode, Size},
    node,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The number of the guest.
const GUEST: u8 = 2;

pub enum Judge {
    Host(Cgroups),
    Guest(Box<GuestNode>),
}

impl Judge {
    /// The machine's own node, with either version.
    pub fn own() -> Result<Self> {
        Ok(Self::Host(Cgroups::detect()?))
    }

    /// A node with cgroup v2 that can run pods. Prints which one it is.
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

    /// How far the CPU time of a pod may be from what its weight says, in percent of the node. The kernel is less exact where it
    /// has several CPUs to balance and other processes run beside the pods.
    pub fn tolerance(&self) -> f64 {
        match self {
            Self::Host(_) => 3.0,
            Self::Guest(_) => 1.0,
        }
    }

    /// How much later than on the machine itself a resize may be carried out and reported. A guest is emulated, and its kubelet
    /// shares the only CPU with the busy pods.
    pub fn lateness(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Host(_) => 0,
            Self::Guest(_) => 90,
        })
    }

    /// Puts the pods of a spec there.
    pub fn put(&self, mut spec: Value) -> Value {
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": self.node()});
        spec["tolerations"] = json!([guest_node::toleration()]);
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
            Self::Guest(_) => guest_node::cgroup(pod),
        }
    }

    /// The CPU time that each pod has had up to now.
    pub async fn cpu_times(&self, pods: &[&Pod]) -> Result<Vec<Reading>> {
        match self {
            Self::Host(_) => {
                pods.iter().map(|pod| cpu_time::of_cgroup(&self.cgroup(pod)?)).collect()
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
