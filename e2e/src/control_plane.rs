//! etcd, the API server, the controller manager and the scheduler.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{net::TcpStream, process::Command};

use crate::{
    audit,
    binaries::{self, api_servers::ApiServer},
    certificates, network,
    process::{Process, Processes, http_ok},
    run_dir::RunDir,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Starts etcd and an API server, and returns a client as soon as the server is ready.
pub async fn start_api(
    run_dir: &RunDir,
    processes: &Processes,
    server: ApiServer,
) -> Result<Client> {
    let mut etcd = Command::new(binaries::program("etcd")?);
    etcd.arg("--data-dir").arg(run_dir.path("etcd"));
    etcd.args([
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        // It is not read after a crash.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]);
    processes.add(Process::start("etcd", &run_dir.logs(), etcd)?).await;
    let probe = async || Ok(TcpStream::connect("127.0.0.1:2379").await.map(drop)?);
    processes.wait_for("etcd", "accepts connections", PATIENCE, probe).await?;

    let policy = run_dir.path("audit-policy.json");
    std::fs::write(&policy, audit::policy().to_string())?;
    let command = api_server(run_dir, server, &policy)?;
    processes.add(Process::start("kube-apiserver", &run_dir.logs(), command)?).await;

    let client = client(&run_dir.kubeconfig()).await?;
    let probe = async || {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        client.request_text(request).await?;
        Ok(())
    };
    processes.wait_for("kube-apiserver", "is ready", PATIENCE, probe).await?;
    Ok(client)
}

/// Starts the controllers and the scheduler.
pub async fn start_controllers(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    let name = "kube-controller-manager";
    let mut command = component(run_dir, name)?;
    let certificates = run_dir.certificates();
    option(&mut command, "root-ca-file", &certificates.join("ca.crt"));
    option(&mut command, "cluster-signing-cert-file", &certificates.join("ca.crt"));
    option(&mut command, "cluster-signing-key-file", &certificates.join("ca.key"));
    let tokens = certificates.join("service-accounts.key");
    option(&mut command, "service-account-private-key-file", &tokens);
    command.args([
        "--use-service-account-credentials",
        // Tests make hundreds of pods at once.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]);
    processes.add(Process::start(name, &run_dir.logs(), command)?).await;

    let name = "kube-scheduler";
    let command = component(run_dir, name)?;
    processes.add(Process::start(name, &run_dir.logs(), command)?).await;
    Ok(())
}

/// Starts kube-proxy, and waits until service addresses work.
pub async fn start_proxy(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    let name = "kube-proxy";
    let mut command = Command::new(binaries::program(name)?);
    option(&mut command, "kubeconfig", &certificates::kubeconfig(run_dir, name));
    command.arg(format!("--cluster-cidr={}", network::PODS));
    command.arg(format!("--hostname-override={}", crate::node::NAME));
    command.args([
        "--proxy-mode=nftables",
        // These are the whole machine's, and it may not let us.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--oom-score-adj=0",
    ]);
    processes.add(Process::start(name, &run_dir.logs(), command)?).await;
    let probe = async || http_ok(10256, "/healthz").await;
    processes.wait_for(name, "is healthy", PATIENCE, probe).await
}

/// A client for a kubeconfig, as its first context has it.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Client::try_from(config).context("make a client")
}

/// What the controller manager and the scheduler have in common.
fn component(run_dir: &RunDir, name: &str) -> Result<Command> {
    let mut command = Command::new(binaries::program(name)?);
    let kubeconfig = certificates::kubeconfig(run_dir, name);
    for name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        option(&mut command, name, &kubeconfig);
    }
    command.args(["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"]);
    Ok(command)
}

fn api_server(run_dir: &RunDir, server: ApiServer, policy: &Path) -> Result<Command> {
    let certificates = run_dir.certificates();
    let mut command = Command::new(server.program()?);
    let files = [
        ("client-ca-file", "ca.crt"),
        ("tls-cert-file", "apiserver.crt"),
        ("tls-private-key-file", "apiserver.key"),
        ("kubelet-certificate-authority", "ca.crt"),
        ("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        ("kubelet-client-key", "apiserver-kubelet-client.key"),
        ("service-account-key-file", "service-accounts.pub"),
        ("service-account-signing-key-file", "service-accounts.key"),
        ("requestheader-client-ca-file", "front-proxy-ca.crt"),
        ("proxy-client-cert-file", "front-proxy-client.crt"),
        ("proxy-client-key-file", "front-proxy-client.key"),
    ];
    for (name, file) in files {
        option(&mut command, name, &certificates.join(file));
    }
    option(&mut command, "cert-dir", &certificates);
    option(&mut command, "audit-policy-file", policy);
    option(&mut command, "audit-log-path", &run_dir.audit_log());
    command.arg(format!("--advertise-address={}", network::NODE));
    command.arg(format!("--service-cluster-ip-range={}", network::SERVICES));
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        "--enable-aggregator-routing",
        // One file, whatever is written.
        "--audit-log-maxsize=4096",
        "--profiling=false",
    ]);
    Ok(command)
}

/// Adds `--NAME=FILE`.
pub(crate) fn option(command: &mut Command, name: &str, file: &Path) {
    command.arg(format!("--{name}={}", file.display()));
}
