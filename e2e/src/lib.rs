//! A real Kubernetes cluster on a bare machine, and what tests on it need.
//!
//! For tests: [`cluster`] finds the cluster, [`cgroups`] asks the kernel who got what, [`audit`]
//! counts who wrote what, [`image`] makes images without an engine, [`kubevirt`] makes machines, [`guest`] one that is a virtual machine, [`guest_node`] starts more nodes, with cgroup v2, [`kwok`] plays many nodes, [`pause`] makes
//! a process stand still, [`outage`] ends one and starts it again, [`requests`] asks a service as its users do, [`browser`] looks at a page.
//!
//! The harness, from outside to inside: [`session`] (the [`lock`], the run directory, the clearing
//! away), [`namespace`], [`init`] (the first process in there), [`inside`] (starts everything,
//! then the command), [`filesystems`], [`network`], [`certificates`], [`control_plane`],
//! [`node`], [`addons`], [`prometheus`]. [`packages`] and [`binaries`] bring what all of this needs.
//! [`timed`] runs tests, and tells which were slow. [`scale`] measures how the controller bears a large cluster, [`worth`] what a pool is worth.
//! [`binaries::api_servers`] are those of other Kubernetes versions: with one of them, there is nothing else but etcd.

pub mod addons;
pub mod audit;
pub mod bars;
pub mod binaries;
pub mod browser;
pub mod certificates;
pub mod cgroups;
pub mod chart;
pub mod cluster;
pub mod control_plane;
pub(crate) mod cpio;
pub mod cpu_time;
pub mod demo;
pub mod exit;
pub mod filesystems;
pub mod guest;
pub mod guest_node;
pub mod image;
pub mod init;
pub mod inside;
pub mod kubectl;
pub mod kubevirt;
pub mod kwok;
pub mod lock;
pub mod namespace;
pub mod network;
pub mod node;
pub mod node_object;
pub mod operator;
pub mod outage;
pub mod packages;
pub mod pause;
pub mod process;
pub mod prometheus;
pub mod requests;
pub mod run_dir;
pub mod say;
pub mod scale;
pub mod session;
pub(crate) mod shared_libraries;
pub mod signals;
pub mod timed;
pub mod worth;

pub use cluster::Cluster;
