//! The mathematics: quantities, the division by weight, what a pod is charged, in what order it moves.
//! Pure: no client, no clock, no floating point. All amounts are whole millicores or bytes.

mod cpu_weight;
mod demand;
mod division;
mod fill;
mod limits;
mod pacing;
mod peak;
mod pod;
mod quantity;
mod range;
mod resource;
mod stabilize;
#[cfg(test)]
mod testing;
mod tree;

pub use cpu_weight::{BasisPoints, CpuShares, CpuWeight, MicroCpu, Sibling, Split, splits};
pub use demand::{Demand, Sample};
pub use division::weights::gcd;
pub use division::{
    Divider, Division, Full, Idle, MemberClaim, MemberDivision, Newcomer, Node, PodClaim,
    PodDivision, Pool, Presence, Room, Verdict, divide,
};
pub use fill::{Claim, Filling, fill};
pub use pacing::{Common, Position, steps};
pub use peak::Peak;
pub use pod::{Container, Held, Holding, InitContainer, charged};
pub use quantity::{Bytes, MilliCpu, QuantityError, nanocores};
pub use range::{AdjustableRange, LimitRule};
pub use resource::{PerResource, Resource};
pub use stabilize::{Candidate, Direction, stabilize};
pub use tree::{
    Branch, BranchDivision, BranchIndex, Content, Tree, TreeDivider, TreeDivision, Turn,
};
