//! A real Prometheus beside the cluster: it scrapes what the kubelet tells of containers, and the pods that ask for it
//! with the annotations `prometheus.io/scrape: "true"` and `prometheus.io/port`; with `prometheus.io/scheme: https` it
//! sends them a token.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::sleep,
};

use crate::{
    binaries,
    control_plane::option,
    kwok, network, packages,
    process::{Process, Processes, http_ok, run},
    run_dir::RunDir,
};

/// What the process is called.
pub const NAME: &str = "prometheus";
/// Where it is, for pods as for tests.
pub const URL: &str = "http://10.99.0.1:9090";

/// The targets that are kubelets.
const KUBELETS: &str = "kubelets";
/// How pods are asked, by their annotation.
const SCHEMES: [&str; 2] = ["http", "https"];
const PORT: u16 = 9090;
const PATIENCE: Duration = Duration::from_secs(60);
const MANIFEST: &str = include_str!("../manifests/prometheus.yaml");

/// Starts it. The first values come some seconds later: it scrapes every 5 s, and a rate takes two samples.
pub async fn start(run_dir: &RunDir, processes: &Processes, client: &Client) -> Result<()> {
    let manifest = run_dir.path("prometheus-access.yaml");
    std::fs::write(&manifest, MANIFEST)?;
    let mut kubectl = Command::new(binaries::program("kubectl")?);
    option(&mut kubectl, "kubeconfig", &run_dir.kubeconfig());
    run(kubectl.args(["apply", "--server-side", "--filename"]).arg(manifest)).await?;

    let mut kubectl = Command::new(binaries::program("kubectl")?);
    option(&mut kubectl, "kubeconfig", &run_dir.kubeconfig());
    let account = ["create", "token", NAME, "--namespace=kube-system", "--duration=24h"];
    std::fs::write(token_file(run_dir), run(kubectl.args(account)).await?)?;

    // JSON is YAML.
    let file = run_dir.path("prometheus.yaml");
    std::fs::write(&file, configuration(run_dir).to_string())?;
    for scheme in SCHEMES {
        let pods: Api<Pod> = Api::all(client.clone());
        tokio::spawn(discover(pods, move |pod| target(pod, scheme), targets_file(run_dir, scheme)));
    }
    let nodes: Api<Node> = Api::all(client.clone());
    tokio::spawn(discover(nodes, kubelet_target, targets_file(run_dir, KUBELETS)));
    let program = packages::find(NAME).context("there is no prometheus: run `e2e build`")?;
    let mut command = Command::new(program);
    option(&mut command, "config.file", &file);
    option(&mut command, "storage.tsdb.path", &run_dir.path("prometheus"));
    command.arg(format!("--web.listen-address=0.0.0.0:{PORT}"));
    command.args(["--storage.tsdb.retention.time=1d", "--log.level=warn"]);
    processes.add(Process::start(NAME, &run_dir.logs(), command)?).await;
    let probe = async || http_ok(PORT, "/-/ready").await;
    processes.wait_for(NAME, "is ready", PATIENCE, probe).await
}

/// Its program that checks rules and their tests.
///
/// # Errors
/// When there is none.
pub fn promtool() -> Result<PathBuf> {
    packages::find("promtool").context("there is no promtool: run `e2e build`")
}

/// Asks it, as anyone may: the value of `data`.
///
/// # Errors
/// When it does not answer, or refuses the query.
pub async fn ask(query: &str) -> Result<Value> {
    let mut stream = TcpStream::connect((network::NODE, PORT)).await.context("ask Prometheus")?;
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (path, length) = ("/api/v1/query", encoded.len() + "query=".len());
    let request = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\nquery={encoded}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let mut body: Value = serde_json::from_str(body).with_context(|| body.to_owned())?;
    ensure!(body["status"] == "success", "{query}: {}", body["error"]);
    Ok(body["data"].take())
}

fn configuration(run_dir: &RunDir) -> Value {
    let certificate = |file: &str| run_dir.certificates().join(file);
    // The kubelet says when it measured each container, which is not at each scrape: that time is kept.
    let kubelet = |job: &str, path: &str| {
        json!({
            "job_name": job,
            "scheme": "https",
            "metrics_path": path,
            "tls_config": {
                "ca_file": certificate("ca.crt"),
                "cert_file": certificate("prometheus.crt"),
                "key_file": certificate("prometheus.key"),
            },
            "file_sd_configs": [{"files": [targets_file(run_dir, KUBELETS)]}],
        })
    };
    json!({
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s"},
        "scrape_configs": [
            kubelet("cadvisor", "/metrics/cadvisor"),
            kubelet("resource", "/metrics/resource"),
            {
                "job_name": "pods",
                "file_sd_configs": [{"files": [targets_file(run_dir, "http")]}],
            },
            {
                "job_name": "guarded",
                "scheme": "https",
                "honor_labels": true,
                "tls_config": {"insecure_skip_verify": true},
                "authorization": {"credentials_file": token_file(run_dir)},
                "file_sd_configs": [{"files": [targets_file(run_dir, "https")]}],
            },
        ],
    })
}

fn targets_file(run_dir: &RunDir, scheme: &str) -> PathBuf {
    run_dir.path(&format!("prometheus-targets-{scheme}.json"))
}

fn token_file(run_dir: &RunDir) -> PathBuf {
    run_dir.path("prometheus-token")
}

/// Debian's Prometheus knows no Kubernetes: we tell it of pods and nodes, as long as this process lives.
async fn discover<K>(objects: Api<K>, target: impl Fn(&K) -> Option<Value>, file: PathBuf)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut told = Value::Null;
    loop {
        if let Ok(list) = objects.list(&ListParams::default()).await {
            let targets: Value = list.items.iter().filter_map(&target).collect();
            // A file that is half written is not read.
            let writing = file.with_extension("writing");
            if told != targets
                && std::fs::write(&writing, targets.to_string()).is_ok()
                && std::fs::rename(&writing, &file).is_ok()
            {
                told = targets;
            }
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// Nodes that kwok plays have no kubelet to ask.
fn kubelet_target(node: &Node) -> Option<Value> {
    let status = node.status.as_ref()?;
    let port = status.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref()?.port;
    let addresses = status.addresses.as_ref()?;
    let address = &addresses.iter().find(|address| address.type_ == "InternalIP")?.address;
    (!node.labels().contains_key(kwok::FAKE.0)).then(
        || json!({"targets": [format!("{address}:{port}")], "labels": {"node": node.name_any()}}),
    )
}

fn target(pod: &Pod, scheme: &str) -> Option<Value> {
    let asked = pod.annotations();
    asked.get("prometheus.io/scheme").map_or("http", String::as_str).eq(scheme).then_some(())?;
    let port = asked.get("prometheus.io/port")?;
    let status = pod.status.as_ref().filter(|it| it.phase.as_deref() == Some("Running"))?;
    let address = status.pod_ip.as_ref()?;
    let labels = json!({"namespace": pod.namespace()?, "pod": pod.name_any()});
    let wanted = asked.get("prometheus.io/scrape").is_some_and(|scrape| scrape == "true");
    wanted.then(|| json!({"targets": [format!("{address}:{port}")], "labels": labels}))
}
