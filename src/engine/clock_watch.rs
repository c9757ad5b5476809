//! Detects that the system clock was set, and by how much.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Now;

/// A clock that moves by more than this against the time since the process began was set.
const SET: SignedDuration = SignedDuration::from_secs(1);

/// Compares the clock with the time since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockWatch {
    /// When the process began, as the clock had it last.
    began: Option<Timestamp>,
}

impl ClockWatch {
    /// How far the clock was set since the last call. None: it was not set.
    pub fn jump(&mut self, now: Now) -> Option<SignedDuration> {
        let began = now.wall.checked_sub(now.steady).ok();
        let before = std::mem::replace(&mut self.began, began);
        let apart = began.zip(before).map(|(began, before)| began.duration_since(before));
        apart.filter(|apart| apart.abs() > SET)
    }
}

/// A remembered time, moved as far as the clock was set.
#[must_use]
pub fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
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
        assert_eq!(clock.jump(now(1_000, 0)), None);
        assert_eq!(clock.jump(now(1_060, 60)), None);
        assert_eq!(clock.jump(now(1_121, 120)), None, "it goes a little fast");
        assert_eq!(clock.jump(now(4_721, 120)), Some(SignedDuration::from_secs(3_600)));
        assert_eq!(clock.jump(now(4_731, 130)), None);
        assert_eq!(clock.jump(now(1_141, 140)), Some(SignedDuration::from_secs(-3_600)));
    }
}
