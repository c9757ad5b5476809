//! The command line.

mod age;
mod arguments;
mod choice;
mod connection;
mod containers;
pub mod controller;
pub mod explain;
pub mod history;
mod loans;
pub mod manifests;
mod member_rows;
mod output;
pub mod plan;
pub mod planned;
pub mod pool_patch;
mod reasons;
mod reference;
mod report_arguments;
mod selector;
pub mod simulate;
pub mod status;
pub mod table;
#[cfg(test)]
mod tests;
pub mod top;
pub mod tree_plan;
mod trees;
pub mod usage;
pub mod vsphere;

use std::ffi::OsString;

pub use arguments::{
    ControllerPlace, DryRun, EditArguments, ExplainArguments, LogsArguments, ModeArguments,
    PageArguments, PlanArguments, SetWeightArguments, SimulateArguments, Source, TopArguments,
    VersionArguments, Watching,
};
pub use choice::{NoneFound, PoolChoice, PoolKey, Scope, Wanted};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
pub use connection::Connection;
use controller::ControllerArguments;
pub use output::{Format, Output};
pub use reference::{ObjectName, PodName, PoolName};
pub use report_arguments::{HistoryArguments, StatusArguments, StatusOutput};
use vsphere::FromVsphereArguments;

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

/// The help of the program: its commands, without their options.
const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{subcommands}{after-help}";
/// What follows the list of commands.
const EXAMPLES: &str = "\
Example:
  weightedshare plan -f docs/shop.yaml       shares of pods, without a cluster
'weightedshare VERB -h' lists the options of a verb, and --help explains them.";
const PLAN: &str = "\
Examples:
  weightedshare plan                         the pools of your namespace
  weightedshare plan ws/shop -n shop         one pool
  weightedshare plan -f pool.yaml -f pods/   files, without a cluster
  weightedshare plan -f docs/shop.yaml -o html > plan.html";
const EXPLAIN: &str = "\
Examples:
  weightedshare explain search-1 -n shop
  weightedshare explain pod/search-1 -f docs/shop.yaml";
const TOP: &str = "\
Examples:
  weightedshare top -A                       the pools of all namespaces
  weightedshare top shop -n shop -w          one pool, again every 5 s
  weightedshare top -l team=web -o json";
const STATUS: &str = "\
Examples:
  weightedshare status ws/shop -n shop       one pool
  weightedshare status cws/company           a tree of pools
  weightedshare status -A -l team=web        pools by their labels
  weightedshare status -A -o name            their names";
const HISTORY: &str = "\
Examples:
  weightedshare history -A                   the events of all pools
  weightedshare history ws/shop -n shop -w   those of one pool, as they come
  weightedshare history cws/company          those of a tree of pools";
const SET_WEIGHT: &str = "\
Examples:
  weightedshare set-weight shop checkout=600 -n shop
  weightedshare set-weight ws/shop checkout=600 search=50 --dry-run=server";
const OBSERVE: &str = "\
Examples:
  weightedshare observe shop -n shop         stop resizing the pods of a pool
  weightedshare observe shop -n shop --dry-run=server";
const RESUME: &str = "\
Examples:
  weightedshare resume shop -n shop          resize the pods of a pool again
  weightedshare resume shop -n shop --dry-run=server";
const LOGS: &str = "\
Examples:
  weightedshare logs --tail 20               the last lines
  weightedshare logs -f --since 5m           those of five minutes, and new ones";
const PAGE: &str = "\
Examples:
  weightedshare page                         then open http://127.0.0.1:8080
  weightedshare page --port 0                on any free port";
const SIMULATE: &str = "\
Examples:
  weightedshare simulate -f pools.yaml -f pods.yaml --usage usage.csv
  weightedshare simulate --from-cluster 24h --prometheus-url http://prometheus
  weightedshare simulate --suggest shop --usage usage.csv -f pods.yaml";
const FROM_VSPHERE: &str = "\
Examples:
  weightedshare from-vsphere pools.csv --cpu 64 --core-mhz 2600 > tree.yaml
  weightedshare from-vsphere pools.csv --cpu 64 --name company";
const VERSION: &str = "\
Examples:
  weightedshare version                      program, controller, API server
  weightedshare version --client -o json     this program, without a cluster";
const CONTROLLER: &str = "\
Example:
  weightedshare controller --leader-elect=false
'weightedshare controller --help' has more options, and explains all of them.";
const CRD: &str = "\
Example:
  weightedshare crd | kubectl apply --server-side -f -";
const COMPLETION: &str = "\
Example:
  source <(weightedshare completion bash)";

/// Resource pools for Kubernetes: CPU and memory by weight, resized in place.
#[derive(Debug, Parser)]
#[command(name = "weightedshare", version, help_template = TEMPLATE, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the pods of each pool would get. Changes nothing.
    #[command(after_help = PLAN)]
    Plan(PlanArguments),
    /// Explain in words why a pod gets its share.
    #[command(after_help = EXPLAIN)]
    Explain(ExplainArguments),
    /// Show what the members of each pool use, are granted and own.
    #[command(after_help = TOP)]
    Top(TopArguments),
    /// Show what pools or a tree say of themselves.
    #[command(after_help = STATUS)]
    Status(StatusArguments),
    /// Show what happened to pools or a tree recently.
    #[command(after_help = HISTORY)]
    History(HistoryArguments),
    /// Set the weights of members, and nothing else.
    #[command(after_help = SET_WEIGHT)]
    SetWeight(SetWeightArguments),
    /// Stop resizing the pods of a pool (mode Observe).
    #[command(after_help = OBSERVE)]
    Observe(ModeArguments),
    /// Resize the pods of a pool (mode Auto).
    #[command(after_help = RESUME)]
    Resume(ModeArguments),
    /// Show the log of the controller that leads.
    #[command(after_help = LOGS)]
    Logs(LogsArguments),
    /// Forward a local port to the web page of the controller.
    #[command(after_help = PAGE)]
    Page(PageArguments),
    /// Replay what pods used, and show what pools would have given.
    #[command(after_help = SIMULATE)]
    Simulate(SimulateArguments),
    /// Convert an export of vSphere's resource pools into a tree.
    #[command(after_help = FROM_VSPHERE)]
    FromVsphere(FromVsphereArguments),
    /// Show the versions of the program, controller and API server.
    #[command(after_help = VERSION)]
    Version(VersionArguments),
    /// Run the controller, inside a cluster or outside of it.
    #[command(after_help = CONTROLLER)]
    Controller(Box<ControllerArguments>),
    /// Print the CustomResourceDefinitions, for kubectl apply.
    #[command(after_help = CRD)]
    Crd,
    /// Print the completion script for a shell.
    #[command(after_help = COMPLETION)]
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Answer kubectl, which asks what the last of these words can become.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        /// The words after `kubectl weightedshare`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}
