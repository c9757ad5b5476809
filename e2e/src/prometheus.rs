//! A real Prometheus beside the cluster: it scrapes what the kubelet tells of containers, and the pods that ask for it
//! with the annotations `prometheus.io/scrape: "true"` and `prometheus.io/port`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use crate::{
    binaries, certificates,
    control_plane::option,
    network, node, packages,
    process::{Process, Processes, http_ok, run},
    run_dir::RunDir,
};

/// What the process is called.
pub const NAME: &str = "prometheus";
/// Where it is, for pods as for tests.
pub const URL: &str = "http://10.99.0.1:9090";

const PORT: u16 = 9090;
const PATIENCE: Duration = Duration::from_secs(60);
const MANIFEST: &str = include_str!("../manifests/prometheus.yaml");

/// Starts it. The first values come some seconds later: it scrapes every 5 s, and a rate takes two samples.
pub async fn start(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    let manifest = run_dir.path("prometheus-access.yaml");
    std::fs::write(&manifest, MANIFEST)?;
    let mut kubectl = Command::new(binaries::program("kubectl")?);
    option(&mut kubectl, "kubeconfig", &run_dir.kubeconfig());
    run(kubectl.args(["apply", "--server-side", "--filename"]).arg(manifest)).await?;

    // JSON is YAML.
    let file = run_dir.path("prometheus.yaml");
    std::fs::write(&file, configuration(run_dir).to_string())?;
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
    let kubeconfig = certificates::kubeconfig(run_dir, NAME);
    let certificate = |file: &str| run_dir.certificates().join(file);
    let discover = |role: &str| json!([{"role": role, "kubeconfig_file": kubeconfig}]);
    let label = |from: &str, to: &str| json!({"source_labels": [format!("__meta_kubernetes_{from}")], "target_label": to});
    json!({
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s"},
        "scrape_configs": [
            {
                // The kubelet says when it measured each container, which is not at each scrape: that time is kept.
                "job_name": "cadvisor",
                "scheme": "https",
                "metrics_path": "/metrics/cadvisor",
                "tls_config": {
                    "ca_file": certificate("ca.crt"),
                    "cert_file": certificate("prometheus.crt"),
                    "key_file": certificate("prometheus.key"),
                },
                "kubernetes_sd_configs": discover("node"),
                "relabel_configs": [
                    // Nobody listens on the fake nodes.
                    {"source_labels": ["__meta_kubernetes_node_name"], "regex": node::NAME, "action": "keep"},
                    label("node_name", "node"),
                ],
            },
            {
                "job_name": "pods",
                "kubernetes_sd_configs": discover("pod"),
                "relabel_configs": [
                    {
                        "source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"],
                        "regex": "true",
                        "action": "keep",
                    },
                    {
                        "source_labels": ["__meta_kubernetes_pod_phase"],
                        "regex": "Running",
                        "action": "keep",
                    },
                    {
                        "source_labels": [
                            "__meta_kubernetes_pod_ip",
                            "__meta_kubernetes_pod_annotation_prometheus_io_port",
                        ],
                        "separator": ":",
                        "target_label": "__address__",
                    },
                    label("namespace", "namespace"),
                    label("pod_name", "pod"),
                ],
            },
        ],
    })
}
