//! What is measured: what pods and nodes use, what pods wait for, how well members do. From three sources, each of which
//! may be missing, may fail and may come late.

mod api;
mod item_by_item;
mod measures;
mod metrics_api;
mod model;
mod poll;
pub mod prometheus;
mod record;
pub mod scope;
mod sources;
#[cfg(test)]
mod tests;
pub mod trust;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;

pub use api::{ContainerMetrics, NodeMetrics, PodMetrics};
pub use measures::{MeasuredPods, PodMeasures};
pub use metrics_api::MetricsApi;
pub use model::{Metrics, News};
pub use poll::{Asked, Questions, Said, poll};
pub use record::Freshness;
pub use sources::sources;

use crate::share::PerResource;

/// A place that knows something of what is measured.
pub trait Source: Send + Sync {
    /// What it is called in conditions and in the log: `metrics.k8s.io`.
    fn name(&self) -> &'static str;

    /// Looks once. `objectives` are the questions of all members; who cannot answer them leaves them alone.
    ///
    /// # Errors
    /// When the source is not there, or cannot be read.
    fn read<'a>(
        &'a self,
        objectives: &'a [Objective],
    ) -> BoxFuture<'a, Result<Readings, SourceError>>;
}

/// Why a source tells nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// The cluster has no such source: there is no answer until it is installed.
    #[error("{0}")]
    Absent(String),
    /// It is there, and fails.
    #[error("{0}")]
    Failed(String),
}

/// What one look at a source brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// What pods use and wait for.
    pub pods: Vec<PodReading>,
    /// What nodes use.
    pub nodes: Vec<NodeReading>,
    /// How well members do.
    pub objectives: Vec<ObjectiveReading>,
}

/// One pod as it was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodReading {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// When it was measured.
    pub at: Timestamp,
    /// What it used: nanocores of CPU, bytes of memory without the page cache that can go. None: this source does not
    /// say.
    pub used: PerResource<Option<u64>>,
    /// The part of the time, in thousandths, in which it could have used more CPU and did not get it: throttled by its
    /// limit, or kept waiting by others. None: this source does not say.
    pub waiting: Option<u16>,
    /// The part of a virtual machine's memory, in thousandths, that its guest uses. None: it is none, or it is not known.
    pub guest: Option<u16>,
}

/// One node as it was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeReading {
    /// The node's name.
    pub name: String,
    /// When it was measured.
    pub at: Timestamp,
    /// What it used: nanocores of CPU, bytes of memory.
    pub used: PerResource<u64>,
}

/// A member of a pool, by name.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct MemberKey {
    /// The namespace of the pool.
    pub namespace: String,
    /// The pool.
    pub pool: String,
    /// The member.
    pub member: String,
}

/// The question that says how well a member does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Objective {
    /// Whose it is.
    pub member: MemberKey,
    /// PromQL, as its user wrote it: it may see the series of the member's namespace only.
    pub query: String,
}

/// The answer to an objective's question.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveReading {
    /// Whose it is.
    pub member: MemberKey,
    /// When it was measured.
    pub at: Timestamp,
    /// The one number that it came to; or why there is none, in words for the member's user.
    pub value: Result<f64, String>,
}
