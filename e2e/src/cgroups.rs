//! The kernel's own account of the pods: their cgroups, version 1 or 2.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const MOUNT: &str = "/sys/fs/cgroup";

/// The two interfaces that the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// The QoS class of a pod, which says where its cgroup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Requests equal limits.
    Guaranteed,
    /// Some requests.
    Burstable,
    /// None.
    BestEffort,
}

impl std::str::FromStr for QosClass {
    type Err = anyhow::Error;

    /// As in a pod's `status.qosClass`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "Guaranteed" => Ok(Self::Guaranteed),
            "Burstable" => Ok(Self::Burstable),
            "BestEffort" => Ok(Self::BestEffort),
            other => bail!("no QoS class is called {other:?}"),
        }
    }
}

/// What a cgroup weighs against its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuWeight {
    /// `cpu.shares`, on version 1.
    Shares(u64),
    /// `cpu.weight`, on version 2.
    Weight(u64),
}

/// The cgroups of this machine.
#[derive(Clone, Debug)]
pub struct Cgroups {
    version: Version,
    mount: PathBuf,
}

impl Cgroups {
    /// Looks which version is mounted, in the place where every distribution mounts it.
    pub fn detect() -> Result<Self> {
        let mount = PathBuf::from(MOUNT);
        let version = if mount.join("cgroup.controllers").is_file() {
            Version::V2
        } else if mount.join("cpu").is_dir() && mount.join("cpuacct").is_dir() {
            Version::V1
        } else {
            bail!(
                "neither cgroup v2 nor the v1 controllers cpu and cpuacct are mounted on {MOUNT}"
            );
        };
        Ok(Self { version, mount })
    }

    /// Those of a guest, which has version 2 in the usual place.
    pub fn unified() -> Self {
        Self { version: Version::V2, mount: PathBuf::from(MOUNT) }
    }

    /// Which of the two it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The cgroup of a pod.
    pub fn pod(&self, class: QosClass, uid: &str) -> Cgroup {
        let pod = format!("pod{uid}");
        let below = Path::new("kubepods");
        let below = match class {
            QosClass::Guaranteed => below.join(pod),
            QosClass::Burstable => below.join("burstable").join(pod),
            QosClass::BestEffort => below.join("besteffort").join(pod),
        };
        self.cgroup(below)
    }

    /// The cgroup of a QoS class, in which its pods are (`Guaranteed` pods have none).
    pub fn class(&self, class: QosClass) -> Cgroup {
        self.cgroup(match class {
            QosClass::Guaranteed => PathBuf::from("kubepods"),
            QosClass::Burstable => PathBuf::from("kubepods/burstable"),
            QosClass::BestEffort => PathBuf::from("kubepods/besteffort"),
        })
    }

    fn cgroup(&self, below: PathBuf) -> Cgroup {
        Cgroup { version: self.version, mount: self.mount.clone(), below }
    }

    /// Processes that are in cgroups of pods now.
    pub fn pod_processes(&self) -> Vec<u32> {
        let mut processes = Vec::new();
        for root in self.kubepods() {
            visit(&root, &mut |cgroup| {
                let list = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
                processes.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
            });
        }
        processes.sort_unstable();
        processes.dedup();
        processes
    }

    /// Removes `kubepods` from each hierarchy, deepest first, and nothing else. The kernel
    /// refuses while a process is left in one, so this cannot hurt anybody.
    pub async fn remove_kubepods(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let mut failure = None;
            for root in self.kubepods() {
                visit(&root, &mut |cgroup| match std::fs::remove_dir(cgroup) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        failure = Some((cgroup.to_owned(), error));
                    }
                    _ => {}
                });
            }
            match failure {
                None => return Ok(()),
                Some((cgroup, error)) if Instant::now() > deadline => {
                    return Err(error)
                        .with_context(|| format!("remove the cgroup {}", cgroup.display()));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn kubepods(&self) -> Vec<PathBuf> {
        match self.version {
            Version::V2 => vec![self.mount.join("kubepods")],
            Version::V1 => children(&self.mount).map(|root| root.join("kubepods")).collect(),
        }
        .into_iter()
        .filter(|root| root.is_dir())
        .collect()
    }
}

/// One cgroup.
#[derive(Clone, Debug)]
pub struct Cgroup {
    version: Version,
    mount: PathBuf,
    below: PathBuf,
}

impl Cgroup {
    /// Which of the two it is of.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path of one of its files; `controller` counts on version 1 only.
    pub fn file(&self, controller: &str, name: &str) -> PathBuf {
        match self.version {
            Version::V1 => self.mount.join(controller).join(&self.below).join(name),
            Version::V2 => self.mount.join(&self.below).join(name),
        }
    }

    /// The CPU time that its processes have had, in nanoseconds.
    pub fn cpu_time(&self) -> Result<u64> {
        match self.version {
            Version::V1 => number(&self.file("cpuacct", "cpuacct.usage")),
            Version::V2 => {
                let file = self.file("cpu", "cpu.stat");
                usage(&read(&file)?).with_context(|| format!("no usage_usec in {}", file.display()))
            }
        }
    }

    /// What it weighs against its siblings.
    pub fn cpu_weight(&self) -> Result<CpuWeight> {
        match self.version {
            Version::V1 => number(&self.file("cpu", "cpu.shares")).map(CpuWeight::Shares),
            Version::V2 => number(&self.file("cpu", "cpu.weight")).map(CpuWeight::Weight),
        }
    }

    /// The memory limit in bytes; none where it is unlimited.
    pub fn memory_limit(&self) -> Result<Option<u64>> {
        let file = match self.version {
            Version::V1 => self.file("memory", "memory.limit_in_bytes"),
            Version::V2 => self.file("memory", "memory.max"),
        };
        let text = read(&file)?;
        // Version 1 says "unlimited" with the largest whole number of pages.
        Ok(text.trim().parse().ok().filter(|bytes: &u64| *bytes < i64::MAX as u64 / 2))
    }
}

/// The CPU time in nanoseconds that a `cpu.stat` tells.
pub fn usage(stat: &str) -> Option<u64> {
    Some(field(stat, "usage_usec")? * 1000)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

fn number(file: &Path) -> Result<u64> {
    let text = read(file)?;
    text.trim().parse().with_context(|| format!("{} holds {text:?}", file.display()))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Calls `each` for every directory below, children before parents.
fn visit(root: &Path, each: &mut dyn FnMut(&Path)) {
    for child in children(root) {
        visit(&child, each);
    }
    each(root);
}

fn children(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroups(version: Version) -> Cgroups {
        Cgroups { version, mount: PathBuf::from(MOUNT) }
    }

    #[test]
    fn paths_on_version_1_have_the_controller_in_front() {
        let pod = cgroups(Version::V1).pod(QosClass::Burstable, "0b1c-2d");
        assert_eq!(
            pod.file("cpuacct", "cpuacct.usage"),
            Path::new("/sys/fs/cgroup/cpuacct/kubepods/burstable/pod0b1c-2d/cpuacct.usage")
        );
    }

    #[test]
    fn paths_on_version_2_have_no_controller() {
        let paths = [
            (QosClass::Guaranteed, "/sys/fs/cgroup/kubepods/podu/cpu.stat"),
            (QosClass::Burstable, "/sys/fs/cgroup/kubepods/burstable/podu/cpu.stat"),
            (QosClass::BestEffort, "/sys/fs/cgroup/kubepods/besteffort/podu/cpu.stat"),
        ];
        for (class, path) in paths {
            let pod = cgroups(Version::V2).pod(class, "u");
            assert_eq!(pod.file("cpu", "cpu.stat"), Path::new(path));
        }
    }

    #[test]
    fn fields_of_cpu_stat() {
        let stat = "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n";
        assert_eq!(field(stat, "usage_usec"), Some(1234));
        assert_eq!(field(stat, "nr_throttled"), None);
    }

    #[test]
    fn children_come_before_parents() -> Result<()> {
        let root = std::env::temp_dir().join(format!("cgroups-visit-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b"))?;
        let mut seen = Vec::new();
        visit(&root, &mut |path| seen.push(path.to_owned()));
        std::fs::remove_dir_all(&root)?;
        assert_eq!(seen, [root.join("a/b"), root.join("a"), root]);
        Ok(())
    }
}
