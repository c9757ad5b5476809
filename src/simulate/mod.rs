//! What pools would have made of the past: what pods used is replayed through the real engine, in virtual time, on a model of the
//! kernel. Pure: files are read elsewhere, and the time is that of the trace.

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
