//! The mathematics: quantities, the division by weight, what a pod is charged, in what order it moves.
//! Pure: no client, no clock, no floating point. All amounts are whole millicores or bytes.

mod division;
mod fill;
mod ledger;
mod pod;
mod quantity;
mod resource;

pub use division::{Division, MemberClaim, MemberShare, PodClaim, PoolTooSmall, divide};
pub use fill::{Claim, fill};
pub use ledger::{Standing, steps};
pub use pod::{Container, Held, Holding, InitContainer, Play};
pub use quantity::{Bytes, MilliCpu, QuantityError};
pub use resource::{PerResource, Resource};
