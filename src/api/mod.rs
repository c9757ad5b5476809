//! What users write: the `WeightedShare` resource, its rules and its conditions.

pub mod condition;
mod crd;
mod dynamic_weight;
mod member;
mod resizing;
mod rules;
mod schema;
mod spec;
mod start_profile;
mod status;
#[cfg(test)]
mod tests;

pub use crd::{crd, crd_yaml};
pub use dynamic_weight::{Better, DynamicWeight, Objective};
pub use member::{Member, TargetRef, WeightPer};
pub use resizing::{ContainerMode, ContainerPolicy, LimitPolicy, LiveUpdate};
pub use spec::{Mode, Resources, Sharing, Strategy, Surplus, WeightedShare, WeightedShareSpec};
pub use start_profile::{Start, StartProfile, StartProfileSpec};
pub use status::{
    DynamicWeightStatus, LONGEST_MESSAGE, MOST_RECOMMENDATIONS, MOST_RECOMMENDATIONS_IN_POOL,
    MemberState, MemberStatus, Recommendation, WeightedShareStatus,
};
