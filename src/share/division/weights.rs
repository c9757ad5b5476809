//! Weights that are fractions, as whole numbers in the same proportion.

/// A weight: a pod's part of what its member weighs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fraction {
    pub over: u64,
    /// Above zero.
    pub under: u64,
}

impl Fraction {
    /// `weight * part / whole`. Where that is too long, it is rounded, but never to zero.
    pub fn part(weight: u64, part: u64, whole: u64) -> Self {
        let common = gcd(part, whole).max(1);
        let (over, under) = (product(weight, part / common), (whole / common).max(1));
        let long = (u128::BITS - over.leading_zeros()).saturating_sub(u64::BITS);
        let over = u64::try_from(over >> long).unwrap_or(u64::MAX).max(u64::from(over > 0));
        Self { over, under: (under >> long).max(1) }
    }
}

/// The most that weights may sum to.
const MOST: u128 = 1 << 62;

/// Writes whole numbers over `whole` that are to each other as `weights` are, and sum to at most 2^62.
///
/// They are exact while the common denominator leaves room for that. Where many members of many different sizes meet,
/// it does not: then each is rounded down to a part of the heaviest, at least one in 2^30 of it for a billion of them.
/// The same weights give the same numbers, whatever all of them are multiplied by.
pub fn whole(weights: &[Fraction], whole: &mut Vec<u64>) {
    whole.clear();
    let common = || weights.iter().fold(0, |common, weight| gcd(common, weight.over));
    if exact(weights, 1, whole).is_some() || exact(weights, common().max(1), whole).is_some() {
        return;
    }
    whole.clear();
    let heavier =
        |a: &&Fraction, b: &&Fraction| product(a.over, b.under).cmp(&product(b.over, a.under));
    let Some(heaviest) = weights.iter().max_by(heavier) else { return };
    let bits = 61 - weights.len().ilog2();
    whole.extend(weights.iter().map(|weight| {
        let (mut over, mut under) =
            (product(weight.over, heaviest.under), product(weight.under, heaviest.over));
        // Long products lose what they have beyond the bits that count.
        let long = (u128::BITS - under.leading_zeros()).saturating_sub(u128::BITS - bits);
        (over, under) = (over >> long, (under >> long).max(1));
        let part = ((over << bits) / under) as u64;
        part.max(u64::from(weight.over > 0))
    }));
}

/// The weights over their common denominator, divided by `common`. None where that is too long.
fn exact(weights: &[Fraction], common: u64, whole: &mut Vec<u64>) -> Option<()> {
    whole.clear();
    let mut denominator = 1u64;
    for under in weights.iter().map(|weight| weight.under) {
        if under > 1 && !denominator.is_multiple_of(under) {
            denominator = denominator.checked_mul(under / gcd(denominator, under))?;
        }
    }
    let mut sum = 0u128;
    for weight in weights {
        let over = if common > 1 { weight.over / common } else { weight.over };
        let factor = if weight.under > 1 { denominator / weight.under } else { denominator };
        let amount = over.checked_mul(factor)?;
        sum += u128::from(amount);
        whole.push(amount);
    }
    (sum <= MOST).then_some(())
}

/// The greatest common divisor. With zero: the other.
pub fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::super::testing::cases, *};

    fn of(weights: &[(u64, u64)]) -> Vec<u64> {
        let weights: Vec<Fraction> =
            weights.iter().map(|&(over, under)| Fraction { over, under }).collect();
        let mut numbers = Vec::new();
        whole(&weights, &mut numbers);
        numbers
    }

    #[test]
    fn fractions_get_a_common_denominator() {
        assert_eq!(of(&[(100, 3), (100, 2), (0, 7)]), [1400, 2100, 0]);
        assert_eq!(of(&[(500, 1), (200, 1)]), [500, 200]);
        // What they have in common is left out where it makes them too long.
        let long = 1 << 61;
        assert_eq!(of(&[(3 * long, 1), (long, 2)]), [6, 1]);
        assert_eq!(of(&[(0, 1), (0, 4)]), [0, 0]);
        assert_eq!(of(&[]), [0; 0]);
    }

    #[test]
    fn too_long_a_denominator_rounds() {
        // The common denominator of the numbers up to 60 has 83 bits.
        let weights: Vec<(u64, u64)> = (1..=60).map(|n| (10_000, n)).collect();
        let numbers = of(&weights);
        for (&(_, n), &number) in weights.iter().zip(&numbers) {
            assert_eq!(number, (1 << 56) / n);
        }
        assert_eq!(of(&[(u64::MAX, 1), (1, u64::MAX)]), [1 << 60, 1]);
        // However small, a weight is not none, and none stays none.
        assert_eq!(of(&[(u64::MAX, 1), (0, 1), (1, u64::MAX)]), [1 << 60, 0, 1]);
        // Products of 128 bits.
        let long = of(&[(u64::MAX, u64::MAX - 2), (u64::MAX / 4, u64::MAX - 6)]);
        assert!(long[0].abs_diff(4 * long[1]) < 8 && long[0] >= 1 << 60, "{long:?}");
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn the_proportions_stay(
            weights in prop::collection::vec((1..100_000u64, prop_oneof![1..10u64, 1..1000u64]), 1..20),
            factor in 1..1000u64,
        ) {
            let numbers = of(&weights);
            prop_assert!(numbers.iter().sum::<u64>() <= 1 << 62);
            let ((a, b), n) = (weights[0], numbers[0]);
            for (&(c, d), &m) in weights.iter().zip(&numbers) {
                // n / m is (a / b) / (c / d), to within one part in 2^20.
                let (left, right) = (product(n, c) * u128::from(b), product(m, a) * u128::from(d));
                prop_assert!(left.abs_diff(right) <= left >> 20, "{weights:?}: {numbers:?}");
                prop_assert!(product(a, d) != product(c, b) || n == m);
            }
            let scaled: Vec<_> = weights.iter().map(|&(over, under)| (over * factor, under)).collect();
            for (&n, m) in numbers.iter().zip(of(&scaled)) {
                prop_assert_eq!(product(n, of(&scaled)[0]), product(m, numbers[0]));
            }
        }
    }
}
