//! The arguments of the controller.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, value_parser};

use crate::{
    cluster::{AllowedNamespaces, Bounds},
    metrics::prometheus::PrometheusOptions,
    runtime::Address,
};

/// How the controller runs.
#[derive(Args, Clone, Debug)]
pub struct ControllerArguments {
    /// The Prometheus that is asked.
    #[command(flatten)]
    pub prometheus: PrometheusArguments,
    /// Who writes.
    #[command(flatten)]
    pub election: ElectionArguments,
    /// Which namespaces may have pools.
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    /// How much one namespace may have.
    #[command(flatten)]
    pub bounds: BoundsArguments,
    /// The format of the log: text or json.
    ///
    /// JSON has one object per line.
    #[arg(
        long,
        value_name = "FORMAT",
        hide_possible_values = true,
        env = "LOG_FORMAT",
        default_value = "text",
        value_enum
    )]
    pub log_format: LogFormat,
    /// Where /healthz and /readyz are: ADDRESS:PORT, :PORT, or 0.
    ///
    /// :PORT listens on all addresses. 0: nowhere.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", hide_short_help = true)]
    pub health_address: Address,
    /// Where /metrics and the web page are, in the same form.
    ///
    /// A loopback address serves anyone on the host, over HTTP. Any other address serves over HTTPS, and only clients whose bearer token the API server accepts and allows to
    /// get the path.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", hide_short_help = true)]
    pub metrics_address: Address,
    /// Whether /metrics has series for each member, up to nine per member. If not, it has series for pools only.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", hide_short_help = true)]
    pub member_metrics: bool,
    /// The loopback address where plan and explain ask for recent peaks and granted shares, through port forwarding. 0: none.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8083", hide_short_help = true)]
    pub recall_address: Address,
    /// Trust the annotation weightedshare.dev/started on pods. Set this only if the chart's admission policies are installed:
    /// they keep others from changing the annotation.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", hide_short_help = true)]
    pub admission_policy: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// How much one namespace may have, its oldest pools first. A pool beyond that is not divided, and its status says so.
#[derive(Args, Clone, Copy, Debug)]
pub struct BoundsArguments {
    /// The maximum number of pools in one namespace.
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().pools, hide_short_help = true)]
    pub max_pools: usize,
    /// The maximum number of members that all pools of one namespace have together.
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().members, hide_short_help = true)]
    pub max_members: usize,
    /// The maximum number of characters that all expressions of one namespace have together.
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().expressions, hide_short_help = true)]
    pub max_expressions: usize,
    /// On nodes that pools of several namespaces share: the percentage of the free memory above the stakes that pools can own.
    /// Memory in use cannot be taken back for others.
    #[arg(long, value_name = "PERCENT", default_value_t = Bounds::default().node_memory_grow_percent, value_parser = value_parser!(u8).range(..=100), hide_short_help = true)]
    pub node_memory_grow_percent: u8,
}

/// Which namespaces may have pools. A pool elsewhere is not divided, and its status says so.
#[derive(Args, Clone, Debug)]
pub struct NamespaceArguments {
    /// Divide only the pools in these namespaces: a,b.
    ///
    /// Default: all namespaces.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    pub include_namespaces: Vec<String>,
    /// Do not divide the pools in these namespaces: a,b.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', default_values_t = AllowedNamespaces::default().exclude)]
    pub exclude_namespaces: Vec<String>,
}

impl ControllerArguments {
    /// The bounds of each namespace.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let Self { namespaces, bounds, .. } = self;
        let names =
            |names: &[String]| names.iter().filter(|name| !name.is_empty()).cloned().collect();
        Bounds {
            namespaces: AllowedNamespaces {
                include: names(&namespaces.include_namespaces),
                exclude: names(&namespaces.exclude_namespaces),
            },
            pools: bounds.max_pools,
            members: bounds.max_members,
            expressions: bounds.max_expressions,
            started_is_guarded: self.admission_policy,
            node_memory_grow_percent: bounds.node_memory_grow_percent,
        }
    }
}

/// Of several controllers on one cluster, one writes, and the others stand by.
#[derive(Args, Clone, Debug)]
pub struct ElectionArguments {
    /// Write only while this process holds the Lease.
    ///
    /// It is called weighted-share. Turn this off only if no other controller can run.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    pub leader_elect: bool,
    /// The namespace of the Lease. Default: that of the pod, or of the kubeconfig's context.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", hide_short_help = true)]
    pub lease_namespace: Option<String>,
    /// How many seconds after the leader's last renewal another process takes over.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = value_parser!(u16).range(10..=600), hide_short_help = true)]
    pub lease_duration: u16,
    /// The name of this process in the Lease. A unique suffix is added.
    #[arg(long, hide = true, env = "POD_NAME", default_value = "weightedshare")]
    pub pod_name: String,
}

/// The Prometheus that is asked how members do, and what pods use and wait for.
#[derive(Args, Clone, Debug, Default)]
pub struct PrometheusArguments {
    /// The URL of Prometheus, or of a server with its query API.
    ///
    /// Example: http://prometheus-operated.monitoring.svc:9090. Without it, the queries of objectives are not sent.
    #[arg(long = "prometheus-url", env = "PROMETHEUS_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file with the bearer token for Prometheus. It is read again for each round of queries.
    #[arg(
        long = "prometheus-token-file",
        env = "PROMETHEUS_TOKEN_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the CA certificates that verify the server's certificate. Default: those of the system.
    #[arg(
        long = "prometheus-ca-file",
        env = "PROMETHEUS_CA_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
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
