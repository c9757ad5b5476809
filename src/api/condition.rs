//! The types of condition that a `WeightedShare` reports in `status.conditions`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Every member holds its share, or waits only for what its own state explains.
pub const READY: &str = "Ready";

/// The controller is still moving towards the division of the present spec.
pub const RECONCILING: &str = "Reconciling";

/// Nothing can be done until somebody changes the spec or the cluster.
pub const STALLED: &str = "Stalled";

/// The members' minimums add up to more than the capacity.
pub const OVERCOMMITTED: &str = "Overcommitted";
/// Pods of different QoS classes share a node: weights compare them within their class only.
pub const MIXED_CLASSES: &str = "MixedClasses";

/// On some node with cgroup v2, the kernel's split by `cpu.weight` is more than 2 % of the node away from the shares.
pub const COARSE_WEIGHTS: &str = "CoarseWeights";

/// It is known what the pods use. Where it is not, nothing is moved by demand.
pub const METRICS_AVAILABLE: &str = "MetricsAvailable";

/// Whether a condition says that something is not as it should be.
#[must_use]
pub fn is_news(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        READY | METRICS_AVAILABLE => condition.status == "False",
        _ => condition.status == "True",
    }
}
