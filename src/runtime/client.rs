//! The client of a process that runs for long.

use std::time::Duration;

use kube::{Client, Config, config::InferConfigError};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may stand still. Watches are taken up anew more often than that.
const SILENCE: Duration = Duration::from_secs(120);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing says where the cluster is.
    #[error("no cluster is configured: {0}: set KUBECONFIG, or run in a pod with a ServiceAccount")]
    NoCluster(#[from] InferConfigError),
    /// What says it cannot be used.
    #[error("no client for the cluster can be made: {0}: check the certificates of the kubeconfig")]
    Unusable(#[from] kube::Error),
}

/// A client for the cluster of the kubeconfig, or of the pod that this runs in. No call of it hangs for ever, and none
/// is tried again unseen: a write that is repeated within a call could go out after the lease is lost, and the loop has
/// a patience of its own.
///
/// # Errors
/// When nothing says where the cluster is, or it cannot be used.
pub async fn client() -> Result<Client, ClientError> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
