//! What holds for every case. `oracle` and `certificate` say what the members' shares must be.

mod certificate;
mod examples;
mod oracle;

use proptest::prelude::*;

use super::super::fill;
use super::*;

/// Everything that a call takes.
#[derive(Clone, Debug)]
struct Case {
    total: u64,
    members: Vec<Bounds>,
    pods: Vec<Wish>,
    room: Vec<u64>,
}

impl Case {
    fn fit(&self) -> (Vec<u64>, bool) {
        let mut shares = Vec::new();
        let binds =
            Fitting::default().fit(self.total, &self.members, &self.pods, &self.room, &mut shares);
        (shares, binds)
    }

    /// A sum by member of something of each pod.
    fn by_member(&self, of: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut sums = vec![0; self.members.len()];
        for (i, pod) in self.pods.iter().enumerate() {
            sums[pod.member] += of(i);
        }
        sums
    }

    /// A sum by node of something of each pod there.
    fn by_node(&self, of: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut sums = vec![0; self.room.len()];
        for (i, pod) in self.pods.iter().enumerate() {
            if let Some(node) = pod.node {
                sums[node] += of(i);
            }
        }
        sums
    }

    fn fair(&self) -> Vec<u64> {
        self.by_member(|i| self.pods[i].fair)
    }

    fn floor(&self) -> Vec<u64> {
        self.by_member(|i| self.pods[i].floor)
    }

    /// The most that each member can take where no node limits it.
    fn most(&self) -> Vec<u64> {
        let caps = self.by_member(|i| self.cap(i));
        let bounds = self.members.iter().zip(self.fair());
        caps.iter().zip(bounds).map(|(&cap, (bounds, fair))| cap.min(bounds.hi.max(fair))).collect()
    }

    /// What each member should have at least.
    fn least(&self) -> Vec<u64> {
        let (fair, floor) = (self.fair(), self.floor());
        (0..fair.len()).map(|i| self.members[i].lo.min(fair[i]).max(floor[i])).collect()
    }

    /// The most that a pod can take.
    fn cap(&self, i: usize) -> u64 {
        let pod = &self.pods[i];
        if pod.fair == 0 { 0 } else { pod.cap.min(self.total).max(pod.fair) }
    }

    fn rooms(&self) -> Vec<u64> {
        let floors = self.by_node(|i| self.pods[i].floor);
        self.room.iter().zip(floors).map(|(&room, floor)| room.max(floor)).collect()
    }

    fn full(&self, shares: &[u64]) -> Vec<bool> {
        self.rooms()
            .iter()
            .zip(self.by_node(|i| shares[i]))
            .map(|(&room, load)| load == room)
            .collect()
    }

    /// A member's share over some of its pods, as if there were no nodes.
    fn pour(&self, pods: &[usize], total: u64) -> Vec<u64> {
        let claim = |&i: &usize| Claim {
            weight: self.pods[i].fair,
            lo: self.pods[i].floor,
            hi: self.cap(i),
        };
        fill(&pods.iter().map(claim).collect::<Vec<_>>(), total)
    }

    fn scaled(&self, factor: u64) -> Self {
        let mut case = self.clone();
        case.total *= factor;
        case.room.iter_mut().for_each(|room| *room *= factor);
        for member in &mut case.members {
            *member = Bounds { lo: member.lo * factor, hi: member.hi * factor };
        }
        for pod in &mut case.pods {
            (pod.fair, pod.floor, pod.cap) =
                (pod.fair * factor, pod.floor * factor, pod.cap * factor);
        }
        case
    }
}

/// 20,000 cases, or what `PROPTEST_CASES` says; of the slow ones one in so many.
fn config(one_in: u32) -> ProptestConfig {
    // Unoptimised, the default generator takes two thirds of the time.
    let rng_algorithm = prop::test_runner::RngAlgorithm::XorShift;
    let mut config = ProptestConfig { rng_algorithm, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 20_000;
    }
    config.cases = config.cases.div_ceil(one_in);
    config
}

/// Cases of up to `members` by `pods` on `nodes`, shares up to `size`; many amounts are at a bound.
fn cases(size: u64, members: usize, pods: usize, nodes: usize) -> impl Strategy<Value = Case> {
    let pod = (0..=nodes, 0..=size, 0u8..8, 0..=100u64, 0..=300u64);
    let member = (prop::collection::vec(pod, 1..=pods), 0..=150u64, 0..=200u64);
    let members = prop::collection::vec(member, 1..=members);
    let rooms = prop::collection::vec(0..=130u64, nodes);
    let part = |amount: u64, percent: u64| (u128::from(amount) * u128::from(percent) / 100) as u64;
    (members, rooms, 0..=60u64).prop_map(move |(wishes, percents, slack)| {
        let (mut pods, mut bounds) = (Vec::new(), Vec::new());
        for (member, (wish, lo, more)) in wishes.into_iter().enumerate() {
            let mut sum = 0;
            for (node, fair, kind, down, up) in wish {
                let fair = if kind == 7 { 0 } else { fair };
                sum += fair;
                pods.push(Wish {
                    member,
                    node: (node < nodes).then_some(node),
                    fair,
                    floor: if kind & 1 == 0 { 0 } else { part(fair, down) },
                    cap: fair + if kind & 2 == 0 { 4 * size } else { part(fair, up) },
                });
            }
            let lo = if lo > 100 { 0 } else { part(sum, lo) };
            let hi = sum + if more > 150 { 4 * size } else { part(sum, more) };
            bounds.push(Bounds { lo, hi });
        }
        let fair: u64 = pods.iter().map(|pod| pod.fair).sum();
        let mut room = vec![0; nodes];
        for pod in &pods {
            if let Some(node) = pod.node {
                room[node] += pod.fair;
            }
        }
        for (room, percent) in room.iter_mut().zip(percents) {
            *room = part(*room, percent);
        }
        let more = if slack > 40 { slack } else { 0 };
        Case { total: fair + part(fair, more), members: bounds, pods, room }
    })
}

/// Small ones of every magnitude.
fn small() -> impl Strategy<Value = Case> {
    prop_oneof![
        cases(3, 4, 3, 3),
        cases(20, 4, 3, 3),
        cases(1000, 6, 3, 5),
        cases(1 << 34, 4, 3, 4),
        cases(1 << 54, 4, 3, 4),
    ]
}

/// Hundreds of members.
fn large() -> impl Strategy<Value = Case> {
    prop_oneof![cases(20, 300, 4, 100), cases(1000, 300, 4, 300), cases(1 << 40, 300, 4, 30)]
}

/// The levels, rounding aside, differ by less than this many units of a share in all.
fn distance(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).sum()
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn keeps_every_bound(case in small()) {
        let (shares, _) = case.fit();
        prop_assert_eq!(shares.len(), case.pods.len());
        for (pod, &share) in case.pods.iter().zip(&shares) {
            prop_assert!(pod.floor <= share && share <= pod.cap, "{:?} {}", pod, share);
        }
        for (bounds, sum) in case.members.iter().zip(case.by_member(|i| shares[i])) {
            prop_assert!(sum <= bounds.hi);
        }
        for (load, room) in case.by_node(|i| shares[i]).iter().zip(case.rooms()) {
            prop_assert!(*load <= room);
        }
        prop_assert!(shares.iter().sum::<u64>() <= case.total);
    }

    #[test]
    fn changes_nothing_where_all_fits(mut case in small()) {
        let loads = case.by_node(|i| case.pods[i].fair);
        for (room, load) in case.room.iter_mut().zip(loads) {
            *room = load.max(*room);
        }
        let fair: Vec<u64> = case.pods.iter().map(|pod| pod.fair).collect();
        prop_assert_eq!(case.fit(), (fair, false));
    }

    #[test]
    fn says_which_nodes_bind(case in small()) {
        let mut fitting = Fitting::default();
        let mut shares = Vec::new();
        let binds = fitting.fit(case.total, &case.members, &case.pods, &case.room, &mut shares);
        let fair = case.by_node(|i| case.pods[i].fair);
        prop_assert_eq!(binds, fair.iter().zip(case.rooms()).any(|(&fair, room)| fair > room));
        let full: Vec<bool> = (0..case.room.len()).map(|node| fitting.is_full(node)).collect();
        if binds {
            prop_assert_eq!(full, case.full(&shares));
        }
        prop_assert!(!fitting.is_full(case.room.len()));
    }

    #[test]
    fn divides_evenly_beside_full_nodes(case in small()) {
        let (shares, _) = case.fit();
        if shares.iter().zip(&case.pods).all(|(&share, pod)| share == pod.fair) {
            return Ok(());
        }
        let full = case.full(&shares);
        for (member, total) in case.by_member(|i| shares[i]).into_iter().enumerate() {
            let pods: Vec<usize> =
                (0..shares.len()).filter(|&i| case.pods[i].member == member).collect();
            if !pods.iter().any(|&i| case.pods[i].node.is_some_and(|node| full[node])) {
                let got: Vec<u64> = pods.iter().map(|&i| shares[i]).collect();
                prop_assert_eq!(got, case.pour(&pods, total));
            }
            // On one node always.
            for node in 0..full.len() {
                let here: Vec<usize> =
                    pods.iter().copied().filter(|&i| case.pods[i].node == Some(node)).collect();
                let got: Vec<u64> = here.iter().map(|&i| shares[i]).collect();
                let even = case.pour(&here, got.iter().sum());
                let near = got.iter().zip(&even).all(|(a, b)| a.abs_diff(*b) <= 1);
                prop_assert!(near, "{:?} {:?}", got, even);
            }
        }
    }

    #[test]
    fn does_not_mind_how_nodes_are_numbered(case in small(), by in any::<prop::sample::Index>()) {
        let mut other = case.clone();
        let n = case.room.len();
        let turn = |node: usize| (n - 1 - node + by.index(n)) % n;
        for pod in &mut other.pods {
            pod.node = pod.node.map(turn);
        }
        for node in 0..n {
            other.room[turn(node)] = case.room[node];
        }
        prop_assert_eq!(case.fit(), other.fit());
    }

    #[test]
    fn the_order_of_members_and_pods_decides_only_ties(case in small()) {
        let n = case.members.len();
        let mut other = case.clone();
        other.members.reverse();
        other.pods.reverse();
        for pod in &mut other.pods {
            pod.member = n - 1 - pod.member;
        }
        let (shares, binds) = case.fit();
        let (turned, turned_binds) = other.fit();
        prop_assert_eq!(binds, turned_binds);
        let mut after = other.by_member(|i| turned[i]);
        after.reverse();
        let before = case.by_member(|i| shares[i]);
        prop_assert_eq!(before.iter().sum::<u64>(), after.iter().sum::<u64>());
        for (a, b) in before.iter().zip(&after) {
            prop_assert!(a.abs_diff(*b) <= 1, "{:?} {:?}", before, after);
        }
    }

    #[test]
    fn is_scale_free(
        case in prop_oneof![cases(20, 5, 3, 4), cases(1 << 30, 5, 3, 4)],
        factor in 1..1000u64,
    ) {
        let scaled = case.scaled(factor);
        let (before, after) = (case.fit().0, scaled.fit().0);
        let (before, after) = (case.by_member(|i| before[i]), scaled.by_member(|i| after[i]));
        for (before, after) in before.into_iter().zip(after) {
            prop_assert!((before * factor).abs_diff(after) <= factor, "{} {}", before, after);
        }
    }

    #[test]
    fn a_little_room_changes_little(
        mut case in small(),
        pick in any::<prop::sample::Index>(),
        more in 0..50u64,
    ) {
        // A least that a member gets before others could take what room it gains from them.
        for member in &mut case.members {
            member.lo = 0;
        }
        let fair = case.fair();
        case.total = fair.iter().sum();
        let sums = |case: &Case| {
            let shares = case.fit().0;
            case.by_member(|i| shares[i])
        };
        let before = sums(&case);
        let node = pick.index(case.room.len());
        case.room[node] += more;
        let after = sums(&case);
        prop_assert!(after.iter().sum::<u64>() >= before.iter().sum::<u64>());
        // Each unit of room moves one unit from one member to another, at most; and the rounding.
        prop_assert!(distance(&before, &after) <= 2 * more + fair.len() as u64);
        // The smallest level never falls: rounded down before, rounded up after.
        let lowest = |x: &[u64], more: u64| {
            let levels = x.iter().zip(&fair).filter(|(_, fair)| **fair > 0);
            levels
                .map(|(&x, &fair)| (u128::from(x + more), u128::from(fair)))
                .min_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)))
        };
        if let (Some((a, b)), Some((c, d))) = (lowest(&before, 0), lowest(&after, 2)) {
            prop_assert!(a * d <= c * b, "{:?} {:?}", before, after);
        }
    }

    #[test]
    fn forgets_the_call_before(first in small(), case in small()) {
        let mut fitting = Fitting::default();
        let mut shares = Vec::new();
        fitting.fit(first.total, &first.members, &first.pods, &first.room, &mut shares);
        let binds = fitting.fit(case.total, &case.members, &case.pods, &case.room, &mut shares);
        prop_assert_eq!((shares, binds), case.fit());
    }
}
