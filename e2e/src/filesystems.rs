//! What the cluster must not see or touch of the machine's file systems, inside a mount namespace
//! of its own.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::getpid;
use tokio::process::Command;

use crate::{packages, process::run, run_dir::RunDir};

/// What the kubelet wants, and would write for the whole machine.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Hides the machine's state from the cluster, and keeps the cluster's from the machine.
pub async fn set_up(run_dir: &RunDir) -> Result<()> {
    anyhow::ensure!(
        getpid().as_raw_nonzero().get() < 10,
        "refusing to mount anything outside of a namespace"
    );
    // Pods whose mounts are to see later mounts of the node need a shared tree; nothing outside is
    // in the group.
    mount(&["--make-rshared", "/"]).await?;

    // runc, the CNI plugins and nftables keep state and locks here.
    mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]).await?;
    for folder in ["/run/lock", "/run/over"] {
        std::fs::create_dir(folder)?;
    }
    // The kubelet has some paths below these that no option moves. On a tmpfs, since not every
    // file system can be the upper one.
    for (name, folder) in [("lib", "/var/lib"), ("log", "/var/log")] {
        let upper = format!("/run/over/{name}");
        let work = format!("/run/over/{name}.work");
        std::fs::create_dir(&upper)?;
        std::fs::create_dir(&work)?;
        let options = format!("lowerdir={folder},upperdir={upper},workdir={work}");
        mount(&["-t", "overlay", "-o", &options, "overlay", folder]).await?;
    }

    // The kubelet writes those that are not as it likes them, and they are the whole machine's:
    // let it read that all is well.
    let sysctls = run_dir.path("sysctls");
    std::fs::create_dir(&sysctls)?;
    for (name, value) in SYSCTLS {
        let real = Path::new("/proc/sys").join(name);
        let shown = sysctls.join(name.replace('/', "."));
        std::fs::write(&shown, format!("{value}\n"))?;
        if real.exists() {
            mount(&["--bind", &shown.to_string_lossy(), &real.to_string_lossy()]).await?;
        }
    }
    Ok(())
}

async fn mount(arguments: &[&str]) -> Result<()> {
    let mount = packages::find("mount").context("there is no mount")?;
    run(Command::new(mount).args(arguments)).await.map(drop)
}
