//! The node that this machine is: containerd and the kubelet.

pub(crate) mod configuration;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client};
use tokio::{net::UnixStream, process::Command};

use self::configuration::Layout;
use crate::{
    binaries,
    certificates::kubeconfig,
    control_plane::option,
    image::{self, Image},
    network, packages,
    process::{Process, Processes, run},
    run_dir::RunDir,
};

/// The name of the node.
pub const NAME: &str = "node-1";

const PATIENCE: Duration = Duration::from_secs(120);

/// Starts containerd and gives it the images that every cluster has.
pub async fn start_containerd(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    let cni = run_dir.path("cni");
    std::fs::create_dir_all(&cni)?;
    let pods = network::cni(&network::pods_of(network::HOST), &run_dir.path("cni-data"));
    std::fs::write(cni.join(network::CNI_FILE), pods.to_string())
        .context("write the configuration of CNI")?;
    let configuration = run_dir.path("containerd.toml");
    std::fs::write(&configuration, layout(run_dir)?.containerd())?;
    let mut command = Command::new(binaries::program("containerd")?);
    command.arg("--config").arg(&configuration);
    // It looks for its shim there.
    command.env("PATH", binaries::search_path()?);
    processes.add(Process::start("containerd", &run_dir.logs(), command)?).await;
    let socket = run_dir.containerd_socket();
    let probe = async || Ok(UnixStream::connect(&socket).await.map(drop)?);
    processes.wait_for("containerd", "accepts connections", PATIENCE, probe).await?;

    // There cAdvisor in the kubelet looks, which names the containers in its metrics. This /run is the cluster's own.
    std::fs::create_dir_all("/run/containerd")?;
    std::os::unix::fs::symlink(&socket, "/run/containerd/containerd.sock")
        .context("link the socket of containerd")?;

    for image in [image::pause()?, image::busybox()?] {
        import(run_dir, &image).await?;
    }
    Ok(())
}

/// Loads an image into containerd, where the kubelet finds it.
pub async fn import(run_dir: &RunDir, image: &Image) -> Result<()> {
    let archive = run_dir.path("image.tar");
    std::fs::write(&archive, image.archive()?)?;
    import_archive(run_dir, &archive).await?;
    Ok(std::fs::remove_file(archive)?)
}

/// Loads the images in an archive (an OCI layout in a tar) into containerd.
pub async fn import_archive(run_dir: &RunDir, archive: &Path) -> Result<()> {
    let mut ctr = Command::new(binaries::program("ctr")?);
    ctr.arg("--address").arg(run_dir.containerd_socket());
    ctr.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    run(&mut ctr).await.map(drop)
}

/// Starts the kubelet.
pub async fn start_kubelet(run_dir: &RunDir, processes: &Processes) -> Result<()> {
    let configuration = run_dir.path("kubelet.json");
    std::fs::write(&configuration, layout(run_dir)?.kubelet().to_string())?;
    std::fs::write(run_dir.path("resolv.conf"), "")?;
    let mut command = Command::new(binaries::program("kubelet")?);
    option(&mut command, "config", &configuration);
    option(&mut command, "kubeconfig", &kubeconfig(run_dir, "kubelet"));
    option(&mut command, "root-dir", &run_dir.path("kubelet"));
    option(&mut command, "cert-dir", &run_dir.path("kubelet-certificates"));
    command.arg(format!("--hostname-override={NAME}"));
    command.arg(format!("--node-ip={}", network::NODE));
    // For another node than the usual one: a static CPU manager, swap, feature gates.
    if let Some(flags) = std::env::var_os("WEIGHTEDSHARE_E2E_KUBELET_FLAGS") {
        command.args(flags.to_string_lossy().split_whitespace());
    }
    processes.add(Process::start("kubelet", &run_dir.logs(), command)?).await;
    Ok(())
}

/// Whether pods can run on a node; an error that says why not.
pub(crate) fn is_ready(node: &Node) -> Result<()> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    match conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => {}
        Some(ready) => bail!("{}", ready.message.clone().unwrap_or_default()),
        None => bail!("it has no condition yet"),
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    match taints.into_iter().find(|taint| taint.key.starts_with("node.kubernetes.io/")) {
        Some(taint) => bail!("it still has the taint {}", taint.key),
        None => Ok(()),
    }
}

/// Where this machine's node has its files: in the run directory, as the machine may have a node of its own.
fn layout(run_dir: &RunDir) -> Result<Layout> {
    let certificates = run_dir.certificates();
    Ok(Layout {
        authority: certificates.join("ca.crt"),
        certificate: certificates.join("kubelet-server.crt"),
        key: certificates.join("kubelet-server.key"),
        containerd: run_dir.path("containerd"),
        state: run_dir.path("containerd-state"),
        socket: run_dir.containerd_socket(),
        runc: packages::find("runc").context("there is no runc")?,
        cni_plugins: packages::cni_folder()?,
        cni_configuration: run_dir.path("cni"),
        pod_logs: run_dir.path("pods"),
        volume_plugins: run_dir.path("volume-plugins"),
        resolv_conf: run_dir.path("resolv.conf"),
    })
}

/// Waits until pods can be made and run.
pub async fn wait_ready(client: &Client, processes: &Processes) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let probe = async || is_ready(&nodes.get(NAME).await?);
    processes.wait_for("kubelet", "has a node that is Ready", PATIENCE, probe).await?;

    // Without it, no pod is admitted.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let probe = async || Ok(accounts.get("default").await.map(drop)?);
    let name = "kube-controller-manager";
    processes.wait_for(name, "has made the service account", PATIENCE, probe).await
}
