//! What pods use, as metrics-server would tell it: it takes its place behind the API server, since nodes that are not there
//! measure nothing.

use std::{
    collections::HashMap,
    fmt::Write,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::setting::PodName;
use crate::{kubectl, network, run_dir::RunDir};

const PORT: u16 = 4444;
/// How often it measures, in seconds.
const EVERY: i64 = 15;
const GROUP: &str = "/apis/metrics.k8s.io/v1beta1";

/// What each pod uses.
#[derive(Clone, Default)]
pub struct Usage(Arc<Mutex<Measured>>);

#[derive(Default)]
struct Measured {
    /// In millicores.
    pods: HashMap<PodName, u64>,
    /// The last measurement: when, and what is answered.
    shown: (i64, Arc<str>),
}

impl Usage {
    /// Takes the place of metrics-server.
    ///
    /// # Errors
    /// When the port is taken, or the API server refuses.
    pub async fn begin(run_dir: &RunDir) -> Result<Self> {
        let usage = Self::default();
        let routes = Router::new()
            .route(GROUP, get(resources))
            .route(&format!("{GROUP}/nodes"), get(nodes))
            .route(&format!("{GROUP}/pods"), get(pods))
            .with_state(usage.clone());
        let listener = TcpListener::bind(SocketAddr::new(network::NODE.parse()?, PORT))?;
        listener.set_nonblocking(true)?;
        let config = RustlsConfig::from_config(Arc::new(certificate(run_dir)?));
        let server = axum_server::from_tcp_rustls(listener, config)?;
        tokio::spawn(server.serve(routes.into_make_service()));
        let ports = format!(r#"{{"ports":[{{"name":"https","port":{PORT},"protocol":"TCP"}}]}}"#);
        let slice = ["endpointslice", "metrics-server", "--namespace=kube-system"];
        let patch = [&["patch"], &slice[..], &["--type=merge", "--patch", &ports]].concat();
        kubectl::run("kubectl", &patch, "").await?;
        Ok(usage)
    }

    /// From the next measurement on, these pods use so much.
    pub fn set(&self, used: impl IntoIterator<Item = (PodName, u64)>) {
        self.lock().pods.extend(used);
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn certificate(run_dir: &RunDir) -> Result<ServerConfig> {
    let folder = run_dir.certificates();
    let certificate = CertificateDer::from_pem_file(folder.join("metrics-server-server.crt"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("metrics-server-server.key"))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .context("the certificate of metrics-server")
}

async fn resources() -> impl IntoResponse {
    let all = r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"metrics.k8s.io/v1beta1","resources":[
        {"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]},
        {"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}]}"#;
    ([(CONTENT_TYPE, "application/json")], all)
}

async fn nodes() -> impl IntoResponse {
    let none = r#"{"kind":"NodeMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":[]}"#;
    ([(CONTENT_TYPE, "application/json")], none)
}

async fn pods(State(usage): State<Usage>) -> impl IntoResponse {
    let now = Timestamp::now().as_second();
    let now = now - now % EVERY;
    let mut measured = usage.lock();
    if measured.shown.0 != now {
        measured.shown = (now, list(&measured.pods, now).into());
    }
    let shown = Arc::clone(&measured.shown.1);
    drop(measured);
    ([(CONTENT_TYPE, "application/json")], shown.to_string())
}

/// With the labels that metrics-server repeats.
fn list(pods: &HashMap<PodName, u64>, now: i64) -> String {
    let at = Timestamp::from_second(now).unwrap_or_default();
    let mut all = String::from(
        r#"{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":["#,
    );
    for (index, ((namespace, name), milli)) in pods.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let nano = milli * 1_000_000;
        // Writing to a String does not fail.
        let _ = write!(
            all,
            r#"{comma}{{"metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{at}","labels":{{"pool":"{name}","member":"first"}}}},"timestamp":"{at}","window":"15s","containers":[{{"name":"main","usage":{{"cpu":"{nano}n","memory":"8Mi"}}}}]}}"#
        );
    }
    all.push_str("]}");
    all
}
