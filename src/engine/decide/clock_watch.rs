//! Detects that the system clock was set between two decisions.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::engine::Now;

/// A clock that moves by more than this against the time since the process began was set.
const SET: SignedDuration = SignedDuration::from_secs(1);

/// Compares the clock with the time since the process began.
#[derive(Debug, Default)]
pub struct ClockWatch {
    /// When the process began, as the clock had it last.
    began: Option<Timestamp>,
}

impl ClockWatch {
    /// Whether the clock was set since this was asked last.
    pub fn was_set(&mut self, now: Now) -> bool {
        let began = now.wall.checked_sub(now.steady).ok();
        let before = std::mem::replace(&mut self.began, began);
        let apart = began.zip(before).map(|(began, before)| began.duration_since(before));
        apart.is_some_and(|apart| apart.abs() > SET)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_clock_that_jumps_was_set() {
        let mut clock = ClockWatch::default();
        let now = |wall: i64, steady: u64| Now {
            wall: Timestamp::from_second(wall).unwrap(),
            steady: Duration::from_secs(steady),
        };
        assert!(!clock.was_set(now(1_000, 0)));
        assert!(!clock.was_set(now(1_060, 60)));
        assert!(!clock.was_set(now(1_121, 120)), "it goes a little fast");
        assert!(clock.was_set(now(4_721, 120)));
        assert!(!clock.was_set(now(4_731, 130)));
        assert!(clock.was_set(now(1_141, 140)));
    }
}
