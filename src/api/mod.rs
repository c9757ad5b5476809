//! What users write: the `WeightedShare` and `ClusterWeightedShare` resources, their rules and their conditions.

pub mod condition;
mod crd;
mod dynamic_weight;
mod label_name;
mod member;
mod resizing;
mod rules;
mod schema;
mod spec;
mod start_profile;
mod status;
#[cfg(test)]
mod tests;
mod tree;
mod tree_rules;
mod tree_status;

pub use crd::{crd, crd_yaml, tree_crd};
pub use dynamic_weight::{Better, DynamicWeight, Objective};
pub use label_name::label_name;
pub use member::{Member, TargetRef, WeightPer};
pub use resizing::{ContainerMode, ContainerPolicy, LimitPolicy, LiveUpdate};
pub use spec::{
    CapacityFrom, LEND_PERCENT, Mode, QuotaRef, Resources, Sharing, Strategy, Surplus,
    WeightedShare, WeightedShareSpec,
};
pub use start_profile::{Start, StartProfile, StartProfileSpec};
pub use status::{
    DynamicWeightStatus, LONGEST_MESSAGE, MOST_RECOMMENDATIONS, MOST_RECOMMENDATIONS_IN_POOL,
    MemberState, MemberStatus, Recommendation, WeightedShareStatus,
};
pub use tree::{
    ClusterWeightedShare, ClusterWeightedShareSpec, Enforce, TreeMember, TreeNodes, TreeRef,
    TreeSharing, TreeWeightPer,
};
pub use tree_status::{ClusterWeightedShareStatus, TreeMemberStatus};
