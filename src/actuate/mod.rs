//! A decision becomes a resize of a running pod: `pods/resize`, and nothing else.

mod resize;
#[cfg(test)]
mod tests;

pub use resize::{ContainerResize, PodResize, Refusal, RefusalKind, send};
