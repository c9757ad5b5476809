//! The command line.

pub mod controller;
pub mod explain;
pub mod history;
mod loans;
pub mod manifests;
pub mod plan;
pub mod planned;
pub mod simulate;
pub mod table;
#[cfg(test)]
mod tests;
pub mod top;
pub mod tree_plan;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use controller::{ControllerArguments, PrometheusArguments};
use k8s_openapi::jiff::SignedDuration;

use crate::{
    cluster::{Bounds, Cluster},
    engine::{Preview, Remembered},
    metrics::Metrics,
};

/// What a command looks at: a cluster, or what is written in files.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The objects.
    pub cluster: Cluster,
    /// What pods and nodes use.
    pub metrics: Metrics,
    /// What the controller remembers of pods, if it was asked.
    pub remembered: Remembered,
}

impl Looked {
    /// Uses the settings that the controller reported, or the defaults. `percent` overrides the one for the growth of memory.
    pub fn set_bounds(&mut self, percent: Option<u8>) {
        let bounds = self.remembered.bounds.clone().unwrap_or_default();
        let percent = percent.unwrap_or(bounds.node_memory_grow_percent);
        self.cluster.set_bounds(Bounds { node_memory_grow_percent: percent, ..bounds });
    }

    /// What a division takes beside these objects.
    fn preview(&self) -> Preview {
        Preview { remembered: self.remembered.clone(), ..Preview::of(&self.cluster) }
    }
}

/// What follows the list of commands.
const EXAMPLES: &str = "\
Examples:
  weightedshare plan                               the pools of the current kubeconfig's cluster
  weightedshare plan -f docs/shop.yaml             the pools in a file, without a cluster
  weightedshare explain search-1 -n shop -f docs/shop.yaml
  weightedshare plan -f docs/shop.yaml -o html > plan.html";

/// Resource pools for Kubernetes: CPU and memory, shared by weight, resized in place.
#[derive(Debug, Parser)]
#[command(name = "weightedshare", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller, inside a cluster or against the current kubeconfig's cluster.
    Controller(Box<ControllerArguments>),
    /// Show what the pods of each pool would get. Changes nothing.
    Plan(PlanArguments),
    /// Explain in words why a pod gets its share.
    #[command(override_usage = "weightedshare explain <POD> [-n <NAMESPACE>] [-f <FILE>...]")]
    Explain(ExplainArguments),
    /// Show what the members of each pool use, are granted and own, as bars. In a terminal, the bars are redrawn until Ctrl-C.
    Top(TopArguments),
    /// Show what happened to the pools recently: their events.
    History(HistoryArguments),
    /// Replay what pods used, and show what they would have got in pools. Changes nothing.
    Simulate(SimulateArguments),
    /// Print the CustomResourceDefinitions, for kubectl apply.
    Crd,
    /// Print the completion script for a shell: `source <(weightedshare completion bash)`.
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What is shown, and for how long.
#[derive(Args, Debug)]
pub struct TopArguments {
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// Show only the pools in this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Print once and exit, even in a terminal.
    #[arg(long)]
    pub once: bool,
    /// How often the bars are redrawn, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    pub interval: u16,
}

/// Whose events are told.
#[derive(Args, Debug)]
pub struct HistoryArguments {
    /// The name of the pool. Default: all pools.
    pub pool: Option<String>,
    /// The namespace of the pool. Default: all namespaces.
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// What is planned for, and how it is shown.
#[derive(Args, Debug)]
pub struct PlanArguments {
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// Show only the pools in this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The output format. In JSON and YAML, amounts are whole millicores and bytes.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Exit with 1 if a pod would be resized, and with 0 if none would. (Errors always exit with 2.)
    #[arg(long)]
    pub exit_code: bool,
}

/// What is replayed, and how it is shown.
#[derive(Args, Debug)]
pub struct SimulateArguments {
    /// Where pools, nodes and pods are.
    #[command(flatten)]
    pub source: Source,
    /// Files with what pods used: CSV with the columns time, namespace, pod, cpu and memory; answers of Prometheus to range queries
    /// (cpu.json, memory.json); or files of the traces that Azure (2019), Google (2019) and Alibaba (2018) published.
    ///
    /// The format of a file is recognized by its name and its first bytes. Put files with the sizes of machines or containers before
    /// the files with their usage.
    #[arg(short, long, value_name = "FILE", num_args = 1.., required_unless_present = "from_cluster")]
    pub usage: Vec<PathBuf>,
    /// Replay this much of the recent past of the current kubeconfig's cluster, as Prometheus recorded it: 24h, 90m.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["usage", "files"], requires = "url", value_parser = duration)]
    pub from_cluster: Option<Duration>,
    /// Where it is recorded.
    #[command(flatten)]
    pub prometheus: PrometheusArguments,
    /// The time between two steps of the replay: 60s, 5m. Default: the time between most samples.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub step: Option<Duration>,
    /// Instead of a replay, propose a pool for this namespace from what its pods used: a manifest with mode Observe.
    #[arg(long, value_name = "NAMESPACE")]
    pub suggest: Option<String>,
    /// Members whose pods use all the CPU that they get, as batch jobs do.
    #[arg(long, value_name = "MEMBER", num_args = 1..)]
    pub batch: Vec<String>,
    /// The output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A time as Go and Prometheus write it: 24h, 1h30m.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("{text:?} is not a duration: write 24h, 90m or 60s");
    let span: SignedDuration = text.parse().map_err(wrong)?;
    let positive = Duration::try_from(span).ok().filter(|it| it.as_secs() > 0);
    positive.ok_or_else(|| format!("{text:?} is less than a second: write 1s or more"))
}

/// The pod to explain.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The name of the pod.
    pub pod: String,
    /// The namespace of the pod. Default: that of the kubeconfig's context; with files, the namespace default.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
}

/// Where the objects come from.
#[derive(Args, Debug)]
pub struct Source {
    /// Files with manifests, directories of them, or - for standard input. Default: the current kubeconfig's cluster.
    ///
    /// These kinds are read, as YAML or JSON: pools, pods, nodes, workloads, ResourceQuotas, LimitRanges, autoscalers, KubeVirt's
    /// VirtualMachines and VirtualMachineInstances, PodMetrics and NodeMetrics. Other kinds are left out.
    #[arg(short, long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The controller's setting of the same name. Default: what the controller reports, or 0 if it is not asked.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    pub node_memory_grow_percent: Option<u8>,
}

/// How a plan or a replay is shown.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Output {
    /// A table for people.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
    /// YAML, for programs.
    Yaml,
    /// A web page in one file: -o html > page.html.
    Html,
}
