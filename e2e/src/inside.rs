//! What runs inside of the namespaces: it starts the cluster, and then the command.

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    net::UnixListener,
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use crate::{
    addons,
    binaries::{self, api_servers::ApiServer},
    certificates,
    cgroups::{Cgroups, Version},
    control_plane, exit, filesystems, network, node, outage,
    process::Processes,
    prometheus,
    run_dir::RunDir,
    say::say,
};

/// How long a command that is told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// Starts a cluster, or an API server alone, runs the command on it and returns its exit status.
pub async fn run(
    run_dir: PathBuf,
    alone: Option<ApiServer>,
    shell: bool,
    command: Vec<OsString>,
) -> Result<u8> {
    let run_dir = RunDir::at(run_dir);
    let processes = Processes::default();
    let started = Instant::now();
    match alone {
        None => start_cluster(&run_dir, &processes).await?,
        Some(server) => start_api_server(&run_dir, &processes, server).await?,
    }
    std::fs::write(run_dir.ready_mark(), "")?;
    match alone {
        None => greet(&run_dir, started.elapsed(), shell)?,
        Some(server) => say(format_args!(
            "Kubernetes {}: the API server is ready after {:.1} s",
            server.version(),
            started.elapsed().as_secs_f32()
        )),
    }

    let outages = outage::listen(&run_dir)?;
    let server = alone.map_or_else(ApiServer::of_cluster, Ok)?;
    let mut child = self::command(&run_dir, server, &command)?;
    wait(&mut child, &processes, &outages, shell).await
}

/// No node, so nothing of the machine is seen or touched.
async fn start_api_server(
    run_dir: &RunDir,
    processes: &Processes,
    server: ApiServer,
) -> Result<()> {
    network::set_up().await?;
    certificates::create(run_dir)?;
    control_plane::start_api(run_dir, processes, server).await.map(drop)
}

async fn start_cluster(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    filesystems::set_up(run_dir).await?;
    network::set_up().await?;
    certificates::create(run_dir)?;
    let (client, ()) = tokio::try_join!(
        control_plane::start_api(run_dir, processes, ApiServer::of_cluster()?),
        node::start_containerd(run_dir, processes),
    )?;
    control_plane::start_controllers(run_dir, processes).await?;
    node::start_kubelet(run_dir, processes).await?;
    tokio::try_join!(
        control_plane::start_proxy(run_dir, processes),
        addons::start_metrics_server(run_dir, processes, &client),
        prometheus::start(run_dir, processes, &client),
        node::wait_ready(&client, processes),
    )?;
    Ok(())
}

fn greet(run_dir: &RunDir, took: Duration, shell: bool) -> Result<()> {
    let judge = match Cgroups::detect()?.version() {
        Version::V1 => "cgroup v1; tests judge CPU time on a guest with cgroup v2",
        Version::V2 => "cgroup v2",
    };
    let (kubernetes, node, seconds) = (binaries::KUBERNETES, node::NAME, took.as_secs_f32());
    say(format_args!("Kubernetes {kubernetes}: {node} is Ready after {seconds:.1} s ({judge})"));
    if !shell {
        return Ok(());
    }
    say("  on the PATH      kubectl, helm, ctr, kwok; KUBECONFIG is set");
    say(format_args!("  image for pods   {} (imagePullPolicy: Never)", crate::image::BUSYBOX));
    say("  metrics          kubectl top, about 30 s after a pod's start");
    say(format_args!("  Prometheus       {}", prometheus::URL));
    say(format_args!("  logs             {}", run_dir.logs().display()));
    say("  not here         cluster DNS, any network but the cluster's");
    say("  to leave         exit, or Ctrl-D: the cluster and all of this is gone then");
    Ok(())
}

fn command(run_dir: &RunDir, server: ApiServer, words: &[OsString]) -> Result<Child> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", binaries::search_path()?)
        .env("KUBECONFIG", run_dir.kubeconfig())
        // All have one address: kubectl would remember what an earlier one served.
        .env("KUBECACHEDIR", run_dir.path("discovery"))
        .env(RunDir::VARIABLE, run_dir.root())
        .env(ApiServer::VARIABLE, server.version())
        .env("CONTAINERD_ADDRESS", run_dir.containerd_socket())
        .env("CONTAINERD_NAMESPACE", "k8s.io")
        // There is no network, so cargo need not try.
        .env("CARGO_NET_OFFLINE", "true")
        .kill_on_drop(true);
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    command.spawn().with_context(|| format!("run {}", program.to_string_lossy()))
}

/// Waits for the command. When told to end, tells the command and gives it a moment.
async fn wait(
    child: &mut Child,
    processes: &Processes,
    outages: &UnixListener,
    shell: bool,
) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut deadline = None;
    let mut whole = true;
    loop {
        let grace = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return Ok(exit::of(status?)),
            end = processes.first_end(), if whole => {
                whole = false;
                say(format_args!("the cluster is no longer whole: {end}"));
            }
            asked = outage::next(outages) => outage::answer(asked, processes).await,
            // The terminal sends it to the command as well. A shell goes on after it.
            _ = interrupt.recv() => {
                if !shell {
                    deadline.get_or_insert(tokio::time::Instant::now() + GRACE);
                }
            }
            _ = terminate.recv() => {
                terminate_child(child);
                deadline.get_or_insert(tokio::time::Instant::now() + GRACE);
            }
            _ = hangup.recv() => {
                terminate_child(child);
                deadline.get_or_insert(tokio::time::Instant::now() + GRACE);
            }
            () = grace => return Ok(exit::code(None, Some(rustix::process::Signal::TERM.as_raw()))),
        }
    }
}

fn terminate_child(child: &Child) {
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
