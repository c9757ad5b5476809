//! The signals that tell us to end.

use anyhow::Result;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit;

/// A signal that was received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// What it is called.
    pub name: &'static str,
    /// The signal itself.
    pub number: Signal,
}

impl Received {
    /// The exit status of a process that it ends.
    pub fn exit_code(self) -> u8 {
        exit::code(None, Some(self.number.as_raw()))
    }
}

/// All of them. From here on they do not end us by themselves.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen.
    pub fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one that is for us: Ctrl-C in a shell is the shell's.
    pub async fn next(&mut self, shell: bool) -> Received {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {
                    if !shell {
                        return Received { name: "SIGINT", number: Signal::INT };
                    }
                }
                _ = self.terminate.recv() => {
                    return Received { name: "SIGTERM", number: Signal::TERM };
                }
                _ = self.hangup.recv() => return Received { name: "SIGHUP", number: Signal::HUP },
            }
        }
    }
}
