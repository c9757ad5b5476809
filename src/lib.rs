//! Resource pools for Kubernetes: CPU and memory, shared by weight, resized in place.
//!
//! The way through the code is the way of the data: observe, weigh, divide, actuate, report.

pub mod actuate;
pub mod api;
pub mod cli;
pub mod controller;
pub mod observe;
pub mod serve;
pub mod share;
