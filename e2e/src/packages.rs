//! What comes from the distribution: the OCI runtime, the CNI plugins, busybox and a few tools.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::say::say;

/// A Debian package, and the program that shows that it (or an equal of it) is there.
struct Package {
    name: &'static str,
    program: &'static str,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "runc", program: "runc", why: "runs the containers" },
    Package { name: "containernetworking-plugins", program: "ptp", why: "the pods' network" },
    Package { name: "busybox-static", program: "busybox", why: "the images of test pods" },
    Package { name: "iproute2", program: "ip", why: "the node's network" },
    Package { name: "nftables", program: "nft", why: "kube-proxy" },
    Package { name: "util-linux", program: "unshare", why: "the cluster's namespaces" },
    Package { name: "util-linux", program: "setpriv", why: "no cluster outlives its run" },
    Package { name: "mount", program: "mount", why: "the cluster's file systems" },
    Package { name: "musl-tools", program: "musl-gcc", why: "the operator's static binary" },
];

/// Where distributions put CNI plugins.
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Installs what is missing, or says how to.
pub async fn ensure() -> Result<()> {
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| find(package.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    names.dedup();
    for package in &missing {
        say(format_args!(
            "missing: {} (package {}: {})",
            package.program, package.name, package.why
        ));
    }
    let command =
        format!("apt-get update && apt-get install -y --no-install-recommends {}", names.join(" "));
    if find("apt-get").is_none() {
        bail!(
            "install these programs with your distribution's package manager (on Debian: {command})"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!("as root, run: {command}");
    }
    say(format_args!("installing: {}", names.join(" ")));
    apt_get(&["update"]).await?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&names);
    apt_get(&install).await?;
    match PACKAGES.iter().find(|package| find(package.program).is_none()) {
        Some(package) => {
            bail!("{} is installed, but there is no {}", package.name, package.program)
        }
        None => Ok(()),
    }
}

/// The folder of the CNI plugins.
pub fn cni_folder() -> Result<PathBuf> {
    let folders = CNI_FOLDERS.iter().map(Path::new);
    let found = folders.into_iter().find(|folder| folder.join("ptp").is_file());
    found.map(Path::to_owned).context("no CNI plugins: run `e2e build`")
}

/// The path of a program, wherever it is installed (`sbin` is not on every user's `PATH`).
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().chain(CNI_FOLDERS);
    std::env::split_paths(&path)
        .chain(more.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

async fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .await
        .context("run apt-get")?;
    if !output.status.success() {
        bail!(
            "apt-get {}: {}\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
