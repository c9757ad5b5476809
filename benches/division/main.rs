//! How long the division takes, as a ratio to sorting as many random keys in the same run: machines differ, and are
//! shared. The bars are what the project promises.

#[path = "../measure/mod.rs"]
mod measure;

use measure::{Random, head, is_wanted, timed};
use weightedshare::share::{
    Claim, Demand, Divider, Division, Filling, Idle, MemberClaim, Node, PodClaim, Pool,
};

fn main() {
    let mut random = Random::default();
    head();
    for members in [1_000, 10_000, 100_000, 1_000_000] {
        let claims: Vec<Claim> = (0..members).map(|_| claim(&mut random)).collect();
        let total = claims.iter().map(|claim| claim.lo / 2 + claim.hi / 2).sum();
        let (mut filling, mut shares) = (Filling::default(), Vec::new());
        let bar = (members == 1_000_000).then_some(1.5);
        row(&mut random, &format!("fill, {members} members"), members, bar, || {
            filling.fill(&claims, total, &mut shares);
            assert_eq!(shares.iter().sum::<u64>(), total);
        });
    }
    for members in [1_000, 10_000, 100_000, 1_000_000] {
        let what = format!("both stages, {members} members of a pod each, one node");
        divide(&mut random, &what, &Size { members, pods: members, nodes: 1 }, 0, None);
    }
    let size = Size { members: 1_000, pods: 10_000, nodes: 500 };
    for (bind, bar) in [(0, Some(50.0)), (5, Some(500.0)), (100, None)] {
        let what = format!("10 k pods of 1 k members on 500 nodes, {bind} % bind");
        divide(&mut random, &what, &size, bind, bar);
    }
    let size = Size { members: 10_000, pods: 100_000, nodes: 5_000 };
    for bind in [0, 5, 100] {
        let what = format!("100 k pods of 10 k members on 5 k nodes, {bind} % bind");
        divide(&mut random, &what, &size, bind, None);
    }
}

/// A cluster to divide.
struct Size {
    members: usize,
    pods: usize,
    nodes: usize,
}

/// Divides a random pool of that size, on nodes of which `bind` percent are short of room, again and again.
fn divide(random: &mut Random, what: &str, size: &Size, bind: u64, bar: Option<f64>) {
    if !is_wanted(what) {
        return;
    }
    let pool = pool(random, size);
    let mut divisions: Vec<Division> = Vec::new();
    let mut divider = Divider::default();
    let pools = [pool];
    divider.divide(&pools, &vec![Node::default(); size.nodes], &mut divisions);
    let mut loads = vec![0; size.nodes];
    for (pod, share) in pools[0].pods.iter().zip(&divisions[0].pods) {
        loads[pod.node.unwrap_or_default() as usize] += share.fair;
    }
    // A node that is short has 70 to 95 % of what is owned there, another twice as much.
    let nodes: Vec<Node> = loads
        .iter()
        .map(|load| {
            let percent = if random.below(100) < bind { 70 + random.below(25) } else { 200 };
            Node { allocatable: Some(load * percent / 100), ..Node::default() }
        })
        .collect();
    row(random, what, size.pods, bar, || divider.divide(&pools, &nodes, &mut divisions));
    let owned: u64 = divisions[0].members.iter().map(|member| member.fair).sum();
    assert!(bind > 0 || owned == pools[0].capacity);
}

fn pool(random: &mut Random, size: &Size) -> Pool {
    let each = size.pods / size.members;
    let members = (0..size.members).map(|_| MemberClaim {
        weight: 1 + random.below(1000),
        min: if random.below(4) == 0 { random.below(500) } else { 0 },
        max: (random.below(8) == 0).then(|| 500 + random.below(100_000)),
        lend: 75,
        pods: each,
    });
    let members: Vec<MemberClaim> = members.collect();
    let pods = (0..size.pods).map(|_| PodClaim {
        weight: 1,
        floor: 10,
        cap: (random.below(4) == 0).then(|| 200 + random.below(4000)),
        node: Some(random.below(size.nodes as u64) as u32),
        started: 500,
        demand: Demand::Known(random.below(2000)),
        requested: 0,
    });
    let pods = pods.collect();
    Pool { capacity: 500 * size.pods as u64, idle: Idle::Lent, node_reserve: 0, members, pods }
}

fn claim(random: &mut Random) -> Claim {
    let lo = random.below(1000);
    Claim { weight: 1 + random.below(10_000), lo, hi: lo + random.below(4000) }
}

/// Measures `work` against sorting `keys` keys, if the row is wanted.
fn row(random: &mut Random, what: &str, keys: usize, bar: Option<f64>, mut work: impl FnMut()) {
    if is_wanted(what) {
        measure::row(random, what, keys, bar, || timed(&mut work));
    }
}
