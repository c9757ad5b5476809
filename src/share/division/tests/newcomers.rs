//! What one more pod would own.

use super::{super::super::testing::cases, *};

fn one_more(pool: &Pool, newcomer: &Newcomer) -> Option<u64> {
    Divider::default().one_more(pool, newcomer)
}

fn newcomer(member: usize, weight: u64) -> Newcomer {
    let pod = PodClaim { weight: 1, floor: 10, ..PodClaim::default() };
    Newcomer { member, weight, pod }
}

/// The pool with the pod in it, and the place of the pod.
fn with(pool: &Pool, newcomer: &Newcomer) -> (Pool, usize) {
    let mut pool = pool.clone();
    let place = pool.runs().nth(newcomer.member).map(|(_, run)| run.end).unwrap();
    pool.pods.insert(place, newcomer.pod);
    pool.members[newcomer.member].pods += 1;
    pool.members[newcomer.member].weight = newcomer.weight;
    (pool, place)
}

#[test]
fn a_newcomer_shares_what_its_siblings_own_or_brings_a_weight() {
    let mut pool = pool(1200, [member(100, 3), member(100, 1), member(200, 0)]);
    assert_eq!(one_more(&pool, &newcomer(0, 100)), Some(150));
    // By replica it makes its member heavier.
    assert_eq!(one_more(&pool, &newcomer(1, 200)), Some(400));
    // The first pod of a member has all that the member owns from then on.
    assert_eq!(one_more(&pool, &newcomer(2, 200)), Some(600));
    pool.members[2].max = Some(250);
    assert_eq!(one_more(&pool, &newcomer(2, 200)), Some(250));
}

#[test]
fn there_is_none_where_the_pool_is_too_small_for_it() {
    let pool = pool(45, [member(1, 4)]);
    assert_eq!(one_more(&pool, &newcomer(0, 1)), None);
    let larger = Pool { capacity: 50, ..pool };
    assert_eq!(one_more(&larger, &newcomer(0, 1)), Some(10));
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_newcomer_owns_what_it_owns_once_it_is_there(
        pool in pools(),
        pick: prop::sample::Index,
        (weight, floor) in (1..5u64, 0..40u64),
        cap in prop::option::of(0..300u64),
        more in 0..100u64,
    ) {
        let member = pick.index(pool.members.len());
        let pod = PodClaim { weight, floor, cap, ..PodClaim::default() };
        let weight = pool.members[member].weight + more;
        let newcomer = Newcomer { member, weight, pod };
        let (there, place) = with(&pool, &newcomer);
        let division = divide(&there);
        let owned = one_more(&pool, &newcomer);
        prop_assert_eq!(owned, division.pods.get(place).map(|pod| pod.fair));
        // With its siblings it owns no more than its member does, and a larger pool leaves it with no less.
        prop_assert!(owned.is_none_or(|owned| owned >= floor && owned <= division.members[member].fair));
        let larger = Pool { capacity: pool.capacity + more, ..pool };
        prop_assert!(owned <= one_more(&larger, &newcomer).map(|owned| owned + 1));
    }
}
