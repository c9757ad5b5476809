//! The one real node: containerd and the kubelet.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client};
use serde_json::json;
use tokio::{net::UnixStream, process::Command};

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
    network::write_cni(&run_dir.path("cni"), &run_dir.path("cni-data"))?;
    let configuration = run_dir.path("containerd.toml");
    std::fs::write(&configuration, containerd_configuration(run_dir)?)?;
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
    std::fs::write(&configuration, kubelet_configuration(run_dir).to_string())?;
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

/// Waits until pods can be made and run.
pub async fn wait_ready(client: &Client, processes: &Processes) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let probe = async || {
        let node = nodes.get(NAME).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        match conditions.iter().find(|condition| condition.type_ == "Ready") {
            Some(ready) if ready.status == "True" => {}
            Some(ready) => bail!("{}", ready.message.clone().unwrap_or_default()),
            None => bail!("it has no condition yet"),
        }
        match node.spec.and_then(|spec| spec.taints).unwrap_or_default().first() {
            Some(taint) => bail!("it still has the taint {}", taint.key),
            None => Ok(()),
        }
    };
    processes.wait_for("kubelet", "has a node that is Ready", PATIENCE, probe).await?;

    // Without it, no pod is admitted.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let probe = async || Ok(accounts.get("default").await.map(drop)?);
    let name = "kube-controller-manager";
    processes.wait_for(name, "has made the service account", PATIENCE, probe).await
}

fn kubelet_configuration(run_dir: &RunDir) -> serde_json::Value {
    let certificates = run_dir.certificates();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": certificates.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": certificates.join("kubelet-server.crt"),
        "tlsPrivateKeyFile": certificates.join("kubelet-server.key"),
        "containerRuntimeEndpoint": format!("unix://{}", run_dir.containerd_socket().display()),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "oomScoreAdj": 0,
        "podLogsDir": run_dir.path("pods"),
        "volumePluginDir": run_dir.path("volume-plugins"),
        "resolvConf": run_dir.path("resolv.conf"),
        // Nobody answers there, at once: without an address each pod gets a warning event.
        "clusterDNS": [network::NODE],
        "clusterDomain": "cluster.local",
        // A disk that is nearly full is the machine's affair.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    })
}

fn containerd_configuration(run_dir: &RunDir) -> Result<String> {
    let text = |path: &Path| format!("{:?}", path.to_string_lossy());
    let socket = run_dir.containerd_socket();
    let runc = packages::find("runc").context("there is no runc")?;
    Ok(format!(
        r#"version = 4
root = {root}
state = {state}
imports = []
# What this node does not need, or what would look outside of the run directory.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.image-verifier.v1.bindir",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]

[plugins."io.containerd.server.v1.grpc"]
  address = {socket}
[plugins."io.containerd.server.v1.ttrpc"]
  address = {ttrpc}
[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  # Lowering it takes CAP_SYS_RESOURCE, which a container or a small VM may not have.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [{cni}]
  conf_dir = {cni_configuration}
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = {runc}
  SystemdCgroup = false
"#,
        root = text(&run_dir.path("containerd")),
        state = text(&run_dir.path("containerd-state")),
        socket = text(&socket),
        ttrpc = text(&socket.with_extension("sock.ttrpc")),
        pause = image::PAUSE,
        cni = text(&packages::cni_folder()?),
        cni_configuration = text(&run_dir.path("cni")),
        runc = text(&runc),
    ))
}
