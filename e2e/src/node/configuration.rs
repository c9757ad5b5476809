//! The configurations of containerd and the kubelet, which are the same on every node but for the paths.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{image, network};

/// Where a node has its files.
pub(crate) struct Layout {
    /// The cluster's certificate authority.
    pub(crate) authority: PathBuf,
    /// The kubelet's certificate as a server.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// What containerd keeps: images, snapshots.
    pub(crate) containerd: PathBuf,
    /// What containerd keeps while it runs.
    pub(crate) state: PathBuf,
    /// The socket of containerd.
    pub(crate) socket: PathBuf,
    /// The program.
    pub(crate) runc: PathBuf,
    /// The folder of the CNI plugins.
    pub(crate) cni_plugins: PathBuf,
    /// The folder of their configuration.
    pub(crate) cni_configuration: PathBuf,
    /// Where the logs of containers are.
    pub(crate) pod_logs: PathBuf,
    /// An empty folder.
    pub(crate) volume_plugins: PathBuf,
    /// An empty file.
    pub(crate) resolv_conf: PathBuf,
}

impl Layout {
    /// The configuration of the kubelet.
    pub(crate) fn kubelet(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.authority},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": self.certificate,
            "tlsPrivateKeyFile": self.key,
            "containerRuntimeEndpoint": format!("unix://{}", self.socket.display()),
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": false,
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            "oomScoreAdj": 0,
            "podLogsDir": self.pod_logs,
            "volumePluginDir": self.volume_plugins,
            "resolvConf": self.resolv_conf,
            // No DNS server listens there. Without an address, the kubelet writes a warning event for each pod.
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

    /// The configuration of containerd.
    pub(crate) fn containerd(&self) -> String {
        let text = |path: &Path| format!("{:?}", path.to_string_lossy());
        format!(
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
            root = text(&self.containerd),
            state = text(&self.state),
            socket = text(&self.socket),
            ttrpc = text(&self.socket.with_extension("sock.ttrpc")),
            pause = image::PAUSE,
            cni = text(&self.cni_plugins),
            cni_configuration = text(&self.cni_configuration),
            runc = text(&self.runc),
        )
    }
}
