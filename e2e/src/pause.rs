//! A process of the cluster that stands still for a while: there is no answer, and no connection ends. Or that is killed.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::Cluster;

/// A process that stands still until this value goes.
#[derive(Debug)]
pub struct Paused {
    process: Pid,
}

impl Paused {
    /// Stops the process of that name: `prometheus`, `metrics-server`.
    ///
    /// # Errors
    /// On a cluster that is not ours, or when there is no such process.
    pub fn process(cluster: &Cluster, name: &str) -> Result<Self> {
        cluster.own()?;
        let process = find(name, "")?;
        kill_process(process, Signal::STOP).with_context(|| format!("stop {name}"))?;
        Ok(Self { process })
    }

    /// Stops the process of that name in the pod with this UID.
    ///
    /// # Errors
    /// On a cluster that is not ours, or when there is no such process.
    pub fn in_pod(cluster: &Cluster, name: &str, uid: &str) -> Result<Self> {
        cluster.own()?;
        let process = find(name, uid)?;
        kill_process(process, Signal::STOP).with_context(|| format!("stop {name}"))?;
        Ok(Self { process })
    }
}

/// Kills the process of that name in the pod with this UID: it can do nothing about it.
///
/// # Errors
/// On a cluster that is not ours, or when there is no such process.
pub fn kill_in_pod(cluster: &Cluster, name: &str, uid: &str) -> Result<()> {
    cluster.own()?;
    kill_process(find(name, uid)?, Signal::KILL).with_context(|| format!("kill {name}"))
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::CONT);
    }
}

/// The process of that name whose cgroup has `within` in its path.
fn find(name: &str, within: &str) -> Result<Pid> {
    // In the namespaces of the cluster, only its processes are in there.
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let read = |file| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if read("comm").trim_end() == name && read("cgroup").contains(within) {
            return Pid::from_raw(id).context("a process");
        }
    }
    bail!("no process is called {name}{}{within}", if within.is_empty() { "" } else { " in pod " })
}
