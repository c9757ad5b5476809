//! What is counted, for Prometheus. Where controller-runtime has a name for it, the name is that one. No label names a
//! pod.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{PublishedPools, PublishedTrees, pools::Pools, trees::Trees};
use crate::share::Resource;

/// The name of the one controller, as controllers call themselves in these series.
const CONTROLLER: &str = "weightedshare";
/// The buckets of controller-runtime, in seconds.
const SECONDS: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
    25.0, 30.0, 40.0, 50.0, 60.0,
];
/// A resize takes a second or two; a full node, minutes.
const TAKEN_BACK: [f64; 12] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// What OpenMetrics is called in HTTP.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfController {
    controller: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfTurn {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfLease {
    name: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfResource {
    resource: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfResize {
    resource: &'static str,
    direction: &'static str,
    result: &'static str,
}

/// What is counted. Cheap to copy: all copies are one.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    registry: Registry,
    turns: Family<OfTurn, Counter>,
    failed: Family<OfController, Counter>,
    took: Family<OfController, Histogram>,
    leads: Family<OfLease, Gauge>,
    resizes: Family<OfResize, Counter>,
    taken_back: Family<OfResource, Histogram>,
    decided: Counter,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// What tells of these pools and trees, with series of each member or without, and of nothing else yet.
    #[must_use]
    pub fn of(pools: PublishedPools, trees: PublishedTrees, with_members: bool) -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            turns: Family::default(),
            failed: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            leads: Family::default(),
            resizes: Family::default(),
            taken_back: Family::new_with_constructor(|| Histogram::new(TAKEN_BACK)),
            decided: Counter::default(),
        };
        inner.registry.register(
            "controller_runtime_reconcile",
            "Decisions and failed writes, by result",
            inner.turns.clone(),
        );
        inner.registry.register(
            "controller_runtime_reconcile_errors",
            "Writes that failed and are tried again",
            inner.failed.clone(),
        );
        inner.registry.register(
            "controller_runtime_reconcile_time_seconds",
            "The duration of decisions and failed writes",
            inner.took.clone(),
        );
        inner.registry.register(
            "leader_election_master_status",
            "1 while this process leads, else 0",
            inner.leads.clone(),
        );
        inner.registry.register(
            "weightedshare_resizes",
            "Resizes requested from the API server, by its answer: sent, or the reason for the refusal",
            inner.resizes.clone(),
        );
        inner.registry.register(
            "weightedshare_pools_decided",
            "Pools that were decided because something about them changed: each counts once per decision",
            inner.decided.clone(),
        );
        for resource in Resource::ALL {
            // They are there from the start, so that the first one makes a rate.
            drop(inner.taken_back.get_or_create(&OfResource { resource: resource.name() }));
        }
        inner.registry.register(
            "weightedshare_take_back_seconds",
            "How long members waited for what they own, from when it was granted until their pods held it",
            inner.taken_back.clone(),
        );
        inner.registry.register_collector(Box::new(Pools::of(pools, with_members)));
        inner.registry.register_collector(Box::new(Trees { trees, with_members }));
        Self(Arc::new(inner))
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.0.leads.get_or_create(&OfLease { name: super::lease::NAME }).set(i64::from(leads));
    }

    /// Counts a decision for so many pools.
    pub fn decided(&self, pools: usize, took: Duration) {
        self.turn("success", took);
        self.0.decided.inc_by(pools as u64);
    }

    /// Counts a write that failed or had no answer.
    pub fn write_failed(&self, took: Duration) {
        self.turn("error", took);
    }

    fn turn(&self, result: &'static str, took: Duration) {
        let controller = CONTROLLER;
        let of_controller = OfController { controller };
        self.0.turns.get_or_create(&OfTurn { controller, result }).inc();
        // It is there from the first decision on, so that a rate can be told from no rate.
        self.0.failed.get_or_create(&of_controller).inc_by(u64::from(result == "error"));
        self.0.took.get_or_create(&of_controller).observe(took.as_secs_f64());
    }

    /// A resize was sent; or refused, for this reason.
    pub fn resize(&self, resource: Resource, grows: bool, refused: Option<&'static str>) {
        let direction = if grows { "grow" } else { "shrink" };
        let (resource, result) = (resource.name(), refused.unwrap_or("sent"));
        self.0.resizes.get_or_create(&OfResize { resource, direction, result }).inc();
    }

    /// A member waited so long for what it owns.
    pub fn taken_back(&self, resource: Resource, waited: Duration) {
        let labels = OfResource { resource: resource.name() };
        self.0.taken_back.get_or_create(&labels).observe(waited.as_secs_f64());
    }

    /// All of it, as OpenMetrics.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).map(|()| text)
    }

    /// `/metrics`.
    pub fn routes(self) -> Router {
        let answer = async move || match self.text() {
            Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        };
        Router::new().route("/metrics", get(answer))
    }
}
