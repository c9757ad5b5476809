//! The client of a process that runs for long.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

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
    /// The kubeconfig, or the context, that a user named cannot be used.
    #[error("the kubeconfig cannot be used: {0}: check --kubeconfig and --context")]
    Kubeconfig(#[from] KubeconfigError),
    /// What says it cannot be used.
    #[error("no client for the cluster can be made: {0}: check the certificates of the kubeconfig")]
    Unusable(#[from] kube::Error),
}

/// Which cluster a client asks, and as which user. The default is that of the kubeconfig, or of the pod that this runs in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// The user to impersonate.
    pub user: Option<String>,
    /// The groups to impersonate.
    pub groups: Vec<String>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waits {
    /// Answers, and watches that are taken up anew: one that stands still for long is over.
    ForAnswers,
    /// Streams that may stand still as long as they like: a log, a forwarded port.
    ForStreams,
}

impl Access {
    async fn config(&self) -> Result<Config, ClientError> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await?,
        };
        if self.user.is_some() {
            config.auth_info.impersonate.clone_from(&self.user);
            config.auth_info.impersonate_groups = Some(self.groups.clone());
        }
        Ok(config)
    }
}

/// A client for a cluster. No call of it hangs for ever, and none is tried again unseen: a write that is repeated within a call
/// could go out after the lease is lost, and the loop has a patience of its own.
///
/// # Errors
/// When nothing says where the cluster is, or it cannot be used.
pub async fn client(access: &Access, waits: Waits) -> Result<Client, ClientError> {
    let mut config = access.config().await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE).filter(|_| waits == Waits::ForAnswers);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = r#"{
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster.test"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
        ]
    }"#;

    #[tokio::test]
    async fn a_context_and_a_user_are_those_that_are_named() {
        let path = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        std::fs::write(&path, KUBECONFIG).unwrap();
        let access = |context: Option<&str>| Access {
            context: context.map(str::to_owned),
            kubeconfig: Some(path.clone()),
            user: Some("jane".to_owned()),
            groups: vec!["dev".to_owned()],
        };
        let one = access(None).config().await.unwrap();
        assert_eq!(one.default_namespace, "default");
        let two = access(Some("two")).config().await.unwrap();
        assert_eq!(two.default_namespace, "shop");
        assert_eq!(two.auth_info.impersonate.as_deref(), Some("jane"));
        assert_eq!(two.auth_info.impersonate_groups, Some(vec!["dev".to_owned()]));
        let none = access(Some("three")).config().await.unwrap_err();
        assert!(none.to_string().ends_with("check --kubeconfig and --context"), "{none}");
        std::fs::remove_file(&path).unwrap();
    }
}
