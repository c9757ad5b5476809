//! The programs that a cluster is made of: built from their Go modules once, and cached by version.

pub mod api_servers;
pub mod vertical_pod_autoscaler;

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::say::say;

/// The Kubernetes version that the cluster runs.
pub const KUBERNETES: &str = "v1.37.2";

const GO: (u32, u32) = (1, 26);

/// Programs that come from one module and are built together.
#[derive(Debug)]
pub struct Bundle {
    name: &'static str,
    version: &'static str,
    source: Source,
    /// Stamps the version, where the program does not find it by itself.
    linker_flags: &'static str,
    programs: &'static [&'static str],
    /// What it took on two cores, from an empty cache.
    minutes: u32,
}

#[derive(Debug)]
enum Source {
    /// The `tool` lines of `binaries/MODULE/go.mod`; what Go calls the first, we call the second.
    Tools { module: &'static str, rename: Option<(&'static str, &'static str)> },
    /// A package that builds as it is published.
    Package(&'static str),
}

/// Everything that a cluster takes.
pub const BUNDLES: &[Bundle] = &[
    Bundle {
        name: "etcd",
        version: "v3.7.3",
        source: Source::Tools { module: "etcd", rename: Some(("server", "etcd")) },
        linker_flags: "-s -w",
        programs: &["etcd"],
        minutes: 2,
    },
    Bundle {
        name: "containerd",
        version: "v2.4.2",
        source: Source::Tools { module: "containerd", rename: None },
        linker_flags: "-s -w",
        programs: &["containerd", "containerd-shim-runc-v2", "ctr"],
        minutes: 2,
    },
    Bundle {
        name: "kubernetes",
        version: KUBERNETES,
        source: Source::Tools { module: "kubernetes", rename: None },
        linker_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2",
        programs: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ],
        minutes: 11,
    },
    Bundle {
        name: "helm",
        version: "v4.3.1",
        source: Source::Package("helm.sh/helm/v4/cmd/helm"),
        linker_flags: "-s -w",
        programs: &["helm"],
        minutes: 5,
    },
    Bundle {
        name: "kwok",
        version: "v0.8.0",
        source: Source::Package("sigs.k8s.io/kwok/cmd/kwok"),
        linker_flags: "-s -w",
        programs: &["kwok"],
        minutes: 2,
    },
    Bundle {
        name: "metrics-server",
        version: "v0.9.0",
        source: Source::Package("sigs.k8s.io/metrics-server/cmd/metrics-server"),
        linker_flags: "-s -w",
        programs: &["metrics-server"],
        minutes: 5,
    },
];

impl Bundle {
    fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.programs.iter().all(|program| folder.join(program).is_file())
    }

    /// Builds into a folder of its own and renames that at the end, so that an interrupted build
    /// leaves nothing that looks whole.
    async fn build(&self, cache: &Path) -> Result<()> {
        say(format_args!(
            "building {} {} (about {} min on two cores, once)",
            self.name, self.version, self.minutes
        ));
        let building = cache.join(format!(".building-{}", self.folder()));
        remove_if_there(&building)?;
        std::fs::create_dir_all(&building)?;

        let mut go = Command::new("go");
        go.env("CGO_ENABLED", "0").env("GOWORK", "off").env_remove("GOFLAGS");
        match &self.source {
            Source::Tools { module, .. } => {
                go.current_dir(modules().join(module));
                go.args(["build", "-trimpath", "-ldflags", self.linker_flags, "-o"]);
                go.arg(&building).arg("tool");
            }
            Source::Package(package) => {
                // Outside of any module, so that only the package's own versions count.
                go.current_dir(cache).env("GOBIN", &building);
                go.args(["install", "-trimpath", "-ldflags", self.linker_flags]);
                go.arg(format!("{package}@{}", self.version));
            }
        }
        let took = run_with_progress(go, self.name).await?;

        if let Source::Tools { rename: Some((from, to)), .. } = self.source {
            std::fs::rename(building.join(from), building.join(to))?;
        }
        if !self.is_in(&building) {
            bail!("go built {}, but not all of {:?}", self.name, self.programs);
        }
        let folder = cache.join(self.folder());
        remove_if_there(&folder)?;
        std::fs::rename(&building, &folder)
            .with_context(|| format!("move {} to {}", building.display(), folder.display()))?;
        say(format_args!("built {} {} in {} s", self.name, self.version, took.as_secs()));
        Ok(())
    }
}

/// Builds what a cluster takes and is not in the cache yet.
pub async fn ensure() -> Result<()> {
    build_missing(BUNDLES).await
}

async fn build_missing(bundles: &[Bundle]) -> Result<()> {
    let cache = cache_folder()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    let missing = |bundle: &&Bundle| !bundle.is_in(&cache.join(bundle.folder()));
    if bundles.iter().find(missing).is_none() {
        return Ok(());
    }
    check_go().await?;
    let _lock = lock(&cache).await?;
    for bundle in bundles.iter().filter(missing) {
        bundle.build(&cache).await?;
    }
    Ok(())
}

/// Two that build at once would step on each other's folders: the second waits, then finds everything there.
pub(crate) async fn lock(folder: &Path) -> Result<File> {
    let lock = File::create(folder.join(".lock"))?;
    if lock.try_lock().is_ok() {
        return Ok(lock);
    }
    say(format_args!("waiting for another build in {}", folder.display()));
    Ok(tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??)
}

/// One line for each bundle: what it is and where.
pub fn list() -> Result<Vec<String>> {
    let cache = cache_folder()?;
    Ok(BUNDLES
        .iter()
        .map(|bundle| {
            let folder = cache.join(bundle.folder());
            format!("{} {}: {}", bundle.name, bundle.version, folder.display())
        })
        .collect())
}

/// The path of one program.
pub fn program(name: &str) -> Result<PathBuf> {
    let cache = cache_folder()?;
    BUNDLES
        .iter()
        .find(|bundle| bundle.programs.contains(&name))
        .map(|bundle| cache.join(bundle.folder()).join(name))
        .with_context(|| format!("no module builds {name}"))
}

/// `PATH` with the folders of all programs in front.
pub fn search_path() -> Result<OsString> {
    let cache = cache_folder()?;
    let present = std::env::var_os("PATH").unwrap_or_default();
    let ours = BUNDLES.iter().map(|bundle| cache.join(bundle.folder()));
    Ok(std::env::join_paths(ours.chain(std::env::split_paths(&present)))?)
}

/// Where what is built or unpacked is kept.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => bail!("set HOME or XDG_CACHE_HOME: the built programs are kept below it"),
    };
    Ok(base.join("weightedshare"))
}

/// `binaries/` beside this crate's manifest.
fn modules() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.join("binaries").is_dir())
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    manifest.join("binaries")
}

async fn check_go() -> Result<()> {
    let advice = "install Go 1.26 or newer, see https://go.dev/doc/install (any Go from 1.21 on \
                  fetches the one that it needs by itself, unless GOTOOLCHAIN=local)";
    // In the folder of a module, where Go switches to the toolchain that the module asks for.
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .current_dir(modules().join("containerd"))
        .output()
        .await
        .with_context(|| {
            format!("the cluster's programs are built with Go, and there is no go: {advice}")
        })?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        bail!("go: {}\n{advice}", String::from_utf8_lossy(&output.stderr).trim());
    }
    if !go_is_recent(&version) {
        bail!("Go is {version}: {advice}");
    }
    Ok(())
}

fn go_is_recent(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches("go")
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= GO
}

async fn run_with_progress(mut command: Command, name: &str) -> Result<Duration> {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start go")?;
    let mut result = std::pin::pin!(child.wait_with_output());
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.tick().await;
    let output = loop {
        tokio::select! {
            output = &mut result => break output?,
            _ = minute.tick() => {
                say(format_args!("  still building {name}, {} min", started.elapsed().as_secs() / 60));
            }
        }
    };
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let told = messages.lines().filter(|line| !line.starts_with("go: downloading"));
        let told: Vec<_> = told.collect();
        bail!("go could not build {name}:\n{}", told[told.len().saturating_sub(20)..].join("\n"));
    }
    Ok(started.elapsed())
}

pub(crate) fn remove_if_there(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions() {
        for recent in ["go1.26", "go1.26.8", "go1.27rc1", "go2.0"] {
            assert!(go_is_recent(recent), "{recent}");
        }
        for old in ["go1.9", "go1.25.7", "", "devel"] {
            assert!(!go_is_recent(old), "{old}");
        }
    }

    #[test]
    fn the_version_that_is_stamped_is_the_one_that_is_named() {
        let kubernetes = BUNDLES.iter().find(|bundle| bundle.name == "kubernetes");
        assert!(kubernetes.is_some_and(|bundle| bundle.linker_flags.ends_with(KUBERNETES)));
    }
}
