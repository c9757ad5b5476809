//! The command line.

pub mod controller;
pub mod explain;
pub mod history;
mod loans;
pub mod manifests;
pub mod plan;
pub mod planned;
pub mod table;
#[cfg(test)]
mod tests;
pub mod top;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use controller::ControllerArguments;

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
  weightedshare plan                               the pools of the cluster of the current kubeconfig
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
    /// Run the controller, in a cluster or on the cluster of the current kubeconfig.
    Controller(Box<ControllerArguments>),
    /// Show what the pods of each pool would hold. Nothing is changed.
    Plan(PlanArguments),
    /// Explain in words why a pod gets its share.
    #[command(override_usage = "weightedshare explain <POD> [-n <NAMESPACE>] [-f <FILE>...]")]
    Explain(ExplainArguments),
    /// Show what the members of each pool use, are granted and own, as bars. In a terminal they are drawn again and again until Ctrl-C.
    Top(TopArguments),
    /// Show what happened to the pools lately: the events on them.
    History(HistoryArguments),
    /// Print the CustomResourceDefinitions, as kubectl apply takes them.
    Crd,
    /// Print the completions of a shell: `source <(weightedshare completion bash)`.
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
    /// Show only the pools of this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Draw once and end, in a terminal too.
    #[arg(long)]
    pub once: bool,
    /// How many seconds pass before the bars are drawn again.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    pub interval: u16,
}

/// Whose events are told.
#[derive(Args, Debug)]
pub struct HistoryArguments {
    /// The name of the pool. Without it: all pools.
    pub pool: Option<String>,
    /// Its namespace. Without it: all namespaces.
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// What is planned for, and how it is shown.
#[derive(Args, Debug)]
pub struct PlanArguments {
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
    /// Show only the pools of this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Exit with 1 if a pod would be resized, and with 0 if none would. (Errors always exit with 2.)
    #[arg(long)]
    pub exit_code: bool,
}

/// The pod to explain.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The name of the pod.
    pub pod: String,
    /// Its namespace. Without it: that of the kubeconfig's context; with files, default.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
}

/// Where the objects come from.
#[derive(Args, Debug)]
pub struct Source {
    /// Files with manifests, directories of them, or - for the standard input. Without it: the cluster of the current kubeconfig.
    ///
    /// Pools, pods, nodes, workloads, ResourceQuotas, LimitRanges, autoscalers, KubeVirt's VirtualMachines and
    /// VirtualMachineInstances, PodMetrics and NodeMetrics are read, as YAML or JSON. Other kinds are left out.
    #[arg(short, long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The controller's setting of that name. Without it: what the controller says, or 0 where it is not asked.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    pub node_memory_grow_percent: Option<u8>,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Output {
    /// A table for people.
    #[default]
    Table,
    /// JSON, in whole millicores and bytes.
    Json,
    /// YAML, in whole millicores and bytes.
    Yaml,
    /// A page for a browser, in one file: plan -o html > plan.html.
    Html,
}
