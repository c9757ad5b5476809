//! The locks that keep a second cluster, or a second API server, off the machine.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{run_dir::RunDir, say::say};

/// One run of a kind at a time. The file holds the run directory, so that the next run can clear
/// away after one that was killed.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// That of a cluster, or who has it. The cgroup kubepods is the whole machine's.
    pub fn of_cluster() -> Result<Self> {
        Self::take(
            "weightedshare-e2e.lock",
            "a cluster on this machine; two would share the cgroup kubepods",
        )
    }

    /// That of an API server alone, or who has it. All that it has is in namespaces of its own, so
    /// it may run beside a cluster.
    pub fn of_api_server() -> Result<Self> {
        Self::take("weightedshare-e2e-api-server.lock", "an API server on this machine")
    }

    fn take(name: &str, what: &str) -> Result<Self> {
        let folder = Path::new("/run/lock");
        let folder = if folder.is_dir() { folder } else { Path::new("/tmp") };
        let path = folder.join(name);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        if file.try_lock().is_err() {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            bail!(
                "another run ({}) has {what}. Wait until it ends ({} is its lock)",
                holder.trim(),
                path.display()
            );
        }
        Ok(Self { file })
    }

    /// Notes the run directory; an empty path when it is gone.
    pub fn note(&mut self, run_dir: &Path) -> Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        if !run_dir.as_os_str().is_empty() {
            writeln!(self.file, "process {}, {}", std::process::id(), run_dir.display())?;
        }
        Ok(self.file.flush()?)
    }

    /// Removes what a run that was killed has left. Its processes died with it.
    pub async fn clear_leftovers(&mut self) -> Result<()> {
        let mut note = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut note)?;
        let Some((_, run_dir)) = note.trim().split_once(", ") else { return Ok(()) };
        let run_dir = PathBuf::from(run_dir);
        if run_dir.is_dir() {
            say(format_args!("clearing away after a run that was killed: {}", run_dir.display()));
            RunDir::at(run_dir).remove(false).await?;
        }
        self.note(Path::new(""))
    }
}
