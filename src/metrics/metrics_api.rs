//! The source that most clusters have: `metrics.k8s.io`, as metrics-server serves it.

use std::io;

use futures::{AsyncBufRead, AsyncReadExt, FutureExt, future::BoxFuture};
use kube::{Client, api::ListParams, core::Request};
use serde::de::DeserializeOwned;
use tokio::{runtime::Handle, time::timeout};

use super::{
    NodeMetrics, Objective, PodMetrics, Readings, Source, SourceError, item_by_item::read_items,
    poll::PATIENCE,
};

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
        futures::try_join!(self.list_of("pods", Some), self.list_of("nodes", Some))
    }

    /// What `keep` makes of each item of a list. The list itself, of all pods of a cluster, is never in memory.
    async fn list_of<T: DeserializeOwned, K: Send + 'static>(
        &self,
        what: &str,
        keep: impl Fn(T) -> Option<K> + Send + 'static,
    ) -> Result<Vec<K>, SourceError> {
        let failed = |error: &dyn std::fmt::Display| {
            SourceError::Failed(format!("metrics.k8s.io does not answer: {error}"))
        };
        let request = Request::new(format!("/apis/metrics.k8s.io/v1beta1/{what}"))
            .list(&ListParams::default())
            .map_err(|error| SourceError::Failed(error.to_string()))?;
        let answer = self.client.request_stream(request).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => SourceError::Absent(
                "metrics.k8s.io is not served: install metrics-server".to_owned(),
            ),
            kube::Error::Api(status) => SourceError::Failed(format!(
                "metrics.k8s.io does not answer ({} {}): check metrics-server",
                status.code, status.reason
            )),
            error => failed(&error),
        })?;
        let read = move || {
            let (mut kept, answer) = (Vec::new(), Waiting { runtime: Handle::current(), answer });
            read_items(io::BufReader::new(answer), |item| kept.extend(keep(item)))?;
            Ok::<_, serde_json::Error>(kept)
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// An answer on its way, for who reads on a thread that may wait.
struct Waiting<R> {
    runtime: Handle,
    answer: R,
}

impl<R: AsyncBufRead + Unpin> io::Read for Waiting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = async { timeout(PATIENCE, self.answer.read(buffer)).await };
        self.runtime.block_on(read).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
            let pods = self.list_of("pods", |pod: PodMetrics| pod.reading(None));
            let nodes = self.list_of("nodes", |node: NodeMetrics| node.reading(None));
            let (pods, nodes) = futures::try_join!(pods, nodes)?;
            Ok(Readings { pods, nodes, objectives: Vec::new() })
        }
        .boxed()
    }
}
