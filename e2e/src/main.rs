//! `e2e`: builds a cluster's programs, and runs a command on a cluster.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use e2e::{
    Cluster,
    binaries::{self, api_servers::ApiServer, vertical_pod_autoscaler},
    demo, exit, image, init, inside,
    say::say,
    scale::{self, Size},
    session::{self, Session},
    signals::Signals,
    timed,
    worth::{self, Comparison, Kind, Neighbours},
};

/// A real Kubernetes cluster on a bare machine, in namespaces of its own.
///
/// With CLUSTER=current in the environment, `run` and `shell` start nothing and use the cluster of
/// the current kubeconfig.
#[derive(Parser)]
#[command(name = "e2e", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs the Debian packages and builds the programs that a cluster needs, once.
    Build {
        /// And those that a pool is compared with.
        #[arg(long)]
        compared: bool,
    },
    /// Starts a cluster, runs a command on it, and clears everything away.
    Run {
        /// Leave the logs when it is over, and say where.
        #[arg(long)]
        keep_logs: bool,
        /// Start an API server of this version of Kubernetes alone, such as v1.36: no node, no controllers.
        #[arg(long, value_name = "VERSION")]
        api_server: Option<ApiServer>,
        /// The command, with its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// The same, with an interactive shell.
    Shell {
        /// Leave the logs when it is over, and say where.
        #[arg(long)]
        keep_logs: bool,
    },
    /// Shows the main job on a cluster: installs the operator, divides a node, edits weights.
    Demo,
    /// Measures how the controller bears a large cluster, against a bare loop of the same resizes.
    Scale {
        /// The pods in pools, ten in each. Half as many more are in none.
        #[arg(long, default_value_t = 1000)]
        pods: usize,
        /// How many namespaces the pools are in.
        #[arg(long, default_value_t = 50)]
        namespaces: usize,
        /// How often all pools are edited.
        #[arg(long, default_value_t = 3)]
        edits: u32,
        /// A file that the figures are written to, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Runs the same loads on one node with fixed limits, with requests only, under VPA and in a pool, and compares them.
    Worth {
        /// How often each is run.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// The nodes that it is measured on: the machine's own, and a virtual machine with cgroup v2.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "host,guest")]
        on: Vec<Kind>,
        /// The pods beside the service.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "quiet,normal,crowded")]
        neighbours: Vec<Neighbours>,
        /// Compare virtual machines as well.
        #[arg(long)]
        machines: bool,
        /// What the loads do is drawn from this.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A folder for the figures and pictures.
        #[arg(long, default_value = "target/worth")]
        output: PathBuf,
    },
    /// Makes the operator's image of static binaries, as an OCI layout in a tar.
    Image {
        /// The binary; one for each kind of machine.
        #[arg(long, required = true)]
        binary: Vec<PathBuf>,
        /// The image's tag.
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        tag: String,
        /// The archive to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// Runs tests, and prints the ten slowest and the summaries of the test runners at the end.
    ///
    /// The output of the command is passed on as it is. The exit status is the command's.
    Timed {
        /// A file that the findings are added to, for `times`.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        /// The command, with its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Prints the ten slowest tests and the summaries of all that `timed` has added to a file.
    Times {
        /// The file.
        record: PathBuf,
    },
    /// The first process in the namespaces.
    #[command(hide = true)]
    Init {
        #[arg(required = true, last = true)]
        arguments: Vec<OsString>,
    },
    /// Starts the cluster and the command, in the namespaces.
    #[command(hide = true)]
    Inside {
        #[arg(long)]
        run_dir: PathBuf,
        #[arg(long)]
        shell: bool,
        #[arg(long)]
        api_server: Option<ApiServer>,
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
}

// One thread: `unshare` dies with the thread that started it, so that must be the main one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match perform(Arguments::parse().task).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("e2e: {error:#}"));
            ExitCode::from(exit::HARNESS_FAILED)
        }
    }
}

async fn perform(task: Task) -> Result<u8> {
    match task {
        Task::Build { compared } => build(compared).await,
        Task::Run { keep_logs, api_server, command } => {
            Session { command, shell: false, api_server, keep_logs }.run().await
        }
        Task::Shell { keep_logs } => {
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            Session { command: vec![shell], shell: true, api_server: None, keep_logs }.run().await
        }
        Task::Demo => demo().await,
        Task::Scale { pods, namespaces, edits, json } => {
            scale(Size { pods, namespaces, edits }, json).await
        }
        Task::Worth { rounds, on, neighbours, machines, seed, output } => {
            worth(Comparison { rounds, on, neighbours, machines, seed, output }).await
        }
        Task::Image { binary, tag, output } => {
            let images = binary.iter().map(|binary| image::operator_image(binary, &tag));
            let images = images.collect::<Result<Vec<_>>>()?;
            let archive = image::archive(&images)?;
            std::fs::write(&output, &archive).with_context(|| output.display().to_string())?;
            let (name, of_each) = (images[0].name(), archive.len() / images.len());
            println!(
                "{name} is in {}: {:.1} MB for each kind of machine",
                output.display(),
                of_each as f64 / 1e6
            );
            Ok(0)
        }
        Task::Timed { record, command } => timed::run(&command, record.as_deref()).await,
        Task::Times { record } => timed::print_total(&record).map(|()| 0),
        Task::Init { arguments } => init::run(arguments).await,
        Task::Inside { run_dir, shell, api_server, command } => {
            inside::run(run_dir, api_server, shell, command).await
        }
    }
}

/// On a cluster: the demo. Else: a cluster, and the demo on it.
async fn demo() -> Result<u8> {
    let theirs = std::env::var_os("CLUSTER").is_some_and(|cluster| cluster == "current");
    if theirs || Cluster::from_env().run_dir().is_some() {
        return demo::run().await.map(|()| 0);
    }
    let this = std::env::current_exe().context("the path of this program")?;
    let command = vec![this.into(), "demo".into()];
    Session { command, shell: false, api_server: None, keep_logs: false }.run().await
}

/// On a cluster: measures. Else: a cluster, and the same on it.
async fn scale(size: Size, json: Option<PathBuf>) -> Result<u8> {
    if Cluster::from_env().run_dir().is_some() {
        return scale::run(size, json).await.map(|()| 0);
    }
    let this = std::env::current_exe().context("the path of this program")?;
    let mut command = vec![this.into(), "scale".into()];
    let Size { pods, namespaces, edits } = size;
    command.push(format!("--pods={pods}").into());
    command.push(format!("--namespaces={namespaces}").into());
    command.push(format!("--edits={edits}").into());
    if let Some(json) = json {
        command.extend(["--json".into(), json.into()]);
    }
    Session { command, shell: false, api_server: None, keep_logs: false }.run().await
}

async fn worth(comparison: Comparison) -> Result<u8> {
    if Cluster::from_env().run_dir().is_some() {
        return worth::run(comparison).await.map(|()| 0);
    }
    // A cluster, and the same command on it.
    let command = std::env::args_os().skip(1);
    let this = std::env::current_exe().context("the path of this program")?;
    let command = std::iter::once(this.into()).chain(command).collect();
    Session { command, shell: false, api_server: None, keep_logs: false }.run().await
}

async fn build(compared: bool) -> Result<u8> {
    let besides = async {
        match compared {
            true => vertical_pod_autoscaler::ensure().await,
            false => Ok(()),
        }
    };
    if let Some(code) = session::prepare(&mut Signals::new()?, besides).await? {
        return Ok(code);
    }
    for line in binaries::list()? {
        println!("{line}");
    }
    Ok(0)
}
