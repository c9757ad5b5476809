//! Pools on nodes that are short of room.

use super::{super::super::testing::cases, *};

fn node(allocatable: u64, others: u64) -> Node {
    Node { allocatable: Some(allocatable), others, ..Node::default() }
}

/// The fair shares of the pods of each pool.
fn fair_on(pools: &[Pool], nodes: &[Node]) -> Vec<Vec<u64>> {
    let divisions = super::super::divide(pools, nodes);
    divisions.iter().map(|division| division.pods.iter().map(|pod| pod.fair).collect()).collect()
}

fn place(pool: &mut Pool, nodes: &[u32]) {
    pool.pods.iter_mut().zip(nodes).for_each(|(pod, &node)| pod.node = Some(node));
}

#[test]
fn what_a_node_cannot_hold_goes_to_those_elsewhere() {
    let mut pool = pool(1000, [member(1, 1), member(1, 1), member(2, 1)]);
    place(&mut pool, &[0, 1, 1]);
    let free = [node(500, 0), node(750, 0)];
    assert_eq!(fair_on(std::slice::from_ref(&pool), &free), [[250, 250, 500]]);
    // Node 1 holds 450 of the 750: by weight 150 and 300. The other is given the rest.
    let tight = [node(500, 100), node(600, 150)];
    let division = super::super::divide(std::slice::from_ref(&pool), &tight).remove(0);
    let members: Vec<_> =
        division.members.iter().map(|m| (m.fair, m.by_weight, m.full_node)).collect();
    assert_eq!(members, [(400, 250, None), (150, 250, Some(1)), (300, 500, Some(1))]);
    assert_eq!(division.pods.iter().map(|pod| pod.share).sum::<u64>(), 850);
    let by_weight: Vec<u64> = division.pods.iter().map(|pod| pod.by_weight).collect();
    assert_eq!(by_weight, [250, 250, 500]);
    // Of which the pool leaves a tenth of both nodes free.
    pool.node_reserve = 10;
    pool.pods.iter_mut().for_each(|pod| pod.started = 0);
    assert_eq!(fair_on(&[pool], &tight), [[350, 130, 260]]);
}

#[test]
fn a_member_makes_up_for_a_full_node_where_it_has_room() {
    let mut pool = pool(1200, [member(1, 2), member(1, 1)]);
    place(&mut pool, &[0, 1, 0]);
    assert_eq!(fair_on(&[pool], &[node(700, 0), node(900, 0)]), [[100, 500, 600]]);
}

#[test]
fn above_the_stakes_pools_own_no_more_than_the_node_lets_them() {
    let mut pools = [pool(600, [member(1, 1)]), pool(600, [member(1, 1)])];
    pools.iter_mut().for_each(|pool| place(pool, &[0]));
    (pools[0].pods[0].started, pools[1].pods[0].started) = (300, 100);
    let with = |above_stakes| [Node { above_stakes, ..node(1000, 0) }];
    assert_eq!(fair_on(&pools, &with(None)), [[600], [400]]);
    assert_eq!(fair_on(&pools, &with(Some(100))), [[600], [400]]);
    assert_eq!(fair_on(&pools, &with(Some(50))), [[525], [175]]);
    assert_eq!(fair_on(&pools, &with(Some(0))), [[300], [100]]);
    let full_by = |pools: &[Pool], nodes: &[Node]| {
        let member = super::super::divide(pools, nodes).remove(0).members[0];
        (member.full_node, member.full_by)
    };
    assert_eq!(full_by(&pools, &with(Some(0))), (Some(0), Full::Stakes));
    assert_eq!(full_by(&pools, &with(None)), (None, Full::Charges));
    assert_eq!(full_by(&pools, &[node(700, 0)]), (Some(0), Full::Charges));
    let mut careful = pools.clone();
    for pool in &mut careful {
        (pool.node_reserve, pool.pods[0].started) = (10, 300);
    }
    assert_eq!(full_by(&careful, &[node(1300, 0)]), (Some(0), Full::Reserve));
    // What is held beyond that already stays.
    (pools[0].pods[0].requested, pools[1].pods[0].requested) = (450, 50);
    assert_eq!(fair_on(&pools, &with(Some(0))), [[450], [50]]);
}

#[test]
fn a_full_node_is_split_by_what_the_pools_own_there() {
    let mut a = pool(600, [member(1, 1)]);
    let mut b = pool(300, [member(1, 1)]);
    place(&mut a, &[0]);
    place(&mut b, &[0]);
    assert_eq!(fair_on(&[a.clone(), b.clone()], &[node(900, 0)]), [[600], [300]]);
    assert_eq!(fair_on(&[a.clone(), b.clone()], &[node(600, 0)]), [[400], [200]]);
    // Just full is not over.
    (a.pods[0].requested, b.pods[0].requested) = (300, 300);
    assert_eq!(fair_on(&[a.clone(), b.clone()], &[node(600, 0)]), [[400], [200]]);
    // Floors come first.
    b.pods[0].floor = 290;
    assert_eq!(fair_on(&[a, b], &[node(600, 0)]), [[310], [290]]);
}

#[test]
fn what_others_leave_on_a_node_is_promised_once() {
    // Both pools lose on node 0, and have pods on node 1, which has 300 to spare: each can have half of that.
    let short = || {
        let mut pool = pool(1000, [member(1, 1), member(1, 1)]);
        place(&mut pool, &[0, 1]);
        pool
    };
    let fair = fair_on(&[short(), short()], &[node(600, 0), node(1300, 0)]);
    assert_eq!(fair, [[300, 650], [300, 650]]);
}

#[test]
fn on_a_node_that_is_over_nobody_grows_or_has_to_shrink() {
    let mut pool = pool(1000, [member(1, 1), member(1, 1), member(2, 1)]);
    place(&mut pool, &[0, 0, 1]);
    for (pod, requested) in pool.pods.iter_mut().zip([300, 100, 500]) {
        pod.requested = requested;
    }
    assert_eq!(
        fair_on(std::slice::from_ref(&pool), &[node(300, 0), node(1000, 0)]),
        [[200, 200, 600]]
    );
    pool.pods[1].requested = 0;
    assert_eq!(fair_on(&[pool], &[node(100, 0), node(1000, 0)]), [[150, 150, 700]]);
}

#[test]
fn stakes_come_before_what_is_left_free_and_the_rest_goes_by_them() {
    let owns = |started: [u64; 2], floor: u64, node: Node| {
        let mut pools = [pool(600, [member(1, 1)]), pool(300, [member(1, 1)])];
        for (pool, started) in pools.iter_mut().zip(started) {
            place(pool, &[0]);
            pool.node_reserve = 10;
            pool.pods[0].started = started;
        }
        pools[1].pods[0].floor = floor;
        fair_on(&pools, &[node])
    };
    // Beside the stakes 140 are left of what may be filled: 3 : 1, by the stakes.
    assert_eq!(owns([300, 100], 10, node(600, 0)), [[405], [135]]);
    // What is more than they own goes to the other.
    assert_eq!(owns([100, 300], 10, node(600, 0)), [[240], [300]]);
    assert_eq!(owns([200, 0], 10, node(600, 0)), [[530], [10]]);
    // Without any stake, by the floors.
    assert_eq!(owns([0, 0], 20, node(600, 0)), [[240], [300]]);
    // The stakes may take what is to be left free, and pods that wait take nothing of them.
    assert_eq!(owns([400, 180], 10, node(600, 0)), [[400], [180]]);
    let waits = |reserved| Node { reserved, ..node(600, 0) };
    assert_eq!(owns([300, 100], 10, waits(150)), [[338], [112]]);
    assert_eq!(owns([300, 100], 10, waits(400)), [[300], [100]]);
    // A pod cannot have less than its floor; what the others started with is theirs all the same.
    assert_eq!(owns([600, 0], 50, node(600, 0)), [[600], [50]]);
    assert_eq!(owns([540, 0], 50, node(600, 0)), [[540], [50]]);
    assert_eq!(owns([480, 0], 50, node(600, 0)), [[490], [50]]);
}

#[test]
fn what_a_pool_leaves_free_is_over_only_when_it_is_over_for_all() {
    let owns = |requested: [u64; 2]| {
        let mut pools = [pool(600, [member(1, 1)]), pool(300, [member(1, 1)])];
        for (pool, requested) in pools.iter_mut().zip(requested) {
            place(pool, &[0]);
            (pool.pods[0].requested, pool.pods[0].started) = (requested, 0);
        }
        pools[0].pods[0].floor = 20;
        pools[1].node_reserve = 10;
        fair_on(&pools, &[node(600, 0)])
    };
    // Each has its part of what it may fill, also where the two are above what the second one leaves free.
    assert_eq!(owns([400, 120]), [[400], [180]]);
    assert_eq!(owns([400, 150]), [[400], [180]]);
    assert_eq!(owns([500, 180]), [[500], [180]]);
}

#[test]
fn on_a_node_that_is_over_nothing_is_lent_but_what_is_above_the_part() {
    let shares = |requested: [u64; 2]| -> Vec<u64> {
        let mut pools = [pool(600, [member(1, 1)]), pool(300, [member(1, 1)])];
        for (pool, requested) in pools.iter_mut().zip(requested) {
            place(pool, &[0]);
            (pool.idle, pool.members[0].lend) = (Idle::Lent, 50);
            (pool.pods[0].requested, pool.pods[0].demand) = (requested, Demand::Known(100));
        }
        let divisions = super::super::divide(&pools, &[node(600, 0)]);
        divisions.iter().map(|division| division.pods[0].share).collect()
    };
    assert_eq!(shares([390, 190]), [250, 150]);
    // The first owns 390 of its part of 400, and lends nothing of it; the second owns 230, and its part is 200.
    assert_eq!(shares([390, 230]), [390, 165]);
}

/// What a node of 600 holds for pools: of each what it owns, its stake and its tree.
fn split(there: &[(u64, u64, Option<u32>)]) -> Vec<u64> {
    let presence = |&(owned, stake, tree): &(u64, u64, Option<u32>)| Presence {
        owned,
        stake,
        tree,
        ..Presence::default()
    };
    let there: Vec<Presence> = there.iter().map(presence).collect();
    let mut rooms = Vec::new();
    Divider::default().rooms(&node(600, 0), &there, &mut rooms);
    rooms.iter().map(|room| room.amount).collect()
}

#[test]
fn pools_of_a_tree_share_a_full_node_by_what_they_own_there() {
    assert_eq!(split(&[(600, 400, None), (300, 100, None)]), [480, 120]);
    assert_eq!(split(&[(600, 400, Some(1)), (300, 100, Some(1))]), [400, 200]);
    // Two trees are beside each other as two pools are.
    assert_eq!(split(&[(600, 400, Some(1)), (300, 100, Some(2))]), [480, 120]);
    // Beside another pool, those of a tree are like one with all their stakes.
    let all = [(200, 150, Some(7)), (600, 300, None), (400, 0, Some(7))];
    assert_eq!(split(&[(600, 150, None), (600, 300, None)]), [200, 400]);
    assert_eq!(split(&all), [67, 400, 133]);
}

/// Pools with rooms, of which some are short.
fn on_nodes() -> impl Strategy<Value = (Vec<Pool>, Vec<Node>)> {
    let node = (prop::option::weighted(0.9, 0..6000u64), 0..500u64)
        .prop_map(|(allocatable, others)| Node { allocatable, others, ..Node::default() });
    let reserve = prop_oneof![Just(0u8), Just(10)];
    let pools =
        (prop::collection::vec(viable(), 1..4), reserve).prop_map(|(mut pools, reserve)| {
            pools.iter_mut().for_each(|pool| pool.node_reserve = reserve);
            pools
        });
    (pools, prop::collection::vec(node, 3))
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn nodes_hold_what_is_owned_there((pools, nodes) in on_nodes()) {
        let divisions = super::super::divide(&pools, &nodes);
        for (n, node) in nodes.iter().enumerate() {
            let here = || pools.iter().zip(&divisions).flat_map(|(pool, division)| {
                pool.pods.iter().zip(&division.pods).filter(|(pod, _)| pod.node == Some(n as u32))
            });
            let Some(allocatable) = node.allocatable else { continue };
            let reserve = allocatable - allocatable * (100 - u64::from(pools[0].node_reserve)) / 100;
            let room = (allocatable - reserve).saturating_sub(node.others);
            let stake = |(pod, share): (&PodClaim, &PodDivision)| share.by_weight.min(pod.started);
            let stakes = sum(here().map(stake)).min(allocatable.saturating_sub(node.others));
            // A floor above what a pod started with is kept in any case.
            let above = sum(here().map(|it| it.0.floor.saturating_sub(stake(it))));
            let most = room.max(stakes) + above;
            prop_assert!(sum(here().map(|(_, share)| share.fair)) <= most.max(sum(here().map(|it| it.0.floor))));
            prop_assert!(here().all(|(pod, share)| share.fair >= pod.floor));
        }
        for (pool, division) in pools.iter().zip(&divisions) {
            let owned = sum(division.members.iter().map(|member| member.by_weight));
            prop_assert!(sum(division.members.iter().map(|member| member.fair)) <= owned);
            for ((member, run), share) in pool.runs().zip(&division.members) {
                prop_assert_eq!(sum(division.pods[run].iter().map(|pod| pod.fair)), share.fair);
                prop_assert!(share.fair <= member.max.unwrap_or(u64::MAX).max(share.by_weight));
                prop_assert!(share.full_node.is_some() <= (share.fair < share.by_weight));
            }
        }
    }

    /// The weights of one pool are no business of another that has pods on no full node with it.
    #[test]
    fn pools_meet_only_on_full_nodes(
        (mut pools, nodes) in on_nodes(),
        pick: prop::sample::Index,
        weight in 1..10_000u64,
    ) {
        let before = super::super::divide(&pools, &nodes);
        // The last pool keeps to node 2, where there is room for everyone.
        let mut last = pools.pop().unwrap();
        last.pods.iter_mut().for_each(|pod| pod.node = Some(2));
        let mut nodes = nodes;
        nodes[2].allocatable = None;
        pools.push(last);
        let i = pick.index(pools[0].members.len());
        let first = super::super::divide(&pools, &nodes);
        pools[0].members[i].weight = weight;
        let second = super::super::divide(&pools, &nodes);
        if pools.len() > 1 {
            prop_assert_eq!(first.last(), second.last());
        }
        prop_assert_eq!(before.len(), first.len());
    }

    #[test]
    fn room_that_nobody_lacks_changes_nothing((pools, _) in on_nodes()) {
        let limited = super::super::divide(&pools, &[node(1 << 40, 0); 3]);
        let unlimited = super::super::divide(&pools, &[Node::default(); 3]);
        prop_assert_eq!(limited, unlimited);
    }

    #[test]
    fn fair_shares_are_continuous_in_room(
        (pools, mut nodes) in on_nodes(),
        n in 0..3usize,
        more in 0..20u64,
    ) {
        let pools = &pools[..1];
        let before = super::super::divide(pools, &nodes).remove(0);
        nodes[n].allocatable = nodes[n].allocatable.map(|room| room + more);
        let after = super::super::divide(pools, &nodes).remove(0);
        for (before, after) in before.members.iter().zip(&after.members) {
            prop_assert!(near(before.fair, after.fair, more + 2), "{before:?} {after:?}");
        }
    }
}

#[test]
fn a_node_that_is_over_gives_way_to_pods_that_wait_and_to_nothing_else() {
    let pool = |charges: [u64; 2]| Pool {
        capacity: 1000,
        node_reserve: 10,
        members: vec![MemberClaim { weight: 1, pods: 1, ..MemberClaim::default() }; 2],
        pods: charges
            .map(|charge| PodClaim {
                weight: 1,
                floor: 10,
                node: Some(0),
                requested: charge,
                ..PodClaim::default()
            })
            .into(),
        ..Pool::default()
    };
    let shares = |charges, wanted| -> Vec<u64> {
        let node = Node { reserved: wanted, ..node(1000, 100) };
        super::super::divide(&[pool(charges)], &[node])[0].pods.iter().map(|pod| pod.fair).collect()
    };
    // It holds 800 for the pool, but 900 are charged.
    assert_eq!(shares([500, 400], 0), [450, 450]);
    assert_eq!(shares([500, 400], 300), [300, 300]);
    // The room is there: no pod has to give more, and none may grow.
    assert_eq!(shares([300, 300], 300), [300, 300]);
    // What is left free for such pods is theirs.
    assert_eq!(shares([400, 400], 50), [400, 400]);
    assert_eq!(shares([400, 400], 150), [375, 375]);
}
