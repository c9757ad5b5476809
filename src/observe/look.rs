//! One look at a cluster, without watching it.

use std::fmt::Debug;

use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::{
    objects::Objects,
    signals::{MetricsApi, SourceError},
};

/// Why a cluster cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A kind of object cannot be listed.
    #[error(
        "the {kind}s of the cluster cannot be listed: {source}: check that you may list them in all namespaces"
    )]
    List {
        /// The kind.
        kind: String,
        /// What the API server says.
        #[source]
        source: kube::Error,
    },
    /// The cluster has no such kind.
    #[error(
        "the cluster does not know the kind {0}: install its CRD (the chart weighted-share-crds), or plan files with -f"
    )]
    Unknown(String),
}

/// Lists what the controller watches, with what pods and nodes use now; or why that is not known.
///
/// # Errors
/// When the API server refuses to list something, or does not answer.
pub async fn look(client: &Client) -> Result<(Objects, Option<SourceError>), LookError> {
    let mut objects = Objects {
        pools: list(client).await?,
        pods: list(client).await?,
        nodes: list(client).await?,
        deployments: list(client).await?,
        replica_sets: list(client).await?,
        stateful_sets: list(client).await?,
        daemon_sets: list(client).await?,
        jobs: list(client).await?,
        quotas: list(client).await?,
        horizontal: list(client).await?,
        vertical: where_served(list(client).await)?,
        limit_ranges: list(client).await?,
        vms: where_served(list(client).await)?,
        vmis: where_served(list(client).await)?,
        kubevirts: where_served(list(client).await)?,
        ..Objects::default()
    };
    let metrics = MetricsApi::new(client.clone()).list().await;
    let trouble = match metrics {
        Ok((pods, nodes)) => {
            (objects.pod_metrics, objects.node_metrics) = (pods, nodes);
            None
        }
        Err(trouble) => Some(trouble),
    };
    Ok((objects, trouble))
}

/// Of a kind that the cluster does not have there are no objects.
fn where_served<K>(listed: Result<Vec<K>, LookError>) -> Result<Vec<K>, LookError> {
    match listed {
        Err(LookError::Unknown(_)) => Ok(Vec::new()),
        listed => listed,
    }
}

/// How many objects come with one answer.
const PAGE: u32 = 500;

async fn list<K>(client: &Client) -> Result<Vec<K>, LookError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let (mut objects, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = api.list(&params).await.map_err(|source| {
            let kind = K::kind(&()).into_owned();
            match source {
                kube::Error::Api(status) if status.code == 404 => LookError::Unknown(kind),
                source => LookError::List { kind, source },
            }
        })?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
