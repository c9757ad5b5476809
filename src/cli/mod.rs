//! The command line.

pub mod controller;
pub mod explain;
pub mod history;
mod loans;
pub mod manifests;
pub mod plan;
pub mod table;
#[cfg(test)]
mod tests;
pub mod top;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use controller::ControllerArguments;

/// Resource pools for Kubernetes: CPU and memory, shared by weight, resized in place.
#[derive(Debug, Parser)]
#[command(name = "weightedshare", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller, in a cluster or on the cluster of the current kubeconfig.
    Controller(ControllerArguments),
    /// Show what the pools would become, and change nothing.
    Plan(PlanArguments),
    /// Say in words how the share of a pod comes about.
    Explain(ExplainArguments),
    /// Show what the members of each pool use, are granted and own, as bars. In a terminal it goes on until Ctrl-C.
    Top(TopArguments),
    /// Tell what became of the pools lately, by the events on them.
    History(HistoryArguments),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Print what a shell needs to complete this command: `source <(weightedshare completion bash)`.
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
    /// Show it once, in a terminal too.
    #[arg(long)]
    pub once: bool,
    /// How often to look again, in seconds.
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
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// End with 1 if a pod would be resized (with 2 on errors, as always).
    #[arg(long)]
    pub exit_code: bool,
}

/// The pod to explain.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The name of the pod.
    pub pod: String,
    /// Its namespace. Without it: that of the kubeconfig's context, or default.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: Source,
}

/// Where the objects come from.
#[derive(Args, Debug)]
pub struct Source {
    /// A file with manifests, a directory of such, or - for the standard input; may be given more than once. Pools,
    /// pods, nodes, workloads, ResourceQuotas, LimitRanges, autoscalers, KubeVirt's VirtualMachines and
    /// VirtualMachineInstances, PodMetrics and NodeMetrics count, as YAML or JSON. Without it: the cluster of the current kubeconfig.
    #[arg(short, long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
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
}
