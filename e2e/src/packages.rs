//! What comes from the distribution: the OCI runtime, the CNI plugins, busybox, Prometheus and a few tools.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{binaries, process::run, say::say};

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

/// What is only unpacked into our cache: installed, it would run as a service.
const UNPACKED: &Package =
    &Package { name: "prometheus", program: "prometheus", why: "the metrics of tests" };

/// Where distributions put CNI plugins.
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Installs what is missing, or says how to.
pub async fn ensure() -> Result<()> {
    install().await?;
    if find(UNPACKED.program).is_some() { Ok(()) } else { unpack(UNPACKED).await }
}

async fn install() -> Result<()> {
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
    apt_get(&["update"], None).await?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&names);
    apt_get(&arguments, None).await?;
    match PACKAGES.iter().find(|package| find(package.program).is_none()) {
        Some(package) => {
            bail!("{} is installed, but there is no {}", package.name, package.program)
        }
        None => Ok(()),
    }
}

/// Fetches a package and takes its files out, beside the programs that are built.
async fn unpack(package: &Package) -> Result<()> {
    let Package { name, program, why } = package;
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!("missing: {program} ({why}): install it with your distribution's package manager");
    }
    say(format_args!("fetching: {name} ({why})"));
    let folder = unpacked()?;
    let building = folder.with_extension("building");
    std::fs::create_dir_all(&building).with_context(|| format!("make {}", building.display()))?;
    // The lists may be old or missing, and only root can fetch them.
    if apt_get(&["download", name], Some(&building)).await.is_err() {
        apt_get(&["update"], None).await?;
        apt_get(&["download", name], Some(&building)).await?;
    }
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let mut files = std::fs::read_dir(&building)?.flatten().map(|entry| entry.path());
    let archive = files.find(is_archive).with_context(|| format!("apt-get brought no {name}"))?;
    let mut dpkg = Command::new("dpkg-deb");
    run(dpkg.arg("--extract").arg(&archive).arg(&building)).await?;
    std::fs::remove_file(&archive)?;
    std::fs::rename(&building, &folder)
        .with_context(|| format!("move {} to {}", building.display(), folder.display()))?;
    find(program)
        .map(drop)
        .with_context(|| format!("{name} is unpacked, but there is no {program}"))
}

fn unpacked() -> Result<PathBuf> {
    Ok(binaries::cache_folder()?.join("debian").join(UNPACKED.name))
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
    let unpacked = unpacked().ok().map(|folder| folder.join("usr/bin"));
    std::env::split_paths(&path)
        .chain(more.map(PathBuf::from))
        .chain(unpacked)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

async fn apt_get(arguments: &[&str], folder: Option<&Path>) -> Result<()> {
    let mut command = Command::new("apt-get");
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command
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
