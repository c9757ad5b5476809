//! Prometheus, or what speaks its query API: [`ResourceSignals`] asks our own questions about pods and nodes,
//! [`Objectives`] asks the members' questions, each within its namespace.

mod client;
mod objectives;
mod recorded;
mod resources;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use objectives::Objectives;
pub use recorded::{RecordedSample, recorded};
pub use resources::{ResourceSignals, machines_waiting};

/// Where Prometheus is, and how to speak with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PrometheusOptions {
    /// Its address: `http://prometheus-operated.monitoring.svc:9090`.
    pub url: String,
    /// The file of a bearer token. It is read again for each look.
    pub token_file: Option<PathBuf>,
    /// The certificates that its own is checked with, in PEM. None: those of the system.
    pub ca_file: Option<PathBuf>,
}
