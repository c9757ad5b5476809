//! metrics-server, behind the API server's aggregation layer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::{ByteString, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use crate::{
    binaries,
    certificates::kubeconfig,
    control_plane::option,
    network,
    process::{Process, Processes, run},
    run_dir::RunDir,
};

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "metrics-server";
const PORT: u16 = 4443;
const API: &str = "v1beta1.metrics.k8s.io";
const MANIFEST: &str = include_str!("../manifests/metrics-server.yaml");

/// Starts it, and waits until the API server sends requests to it. The first values come half a
/// minute later: a rate takes two samples.
pub async fn start_metrics_server(
    run_dir: &RunDir,
    processes: &Processes,
    client: &Client,
) -> Result<()> {
    let certificates = run_dir.certificates();
    let mut command = Command::new(binaries::program(NAME)?);
    for option_name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        option(&mut command, option_name, &kubeconfig(run_dir, NAME));
    }
    option(&mut command, "tls-cert-file", &certificates.join("metrics-server-server.crt"));
    option(&mut command, "tls-private-key-file", &certificates.join("metrics-server-server.key"));
    option(&mut command, "kubelet-certificate-authority", &certificates.join("ca.crt"));
    command.arg(format!("--secure-port={PORT}"));
    command.args(["--kubelet-preferred-address-types=InternalIP", "--metric-resolution=15s"]);

    let manifest = run_dir.path("metrics-server.yaml");
    std::fs::write(&manifest, MANIFEST.replace("@NODE@", network::NODE))?;
    let mut kubectl = Command::new(binaries::program("kubectl")?);
    option(&mut kubectl, "kubeconfig", &run_dir.kubeconfig());
    run(kubectl.args(["apply", "--server-side", "--filename"]).arg(manifest)).await?;
    processes.add(Process::start(NAME, &run_dir.logs(), command)?).await;
    let probe = async || Ok(TcpStream::connect((network::NODE, PORT)).await.map(drop)?);
    processes.wait_for(NAME, "accepts connections", PATIENCE, probe).await?;

    // Only now: an API that does not answer disturbs all who ask for the list of APIs.
    let services: Api<APIService> = Api::all(client.clone());
    let ca = std::fs::read(certificates.join("ca.crt")).context("read the CA")?;
    let service = serde_json::from_value(json!({
        "metadata": {"name": API},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": "kube-system", "name": NAME},
            "caBundle": ByteString(ca),
        },
    }))?;
    services.create(&PostParams::default(), &service).await.context("register metrics-server")?;
    let probe = async || {
        let service = services.get(API).await?;
        let conditions = service.status.and_then(|status| status.conditions).unwrap_or_default();
        match conditions.iter().find(|condition| condition.type_ == "Available") {
            Some(available) if available.status == "True" => Ok(()),
            Some(available) => bail!("{}", available.message.clone().unwrap_or_default()),
            None => bail!("it has no condition yet"),
        }
    };
    processes.wait_for(NAME, "is available", PATIENCE, probe).await
}
