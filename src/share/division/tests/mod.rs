mod newcomers;
mod nodes;
mod oracle;
mod properties;

use proptest::prelude::*;

use super::*;

/// A member with `pods` like pods on one node, of which it is not known what they need.
fn member(weight: u64, pods: usize) -> (MemberClaim, Vec<PodClaim>) {
    let started = u64::MAX;
    let pod = PodClaim { weight: 1, floor: 10, node: Some(0), started, ..PodClaim::default() };
    (MemberClaim { weight, lend: 75, pods, ..MemberClaim::default() }, vec![pod; pods])
}

fn pool<const N: usize>(capacity: u64, members: [(MemberClaim, Vec<PodClaim>); N]) -> Pool {
    let (members, pods): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    Pool { capacity, idle: Idle::Lent, node_reserve: 0, members, pods: pods.concat() }
}

/// One pool, on nodes that set no limit.
fn divide(pool: &Pool) -> Division {
    super::divide(std::slice::from_ref(pool), &[Node::default(); 3]).remove(0)
}

fn fair(pool: &Pool) -> Vec<u64> {
    divide(pool).members.iter().map(|member| member.fair).collect()
}

fn shares(pool: &Pool) -> Vec<u64> {
    divide(pool).pods.iter().map(|pod| pod.share).collect()
}

#[test]
fn weights_divide_and_replicas_share() {
    let pool = pool(1602, [member(1, 1), member(3, 2)]);
    assert_eq!(fair(&pool), [401, 1201]);
    assert_eq!(shares(&pool), [401, 601, 600]);
    assert_eq!(divide(&pool).verdict, Verdict::Fits);
}

#[test]
fn min_and_max_bound_what_weight_gives() {
    let mut pool = pool(1000, [member(1, 1), member(9, 1)]);
    pool.members[0].min = 300;
    assert_eq!(fair(&pool), [300, 700]);
    pool.members[1].max = Some(500);
    assert_eq!(fair(&pool), [500, 500]);
    pool.members[0].max = Some(400);
    assert_eq!(fair(&pool), [400, 500]);
}

#[test]
fn caps_of_pods_bound_the_member_and_the_rest_goes_on() {
    let mut pool = pool(1000, [member(9, 2), member(1, 1)]);
    (pool.pods[0].cap, pool.pods[1].cap) = (Some(100), Some(50));
    assert_eq!(fair(&pool), [150, 850]);
    assert_eq!(shares(&pool), [100, 50, 850]);
    // A cap under the floor is no cap.
    pool.pods[1].cap = Some(5);
    assert_eq!(shares(&pool), [100, 10, 890]);
}

#[test]
fn a_member_without_pods_takes_no_part() {
    let mut pool = pool(1000, [member(100, 0), member(1, 1)]);
    pool.members[0].min = 900;
    assert_eq!(fair(&pool), [0, 1000]);
    assert_eq!(divide(&pool).verdict, Verdict::Fits);
}

#[test]
fn too_many_minima_are_cut_by_weight_above_the_floors() {
    let mut pool = pool(1000, [member(1, 1), member(3, 1)]);
    (pool.members[0].min, pool.members[1].min) = (800, 800);
    assert_eq!(fair(&pool), [250, 750]);
    assert_eq!(divide(&pool).verdict, Verdict::Overcommitted);
    // What just fits is not too much.
    (pool.members[0].min, pool.members[1].min) = (700, 300);
    assert_eq!(fair(&pool), [700, 300]);
    assert_eq!(divide(&pool).verdict, Verdict::Fits);
    // A min above the pool is cut to the pool before that.
    (pool.members[0].min, pool.members[1].min) = (5000, 0);
    assert_eq!(fair(&pool), [990, 10]);
    assert_eq!(divide(&pool).verdict, Verdict::Overcommitted);
}

#[test]
fn floors_that_do_not_fit_change_nothing() {
    let mut pool = pool(1000, [member(1, 1), member(1, 1)]);
    (pool.pods[0].floor, pool.pods[1].floor) = (600, 500);
    let division = divide(&pool);
    assert_eq!(division.verdict, Verdict::TooSmall { needed: 1100 });
    assert_eq!((division.members.len(), division.pods.len()), (2, 0));
    (pool.pods[0].floor, pool.pods[1].floor) = (500, 500);
    assert_eq!(shares(&pool), [500, 500]);
}

#[test]
fn what_lies_idle_is_lent_but_a_part_and_never_the_min() {
    let mut pool = pool(1000, [member(4, 1), member(1, 1)]);
    pool.pods[0].demand = Demand::Known(0);
    // 75 % of the idle 800m.
    assert_eq!(shares(&pool), [200, 200]);
    pool.pods[1].demand = Demand::Known(5000);
    assert_eq!(shares(&pool), [200, 800]);
    pool.members[0].lend = 100;
    assert_eq!(shares(&pool), [10, 990]);
    pool.members[0].min = 500;
    assert_eq!(shares(&pool), [500, 500]);
    pool.members[0].lend = 0;
    assert_eq!(shares(&pool), [800, 200]);
    // What the owner needs is never lent.
    (pool.members[0].lend, pool.pods[0].demand) = (100, Demand::Known(700));
    assert_eq!(shares(&pool), [700, 300]);
}

#[test]
fn a_surplus_is_released_or_spread() {
    let mut pool = pool(1000, [member(4, 1), member(1, 1)]);
    (pool.pods[0].demand, pool.pods[1].demand) = (Demand::Known(100), Demand::Known(100));
    assert_eq!(shares(&pool), [275, 125]);
    pool.idle = Idle::Spread;
    assert_eq!(shares(&pool), [800, 200]);
    pool.members[0].max = Some(300);
    assert_eq!(fair(&pool), [300, 700]);
    assert_eq!(shares(&pool), [300, 700]);
    pool.idle = Idle::Kept;
    assert_eq!(shares(&pool), [300, 700]);
}

#[test]
fn lending_stays_on_the_node() {
    let mut pool = pool(900, [member(1, 1), member(1, 1), member(1, 1)]);
    pool.pods[0].demand = Demand::Known(0);
    (pool.pods[1].demand, pool.pods[2].demand) = (Demand::Known(900), Demand::Known(900));
    pool.pods[2].node = Some(1);
    assert_eq!(shares(&pool), [75, 525, 300]);
    // Nor does a pod borrow that is nowhere yet.
    pool.pods[1].node = None;
    assert_eq!(shares(&pool), [75, 300, 300]);
}

#[test]
fn a_max_bounds_what_a_member_borrows() {
    let mut pool = pool(1000, [member(4, 1), member(1, 2)]);
    pool.members[1].max = Some(500);
    for (pod, demand) in pool.pods.iter_mut().zip([0, 5000, 5000]) {
        pod.demand = Demand::Known(demand);
    }
    assert_eq!(shares(&pool), [200, 250, 250]);
}

#[test]
fn the_extremes_hold() {
    for capacity in [1, 1 << 60] {
        let mut pool = pool(capacity, [member(1, 1), member(10_000, 1)]);
        pool.pods.iter_mut().for_each(|pod| (pod.floor, pod.demand) = (0, Demand::Known(1 << 60)));
        let light = capacity / 10_001 + u64::from(capacity > 1);
        assert_eq!(shares(&pool), [light, capacity - light]);
    }
}

/// Pools of every shape, with demands, minima that may not fit, caps under floors, and pods without nodes.
fn pools() -> impl Strategy<Value = Pool> {
    let pod = (
        prop_oneof![4 => Just(1u64), 1 => 1..5u64],
        prop_oneof![Just(0u64), Just(10), 0..200u64],
        prop::option::weighted(0.3, 0..2000u64),
        prop::option::weighted(0.9, 0..3u32),
        prop_oneof![
            1 => Just(Demand::Unknown),
            3 => prop_oneof![Just(0u64), 0..4000u64].prop_map(Demand::Known),
            1 => (0..4000u64).prop_map(Demand::Limited),
        ],
        prop_oneof![1 => Just(u64::MAX), 1 => 0..1000u64],
    )
        .prop_map(|(weight, floor, cap, node, demand, started)| PodClaim {
            weight,
            floor,
            cap,
            node,
            started,
            demand,
            requested: 0,
        });
    let member = (
        prop_oneof![Just(1u64), Just(10_000), 1..1000u64],
        prop_oneof![2 => Just(0u64), 1 => 0..3000u64],
        prop::option::weighted(0.3, 1..4000u64),
        prop_oneof![Just(0u8), Just(75), Just(100), 0..=100u8],
        prop::collection::vec(pod, 0..5),
    )
        .prop_map(|(weight, min, max, lend, pods)| {
            let max = max.map(|max| max.max(min));
            (MemberClaim { weight, min, max, lend, pods: pods.len() }, pods)
        });
    let idle = prop_oneof![1 => Just(Idle::Kept), 3 => Just(Idle::Lent), 2 => Just(Idle::Spread)];
    let capacity = prop_oneof![1 => 0..100u64, 4 => 0..12_000u64];
    (prop::collection::vec(member, 1..6), idle, capacity).prop_map(|(members, idle, capacity)| {
        let (members, pods): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        Pool { capacity, idle, node_reserve: 0, members, pods: pods.concat() }
    })
}

/// Pools that are not too small.
fn viable() -> impl Strategy<Value = Pool> {
    pools().prop_map(|mut pool| {
        let floors: u64 = pool.pods.iter().map(|pod| pod.floor).sum();
        pool.capacity = pool.capacity.max(floors);
        pool
    })
}

fn sum(amounts: impl IntoIterator<Item = u64>) -> u64 {
    amounts.into_iter().sum()
}

/// Whether two amounts differ by no more than `most`.
fn near(a: u64, b: u64, most: u64) -> bool {
    a.abs_diff(b) <= most
}
