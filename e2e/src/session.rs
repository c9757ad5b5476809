//! One run, seen from outside: the lock, the run directory, the namespaces, and the clearing away.

use std::{ffi::OsString, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use crate::{
    binaries::{self, api_servers::ApiServer},
    cgroups::Cgroups,
    exit,
    lock::Lock,
    namespace, packages,
    run_dir::RunDir,
    say::say,
    signals::Signals,
};

/// How long the inside may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be run.
#[derive(Debug)]
pub struct Session {
    /// The command, with its arguments.
    pub command: Vec<OsString>,
    /// Whether that is an interactive shell.
    pub shell: bool,
    /// Start this API server alone, instead of a cluster.
    pub api_server: Option<ApiServer>,
    /// Leave the logs when it is over.
    pub keep_logs: bool,
}

impl Session {
    /// Runs the command on a cluster of its own, or, with `CLUSTER=current`, on the one that the
    /// current kubeconfig is for. Returns the command's exit status.
    pub async fn run(self) -> Result<u8> {
        match std::env::var_os("CLUSTER") {
            None => self.run_on_own_cluster().await,
            Some(cluster) if cluster.is_empty() => self.run_on_own_cluster().await,
            Some(_) if self.api_server.is_some() => {
                bail!(
                    "an API server of a chosen version is one of our own: run this without CLUSTER"
                )
            }
            Some(cluster) if cluster == "current" => self.run_on_current_cluster().await,
            Some(other) => bail!("CLUSTER={}: only `current` is known", other.to_string_lossy()),
        }
    }

    async fn run_on_current_cluster(self) -> Result<u8> {
        let (program, arguments) = self.command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).env_remove(RunDir::VARIABLE).env_remove(ApiServer::VARIABLE);
        // It has the terminal, and answers its signals.
        let _interrupt = signal(SignalKind::interrupt())?;
        let status = command.kill_on_drop(true).status().await;
        Ok(exit::of(status.with_context(|| format!("run {}", program.to_string_lossy()))?))
    }

    async fn run_on_own_cluster(self) -> Result<u8> {
        if !rustix::process::geteuid().is_root() {
            bail!(
                "a node, or an API server in namespaces of its own, takes root: run this as root (a \
                 whole cluster may be one that you have: CLUSTER=current)"
            );
        }
        // From here on, a signal must not end us before all is cleared away.
        let mut signals = Signals::new()?;
        let api_server = async {
            match self.api_server {
                Some(server) => server.ensure().await,
                None => Ok(()),
            }
        };
        if let Some(code) = prepare(&mut signals, api_server).await? {
            return Ok(code);
        }
        let mut lock = match self.api_server {
            None => Lock::of_cluster()?,
            Some(_) => Lock::of_api_server()?,
        };
        lock.clear_leftovers().await?;
        let kubepods = match self.api_server {
            None => Some(free_kubepods().await?),
            Some(_) => None,
        };

        let run_dir = RunDir::create()?;
        lock.note(run_dir.root())?;
        let result = self.enter(&run_dir, &mut signals).await;
        let cgroups_removed = match &kubepods {
            Some(cgroups) => cgroups.remove_kubepods().await,
            None => Ok(()),
        };
        let failed_start = matches!(result, Ok((_, false))) && !run_dir.ready_mark().exists();
        let keep = self.keep_logs || failed_start;
        run_dir.remove(keep).await?;
        if keep {
            say(format_args!("the logs are in {}", run_dir.logs().display()));
        }
        cgroups_removed?;
        lock.note(Path::new(""))?;
        result.map(|(code, _)| code)
    }

    /// Returns the exit status, and whether a signal ended it.
    async fn enter(&self, run_dir: &RunDir, signals: &mut Signals) -> Result<(u8, bool)> {
        let mut arguments: Vec<OsString> =
            ["init", "--", "inside", "--run-dir"].map(OsString::from).into();
        arguments.push(run_dir.root().into());
        if self.shell {
            arguments.push("--shell".into());
        }
        if let Some(server) = self.api_server {
            arguments.extend(["--api-server", server.minor()].map(OsString::from));
        }
        arguments.push("--".into());
        arguments.extend(self.command.iter().cloned());
        let mut child = namespace::enter(&arguments)?.spawn().context("run setpriv")?;

        let signal = tokio::select! {
            status = child.wait() => return Ok((exit::of(status?), false)),
            signal = signals.next(self.shell) => signal,
        };
        say(format_args!("{} received, clearing away", signal.name));
        end(&mut child, signals).await?;
        Ok((signal.exit_code(), true))
    }
}

/// The cgroups, without what an earlier cluster has left in kubepods; an error where pods of others run.
async fn free_kubepods() -> Result<Cgroups> {
    let cgroups = Cgroups::detect()?;
    if let Some(process) = cgroups.pod_processes().first() {
        bail!(
            "another kubelet runs pods on this machine, in the cgroup kubepods (process \
             {process} is one): they would share it"
        );
    }
    cgroups.remove_kubepods().await?;
    Ok(cgroups)
}

/// Installs and builds what is missing, and does what is to be done besides. Returns an exit
/// status if a signal ends that: what was started for it ends then, too.
pub async fn prepare(
    signals: &mut Signals,
    besides: impl Future<Output = Result<()>>,
) -> Result<Option<u8>> {
    let prepared = async {
        packages::ensure().await?;
        binaries::ensure().await?;
        besides.await
    };
    tokio::select! {
        result = prepared => result.map(|()| None),
        signal = signals.next(false) => Ok(Some(signal.exit_code())),
    }
}

/// Tells the inside to end, again and again (it may only just be starting), and then makes it.
async fn end(unshare: &mut Child, signals: &mut Signals) -> Result<()> {
    let started = tokio::time::Instant::now();
    let mut again = tokio::time::interval(Duration::from_secs(1));
    let mut force = false;
    while let Some(pid) = unshare.id() {
        let force_now = force || started.elapsed() > GRACE;
        tokio::select! {
            status = unshare.wait() => {
                status?;
                return Ok(());
            }
            _ = signals.next(false) => force = true,
            _ = again.tick() => {
                let told = if force_now { Signal::KILL } else { Signal::TERM };
                if !namespace::signal(pid, told) && force_now {
                    unshare.start_kill()?;
                }
            }
        }
    }
    Ok(())
}
