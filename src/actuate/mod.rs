//! A plan becomes writes: resizes of running pods, what is written to pools, events, more for virtual machines.

mod events;
mod hotplug;
mod lanes;
mod pool_writes;
mod queue;
mod quotas;
mod report_pace;
mod resize;
#[cfg(test)]
mod tests;
mod window;
mod write;
mod writer;

pub use resize::send;
pub use write::Answer;
pub use writer::{Writer, set_in_flight};
