//! A division that is made again allocates nothing.

use weightedshare::share::{
    Demand, Divider, Division, Idle, MemberClaim, Node, PodClaim, Pool, Verdict,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const MEMBERS: usize = 200;
const NODES: u32 = 40;

/// Pools that meet on nodes, with demands that differ from `turn` to turn.
fn pools(turn: u64) -> Vec<Pool> {
    let member = |i: usize| MemberClaim {
        weight: 1 + i as u64 % 7,
        min: i as u64 % 3 * 100,
        max: i.is_multiple_of(5).then_some(3_000),
        lend: 75,
        pods: 1 + i % 6,
    };
    let pool = |k: u64| {
        let members: Vec<MemberClaim> = (0..MEMBERS).map(member).collect();
        let pods: usize = members.iter().map(|member| member.pods).sum();
        let pod = |p: usize| PodClaim {
            weight: 1,
            floor: 10,
            cap: p.is_multiple_of(4).then_some(900),
            node: Some((p as u32 * 7 + k as u32) % NODES),
            started: p as u64 % 5 * 100,
            demand: Demand::Known((p as u64 * 37 + turn * 101) % 1500),
            requested: 0,
        };
        let (capacity, idle) = (300 * pods as u64, if k == 0 { Idle::Lent } else { Idle::Spread });
        Pool { capacity, idle, node_reserve: 0, members, pods: (0..pods).map(pod).collect() }
    };
    (0..3).map(pool).collect()
}

#[test]
fn a_second_division_allocates_nothing() {
    // Half of the nodes are short of room.
    let room = |n: u32| if n.is_multiple_of(2) { 12_000 } else { 40_000 };
    let nodes: Vec<Node> =
        (0..NODES).map(|n| Node { allocatable: Some(room(n)), ..Node::default() }).collect();
    let turns: Vec<Vec<Pool>> = (0..4).map(pools).collect();
    let (mut divider, mut divisions): (_, Vec<Division>) = (Divider::default(), Vec::new());
    let _profiler = dhat::Profiler::builder().testing().build();
    for turn in &turns {
        divider.divide(turn, &nodes, &mut divisions);
    }
    let pods = divisions.iter().flat_map(|division| &division.pods);
    assert!(pods.filter(|pod| pod.fair < pod.by_weight).count() > 100, "nodes are short");
    assert!(divisions.iter().all(|division| division.verdict == Verdict::Fits));

    let before = dhat::HeapStats::get();
    for turn in &turns {
        divider.divide(turn, &nodes, &mut divisions);
    }
    let after = dhat::HeapStats::get();
    assert!(before.total_blocks > 0, "the allocator counts");
    assert_eq!(after.total_blocks - before.total_blocks, 0);
}
