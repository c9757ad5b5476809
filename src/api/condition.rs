//! The types of condition that a `WeightedShare` reports in `status.conditions`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Every member holds its share, or its state explains why not.
pub const READY: &str = "Ready";

/// Pods are still on the way to what the present spec gives them.
pub const RECONCILING: &str = "Reconciling";

/// The pool stands still until a person changes the spec or the cluster.
pub const STALLED: &str = "Stalled";

/// The minima of the members exceed the capacity.
pub const OVERCOMMITTED: &str = "Overcommitted";

/// Pods of different QoS classes share a node. Weights only compare pods of one class.
pub const MIXED_CLASSES: &str = "MixedClasses";

/// On a node with cgroup v2, the kernel's split by `cpu.weight` is more than 2 % of the node away from the shares.
pub const COARSE_WEIGHTS: &str = "CoarseWeights";

/// The use of the pods is measured. Otherwise demand moves nothing.
pub const METRICS_AVAILABLE: &str = "MetricsAvailable";

/// Whether a condition says that something is not as it should be.
#[must_use]
pub fn is_news(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        READY | METRICS_AVAILABLE => condition.status == "False",
        _ => condition.status == "True",
    }
}
