//! What users write: the `WeightedShare` resource, its rules and its conditions.

pub mod condition;
mod crd;
mod dynamic_weight;
mod member;
mod new_pods;
mod resizing;
mod rules;
mod schema;
mod spec;
mod status;
#[cfg(test)]
mod tests;

pub use crd::{crd, crd_yaml};
pub use dynamic_weight::{Better, DynamicWeight, Objective};
pub use member::{Member, TargetRef, WeightPer};
pub use new_pods::{NewPods, NewPodsSpec, Start};
pub use resizing::{ContainerMode, ContainerPolicy, LimitPolicy, LiveUpdate};
pub use spec::{Mode, Resources, Sharing, Strategy, Surplus, WeightedShare, WeightedShareSpec};
pub use status::{
    DynamicWeightStatus, MemberState, MemberStatus, Recommendation, WeightedShareStatus,
};
