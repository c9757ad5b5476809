//! The command line.

use clap::{Parser, Subcommand};

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
    Controller,
    /// Print the CustomResourceDefinition.
    Crd,
}
