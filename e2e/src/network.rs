//! The node's network, inside a network namespace that has nothing yet.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::process::Command;

use crate::{packages, process::run};

/// The node's address, which is the API server's as well.
pub const NODE: &str = "10.99.0.1";
/// The addresses of pods.
pub const PODS: &str = "10.98.0.0/16";
/// The addresses of services.
pub const SERVICES: &str = "10.96.0.0/16";
/// The first of them: the service `kubernetes`.
pub const API_SERVICE: &str = "10.96.0.1";

/// Gives the node an address. The kubelet refuses a loopback address, and not every kernel has
/// dummy interfaces, so it is that of a bridge without ports. Nothing is behind the default route:
/// it is there because programs look for the address of the interface that it names.
pub async fn set_up() -> Result<()> {
    let commands = [
        "link set lo up".to_owned(),
        "link add node0 type bridge".to_owned(),
        format!("address add {NODE}/24 dev node0"),
        "link set node0 up".to_owned(),
        "route add default dev node0".to_owned(),
    ];
    let ip = packages::find("ip").context("there is no ip")?;
    for command in commands {
        run(Command::new(&ip).args(command.split(' '))).await?;
    }
    // Of this network namespace only.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switch on forwarding")
}

/// Writes the configuration of the pods' network: each is wired to the node by itself.
pub fn write_cni(folder: &Path, data: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let configuration = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": data,
            },
        }],
    });
    let file = folder.join("10-pods.conflist");
    std::fs::write(&file, configuration.to_string())
        .with_context(|| format!("write {}", file.display()))
}
