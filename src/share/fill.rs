//! Water-filling: an amount goes to claims in proportion to their weights, each within its bounds.

use std::cmp::{Ordering, Reverse};

/// One claim on an amount, in units of it (millicores or bytes).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// How heavily it draws beside the others. A claim of weight zero stays at its lower bound.
    pub weight: u64,
    /// The least it gets, while there is enough for everyone's least.
    pub lo: u64,
    /// The most it gets, `lo` or more.
    pub hi: u64,
}

/// Divides `total` over `claims`: `x_i = clamp(L * w_i, lo_i, hi_i)` with the one level L that makes
/// `sum x = min(total, sum hi)`. Where the lower bounds alone exceed `total`, `x_i = lo_i * total / sum lo`.
///
/// Whole units go by largest remainder, ties to the earlier claim, so the sum is exact; only a claim of
/// weight zero, which never rises above `lo`, can leave something over. Takes O(n log n).
///
/// This is weighted max-min fairness, and the maximiser of `sum w_i log x_i` within the bounds.
pub fn fill(claims: &[Claim], total: u64) -> Vec<u64> {
    let least: u128 = claims.iter().map(|claim| u128::from(claim.lo)).sum();
    if least > u128::from(total) {
        let lows: Vec<u64> = claims.iter().map(|claim| claim.lo).collect();
        return in_proportion(&lows, least, total);
    }

    let level = rise(claims, least, u128::from(total));
    let floating: Vec<u64> = claims
        .iter()
        .zip(&level.stages)
        .map(|(claim, stage)| if *stage == Stage::Floating { claim.weight } else { 0 })
        .collect();
    let mut shares = in_proportion(&floating, level.weight, level.rest);
    for ((share, claim), stage) in shares.iter_mut().zip(claims).zip(level.stages) {
        match stage {
            Stage::Low => *share = claim.lo,
            Stage::Floating => {}
            Stage::Full => *share = claim.hi,
        }
    }
    shares
}

/// Where a claim stands at a given level of the water.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Low,
    Floating,
    Full,
}

/// The water at the level where all of the total is poured.
struct Level {
    stages: Vec<Stage>,
    /// The sum of the weights of the claims that float.
    weight: u128,
    /// What those share in proportion to weight.
    rest: u64,
}

/// Raises the level from zero, past each point where a claim begins to float or is full, until it holds `total`.
/// `least` is the sum of the lower bounds, at most `total`.
fn rise(claims: &[Claim], least: u128, total: u128) -> Level {
    let turn = |i: usize, stage| match stage {
        Stage::Full => (i, claims[i].hi, stage),
        _ => (i, claims[i].lo, stage),
    };
    let mut turns: Vec<_> = (0..claims.len())
        .filter(|&i| claims[i].weight > 0)
        .flat_map(|i| [turn(i, Stage::Floating), turn(i, Stage::Full)])
        .collect();
    turns.sort_unstable_by(|&(i, a, before), &(k, b, after)| {
        // Two u64 products: a / w_i against b / w_k, exact.
        let (a, b) = (u128::from(a), u128::from(b));
        let (w, v) = (u128::from(claims[i].weight), u128::from(claims[k].weight));
        (a * v).cmp(&(b * w)).then(before.cmp(&after)).then(i.cmp(&k))
    });

    let mut stages = vec![Stage::Low; claims.len()];
    let (mut settled, mut weight) = (least, 0u128);
    for (i, amount, stage) in turns {
        let claim = claims[i];
        let level = (u128::from(amount), u128::from(claim.weight));
        let full = settled == total
            || (weight > 0 && compare(level, (total - settled, weight)) != Ordering::Less);
        if full {
            break;
        }
        if stage == Stage::Floating {
            settled -= u128::from(claim.lo);
            weight += u128::from(claim.weight);
        } else {
            settled += u128::from(claim.hi);
            weight -= u128::from(claim.weight);
        }
        stages[i] = stage;
    }
    // What is left fits: it is at most `total`. It is nobody's where nobody floats.
    let rest = if weight == 0 { 0 } else { u64::try_from(total - settled).unwrap_or(u64::MAX) };
    Level { stages, weight, rest }
}

/// Compares the fractions a / b and c / d (b and d above zero) without a product that could overflow.
fn compare((a, b): (u128, u128), (c, d): (u128, u128)) -> Ordering {
    match (a.checked_mul(d), c.checked_mul(b)) {
        (Some(left), Some(right)) => left.cmp(&right),
        // By whole parts, then by the reciprocals of what remains: Euclid's algorithm.
        _ => (a / b).cmp(&(c / d)).then_with(|| match (a % b, c % d) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            (left, right) => compare((d, right), (b, left)),
        }),
    }
}

/// Splits `total` in proportion to `parts`, whose sum is `whole`, by largest remainder, ties to the earlier.
fn in_proportion(parts: &[u64], whole: u128, total: u64) -> Vec<u64> {
    if whole == 0 {
        return vec![0; parts.len()];
    }
    let product = |part: u64| u128::from(part) * u128::from(total);
    // A quotient is at most `total`: no part exceeds the whole.
    let mut shares: Vec<u64> = parts.iter().map(|&part| (product(part) / whole) as u64).collect();
    let left = total - shares.iter().sum::<u64>();

    let mut remainders: Vec<_> = (0..parts.len())
        .map(|i| (Reverse(product(parts[i]) % whole), i))
        .filter(|(remainder, _)| remainder.0 > 0)
        .collect();
    remainders.sort_unstable();
    for (_, i) in remainders.into_iter().take(left as usize) {
        shares[i] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(weight: u64, lo: u64, hi: u64) -> Claim {
        Claim { weight, lo, hi }
    }

    fn by_weight(weights: &[u64], total: u64) -> Vec<u64> {
        let claims: Vec<_> = weights.iter().map(|&weight| claim(weight, 0, total)).collect();
        fill(&claims, total)
    }

    #[test]
    fn divides_by_weight_within_bounds() {
        assert_eq!(by_weight(&[1, 2, 5], 1600), [200, 400, 1000]);
        assert_eq!(by_weight(&[1, 1, 1], 100), [34, 33, 33]);
        // The two that the design names: one more unit for the pool takes one from the third.
        assert_eq!(by_weight(&[6, 6, 2], 10), [4, 4, 2]);
        assert_eq!(by_weight(&[6, 6, 2], 11), [5, 5, 1]);
        let bounded = [claim(1, 300, 1600), claim(2, 0, 1600), claim(5, 0, 500)];
        assert_eq!(fill(&bounded, 1600), [367, 733, 500]);
        assert_eq!(fill(&[claim(1, 100, 200), claim(1, 300, 400)], 1000), [200, 400]);
        assert_eq!(fill(&[claim(9, 100, 200), claim(1, 300, 400)], 200), [50, 150]);
        assert_eq!(fill(&[], 5), Vec::<u64>::new());
    }

    #[test]
    fn a_claim_without_weight_stays_at_its_least() {
        assert_eq!(fill(&[claim(0, 7, 50), claim(3, 0, 20)], 100), [7, 20]);
        assert_eq!(fill(&[claim(0, 0, 50)], 100), [0]);
    }

    #[test]
    fn survives_the_extremes() {
        let max = u64::MAX;
        assert_eq!(by_weight(&[max, max], max), [max / 2 + 1, max / 2]);
        assert_eq!(by_weight(&[1, max], max), [1, max - 1]);
        assert_eq!(fill(&[claim(max, max, max), claim(1, max, max)], max), [max / 2 + 1, max / 2]);
        let many: Vec<_> = (1..=1000).map(|i| claim(max - i, i, max - i)).collect();
        assert_eq!(fill(&many, max).iter().map(|&x| u128::from(x)).sum::<u128>(), u128::from(max));
    }

    #[test]
    fn compares_fractions_that_do_not_fit_a_product() {
        let huge = u128::MAX;
        assert_eq!(compare((huge, huge - 1), (huge - 1, huge - 2)), Ordering::Less);
        assert_eq!(compare((huge - 1, huge - 2), (huge, huge - 1)), Ordering::Greater);
        assert_eq!(compare((huge, 3), (huge, 3)), Ordering::Equal);
    }

    /// Claims of every magnitude, with a total that may fall short of, between or beyond the bounds.
    fn claims() -> impl Strategy<Value = (Vec<Claim>, u64)> {
        let size = prop_oneof![Just(10u64), Just(1 << 14), Just(1 << 40), Just(i64::MAX as u64)];
        let weight = prop_oneof![1..=10u64, 1..=10_000u64, Just(u64::MAX)];
        size.prop_flat_map(move |size| {
            let one = (weight.clone(), 0..=size, 0..=size).prop_map(|(weight, a, b)| Claim {
                weight,
                lo: a.min(b),
                hi: a.max(b),
            });
            (prop::collection::vec(one, 0..12), 0..=size.saturating_mul(6))
        })
    }

    fn sum(amounts: impl IntoIterator<Item = u64>) -> u128 {
        amounts.into_iter().map(u128::from).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn pours_exactly_what_there_is((claims, total) in claims()) {
            let most = sum(claims.iter().map(|claim| claim.hi));
            prop_assert_eq!(sum(fill(&claims, total)), most.min(u128::from(total)));
        }

        #[test]
        fn keeps_the_bounds((claims, total) in claims()) {
            let least = sum(claims.iter().map(|claim| claim.lo));
            for (claim, share) in claims.iter().zip(fill(&claims, total)) {
                prop_assert!(share <= claim.hi);
                if least <= u128::from(total) {
                    prop_assert!(share >= claim.lo);
                } else {
                    // In proportion to the least, to within the one unit of rounding.
                    let exact = u128::from(claim.lo) * u128::from(total);
                    prop_assert!((u128::from(share) * least).abs_diff(exact) < least);
                }
            }
        }

        /// The definition of weighted max-min: a claim that could still grow is nowhere behind, per weight,
        /// one that could still shrink. One unit of rounding on either side is allowed.
        #[test]
        fn raises_nobody_past_a_neighbour_who_could_still_grow((claims, total) in claims()) {
            let shares = fill(&claims, total);
            if sum(claims.iter().map(|claim| claim.lo)) > u128::from(total) {
                return Ok(());
            }
            for (poor, &x) in claims.iter().zip(&shares) {
                for (rich, &y) in claims.iter().zip(&shares) {
                    if x < poor.hi && y > rich.lo {
                        let (w, v) = (u128::from(poor.weight), u128::from(rich.weight));
                        let order = compare((u128::from(y) - 1, v), (u128::from(x) + 1, w));
                        prop_assert_ne!(order, Ordering::Greater, "{:?} {:?}", claims, shares);
                    }
                }
            }
        }

        #[test]
        fn grows_with_weight((mut claims, total) in claims(), pick: prop::sample::Index, more in 1..10_000u64) {
            prop_assume!(!claims.is_empty());
            let i = pick.index(claims.len());
            let before = fill(&claims, total)[i];
            claims[i].weight = claims[i].weight.saturating_add(more);
            prop_assert!(fill(&claims, total)[i] >= before);
        }

        #[test]
        fn grows_with_the_total_to_within_a_unit((claims, total) in claims(), more in 0..10_000u64) {
            let before = fill(&claims, total);
            let after = fill(&claims, total.saturating_add(more));
            for (before, after) in before.into_iter().zip(after) {
                prop_assert!(after + 1 >= before);
            }
        }

        #[test]
        fn is_scale_free((mut claims, total) in claims(), factor in 1..1000u64) {
            for claim in &mut claims {
                claim.weight = claim.weight.div_ceil(factor);
            }
            let shares = fill(&claims, total);
            for claim in &mut claims {
                claim.weight = claim.weight.saturating_mul(factor);
            }
            // Every weight here is at most u64::MAX / factor + 1: only the largest could saturate.
            if claims.iter().all(|claim| claim.weight < u64::MAX) {
                prop_assert_eq!(shares, fill(&claims, total));
            }
        }

        #[test]
        fn a_second_turn_changes_nothing((claims, total) in claims()) {
            let shares = fill(&claims, total);
            let settled: Vec<_> = claims
                .iter()
                .zip(&shares)
                .map(|(claim, &share)| Claim { lo: share, hi: share.max(claim.hi), ..*claim })
                .collect();
            prop_assert_eq!(fill(&settled, total), shares);
        }
    }
}
