//! How well a member does against its objective.

use crate::api::{Better, Objective};

/// Performance is cut off here: a value of zero would make it endless, or nothing.
const RANGE: [f64; 2] = [0.01, 100.0];

/// How near a measured value comes to its objective: 1 where it is just met, less where it is missed, from 0.01 to 100.
/// None where the value is not a number, or the target is not one above zero.
#[must_use]
pub fn performance(value: f64, objective: &Objective) -> Option<f64> {
    let target: f64 =
        objective.target.parse().ok().filter(|&it: &f64| it.is_finite() && it > 0.0)?;
    let [least, most] = RANGE;
    let ratio = match objective.better {
        _ if value.is_nan() => return None,
        // Nothing, or less, of what should be low is as good as can be.
        Better::Lower if value <= 0.0 => most,
        Better::Lower => target / value,
        Better::Higher => value / target,
    };
    Some(ratio.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64, target: &str, better: Better) -> Option<f64> {
        performance(value, &Objective { query: "up".into(), target: target.into(), better })
    }

    #[test]
    fn it_is_one_where_the_objective_is_just_met() {
        for better in [Better::Lower, Better::Higher] {
            assert_eq!(of(0.25, "0.25", better), Some(1.0));
        }
        assert_eq!(of(0.5, "0.25", Better::Lower), Some(0.5));
        assert_eq!(of(0.5, "0.25", Better::Higher), Some(2.0));
    }

    #[test]
    fn it_has_an_end_on_both_sides() {
        let infinite = f64::INFINITY;
        for value in [0.0, -0.0, -3.0, f64::MIN_POSITIVE, -infinite] {
            assert_eq!(of(value, "0.25", Better::Lower), Some(100.0), "{value}");
            assert_eq!(of(value, "0.25", Better::Higher), Some(0.01), "{value}");
        }
        assert_eq!(of(infinite, "0.25", Better::Lower), Some(0.01));
        assert_eq!(of(infinite, "0.25", Better::Higher), Some(100.0));
    }

    #[test]
    fn there_is_none_without_two_numbers() {
        assert_eq!(of(f64::NAN, "0.25", Better::Lower), None);
        for target in ["", "0", "-1", "nan", "inf", "fast"] {
            assert_eq!(of(1.0, target, Better::Higher), None, "{target}");
        }
    }
}
