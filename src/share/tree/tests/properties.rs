//! What holds for every tree.

use proptest::prelude::*;

use super::super::super::{Node, divide as divide_pools, testing::cases};
use super::*;

fn idle() -> impl Strategy<Value = Idle> {
    prop_oneof![1 => Just(Idle::Kept), 4 => Just(Idle::Lent), 2 => Just(Idle::Spread)]
}

fn pods() -> impl Strategy<Value = PodClaim> {
    let demand = prop_oneof![
        1 => Just(Demand::Unknown),
        4 => prop_oneof![Just(0u64), 0..2000u64].prop_map(Demand::Known),
        1 => (0..2000u64).prop_map(Demand::Limited),
    ];
    let cap = prop::option::weighted(0.3, 0..1000u64);
    let node = prop::option::weighted(0.9, 0..3u32);
    (1..4u64, prop_oneof![4 => Just(10u64), 1 => 0..50u64], cap, node, demand).prop_map(
        |(weight, floor, cap, node, demand)| PodClaim {
            weight,
            floor,
            cap,
            node,
            demand,
            started: u64::MAX,
            requested: 0,
        },
    )
}

fn pools() -> impl Strategy<Value = Pool> {
    let member = (
        1..20u64,
        prop_oneof![3 => Just(0u64), 1 => 0..800u64],
        prop::option::weighted(0.2, 1..1500u64),
        prop_oneof![Just(0u8), Just(75), Just(100)],
        prop::collection::vec(pods(), 0..3),
    );
    (prop::collection::vec(member, 1..4), idle()).prop_map(|(members, idle)| {
        let (members, pods): (Vec<_>, Vec<_>) = members
            .into_iter()
            .map(|(weight, min, max, lend, pods)| {
                let max = max.map(|max| max.max(min));
                (MemberClaim { weight, min, max, lend, pods: pods.len() }, pods)
            })
            .unzip();
        Pool { capacity: 0, idle, node_reserve: 0, members, pods: pods.concat() }
    })
}

fn with_bounds(sprout: impl Strategy<Value = Sprout>) -> impl Strategy<Value = Sprout> {
    let min = prop_oneof![3 => Just(0u64), 1 => 0..1000u64];
    let max = prop::option::weighted(0.2, 1..2000u64);
    let lend = prop_oneof![Just(0u8), Just(75), Just(100)];
    (sprout, 1..20u64, min, max, prop::bool::weighted(0.3), lend).prop_map(
        |(sprout, weight, min, max, expandable, lend)| {
            let max = max.map(|max| max.max(min));
            Sprout { weight, min, max, expandable, lend, ..sprout }
        },
    )
}

/// The children of a root, up to three levels of them.
fn trees() -> impl Strategy<Value = Vec<Sprout>> {
    let leaf = with_bounds(pools().prop_map(|pool| Sprout::pool(1, pool)));
    let sprout = leaf.prop_recursive(2, 12, 3, |inner| {
        let children = prop::collection::vec(inner, 1..4);
        with_bounds(
            (children, idle())
                .prop_map(|(children, idle)| Sprout { idle, ..Sprout::branch(1, children) }),
        )
        .boxed()
    });
    prop::collection::vec(sprout, 1..4)
}

fn capacities() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0..100u64, 5 => 0..4000u64]
}

/// What all pods own, those of one pool after those of another.
fn owned(division: &TreeDivision) -> Vec<u64> {
    division.branches.iter().flat_map(|it| &it.pool.pods).map(|pod| pod.fair).collect()
}

fn pods_of(tree: &mut Tree) -> Vec<&mut PodClaim> {
    let pods = tree.branches.iter_mut().filter_map(|branch| match &mut branch.content {
        Content::Pool { pool, .. } => Some(pool.pods.iter_mut()),
        Content::Branches { .. } => None,
    });
    pods.flatten().collect()
}

fn claims(tree: &Tree, division: &TreeDivision) -> Vec<PodClaim> {
    let of = |(branch, it): (&Branch, &BranchDivision)| match &branch.content {
        Content::Pool { pool, .. } if !it.pool.pods.is_empty() => pool.pods.clone(),
        _ => Vec::new(),
    };
    tree.branches.iter().zip(&division.branches).flat_map(of).collect()
}

/// At each level the children own what the rungs say.
fn check_rungs(owned: u64, children: &[oracle::Branch]) -> Result<(), TestCaseError> {
    let there: Vec<_> = children.iter().filter(|child| child.pods > 0).collect();
    let sum = |rung: usize| there.iter().map(|it| it.rungs()[rung]).sum::<u64>();
    prop_assert_eq!(there.iter().map(|it| it.fair).sum::<u64>(), owned.min(sum(4)));
    for rung in 1..4 {
        if sum(rung) <= owned {
            prop_assert!(there.iter().all(|it| it.fair >= it.rungs()[rung]), "rung {rung}");
        }
    }
    there.iter().try_for_each(|it| check_rungs(it.fair, &it.children))
}

/// At each level on a node, those inside have what their branch has, as far as they can use it.
fn check_node(amount: u64, here: &[oracle::Here]) -> Result<(), TestCaseError> {
    // Of a branch that owns nothing there nothing is lent; its pods could borrow.
    let there = || here.iter().filter(|it| it.own > 0 || it.inside.is_empty());
    let sum = |of: fn(&oracle::Here) -> u64| there().map(of).sum::<u64>();
    prop_assert!(sum(|it| it.lo) <= amount, "{} is promised of {amount}", sum(|it| it.lo));
    prop_assert_eq!(sum(|it| it.share), amount.min(sum(|it| it.hi)));
    for it in there() {
        prop_assert!(it.share <= it.max.max(it.own));
        if !it.inside.is_empty() {
            // What can be used inside is not lent to those outside.
            let usable: u64 = it.inside.iter().map(|it| it.hi).sum();
            prop_assert!(it.share >= it.own.min(usable));
            check_node(it.share, &it.inside)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn what_can_be_used_inside_a_branch_leaves_it_not(
        sprouts in trees(), capacity in capacities(), root in idle(),
    ) {
        for here in oracle::lent(capacity, root, &oracle::owned(capacity, &sprouts)) {
            check_node(here.iter().map(|it| it.own).sum(), &here)?;
        }
    }

    #[test]
    fn a_min_on_a_pool_of_one_member_is_as_on_the_member_of_one_pool(
        members in prop::collection::vec((1..20u64, 0..800u64, pods()), 1..6), capacity in capacities(),
    ) {
        let least: u64 = members.iter().map(|(_, min, pod)| *min.max(&pod.floor.min(10))).sum();
        let capacity = capacity.max(least);
        let pool = |members: &[(u64, u64, PodClaim)], with_min: bool| Pool {
            capacity,
            idle: Idle::Kept,
            node_reserve: 0,
            members: members.iter().map(|&(weight, min, _)| MemberClaim {
                weight, min: if with_min { min } else { 0 }, pods: 1, ..MemberClaim::default()
            }).collect(),
            pods: members.iter().map(|(.., pod)| PodClaim { floor: pod.floor.min(10), ..*pod }).collect(),
        };
        let sprouts: Vec<Sprout> = members.iter()
            .map(|it| Sprout::pool(it.0, pool(std::slice::from_ref(it), false)).min(it.1)).collect();
        let flat = divide_pools(&[pool(&members, true)], &[]);
        let flat: Vec<u64> = flat[0].pods.iter().map(|pod| pod.fair).collect();
        prop_assert_eq!(owned(&divide(&tree(capacity, &sprouts))), flat);
    }

    #[test]
    fn agrees_with_the_definition(sprouts in trees(), capacity in capacities(), root in idle()) {
        let tree = Tree { idle: root, ..tree(capacity, &sprouts) };
        let division = divide(&tree);
        let (fair, held) = oracle::divided(capacity, root, &sprouts);
        prop_assert_eq!(owned(&division), fair);
        prop_assert_eq!(shares(&tree), held);
    }

    #[test]
    fn each_level_is_filled_rung_by_rung(sprouts in trees(), capacity in capacities()) {
        check_rungs(capacity, &oracle::owned(capacity, &sprouts))?;
        let division = divide(&tree(capacity, &sprouts));
        let fair: u64 = tree(capacity, &sprouts).branches.iter().zip(&division.branches)
            .filter(|(branch, _)| branch.parent.is_none()).map(|(_, it)| it.fair).sum();
        prop_assert!(fair <= capacity);
    }

    #[test]
    fn on_each_node_all_hold_no_more_than_they_own_and_no_less_than_they_need(
        sprouts in trees(), capacity in capacities(), root in idle(),
    ) {
        let tree = Tree { idle: root, ..tree(capacity, &sprouts) };
        let division = divide(&tree);
        let divided: Vec<_> = division.branches.iter().flat_map(|it| &it.pool.pods).collect();
        let claims = claims(&tree, &division);
        prop_assert_eq!(claims.len(), divided.len());
        for node in 0..3 {
            let here = || claims.iter().zip(&divided).filter(|(pod, _)| pod.node == Some(node));
            let own: u64 = here().map(|(_, it)| it.fair).sum();
            let held: u64 = here().map(|(_, it)| it.share).sum();
            prop_assert!(held <= own, "{held} of {own}");
            for (pod, it) in here() {
                prop_assert!(it.least <= it.share && it.share <= it.most);
                prop_assert!(it.share >= it.fair.min(pod.demand.of(it.fair)));
            }
        }
    }

    #[test]
    fn a_chain_of_single_children_is_divided_as_its_pool(
        pool in pools(), capacity in capacities(), depth in 1..4usize, lend in 0..=100u8,
    ) {
        let mut sprout = Sprout { lend, ..Sprout::pool(1, pool.clone()) };
        for _ in 1..depth {
            sprout = Sprout { lend, ..Sprout::branch(7, [sprout]) };
        }
        let flat = divide_pools(&[Pool { capacity, ..pool }], &[Node::default(); 3]);
        let flat: Vec<u64> = flat[0].pods.iter().map(|pod| pod.share).collect();
        prop_assert_eq!(shares(&tree(capacity, &[sprout])), flat);
    }

    #[test]
    fn pools_of_one_pod_on_one_node_are_divided_as_the_members_of_one(
        members in prop::collection::vec((1..20u64, pods()), 1..6), capacity in capacities(),
    ) {
        let floors: u64 = members.iter().map(|(_, pod)| pod.floor).sum();
        let capacity = capacity.max(floors);
        let here = |pod: &PodClaim| PodClaim { node: Some(0), weight: 1, floor: pod.floor.min(10), ..*pod };
        let pool = |members: &[(u64, PodClaim)]| Pool {
            capacity,
            idle: Idle::Lent,
            node_reserve: 0,
            members: members.iter().map(|&(weight, _)| MemberClaim {
                weight, lend: 75, pods: 1, ..MemberClaim::default()
            }).collect(),
            pods: members.iter().map(|(_, pod)| here(pod)).collect(),
        };
        let sprouts: Vec<Sprout> = members.iter()
            .map(|it| Sprout::pool(it.0, pool(std::slice::from_ref(it)))).collect();
        let flat = divide_pools(&[pool(&members)], &[Node::default(); 3]);
        let flat: Vec<u64> = flat[0].pods.iter().map(|pod| pod.share).collect();
        prop_assert_eq!(shares(&tree(capacity, &sprouts)), flat);
    }

    #[test]
    fn one_unit_more_of_demand_moves_no_pod_by_more_than_one(
        sprouts in trees(), capacity in capacities(), pick: prop::sample::Index,
    ) {
        let mut tree = tree(capacity, &sprouts);
        let before = shares(&tree);
        let mut pods = pods_of(&mut tree);
        prop_assume!(!pods.is_empty());
        let count = pods.len();
        let pod = &mut pods[pick.index(count)];
        let Demand::Known(demand) = pod.demand else { return Ok(()) };
        let node = pod.node;
        pod.demand = Demand::Known(demand + 1);
        let division = divide(&tree);
        for ((pod, after), before) in claims(&tree, &division).iter().zip(shares(&tree)).zip(before) {
            prop_assert!(after.abs_diff(before) <= 1, "{before} became {after}");
            // And nothing moves on another node.
            prop_assert!(after == before || pod.node == node);
        }
    }

    #[test]
    fn a_division_that_is_kept_comes_to_the_same_as_one_from_nothing(
        sprouts in trees(), capacities in [capacities(), capacities()], pool in pools(), pick: prop::sample::Index,
    ) {
        let mut tree = tree(capacities[0], &sprouts);
        let (mut divider, mut kept) = (TreeDivider::default(), TreeDivision::default());
        divider.own(&mut tree, &mut kept);
        let is_pool = |it: &usize| matches!(tree.branches[*it].content, Content::Pool { .. });
        let pools: Vec<usize> = (0..tree.branches.len()).filter(is_pool).collect();
        let changed = pools[pick.index(pools.len())];
        let floor = pool.pods.iter().map(|pod| pod.floor.min(10)).sum();
        tree.branches[changed].content = Content::Pool { pool, floor };
        tree.capacity = capacities[1];
        kept.forget(BranchIndex(changed));
        divider.own(&mut tree, &mut kept);
        let mut anew = TreeDivision::default();
        TreeDivider::default().own(&mut tree, &mut anew);
        prop_assert_eq!(kept, anew);
    }

    #[test]
    fn what_pods_hold_stands_on_the_nodes_where_nothing_changes(
        sprouts in trees(), capacity in capacities(), pick: prop::sample::Index, demand in 0..2000u64,
    ) {
        let mut tree = tree(capacity, &sprouts);
        let (mut divider, mut kept) = (TreeDivider::default(), TreeDivision::default());
        divider.own(&mut tree, &mut kept);
        divider.share(&mut tree, &[], &mut kept);
        let before = kept.clone();
        let mut pods = pods_of(&mut tree);
        prop_assume!(!pods.is_empty());
        let count = pods.len();
        let pod = &mut pods[pick.index(count)];
        pod.demand = Demand::Known(demand);
        let Some(node) = pod.node else { return Ok(()) };
        let mut turns = [Turn::Stands; 3];
        turns[node as usize] = Turn::Lends;
        let told = divider.share(&mut tree, &turns, &mut kept).to_vec();
        prop_assert_eq!(&kept, &divide(&tree));
        for (i, (before, after)) in before.branches.iter().zip(&kept.branches).enumerate() {
            prop_assert_eq!(before != after, told.contains(&BranchIndex(i)));
        }
    }

    #[test]
    fn the_order_of_siblings_counts_only_in_ties(sprouts in trees(), capacity in capacities()) {
        let backwards: Vec<Sprout> = sprouts.iter().rev().cloned().collect();
        let roots = |sprouts: &[Sprout]| -> Vec<u64> {
            oracle::owned(capacity, sprouts).iter().map(|it| it.fair).collect()
        };
        let mut other = roots(&backwards);
        other.reverse();
        for (one, other) in roots(&sprouts).into_iter().zip(other) {
            prop_assert!(one.abs_diff(other) <= 1);
        }
    }
}
