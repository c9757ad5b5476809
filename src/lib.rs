//! Resource pools for Kubernetes: CPU and memory, shared by weight, resized in place.
//!
//! The way through the code is the way of the data: cluster and metrics, engine, actuate.

pub mod actuate;
pub mod api;
pub mod cli;
pub mod cluster;
#[cfg(test)]
mod cpu_time;
pub mod engine;
pub mod metrics;
pub mod runtime;
pub mod share;
pub mod simulate;
