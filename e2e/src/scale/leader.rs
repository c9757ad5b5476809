//! The controller's process: the CPU time and the memory that it takes.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

/// The name of its process.
const NAME: &str = "weightedshare";
/// Clock ticks in a second, as /proc counts: the same on every Linux that Kubernetes runs on.
const TICKS: f64 = 100.0;

/// A process of the controller.
#[derive(Clone, Debug)]
pub struct Leader {
    folder: PathBuf,
}

impl Leader {
    /// Of all that run, the one that has taken the most CPU time: those that stand by take next to none.
    ///
    /// # Errors
    /// When none runs.
    pub fn find() -> Result<Self> {
        let all = std::fs::read_dir("/proc")?.flatten().map(|entry| Self { folder: entry.path() });
        let named = all.filter(|process| {
            let name = std::fs::read_to_string(process.folder.join("comm"));
            name.is_ok_and(|name| name.trim() == NAME)
        });
        let most = named.max_by_key(|process| process.cpu_time().unwrap_or_default());
        most.context("no controller runs")
    }

    /// The CPU time that it has taken.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(self.folder.join("stat"))?;
        // The name, in brackets, may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // utime and stime: the 14th and 15th of all.
        let ticks: u64 = fields.get(11).context("utime")?.parse::<u64>()?
            + fields.get(12).context("stime")?.parse::<u64>()?;
        Ok(Duration::from_secs_f64(ticks as f64 / TICKS))
    }

    /// The memory that it has in its pages now, and had at most, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(self.folder.join("status"))?;
        let mib = |name: &str| -> Result<f64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("a field")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((mib("VmRSS:")?, mib("VmHWM:")?))
    }
}
