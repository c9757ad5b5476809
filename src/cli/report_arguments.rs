//! The arguments of the commands that show what pools and trees say of themselves.

use clap::{Args, ValueEnum};
use kube::core::Selector;

use super::{
    Watching,
    choice::{Scope, Wanted},
    connection::Connection,
    output::Format,
    reference::{ObjectName, object_name},
    selector::selector,
};

/// The arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArguments {
    /// The pool: NAME or ws/NAME. A tree: cws/NAME. Default: all pools.
    #[arg(value_name = "OBJECT", value_parser = object_name)]
    pub object: Option<ObjectName>,
    /// Where the pools are.
    #[command(flatten)]
    pub scope: Scope,
    /// Only pools with these labels: app=web,tier!=test.
    #[arg(short = 'l', long, value_parser = selector, conflicts_with = "object")]
    pub selector: Option<Selector>,
    /// table (default), json, yaml or name.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: StatusOutput,
    /// Leave out the names of columns.
    #[arg(long)]
    pub no_headers: bool,
    /// Whether it is shown again.
    #[command(flatten)]
    pub watching: Watching,
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
}

/// How a status is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum StatusOutput {
    /// Text for people.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
    /// YAML, for programs.
    Yaml,
    /// The name of each object, for other commands.
    Name,
}

/// The arguments of `history`.
#[derive(Args, Debug)]
pub struct HistoryArguments {
    /// The pool: NAME or ws/NAME. A tree: cws/NAME. Default: all pools.
    #[arg(value_name = "OBJECT", value_parser = object_name)]
    pub object: Option<ObjectName>,
    /// Where the pools are.
    #[command(flatten)]
    pub scope: Scope,
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
    /// Leave out the names of columns.
    #[arg(long)]
    pub no_headers: bool,
    /// Whether it is shown again.
    #[command(flatten)]
    pub watching: Watching,
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
}

impl StatusArguments {
    /// The pools that are shown, if no tree is. `default` is the namespace of the context.
    #[must_use]
    pub fn wanted(&self, default: &str) -> Wanted {
        let pool = self.object.as_ref().and_then(ObjectName::pool);
        Wanted {
            namespace: self.scope.namespace(Some(default)),
            pool: pool.map(str::to_owned),
            selector: self.selector.clone(),
        }
    }
}
