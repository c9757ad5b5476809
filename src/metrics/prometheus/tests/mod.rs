//! Against a server that speaks as much HTTP as it takes, with answers as a Prometheus has given them.

mod asking;
mod recorded;
mod server;
