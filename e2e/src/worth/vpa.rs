//! VPA's recommender and updater, at their best: they look often, and believe what they saw for minutes.

use anyhow::Result;
use tokio::process::Command;

use crate::{binaries::vertical_pod_autoscaler, kubectl, process::Process, run_dir::RunDir};

/// They run until this is dropped.
#[derive(Debug)]
pub struct Vpa {
    _processes: [Process; 2],
}

/// Installs its CustomResourceDefinitions.
///
/// # Errors
/// When kubectl fails.
pub async fn install() -> Result<()> {
    let kinds = vertical_pod_autoscaler::kinds()?.display().to_string();
    kubectl::run("kubectl", &["apply", "--server-side", "-f", &kinds], "").await.map(drop)
}

impl Vpa {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(run_dir: &RunDir) -> Result<Self> {
        let recommender = [
            "--recommender-interval=10s",
            "--confidence-interval-cpu=2m",
            "--pod-recommendation-min-cpu-millicores=10",
            "--pod-recommendation-min-memory-mb=16",
            "--memory-saver",
            "--address=127.0.0.1:8942",
        ];
        let updater = [
            "--updater-interval=10s",
            "--min-replicas=1",
            "--in-place-skip-disruption-budget",
            "--in-recommendation-bounds-eviction-lifetime-threshold=30s",
            // No admission controller: pods start with what their manifests say, as in the other variants.
            "--use-admission-controller-status=false",
            "--address=127.0.0.1:8943",
        ];
        Ok(Self {
            _processes: [
                start(run_dir, "recommender", &recommender)?,
                start(run_dir, "updater", &updater)?,
            ],
        })
    }
}

fn start(run_dir: &RunDir, name: &str, options: &[&str]) -> Result<Process> {
    let mut command = Command::new(vertical_pod_autoscaler::program(name)?);
    command.arg(format!("--kubeconfig={}", run_dir.kubeconfig().display())).args(options);
    Process::start(&format!("vpa-{name}"), &run_dir.logs(), command)
}
