//! The run directory: all that one cluster has on disk.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// The directory of one run: logs, certificates, the data of etcd, containerd and the kubelet.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The environment variable that tells a command inside where the run directory is.
    pub const VARIABLE: &str = "WEIGHTEDSHARE_E2E_RUN_DIR";

    /// Names and makes a new one: on disk (`/tmp` and `/run` may be memory), and short, because
    /// the path of a unix socket has room for 107 bytes.
    pub fn create() -> Result<Self> {
        let parent = Path::new("/var/tmp");
        let parent = if parent.is_dir() { parent } else { Path::new("/tmp") };
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let name = format!("weightedshare-e2e-{time}-{}", std::process::id());
        let run = Self { root: parent.join(name) };
        for (directory, mode) in
            [(run.root.clone(), 0o711), (run.logs(), 0o755), (run.certificates(), 0o700)]
        {
            DirBuilder::new()
                .mode(mode)
                .create(&directory)
                .with_context(|| format!("make the directory {}", directory.display()))?;
        }
        Ok(run)
    }

    /// One that is there already.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where each component writes its log.
    pub fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    /// Every write that the API server got, in JSON lines (see [`crate::audit`]).
    pub fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    /// Certificates and keys.
    pub fn certificates(&self) -> PathBuf {
        self.path("certificates")
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.certificates().join("admin.kubeconfig")
    }

    /// The socket of containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// The socket where a test asks for the end of a process (see [`crate::outage`]).
    pub fn outages(&self) -> PathBuf {
        self.path("outages.sock")
    }

    /// The file that is there as soon as the cluster is ready.
    pub fn ready_mark(&self) -> PathBuf {
        self.path("ready")
    }

    /// Removes everything, or everything but the logs. The last mounts of a dead namespace may
    /// take a moment to go.
    pub async fn remove(&self, keep_logs: bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.try_remove(keep_logs) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error)
                        .with_context(|| format!("remove the directory {}", self.root.display()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn try_remove(&self, keep_logs: bool) -> std::io::Result<()> {
        if !keep_logs {
            return match std::fs::remove_dir_all(&self.root) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
        }
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path == self.logs() {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(path)?;
            } else {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
