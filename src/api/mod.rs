//! What users write: the `WeightedShare` resource, its rules and its conditions.

pub mod condition;
mod crd;
mod new_pods;
mod resizing;
mod rules;
mod schema;
mod spec;
mod status;
#[cfg(test)]
mod tests;

pub use crd::{crd, crd_yaml};
pub use new_pods::{NewPods, NewPodsSpec, Start};
pub use resizing::{ContainerMode, ContainerPolicy, LimitPolicy, LiveUpdate};
pub use spec::{
    Better, DynamicWeight, Member, Mode, Objective, Resources, Sharing, Strategy, Surplus,
    TargetRef, WeightPer, WeightedShare, WeightedShareSpec,
};
pub use status::{
    DynamicWeightStatus, MemberState, MemberStatus, Recommendation, WeightedShareStatus,
};
