//! The arguments of the commands for users.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, value_parser};
use k8s_openapi::jiff::SignedDuration;

use super::{
    choice::PoolChoice,
    connection::Connection,
    controller::PrometheusArguments,
    output::{Format, Output},
    pool_patch::{MemberWeight, member_weight},
    reference::{PodName, PoolName, pod_name, pool_name},
};

/// Where the objects come from.
#[derive(Args, Clone, Debug, Default)]
pub struct Source {
    /// A file with manifests, a directory, or -.
    ///
    /// Repeat it for more of them. Without it, the cluster is read. - is the standard input. Of a directory, its .yaml, .yml and .json files are read. These
    /// kinds are read, as YAML or JSON: pools, pods, nodes, workloads, ResourceQuotas, LimitRanges, autoscalers, KubeVirt's
    /// VirtualMachines and VirtualMachineInstances, PodMetrics and NodeMetrics. Other kinds are left out.
    #[arg(short = 'f', long = "filename", alias = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The controller's setting of the same name. Default: what the controller reports, or 0 if it is not asked.
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(..=100), hide_short_help = true)]
    pub node_memory_grow_percent: Option<u8>,
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
}

/// Whether what is shown is shown again.
#[derive(Args, Clone, Debug)]
pub struct Watching {
    /// Show it again and again, until Ctrl-C.
    #[arg(short, long)]
    pub watch: bool,
    /// With -w: the time between two looks.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub interval: Duration,
}

/// What is planned for, and how it is shown.
#[derive(Args, Debug)]
pub struct PlanArguments {
    /// Which pools.
    #[command(flatten)]
    pub choice: PoolChoice,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// table (default), json, yaml or html.
    ///
    /// In JSON and YAML, amounts are whole millicores and bytes. html is a web page in one file.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Output,
    /// Leave out the names of columns.
    #[arg(long)]
    pub no_headers: bool,
    /// Exit with 1 if a pod would be resized.
    ///
    /// Errors exit with 2.
    #[arg(long)]
    pub exit_code: bool,
}

/// The pod to explain.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The pod: NAME or pod/NAME.
    #[arg(value_name = "POD", value_parser = pod_name)]
    pub pod: PodName,
    /// Default: the context's namespace; with files, any.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// table (default: sentences), json or yaml.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Format,
}

/// The arguments of `top`.
#[derive(Args, Debug)]
pub struct TopArguments {
    /// Which pools.
    #[command(flatten)]
    pub choice: PoolChoice,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// table (default: bars), json or yaml.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Format,
    /// Leave out the names of columns and the legend.
    #[arg(long)]
    pub no_headers: bool,
    /// Whether it is shown again.
    #[command(flatten)]
    pub watching: Watching,
}

/// The weights to set.
#[derive(Args, Debug)]
pub struct SetWeightArguments {
    /// The pool: NAME or ws/NAME.
    #[arg(value_name = "POOL", value_parser = pool_name)]
    pub pool: PoolName,
    /// A member and its new weight, from 1 to 10000.
    #[arg(value_name = "MEMBER=WEIGHT", required = true, value_parser = member_weight)]
    pub weights: Vec<MemberWeight>,
    /// How it is written.
    #[command(flatten)]
    pub edit: EditArguments,
}

/// The pool whose mode is set.
#[derive(Args, Debug)]
pub struct ModeArguments {
    /// The pool: NAME or ws/NAME.
    #[arg(value_name = "POOL", value_parser = pool_name)]
    pub pool: PoolName,
    /// How it is written.
    #[command(flatten)]
    pub edit: EditArguments,
}

/// How a pool is changed.
#[derive(Args, Debug)]
pub struct EditArguments {
    /// The namespace of the pool. Default: the context's.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// none (default) or server.
    ///
    /// With server, the API server checks the change, and keeps nothing.
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub dry_run: DryRun,
    /// table (default: a sentence), json or yaml: the pool.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Format,
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
}

/// Whether a change is only tried.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum DryRun {
    /// It is made.
    #[default]
    None,
    /// The API server checks it, and keeps nothing.
    Server,
}

/// How much of the leader's log is shown.
#[derive(Args, Debug)]
pub struct LogsArguments {
    /// Go on with new lines, until Ctrl-C.
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines. Default: all lines.
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// Only lines younger than this: 5s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
    /// Where the controller runs.
    #[command(flatten)]
    pub place: ControllerPlace,
}

/// Where the web page is forwarded to.
#[derive(Args, Debug)]
pub struct PageArguments {
    /// The port on this machine. 0: any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Where the controller runs.
    #[command(flatten)]
    pub place: ControllerPlace,
}

/// Where the controller runs.
#[derive(Args, Clone, Debug, Default)]
pub struct ControllerPlace {
    /// The controller's namespace. Default: where its pods are.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
}

/// The arguments of `version`.
#[derive(Args, Debug)]
pub struct VersionArguments {
    /// Only the version of this program: no cluster is asked.
    #[arg(long)]
    pub client: bool,
    /// table (default), json or yaml.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Format,
    /// Where the controller runs.
    #[command(flatten)]
    pub place: ControllerPlace,
}

/// What is replayed, and how it is shown.
#[derive(Args, Debug)]
pub struct SimulateArguments {
    /// Where pools, nodes and pods are.
    #[command(flatten)]
    pub source: Source,
    /// A file with what pods used.
    ///
    /// Repeat it for more of them. These forms are read: CSV with the columns time, namespace, pod, cpu and memory; answers of Prometheus to range queries (cpu.json, memory.json);
    /// or files of the traces that Azure (2019), Google (2019) and Alibaba (2018) published. The format of a file is recognized
    /// by its name and its first bytes. Put files with the sizes of machines or containers before the files with their usage.
    #[arg(short, long, value_name = "FILE", required_unless_present = "from_cluster")]
    pub usage: Vec<PathBuf>,
    /// Replay so much of a cluster's past: 24h, 90m.
    ///
    /// It is read from Prometheus.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["usage", "files"], requires = "url", value_parser = duration)]
    pub from_cluster: Option<Duration>,
    /// Where it is recorded.
    #[command(flatten)]
    pub prometheus: PrometheusArguments,
    /// The time between two steps: 60s, 5m.
    ///
    /// Default: the time between most samples.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub step: Option<Duration>,
    /// Propose a pool for this namespace.
    ///
    /// This takes the place of a replay. It is made from what the pods there used: a manifest with mode Observe.
    #[arg(long, value_name = "NAMESPACE")]
    pub suggest: Option<String>,
    /// A member that uses all the CPU it gets.
    ///
    /// Batch jobs do so. Repeat it for more members.
    #[arg(long, value_name = "MEMBER")]
    pub batch: Vec<String>,
    /// table (default), json, yaml or html.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Output,
    /// Leave out the names of columns.
    #[arg(long)]
    pub no_headers: bool,
}

/// A time as Go and Prometheus write it: 24h, 1h30m.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("{text:?} is not a duration: write 24h, 90m or 60s");
    let span: SignedDuration = text.parse().map_err(wrong)?;
    let positive = Duration::try_from(span).ok().filter(|it| it.as_secs() > 0);
    positive.ok_or_else(|| format!("{text:?} is less than a second: write 1s or more"))
}
