//! What the turns did and how long it took, told to a collector by OTLP: nothing unless its address is given, as with all
//! that speaks OpenTelemetry, by the environment (`OTEL_EXPORTER_OTLP_ENDPOINT`).

use std::{env, path::Path, thread, time::Duration};

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use reqwest::{blocking::Client, redirect};
use rustls::ClientConfig;
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::NAME;
use crate::metrics::trust::{TrustError, trust};

/// Where the collector is, for traces and for all that is told; the first one counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// A file with the certificates that its own is checked with.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The variables of OpenTelemetry are of no use.
    #[error(
        "no traces can be sent: {0}: check OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_ variables"
    )]
    Exporter(#[from] ExporterBuildError),
    /// The collector cannot be believed.
    #[error("no traces can be sent: {0}: check OTEL_EXPORTER_OTLP_CERTIFICATE")]
    Trust(#[from] TrustError),
    /// There is nothing to speak with.
    #[error("no traces can be sent: {0}")]
    Client(#[from] reqwest::Error),
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
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let Some(endpoint) = ENDPOINTS.iter().find_map(|name| set(name)) else {
            return Ok(Self::default());
        };
        let tls = trust(&endpoint, set(CERTIFICATE).as_deref().map(Path::new))?;
        let exporter =
            SpanExporter::builder().with_http().with_http_client(client(tls)?).build()?;
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

/// It is used on a thread of its own, and made on one: it brings a runtime, and must not be in ours.
fn client(tls: ClientConfig) -> Result<Client, reqwest::Error> {
    let make = move || {
        let client = Client::builder().tls_backend_preconfigured(tls).timeout(PATIENCE);
        // Only the configured address may be told.
        client.redirect(redirect::Policy::none()).build()
    };
    // It panics where the one that it calls does.
    thread::spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
