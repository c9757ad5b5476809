//! One look at a cluster, without watching it.

use std::fmt::Debug;

use kube::{Api, Client, Resource, api::ListParams, core::Request};
use serde::{Deserialize, de::DeserializeOwned};

use super::{NodeMetrics, PodMetrics, objects::Objects};

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
    /// The metrics cannot be read.
    #[error(
        "the metrics cannot be read: {0}: check that metrics-server runs, or leave out --metrics"
    )]
    Metrics(#[source] kube::Error),
}

/// Lists what the controller watches, and with `metrics` what pods and nodes use.
///
/// # Errors
/// When the API server refuses to list something, or does not answer.
pub async fn look(client: &Client, metrics: bool) -> Result<Objects, LookError> {
    let mut objects = Objects {
        pools: list(client).await?,
        pods: list(client).await?,
        nodes: list(client).await?,
        deployments: list(client).await?,
        replica_sets: list(client).await?,
        stateful_sets: list(client).await?,
        daemon_sets: list(client).await?,
        jobs: list(client).await?,
        limit_ranges: list(client).await?,
        ..Objects::default()
    };
    if metrics {
        objects.pod_metrics = used::<PodMetrics>(client, "pods").await?;
        objects.node_metrics = used::<NodeMetrics>(client, "nodes").await?;
    }
    Ok(objects)
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

/// What `metrics.k8s.io` says of all pods or nodes.
async fn used<T: DeserializeOwned>(client: &Client, what: &str) -> Result<Vec<T>, LookError> {
    #[derive(Deserialize)]
    struct List<T> {
        items: Vec<T>,
    }
    let request = Request::new(format!("/apis/metrics.k8s.io/v1beta1/{what}"))
        .list(&ListParams::default())
        .map_err(|error| LookError::Metrics(kube::Error::BuildRequest(error)))?;
    let list: List<T> = client.request(request).await.map_err(LookError::Metrics)?;
    Ok(list.items)
}
