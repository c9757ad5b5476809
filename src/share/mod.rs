//! The mathematics: quantities, the division by weight, what a pod is charged, in what order it moves.
//! Pure: no client, no clock, no floating point. All amounts are whole millicores or bytes.

mod calm;
mod cpu_weight;
mod demand;
mod division;
mod fill;
mod ledger;
mod limits;
mod peak;
mod play;
mod pod;
mod quantity;
mod resource;
#[cfg(test)]
mod testing;

pub use calm::{Course, Direction, calm};
pub use cpu_weight::{BasisPoints, CpuShares, CpuWeight, MicroCpu, Sibling, Split, splits};
pub use demand::{Demand, Sample};
pub use division::{
    Divider, Division, Idle, MemberClaim, MemberShare, Newcomer, Node, PodClaim, PodShare, Pool,
    Verdict, divide,
};
pub use fill::{Claim, Filling, fill};
pub use ledger::{Common, Standing, steps};
pub use peak::Peak;
pub use play::{LimitRule, Play};
pub use pod::{Container, Held, Holding, InitContainer};
pub use quantity::{Bytes, MilliCpu, QuantityError, nanocores};
pub use resource::{PerResource, Resource};
