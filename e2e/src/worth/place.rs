//! The node that it is measured on: the machine's own, or a guest with cgroup v2 and a kernel of its own.

use std::fmt;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    Cluster,
    cgroups::{Cgroup, Cgroups, Version},
    cpu_time,
    guest_node::{self, GuestNode, Size},
    image::Image,
    node, process,
};

/// A kind of node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
pub enum Kind {
    /// The machine itself, with whatever version of cgroups it has.
    Host,
    /// A virtual machine with cgroup v2. It is emulated, so it is slow.
    Guest,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Guest => "guest",
        })
    }
}

/// A node that runs.
pub struct Place {
    /// What kind it is.
    pub kind: Kind,
    guest: Option<Box<GuestNode>>,
    cgroups: Cgroups,
    /// How many processors it has.
    pub cores: usize,
}

impl Place {
    /// The node of this kind, once pods can run there.
    ///
    /// # Errors
    /// When a guest does not start.
    pub async fn start(cluster: &Cluster, kind: Kind) -> Result<Self> {
        match kind {
            Kind::Host => {
                let cores = std::thread::available_parallelism().context("count processors")?;
                Ok(Self { kind, guest: None, cgroups: Cgroups::detect()?, cores: cores.get() })
            }
            Kind::Guest => {
                let size = Size::default();
                let number = *guest_node::NUMBERS.start();
                let guest = GuestNode::start(cluster, number, size).await?;
                let cores = usize::from(size.cpus);
                let guest = Some(Box::new(guest));
                Ok(Self { kind, guest, cgroups: Cgroups::unified(), cores })
            }
        }
    }

    /// Makes an image known to it.
    ///
    /// # Errors
    /// When it does not take it.
    pub async fn import(&self, cluster: &Cluster, image: &Image) -> Result<()> {
        match &self.guest {
            Some(guest) => guest.import(image).await,
            None => cluster.import(image).await,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.guest.as_ref().map_or_else(|| node::NAME.to_owned(), |guest| guest.name())
    }

    /// What it is, in words.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn words(&self) -> Result<String> {
        let kernel = self.shell("uname -r").await?;
        let (name, cores, kernel) = (self.name(), self.cores, kernel.trim());
        let version = match self.cgroups.version() {
            Version::V1 => "v1",
            Version::V2 => "v2",
        };
        Ok(format!("{name}: {cores} processors, Linux {kernel}, cgroup {version}"))
    }

    /// Puts the pods of a spec there.
    #[must_use]
    pub fn put(&self, mut spec: Value) -> Value {
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": self.name()});
        spec["tolerations"] = json!([guest_node::toleration()]);
        spec
    }

    /// Runs a script there, and returns what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub async fn shell(&self, script: &str) -> Result<String> {
        match &self.guest {
            Some(guest) => guest.shell(script).await,
            None => process::run(Command::new("sh").args(["-c", script])).await,
        }
    }

    /// The cgroup of a pod there.
    ///
    /// # Errors
    /// When the pod has no UID or QoS class yet.
    pub fn cgroup(&self, pod: &Pod) -> Result<Cgroup> {
        cpu_time::cgroup_among(&self.cgroups, pod)
    }

    /// What its kernel has counted for some pods, in their order, and for how long its processors have had nothing to do.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn counted(&self, pods: &[&Pod]) -> Result<(Vec<Counted>, u64)> {
        let cgroups = pods.iter().map(|pod| self.cgroup(pod)).collect::<Result<Vec<_>>>()?;
        let told = self.shell(&script(&cgroups)).await?;
        let mut lines = told.lines();
        let idle = idle(lines.next().unwrap_or_default()).context("/proc/stat says nothing")?;
        let of_pods: Vec<&str> = told.split(MARK).skip(1).collect();
        ensure!(of_pods.len() == pods.len(), "{} of {} cgroups: {told}", of_pods.len(), pods.len());
        let counted = of_pods.into_iter().zip(&cgroups);
        let counted = counted.map(|(told, cgroup)| {
            Counted::read(told, cgroup.version()).with_context(|| format!("a cgroup says {told}"))
        });
        Ok((counted.collect::<Result<_>>()?, idle))
    }
}

/// What a kernel has counted for a pod up to now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// The CPU time that it had, in nanoseconds.
    pub used: u64,
    /// For how long a limit kept it from running, in nanoseconds.
    pub throttled: u64,
    /// How often the kernel took the processor from a task that had not finished, of those that run now.
    pub switches: u64,
}

/// Between what is told of one pod and of the next.
const MARK: &str = "== pod ==";

/// Prints the times of all processors, and then for each cgroup its counters, and a line for each of its tasks.
fn script(cgroups: &[Cgroup]) -> String {
    let mut script = "head -n 1 /proc/stat\n".to_owned();
    for cgroup in cgroups {
        let (stat, all) = (cgroup.file("cpu", "cpu.stat"), cgroup.file("cpu", ""));
        let (usage, tasks) = match cgroup.version() {
            Version::V1 => {
                let usage = cgroup.file("cpuacct", "cpuacct.usage");
                (format!("echo usage_nsec $(cat {})", usage.display()), "tasks")
            }
            Version::V2 => (String::new(), "cgroup.threads"),
        };
        // A task that ends meanwhile counts as none.
        script += &format!(
            "echo '{MARK}'\ncat {} || exit 1\n{usage}\n\
             for task in $(find {} -name {tasks} -exec cat {{}} +); do grep nonvoluntary /proc/$task/status 2> /dev/null; done\n",
            stat.display(),
            all.display()
        );
    }
    script + "true\n"
}

impl Counted {
    fn read(told: &str, version: Version) -> Option<Self> {
        let field = |name: &str| {
            let mut values = told.lines().filter_map(|line| line.strip_prefix(name));
            values.next()?.trim().parse::<u64>().ok()
        };
        let switches =
            told.lines().filter_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        let switches = switches.filter_map(|count| count.trim().parse::<u64>().ok()).sum();
        Some(match version {
            Version::V1 => Self {
                used: field("usage_nsec ")?,
                throttled: field("throttled_time ").unwrap_or(0),
                switches,
            },
            Version::V2 => Self {
                used: field("usage_usec ")? * 1000,
                throttled: field("throttled_usec ").unwrap_or(0) * 1000,
                switches,
            },
        })
    }
}

/// The idle time of all processors together, in nanoseconds, by the first line of /proc/stat.
fn idle(line: &str) -> Option<u64> {
    // USER_HZ is 100 on every Linux.
    Some(line.split_ascii_whitespace().nth(4)?.parse::<u64>().ok()? * 10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_in_other_words() {
        let tasks = "nonvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t5\n";
        let first = format!("\nnr_periods 0\nthrottled_time 2000\nusage_nsec 3000\n{tasks}");
        let second = format!("\nusage_usec 3\nuser_usec 1\nthrottled_usec 2\n{tasks}");
        for (told, version) in [(first, Version::V1), (second, Version::V2)] {
            let Counted { used, throttled, switches } =
                Counted::read(&told, version).unwrap_or_default();
            assert_eq!([used, throttled, switches], [3000, 2000, 12]);
        }
        assert!(Counted::read("", Version::V2).is_none());
        assert_eq!(idle("cpu  1 2 3 4 5"), Some(40_000_000));
    }
}
