//! The node's network, inside a network namespace that has nothing yet.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{packages, process::run};

/// The node's address, which is the API server's as well.
pub const NODE: &str = "10.99.0.1";
/// The number of the host among the nodes; guests follow.
pub const HOST: u8 = 1;
/// The addresses of pods.
pub const PODS: &str = "10.98.0.0/16";
/// The addresses of services.
pub const SERVICES: &str = "10.96.0.0/16";
/// The first of them: the service `kubernetes`.
pub const API_SERVICE: &str = "10.96.0.1";

/// Gives the node an address. The kubelet refuses a loopback address, and not every kernel has
/// dummy interfaces, so it is that of a bridge, with guests as its only ports. Nothing is behind the default route:
/// it is there because programs look for the address of the interface that it names.
pub async fn set_up() -> Result<()> {
    let commands = [
        "link set lo up".to_owned(),
        "link add node0 type bridge".to_owned(),
        format!("address add {NODE}/24 dev node0"),
        "link set node0 up".to_owned(),
        "route add default dev node0".to_owned(),
    ];
    ip(&commands).await?;
    // Of this network namespace only.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switch on forwarding")
}

/// The address of a node by its number: the host is number 1.
pub fn node_address(node: u8) -> String {
    format!("10.99.0.{node}")
}

/// The addresses of the pods of a node, by its number.
pub fn pods_of(node: u8) -> String {
    format!("10.98.{node}.0/24")
}

/// The name of the configuration of the pods' network.
pub const CNI_FILE: &str = "10-pods.conflist";

/// The configuration of the pods' network: each is wired to the node by itself.
pub fn cni(pods: &str, data: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": data,
            },
        }],
    })
}

/// Wires a guest to the nodes' bridge: a device of this name, and the way to its pods.
pub async fn wire_guest(device: &str, node: u8) -> Result<()> {
    let commands = [
        format!("tuntap add dev {device} mode tap"),
        format!("link set {device} master node0"),
        format!("link set {device} up"),
        format!("route replace {} via {}", pods_of(node), node_address(node)),
    ];
    ip(&commands).await
}

/// Takes the device of a guest away, which has ended.
pub async fn unwire_guest(device: &str, node: u8) -> Result<()> {
    ip(&[format!("route delete {}", pods_of(node)), format!("link delete {device}")]).await
}

async fn ip(commands: &[String]) -> Result<()> {
    let ip = packages::find("ip").context("there is no ip")?;
    for command in commands {
        run(Command::new(&ip).args(command.split(' '))).await?;
    }
    Ok(())
}
