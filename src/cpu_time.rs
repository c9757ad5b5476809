//! How long something computes, in tests: what else the machine does meanwhile does not count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor's time that this thread has had.
pub fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a clock that begins at nothing")
}
