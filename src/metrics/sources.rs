//! Which sources there are, and how often each is asked.

use std::time::Duration;

use kube::Client;

use super::{
    Asked, MetricsApi, SourceError,
    prometheus::{Objectives, PrometheusOptions, ResourceSignals},
};

/// Until it is known when metrics-server has news, which is every 15 s or more: news should not be old.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// Our questions to Prometheus look at all pods.
const PROMETHEUS_EVERY: Duration = Duration::from_secs(15);

/// The cluster's own metrics, and with a Prometheus what it knows beside them.
///
/// # Errors
/// When the options of Prometheus cannot be used.
pub fn sources(
    client: &Client,
    prometheus: Option<&PrometheusOptions>,
) -> Result<Vec<Asked>, SourceError> {
    let mut sources = vec![Asked {
        source: Box::new(MetricsApi::new(client.clone())),
        every: METRICS_EVERY,
        usage: true,
        performance: false,
    }];
    if let Some(options) = prometheus {
        sources.push(Asked {
            source: Box::new(ResourceSignals::new(options)?),
            every: PROMETHEUS_EVERY,
            usage: true,
            performance: false,
        });
        sources.push(Asked {
            source: Box::new(Objectives::new(options)?),
            every: PROMETHEUS_EVERY,
            usage: false,
            performance: true,
        });
    }
    Ok(sources)
}
