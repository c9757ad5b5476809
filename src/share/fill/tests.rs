use proptest::prelude::*;

use super::{
    super::testing::{by_definition, cases},
    *,
};

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
fn what_is_cut_goes_by_largest_remainder() {
    // 3 2/11, 1 4/11 and 5/11.
    assert_eq!(fill(&[claim(1, 7, 9), claim(1, 3, 9), claim(1, 1, 9)], 5), [3, 1, 1]);
}

#[test]
fn a_claim_without_weight_stays_at_its_least() {
    assert_eq!(fill(&[claim(0, 7, 50), claim(3, 0, 20)], 100), [7, 20]);
    assert_eq!(fill(&[claim(0, 0, 50)], 100), [0]);
}

#[test]
fn two_that_have_a_weight_are_found_among_hundreds_that_have_none() {
    for place in 0..300 {
        let other = (place + 151) % 300;
        let mut claims = vec![claim(0, 0, 0); 300];
        claims[place] = claim(1, 0, 100);
        claims[other] = claim(3, 0, 100);
        let shares = fill(&claims, 100);
        assert_eq!((shares[place], shares[other]), (25, 75));
    }
}

#[test]
fn survives_the_extremes() {
    let max = u64::MAX;
    assert_eq!(by_weight(&[max, max], max), [max / 2 + 1, max / 2]);
    assert_eq!(by_weight(&[1, max >> 2], max), [4, max - 4]);
    // However heavy the others: a weight is never none.
    assert!(by_weight(&[1, max], max)[0] > 0);
    assert_eq!(fill(&[claim(max, max, max), claim(1, max, max)], max), [max / 2 + 1, max / 2]);
    let many: Vec<_> = (1..=1000).map(|i| claim(max - i, i, max - i)).collect();
    assert_eq!(fill(&many, max).iter().map(|&x| u128::from(x)).sum::<u128>(), u128::from(max));
}

/// Claims of every magnitude, with a total that may fall short of, between or beyond the bounds.
fn claims() -> impl Strategy<Value = (Vec<Claim>, u64)> {
    let size = prop_oneof![Just(10u64), Just(1 << 14), Just(1 << 40), Just(i64::MAX as u64)];
    let weight = prop_oneof![1..=10u64, 1..=10_000u64, Just(u64::MAX >> 5)];
    size.prop_flat_map(move |size| {
        let one = (weight.clone(), 0..=size, 0..=size).prop_map(|(weight, a, b)| Claim {
            weight,
            lo: a.min(b),
            hi: a.max(b),
        });
        (prop::collection::vec(one, 1..12), 0..=size.saturating_mul(6))
    })
}

fn sum(amounts: impl IntoIterator<Item = u64>) -> u128 {
    amounts.into_iter().map(u128::from).sum()
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_divisor_divides(over in 0..u64::MAX, under in 1..1u64 << 63, weight in 0..1u64 << 63) {
        let exact = u128::from(weight) * u128::from(over);
        let (whole, remainder) = level::Level { over, under }.divisor().of(weight);
        prop_assert_eq!(u128::from(remainder), exact % u128::from(under));
        let most = u128::from(u64::MAX);
        prop_assert_eq!(u128::from(whole), (exact / u128::from(under)).min(most));
    }

    #[test]
    fn pours_exactly_what_there_is((claims, total) in claims()) {
        let most = sum(claims.iter().map(|claim| claim.hi));
        prop_assert_eq!(sum(fill(&claims, total)), most.min(u128::from(total)));
    }

    #[test]
    fn agrees_with_the_definition((claims, total) in claims()) {
        if sum(claims.iter().map(|claim| claim.lo)) <= u128::from(total) && claims.iter().all(|claim| claim.weight < 1 << 40) {
            prop_assert_eq!(fill(&claims, total), by_definition(&claims, total));
        }
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
                    prop_assert!((u128::from(y) - 1) * w <= (u128::from(x) + 1) * v, "{:?} {:?}", claims, shares);
                }
            }
        }
    }

    #[test]
    fn grows_with_weight((mut claims, total) in claims(), pick: prop::sample::Index, more in 1..10_000u64) {
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
            claim.weight *= factor;
        }
        prop_assert_eq!(shares, fill(&claims, total));
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

proptest! {
    #![proptest_config(cases(64))]

    /// Enough claims for a sample of them to say where the level is.
    #[test]
    fn agrees_with_the_definition_where_it_samples(
        claims in prop::collection::vec((1..=10_000u64, 0..5000u64, 0..5000u64), 128..2000),
        spread in 0..3u32,
        per_mille in 0..=1000u64,
    ) {
        let claims: Vec<Claim> = claims
            .into_iter()
            .enumerate()
            .map(|(i, (weight, lo, more))| match spread {
                0 => Claim { weight, lo, hi: lo + more },
                // In an order that misleads a sample, and all alike.
                1 => Claim { weight: 1 + i as u64, lo: 0, hi: more * i as u64 },
                _ => Claim { weight: 7, lo: 10, hi: 20 },
            })
            .collect();
        let (least, most) = claims.iter().fold((0, 0), |(lo, hi), claim| (lo + claim.lo, hi + claim.hi));
        let total = least + (most - least) / 1000 * per_mille;
        prop_assert_eq!(fill(&claims, total), by_definition(&claims, total));
    }
}
