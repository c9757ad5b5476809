//! How long ago something was, as kubectl prints it: 30s, 5m, 2h. Pure.

use k8s_openapi::jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The time from `then` to `now`: two units at most, and the smaller one only where it matters.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    // Clocks differ: what is a moment ahead is now.
    let seconds = (now.as_second() - then.as_second()).max(0);
    let two = |(whole, unit), (part, smaller)| match part {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}{unit}{part}{smaller}"),
    };
    let minutes = (seconds / MINUTE, "m");
    let hours = (seconds / HOUR, "h");
    let days = (seconds / DAY, "d");
    let years = (seconds / YEAR, "y");
    match seconds {
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(minutes, (seconds % MINUTE, "s")),
        _ if seconds < 3 * HOUR => format!("{}m", minutes.0),
        _ if seconds < 8 * HOUR => two(hours, (seconds % HOUR / MINUTE, "m")),
        _ if seconds < 2 * DAY => format!("{}h", hours.0),
        _ if seconds < 8 * DAY => two(days, (seconds % DAY / HOUR, "h")),
        _ if seconds < 2 * YEAR => format!("{}d", days.0),
        _ if seconds < 8 * YEAR => two(years, (seconds % YEAR / DAY, "d")),
        _ => format!("{}y", years.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        let of = |seconds: i64| {
            let now = Timestamp::from_second(2_000_000_000).unwrap();
            age(Timestamp::from_second(2_000_000_000 - seconds).unwrap(), now)
        };
        let ages = [
            (-5, "0s"),
            (30, "30s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (599, "9m59s"),
            (3599, "59m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 120, "3h2m"),
            (8 * HOUR + 120, "8h"),
            (2 * DAY, "2d"),
            (2 * DAY + HOUR, "2d1h"),
            (8 * DAY + HOUR, "8d"),
            (2 * YEAR + DAY, "2y1d"),
            (9 * YEAR, "9y"),
        ];
        for (seconds, text) in ages {
            assert_eq!(of(seconds), text, "{seconds}");
        }
    }
}
