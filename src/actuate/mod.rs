//! A decision becomes a resize of a running pod (`pods/resize`), or one more socket of a virtual machine; nothing else.

mod plug;
mod resize;
#[cfg(test)]
mod tests;

pub use plug::{Plug, Plugged, plug};
pub use resize::{ContainerResize, PodResize, Refusal, RefusalKind, send};
