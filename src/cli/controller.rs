//! The arguments of the controller.

use std::path::PathBuf;

use clap::Args;

use crate::observe::signals::prometheus::PrometheusOptions;

/// The Prometheus that is asked how members do, and what pods use and wait for.
#[derive(Args, Clone, Debug, Default)]
pub struct PrometheusArguments {
    /// The address of a Prometheus, or of what speaks its query API: http://prometheus-operated.monitoring.svc:9090.
    /// Without it, objectives are not asked.
    #[arg(long = "prometheus-url", env = "PROMETHEUS_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file with the bearer token for it; it is read again for each look.
    #[arg(long = "prometheus-token-file", env = "PROMETHEUS_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificates, in PEM, that its own is checked with. Without it: those of the system.
    #[arg(long = "prometheus-ca-file", env = "PROMETHEUS_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl PrometheusArguments {
    /// As options, where an address is given.
    #[must_use]
    pub fn options(&self) -> Option<PrometheusOptions> {
        let url = self.url.clone().filter(|url| !url.is_empty())?;
        let file =
            |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        let (token_file, ca_file) = (file(&self.token_file), file(&self.ca_file));
        Some(PrometheusOptions { url, token_file, ca_file })
    }
}
