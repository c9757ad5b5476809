//! The source that most clusters have: `metrics.k8s.io`, as metrics-server serves it.

use futures::{FutureExt, future::BoxFuture};
use kube::{Client, api::ListParams, core::Request};
use serde::{Deserialize, de::DeserializeOwned};

use super::{NodeMetrics, Objective, PodMetrics, Readings, Source, SourceError};

/// `metrics.k8s.io`.
pub struct MetricsApi {
    client: Client,
}

impl MetricsApi {
    /// The metrics of the client's cluster.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// What it says of all pods and nodes.
    ///
    /// # Errors
    /// When the cluster does not serve it, or it does not answer.
    pub async fn list(&self) -> Result<(Vec<PodMetrics>, Vec<NodeMetrics>), SourceError> {
        futures::try_join!(self.list_of("pods"), self.list_of("nodes"))
    }

    async fn list_of<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, SourceError> {
        #[derive(Deserialize)]
        struct List<T> {
            items: Vec<T>,
        }
        let request = Request::new(format!("/apis/metrics.k8s.io/v1beta1/{what}"))
            .list(&ListParams::default())
            .map_err(|error| SourceError::Failed(error.to_string()))?;
        let list: List<T> = self.client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => SourceError::Absent(
                "metrics.k8s.io is not served: install metrics-server".to_owned(),
            ),
            kube::Error::Api(status) => SourceError::Failed(format!(
                "metrics.k8s.io does not answer ({} {}): look at metrics-server",
                status.code, status.reason
            )),
            error => SourceError::Failed(format!("metrics.k8s.io does not answer: {error}")),
        })?;
        Ok(list.items)
    }
}

impl Source for MetricsApi {
    fn name(&self) -> &'static str {
        "metrics.k8s.io"
    }

    fn read<'a>(
        &'a self,
        _objectives: &'a [Objective],
    ) -> BoxFuture<'a, Result<Readings, SourceError>> {
        async {
            let (pods, nodes) = self.list().await?;
            Ok(Readings::of(&pods, &nodes, None))
        }
        .boxed()
    }
}
