//! How fast a weight follows what it should be.

use std::time::Duration;

/// The most that a weight grows or shrinks by in one step: it doubles, or halves.
const LARGEST_FACTOR: f64 = 2.0;

/// What a weight stays within, and how fast it moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The least that it becomes.
    pub min: f64,
    /// The most that it becomes.
    pub max: f64,
    /// How long it takes to make half of the way. Zero: at once.
    pub half_life: Duration,
}

/// The weight after some time on its way from `current` to `wanted`, both finite. It goes toward what is wanted and
/// never past it, by at most a factor of two; only to come inside its bounds it goes any way.
#[must_use]
pub fn step(current: f64, wanted: f64, pace: Pace, elapsed: Duration) -> f64 {
    // Bounds in the wrong order are refused by the API server; the least counts then.
    let bounded = |weight: f64| weight.min(pace.max).max(pace.min);
    let (current, wanted) = (bounded(current), bounded(wanted));
    let made = if pace.half_life.is_zero() {
        1.0
    } else {
        1.0 - (-elapsed.as_secs_f64() / pace.half_life.as_secs_f64()).exp2()
    };
    // Not current + made * (wanted - current): the end of the way is met exactly.
    let moved = current * (1.0 - made) + wanted * made;
    bounded(moved.min(current * LARGEST_FACTOR).max(current / LARGEST_FACTOR))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights() -> impl Strategy<Value = f64> {
        1.0..10_000.0_f64
    }

    fn paces() -> impl Strategy<Value = Pace> {
        (weights(), weights(), 0..3600_u64).prop_map(|(a, b, seconds)| Pace {
            min: a.min(b),
            max: a.max(b),
            half_life: Duration::from_secs(seconds),
        })
    }

    fn times() -> impl Strategy<Value = Duration> {
        (0..600_000_u64).prop_map(Duration::from_millis)
    }

    const WIDE: Pace = Pace { min: 1.0, max: 10_000.0, half_life: Duration::from_secs(60) };

    #[test]
    fn half_of_the_way_is_made_in_a_half_life() {
        let after = |seconds| step(100.0, 180.0, WIDE, Duration::from_secs(seconds));
        assert!((after(60) - 140.0).abs() < 1e-9 && (after(120) - 160.0).abs() < 1e-9);
        assert_eq!(after(0), 100.0);
        let at_once = Pace { half_life: Duration::ZERO, ..WIDE };
        assert_eq!(step(100.0, 180.0, at_once, Duration::from_secs(1)), 180.0);
        assert_eq!(step(100.0, 1000.0, at_once, Duration::from_secs(1)), 200.0);
        assert_eq!(step(100.0, -5.0, at_once, Duration::from_secs(1)), 50.0);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(current in -1e9..1e9_f64, wanted in -1e300..1e300_f64, pace in paces(), elapsed in times()) {
            let weight = step(current, wanted, pace, elapsed);
            prop_assert!(pace.min <= weight && weight <= pace.max, "{weight}");
        }

        #[test]
        fn it_moves_toward_what_is_wanted_by_at_most_a_factor_of_two(current in weights(), wanted in weights(), elapsed in times()) {
            let weight = step(current, wanted, WIDE, elapsed);
            let (low, high) = (current.min(wanted), current.max(wanted));
            let near = |a: f64| a * 1e-12;
            prop_assert!(low - near(low) <= weight && weight <= high + near(high), "{weight}");
            prop_assert!(current / 2.0 <= weight && weight <= current * 2.0, "{weight}");
        }

        #[test]
        fn it_is_never_the_less_for_more(current in weights(), a in weights(), b in weights(), pace in paces(), elapsed in times()) {
            let near = 1e-9;
            let [less, more] = [a.min(b), a.max(b)].map(|wanted| step(current, wanted, pace, elapsed));
            prop_assert!(less <= more + near, "{less} {more}");
            let [less, more] = [a.min(b), a.max(b)].map(|current| step(current, 500.0, pace, elapsed));
            prop_assert!(less <= more + near, "{less} {more}");
        }

        #[test]
        fn it_stays_where_it_should_be(weight in weights(), seconds in 0..3600_u64, elapsed in times()) {
            let pace = Pace { half_life: Duration::from_secs(seconds), ..WIDE };
            prop_assert!((step(weight, weight, pace, elapsed) - weight).abs() <= weight * 1e-12);
        }

        #[test]
        fn it_gets_there(from in weights(), wanted in weights(), pace in paces()) {
            let elapsed = pace.half_life.max(Duration::from_secs(1));
            let end = wanted.min(pace.max).max(pace.min);
            let weight = (0..60).fold(from, |weight, _| step(weight, wanted, pace, elapsed));
            prop_assert!((weight - end).abs() <= end * 1e-9, "{weight} is not {end}");
        }

        #[test]
        fn many_short_steps_lead_as_far_as_a_long_one(from in weights(), by in 0.6..1.9_f64, steps in 1..20_u32) {
            let (wanted, whole) = (from * by, Duration::from_secs(120));
            let pace = Pace { min: 0.1, max: 1e6, ..WIDE };
            let short = (0..steps).fold(from, |weight, _| step(weight, wanted, pace, whole / steps));
            prop_assert!((short - step(from, wanted, pace, whole)).abs() <= from * 1e-6);
        }
    }
}
