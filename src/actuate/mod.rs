//! A decision becomes a resize of a running pod: `pods/resize`, and nothing else.

mod resize;

pub use resize::{ContainerResize, PodResize, Refusal, RefusalKind, send};
