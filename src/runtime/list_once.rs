//! One look at a cluster, without watching it.

use futures::{FutureExt, future::BoxFuture};
use kube::{Api, Client, api::ListParams};

use crate::{
    cluster::{Cluster, EachKind, Event, Kept, Object, each_kind},
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
    /// A pool or a tree cannot be read.
    #[error("{object} cannot be read, so nothing can be said about its pods: {why}: correct it")]
    Unreadable {
        /// Its kind and name.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Lists what the controller watches, with what pods and nodes use now; or why that is not known.
///
/// # Errors
/// When the API server refuses to list something, or does not answer.
pub async fn list_once(
    client: &Client,
) -> Result<(Cluster, Metrics, Option<SourceError>), ListError> {
    let mut cluster = Cluster::default();
    let mut lists = Lists { client, lists: Vec::new() };
    each_kind(&mut lists);
    for list in lists.lists {
        list.await?.into_iter().for_each(|event| cluster.apply(event));
    }
    Ok(match MetricsApi::new(client.clone()).list().await {
        Ok((pods, nodes)) => (cluster, Metrics::written_down(&pods, &nodes), None),
        Err(trouble) => (cluster, Metrics::written_down(&[], &[]), Some(trouble)),
    })
}

struct Lists<'c> {
    client: &'c Client,
    lists: Vec<BoxFuture<'c, Result<Vec<Event>, ListError>>>,
}

impl EachKind for Lists<'_> {
    fn always<K: Kept>(&mut self) {
        self.lists.push(list::<K>(self.client).boxed());
    }

    fn where_served<K: Kept>(&mut self) {
        let none_where_unknown = |listed| match listed {
            Err(ListError::Unknown(_)) => Ok(Vec::new()),
            listed => listed,
        };
        self.lists.push(list::<K>(self.client).map(none_where_unknown).boxed());
    }
}

/// How many objects come with one answer.
const PAGE: u32 = 500;

async fn list<K: Kept>(client: &Client) -> Result<Vec<Event>, ListError> {
    let api = Api::<K>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut events = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|source| {
            let kind = K::kind(&()).into_owned();
            match source {
                kube::Error::Api(status) if status.code == 404 => ListError::Unknown(kind),
                source => ListError::List { kind, source },
            }
        })?;
        for object in page.items {
            let (key, read) = (object.key(), object.read());
            match read {
                Object::UnreadablePool(_, why) => {
                    let object = format!("WeightedShare {}/{}", key.namespace, key.name);
                    return Err(ListError::Unreadable { object, why });
                }
                Object::UnreadableTree(_, why) => {
                    let object = format!("ClusterWeightedShare {}", key.name);
                    return Err(ListError::Unreadable { object, why });
                }
                read => events.push(Event::Applied(key, read)),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(events),
        }
    }
}
