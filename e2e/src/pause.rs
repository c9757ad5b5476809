//! A process of the cluster that stands still for a while: nobody answers, and no connection ends.

use anyhow::{Context, Result};
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
        // In the namespaces of the cluster, only its processes are in there.
        let process = find(name)?.with_context(|| format!("no process is called {name}"))?;
        kill_process(process, Signal::STOP).with_context(|| format!("stop {name}"))?;
        Ok(Self { process })
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::CONT);
    }
}

fn find(name: &str) -> Result<Option<Pid>> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let Ok(called) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
        if called.trim_end() == name {
            return Ok(Pid::from_raw(id));
        }
    }
    Ok(None)
}
