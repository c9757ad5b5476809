//! The cluster that a test finds itself on.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kube::Client;

use crate::{binaries::api_servers::ApiServer, control_plane, image::Image, node, run_dir::RunDir};

/// The cluster of the environment: one that `e2e run` has started, or that of the current
/// kubeconfig.
#[derive(Clone, Debug)]
pub struct Cluster {
    run_dir: Option<RunDir>,
    version: Option<String>,
}

impl Cluster {
    /// Looks into the environment.
    pub fn from_env() -> Self {
        let run_dir = std::env::var_os(RunDir::VARIABLE).filter(|path| !path.is_empty());
        let version = std::env::var(ApiServer::VARIABLE).ok();
        Self { run_dir: run_dir.map(RunDir::at), version }
    }

    /// The run directory; none on a cluster that we did not start. A test that needs the node's
    /// cgroups, the audit log or an image import can only run where there is one.
    pub fn run_dir(&self) -> Option<&RunDir> {
        self.run_dir.as_ref()
    }

    /// The same, or an error that says how to get one.
    pub fn own(&self) -> Result<&RunDir> {
        self.run_dir().context("this takes a cluster of our own: `cargo run -p e2e -- run -- ...`")
    }

    /// A client with all rights that the kubeconfig gives.
    pub async fn client(&self) -> Result<Client> {
        match &self.run_dir {
            Some(run_dir) => control_plane::client(&run_dir.kubeconfig()).await,
            None => Client::try_default().await.context("the current kubeconfig"),
        }
    }

    /// The version that the API server says; an error where we meant to start another one.
    pub async fn version(&self, client: &Client) -> Result<String> {
        let is = client.apiserver_version().await.context("ask for the version")?.git_version;
        if let Some(meant) = &self.version {
            ensure!(is == *meant, "the API server is of version {is}, and {meant} is tested");
        }
        Ok(is)
    }

    /// Makes an image known to the node.
    pub async fn import(&self, image: &Image) -> Result<()> {
        node::import(self.own()?, image).await
    }

    /// Makes the images of an archive (an OCI layout in a tar) known to the node.
    pub async fn import_archive(&self, archive: &Path) -> Result<()> {
        node::import_archive(self.own()?, archive).await
    }
}
