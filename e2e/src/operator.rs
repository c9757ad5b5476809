//! The operator under test: its image and its charts, installed as a user installs them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::{Cluster, image, kubectl, prometheus};

/// The namespace that it runs in.
pub const NAMESPACE: &str = "weighted-share-system";
/// Who it is to the API server.
pub const USER: &str = "system:serviceaccount:weighted-share-system:weighted-share";
/// The CRD's name.
const CRD: &str = "weightedshares.weightedshare.dev";
/// The tag of the image under test.
const TAG: &str = "e2e";
/// The path of the static binary that the image is made of.
const BINARY: &str = "WEIGHTEDSHARE_BINARY";

/// Puts the image on the node and installs the charts, unless an earlier test did and nothing has changed since; then waits
/// until the operator is ready. On a cluster that is not ours, it is to be installed there already.
///
/// # Errors
/// When the binary is not built, or helm fails.
pub async fn install(cluster: &Cluster) -> Result<()> {
    install_with(cluster, &[]).await
}

/// Likewise, with more values of the chart, each as `name=value`.
///
/// # Errors
/// When the binary is not built, or helm fails.
pub async fn install_with(cluster: &Cluster, values: &[String]) -> Result<()> {
    let Some(run_dir) = cluster.run_dir() else { return Ok(()) };
    let note = run_dir.root().join("installed-operator");
    let noted = std::fs::read_to_string(&note).ok();
    if noted.is_some() && noted == installed().await.ok() {
        let ready = ["rollout", "status", "deployment/weighted-share", "--timeout=3m"];
        let ready = [&ready[..], &["--namespace", NAMESPACE]].concat();
        return kubectl::run("kubectl", &ready, "").await.map(drop);
    }
    install_anew(cluster, values).await?;
    std::fs::write(&note, installed().await?).with_context(|| note.display().to_string())
}

/// What is installed, and what it is made of: Helm's revisions, the program, the files of the charts.
async fn installed() -> Result<String> {
    let revisions = ["get", "secrets", "--namespace", NAMESPACE, "--selector=owner=helm"];
    let columns = ["--no-headers", "-o=custom-columns=:.metadata.uid,:.metadata.labels.status"];
    let mut all = kubectl::run("kubectl", &[&revisions[..], &columns].concat(), "").await?;
    note_versions(&binary(), &mut all)?;
    note_versions(&charts(), &mut all)?;
    Ok(all)
}

/// Adds a line for a file, or for each file in a folder: its path, and when it was written.
fn note_versions(path: &Path, all: &mut String) -> Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    if !metadata.is_dir() {
        *all += &format!("{} {:?}\n", path.display(), metadata.modified()?);
        return Ok(());
    }
    let mut paths = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort_unstable();
    paths.iter().try_for_each(|path| note_versions(path, all))
}

async fn install_anew(cluster: &Cluster, values: &[String]) -> Result<()> {
    let charts = charts();
    let (crds, chart) = (charts.join("weighted-share-crds"), charts.join("weighted-share"));
    let (crds, chart) = (crds.display().to_string(), chart.display().to_string());
    let mut arguments =
        vec!["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"];
    helm("weighted-share-crds", &crds, &arguments).await?;
    let tag = format!("image.tag={TAG}");
    cluster.import(&image::operator_image(&binary(), TAG)?).await?;
    let prometheus = format!("prometheus.url={}", prometheus::URL);
    arguments.extend(["--set", &tag, "--set", "image.pullPolicy=Never", "--set", &prometheus]);
    // So that tests can read them.
    let metrics = "podAnnotations.prometheus\\.io";
    let scraped = [("scrape", "true"), ("port", "8443"), ("scheme", "https")]
        .map(|(what, value)| format!("{metrics}/{what}={value}"));
    for annotation in &scraped {
        arguments.extend(["--set-string", annotation]);
    }
    arguments.extend(["--set", "metrics.exposed=true", "--set", "liveUpdate.enabled=true"]);
    // Tests beside each other are one tenant's.
    arguments.extend(["--set", "bounds.nodeMemoryGrowPercent=100"]);
    arguments.extend(values.iter().flat_map(|value| ["--set", value.as_str()]));
    helm("weighted-share", &chart, &arguments).await
}

/// Takes the operator away, as a user does after the pools: the CRD stays, by the chart's policy. On a cluster that is
/// not ours it stays.
///
/// # Errors
/// When helm fails.
pub async fn uninstall(cluster: &Cluster) -> Result<()> {
    if cluster.run_dir().is_none() {
        return Ok(());
    }
    for release in ["weighted-share", "weighted-share-crds"] {
        let arguments =
            ["uninstall", release, "--namespace", NAMESPACE, "--wait", "--ignore-not-found"];
        kubectl::run("helm", &arguments, "").await?;
    }
    Ok(())
}

/// A controller that runs as a process beside a cluster that is not ours, where no operator is installed.
#[derive(Debug)]
pub struct Beside {
    controller: Child,
    /// The CRD was not there: it goes with us.
    brought_crd: bool,
}

impl Beside {
    /// Starts it, unless an operator is installed.
    ///
    /// # Errors
    /// When kubectl fails, or the controller is not built.
    pub async fn start() -> Result<Option<Self>> {
        let names = ["-o", "name", "--ignore-not-found"];
        let operator = [
            &["get", "deployments", "-A", "-l", "app.kubernetes.io/name=weighted-share"],
            &names[..],
        ];
        if !kubectl::run("kubectl", &operator.concat(), "").await?.trim().is_empty() {
            return Ok(None);
        }
        let crd = [&["get", "crd", CRD], &names[..]].concat();
        let brought_crd = kubectl::run("kubectl", &crd, "").await?.trim().is_empty();
        let crds = root().join("crds/weightedshares.yaml").display().to_string();
        kubectl::run("kubectl", &["apply", "--server-side", "-f", &crds], "").await?;
        let binary = binary();
        let controller = Command::new(&binary)
            .arg("controller")
            // It is alone, and leaves nothing behind.
            .args(["--leader-elect=false", "--health-address=0", "--metrics-address=0"])
            .arg("--recall-address=0")
            .env("LOG", "warn")
            // It outlives a Ctrl-C, to put the pods back.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("run {}", binary.display()))?;
        Ok(Some(Self { controller, brought_crd }))
    }

    /// Ends it. The demo's pool must be gone by then: nothing else puts its pods back. A CRD that others use by now
    /// stays.
    ///
    /// # Errors
    /// When it cannot be ended, or kubectl fails.
    pub async fn end(mut self) -> Result<()> {
        let others = kubectl::run("kubectl", &["get", CRD, "-A", "-o", "name"], "").await?;
        self.controller.kill().await.context("end the controller")?;
        if self.brought_crd && others.trim().is_empty() {
            kubectl::run("kubectl", &["delete", "crd", CRD, "--ignore-not-found"], "").await?;
        }
        Ok(())
    }
}

async fn helm(release: &str, chart: &str, more: &[&str]) -> Result<()> {
    let arguments = [&["upgrade", "--install", release, chart], more].concat();
    let installed = kubectl::run("helm", &arguments, "").await;
    match installed {
        Ok(_) => Ok(()),
        Err(error) => {
            // Why it did not come up is in the pods, not in what helm says.
            let pods = ["--namespace", NAMESPACE, "describe", "pods"];
            let pods = kubectl::run("kubectl", &pods, "").await.unwrap_or_default();
            Err(error.context(pods))
        }
    }
}

/// The static binary: what the environment names, or where cargo puts it.
pub fn binary() -> PathBuf {
    std::env::var_os(BINARY).map_or_else(
        || root().join("target/x86_64-unknown-linux-musl/release/weightedshare"),
        PathBuf::from,
    )
}

/// Applies an example of the `examples` folder.
///
/// # Errors
/// When it cannot be read, or kubectl fails.
pub async fn apply_example(cluster: &Cluster, name: &str) -> Result<String> {
    let path = root().join("examples").join(name);
    let mut manifests =
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if cluster.run_dir().is_some() {
        // Nothing can be pulled there.
        manifests = manifests.replace("image: busybox:1", &format!("image: {}", image::BUSYBOX));
    }
    kubectl::apply(&manifests).await?;
    Ok(manifests)
}

/// The names of all examples, in order. Folders hold what takes more than a cluster.
///
/// # Errors
/// When their folder cannot be read.
pub fn examples() -> Result<Vec<String>> {
    let folder = root().join("examples");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The folder of the charts.
#[must_use]
pub fn charts() -> PathBuf {
    root().join("charts")
}

/// The folder of what is installed without Helm.
#[must_use]
pub fn deploy() -> PathBuf {
    root().join("deploy")
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
