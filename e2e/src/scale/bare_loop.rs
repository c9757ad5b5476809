//! What is measured against: the same patches, by as many workers, without a thought.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use super::setting::Target;
use crate::{operator, run_dir::RunDir};

/// As many resizes as the controller has on their way at once.
const WORKERS: usize = 8;

/// A client that is the controller to the API server, which lets not everybody ask as much.
///
/// # Errors
/// When there is no kubeconfig.
pub async fn client(run_dir: &RunDir) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(run_dir.kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    config.auth_info.impersonate = Some(operator::USER.to_owned());
    let groups = ["system:serviceaccounts", "system:authenticated"].map(str::to_owned);
    config.auth_info.impersonate_groups = Some(groups.into());
    Client::try_from(config).context("a client that is the controller")
}

/// Gives each pod so many millicores, in this order.
///
/// # Errors
/// When the API server refuses.
pub async fn resize(client: &Client, pods: impl IntoIterator<Item = Target>) -> Result<()> {
    let resize = |((namespace, name), milli): Target| {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        async move {
            let requests = json!({"cpu": format!("{milli}m")});
            let container = json!({"name": "main", "resources": {"requests": requests}});
            let patch = Patch::Strategic(json!({"spec": {"containers": [container]}}));
            pods.patch_resize(&name, &PatchParams::default(), &patch).await.context(name)?;
            anyhow::Ok(())
        }
    };
    stream::iter(pods.into_iter().map(resize)).buffer_unordered(WORKERS).try_collect().await
}
