//! Recorded usage, replayed with pools: the real engine decides in virtual time, and a model of the kernel gives out CPU. Pure: files
//! are opened elsewhere, and the time is that of the trace.

pub mod kernel;
pub mod read;
mod replay;
mod report;
mod suggest;
#[cfg(test)]
mod tests;
pub mod trace;
mod world;

pub use replay::{Options, replay};
pub use report::{MemberOutcome, Moment, NodeOutcome, Outcome, Totals};
pub use suggest::suggest;
