//! The first process in the namespaces: it passes signals on and buries orphans, as every first
//! process has to (each pod leaves one: containerd's shim).

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::exit;

/// Runs this program once more, as a child, and returns its exit status.
pub async fn run(arguments: Vec<OsString>) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let child = Command::new("/proc/self/exe")
        .arg0("e2e")
        .args(arguments)
        .spawn()
        .context("start the cluster's own process")?;
    let child = Pid::from_child(&child);

    // `wait` takes any child, so nothing else in this process may start one.
    let (ended, mut end) = oneshot::channel();
    std::thread::spawn(move || {
        while let Ok(Some((pid, status))) = wait(WaitOptions::empty()) {
            if pid == child {
                let _ = ended.send(exit::code(status.exit_status(), status.terminating_signal()));
                return;
            }
        }
    });

    loop {
        let passed_on = tokio::select! {
            code = &mut end => return code.context("lost the cluster's own process"),
            // From the terminal, everyone has it already.
            _ = interrupt.recv() => continue,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
        };
        let _ = kill_process(child, passed_on);
    }
}
