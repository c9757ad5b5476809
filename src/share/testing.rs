//! What the property tests of this room share.

use proptest::prelude::ProptestConfig;

use super::Claim;

/// 20,000 cases, or as many as `PROPTEST_CASES` says; of dear ones, one in so many.
pub fn cases(one_in: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let wanted = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config.cases,
        None => 20_000,
    };
    ProptestConfig { cases: wanted.div_ceil(one_in), ..config }
}

/// What `fill` gives where the lower bounds fit, by its definition: of all levels at which a claim turns, the highest
/// that holds no more than the total; what is left goes to those that float there, by weight.
pub fn by_definition(claims: &[Claim], total: u64) -> Vec<u64> {
    let wide = |claim: &Claim| {
        let hi = if claim.weight > 0 { claim.hi } else { claim.lo };
        [claim.weight, claim.lo, hi].map(u128::from)
    };
    let claims: Vec<[u128; 3]> = claims.iter().map(wide).collect();
    let holds = |over: u128, under: u128| -> u128 {
        claims.iter().map(|&[w, lo, hi]| (over * w).max(lo * under).min(hi * under)).sum()
    };
    let turns = claims.iter().filter(|[w, ..]| *w > 0).flat_map(|&[w, lo, hi]| [(lo, w), (hi, w)]);
    let (over, under) = turns
        .filter(|&(over, under)| holds(over, under) <= u128::from(total) * under)
        .max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)))
        .unwrap_or((0, 1));

    let floats = |&[w, lo, hi]: &[u128; 3]| lo * under <= over * w && over * w < hi * under;
    let bound = |&[w, lo, hi]: &[u128; 3]| if over * w < lo * under { lo } else { hi };
    let weight: u128 = claims.iter().filter(|claim| floats(claim)).map(|[w, ..]| w).sum();
    let still: u128 = claims.iter().filter(|claim| !floats(claim)).map(bound).sum();
    let most: u128 = claims.iter().map(|[.., hi]| hi).sum();
    let rest = most.min(total.into()) - still;
    let exact = |claim: &[u128; 3]| match floats(claim) {
        true => (rest * claim[0] / weight, rest * claim[0] % weight),
        false => (bound(claim), 0),
    };
    let exact: Vec<(u128, u128)> = claims.iter().map(exact).collect();

    let mut shares: Vec<u64> = exact.iter().map(|&(whole, _)| whole as u64).collect();
    let left = still + rest - exact.iter().map(|(whole, _)| whole).sum::<u128>();
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(exact[i].1));
    order.into_iter().take(left as usize).for_each(|i| shares[i] += 1);
    shares
}
