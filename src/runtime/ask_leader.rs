//! Asks the controller that leads in a cluster what it remembers, by a port that the API server forwards.

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1 as core;
use kube::{Api, Client};

use super::{
    leader_pod::{LABELS, LeaderPod, NoLeader, leader_pod},
    recall::{PATH, PORT},
};
use crate::{cluster::Cluster, engine::Remembered};

/// The most that an answer may have, in bytes: hundreds of thousands of pods.
const LONGEST: usize = 256 << 20;

/// Why the controller was not asked.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// No pod is known to lead.
    #[error(transparent)]
    NoLeader(#[from] NoLeader),
    /// Its port cannot be reached.
    #[error(
        "pod {pod} cannot be reached: {why}: check that you may get and create pods/portforward there"
    )]
    Unreached {
        /// Its namespace and name.
        pod: String,
        /// Why.
        why: String,
    },
    /// It does not answer.
    #[error("pod {pod} did not answer: {why}")]
    NoAnswer {
        /// Its namespace and name.
        pod: String,
        /// Why.
        why: String,
    },
}

/// Asks the controller that leads in this cluster what it remembers.
///
/// # Errors
/// When there is none, when it cannot be reached by who asks, or gives no answer.
pub async fn ask_leader(client: &Client, cluster: &Cluster) -> Result<Remembered, NotAsked> {
    let namespace = controllers(cluster).ok_or(NoLeader::NoController)?;
    let LeaderPod { name: leader, .. } = leader_pod(client, Some(namespace)).await?;
    let pod = format!("{namespace}/{leader}");
    let unreached = |why: String| NotAsked::Unreached { pod: pod.clone(), why };
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), namespace);
    let mut forwarder =
        pods.portforward(&leader, &[PORT]).await.map_err(|error| unreached(error.to_string()))?;
    let stream = forwarder
        .take_stream(PORT)
        .ok_or_else(|| unreached("the port forwarding gave no stream".to_owned()))?;
    let answer = ask(stream).await.map_err(|why| NotAsked::NoAnswer { pod, why });
    forwarder.abort();
    answer
}

/// The namespace in which the controller has pods.
fn controllers(cluster: &Cluster) -> Option<&str> {
    let is_ours = |pod: &crate::cluster::Pod| {
        LABELS.iter().all(|(label, value)| pod.labels.get(*label).is_some_and(|it| it == value))
    };
    let mut all = cluster.namespaces();
    all.find(|(_, namespace)| namespace.pods().any(is_ours)).map(|(name, _)| name)
}

async fn ask(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<Remembered, String> {
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let exchange = async {
        let question = Request::get(PATH).header(header::HOST, "localhost");
        let question = question.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = sender.send_request(question).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body).trim()));
        }
        serde_json::from_slice(&body).map_err(|error| {
            format!(
                "its answer cannot be read ({error}): use the version of weightedshare that the controller has"
            )
        })
    };
    tokio::select! {
        answer = exchange => answer,
        ended = connection => Err(ended.err().map_or("it closed the connection".to_owned(), |error| error.to_string())),
    }
}
