//! The clock that decisions are told the time by.

use std::{fmt, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::Now;

/// A clock. It is passed in, so that time can be made to pass, or to jump.
#[derive(Clone)]
pub struct Clock {
    shown: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    began: Instant,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { shown: Arc::new(now), began: Instant::now() }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.shown)()
    }

    /// What it shows, and how long it has run.
    #[must_use]
    pub fn moment(&self) -> Now {
        Now { wall: self.now(), steady: self.began.elapsed() }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
