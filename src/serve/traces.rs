//! What the turns did and how long it took, told to a collector by OTLP: nothing unless its address is given, as with all
//! that speaks OpenTelemetry, by the environment (`OTEL_EXPORTER_OTLP_ENDPOINT`).

use std::env;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use rustls::crypto::ring;
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::NAME;

/// Where the collector is, for traces and for all that is told; the first one counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The collector cannot be spoken to.
    #[error("no traces can be sent: {0}: check OTEL_EXPORTER_OTLP_ENDPOINT and its like")]
    Exporter(#[from] ExporterBuildError),
}

/// Sends what it has left when it goes.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// As the environment says: none where it names no collector.
    ///
    /// # Errors
    /// When the collector cannot be spoken to.
    pub fn from_env() -> Result<Self, TraceError> {
        let is_set = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(is_set) {
            return Ok(Self::default());
        }
        // For who sends by https; somebody else may have chosen, and that is as well.
        let _ = ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build()?;
        let resource = Resource::builder();
        // Its owner may call it otherwise.
        let resource = match env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => resource,
            None => resource.with_service_name(NAME),
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build());
        Ok(Self(Some(provider.build())))
    }

    /// What hears of the spans.
    pub fn layer<S>(&self) -> Option<impl Layer<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer(NAME);
        // Ours: those of libraries are many, and speak of each request.
        let ours = Targets::new().with_target("weightedshare", LevelFilter::DEBUG);
        Some(OpenTelemetryLayer::new(tracer).with_filter(ours))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            warn!(%error, "the last traces are lost");
        }
    }
}
