//! The namespaces that a cluster lives in: network, mounts and processes of its own.

use std::{ffi::OsString, path::Path};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::packages;

/// The command that runs this program again, with these arguments, as the first process of new
/// namespaces. All that is in them dies with it, it dies with `unshare`, and `unshare` with us.
pub fn enter(arguments: &[OsString]) -> Result<Command> {
    let find = |name| packages::find(name).with_context(|| format!("there is no {name}"));
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(find("setpriv")?);
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(find("unshare")?)
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "--"])
        .arg(program)
        .args(arguments);
    Ok(command)
}

/// Sends a signal to the first process in the namespaces. False as long as there is none.
pub fn signal(unshare: u32, signal: Signal) -> bool {
    child_of(unshare).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

fn child_of(parent: u32) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let pid = processes.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        (parent_of(&entry.path())? == parent).then_some(pid)
    })?;
    Pid::from_raw(pid)
}

/// The fourth field of `stat`; the second, the name, may hold blanks and brackets.
fn parent_of(process: &Path) -> Option<u32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parent_is_found() {
        assert_eq!(parent_of(Path::new("/proc/self")), Some(std::os::unix::process::parent_id()));
    }
}
