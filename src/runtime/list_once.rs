//! One look at a cluster, without watching it.

use std::fmt::Debug;

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
};
use kube::{Api, Client, api::ListParams, core::PartialObjectMeta};
use serde::de::DeserializeOwned;

use crate::{
    api::WeightedShare,
    cluster::{
        Cluster, Event, Kept, KubeVirt, VerticalPodAutoscaler, VirtualMachine,
        VirtualMachineInstance,
    },
    metrics::{Metrics, MetricsApi, SourceError},
};

/// Why a cluster cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
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
pub async fn list_once(
    client: &Client,
) -> Result<(Cluster, Metrics, Option<SourceError>), ListError> {
    let mut cluster = Cluster::default();
    list::<WeightedShare>(client, &mut cluster).await?;
    list::<core::Pod>(client, &mut cluster).await?;
    list::<core::Node>(client, &mut cluster).await?;
    list::<PartialObjectMeta<apps::Deployment>>(client, &mut cluster).await?;
    list::<apps::ReplicaSet>(client, &mut cluster).await?;
    list::<apps::StatefulSet>(client, &mut cluster).await?;
    list::<apps::DaemonSet>(client, &mut cluster).await?;
    list::<batch::Job>(client, &mut cluster).await?;
    list::<core::ResourceQuota>(client, &mut cluster).await?;
    list::<core::LimitRange>(client, &mut cluster).await?;
    list::<autoscaling::HorizontalPodAutoscaler>(client, &mut cluster).await?;
    where_served(list::<VerticalPodAutoscaler>(client, &mut cluster).await)?;
    where_served(list::<VirtualMachine>(client, &mut cluster).await)?;
    where_served(list::<VirtualMachineInstance>(client, &mut cluster).await)?;
    where_served(list::<KubeVirt>(client, &mut cluster).await)?;
    Ok(match MetricsApi::new(client.clone()).list().await {
        Ok((pods, nodes)) => (cluster, Metrics::written_down(&pods, &nodes), None),
        Err(trouble) => (cluster, Metrics::written_down(&[], &[]), Some(trouble)),
    })
}

/// Of a kind that the cluster does not have there are no objects.
fn where_served(listed: Result<(), ListError>) -> Result<(), ListError> {
    match listed {
        Err(ListError::Unknown(_)) => Ok(()),
        listed => listed,
    }
}

/// How many objects come with one answer.
const PAGE: u32 = 500;

async fn list<K>(client: &Client, cluster: &mut Cluster) -> Result<(), ListError>
where
    K: Kept + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await.map_err(|source| {
            let kind = K::kind(&()).into_owned();
            match source {
                kube::Error::Api(status) if status.code == 404 => ListError::Unknown(kind),
                source => ListError::List { kind, source },
            }
        })?;
        for object in page.items {
            cluster.apply(Event::Applied(object.key(), object.read()));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
