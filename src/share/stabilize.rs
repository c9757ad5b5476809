//! Calm, without starving anyone: which of the moves that demand asks for are made. One resource of one pool.

use super::Resource;

/// Where one pod stands, and where the division wants it. In units of the resource (millicores or bytes).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Candidate {
    /// What it was last granted: it holds that, or is on its way there.
    pub granted: u64,
    /// What the division gives it now.
    pub share: u64,
    /// What it owns.
    pub fair: u64,
    /// Where demand moved it in the last five minutes, if anywhere.
    pub moved: Option<Direction>,
    /// The node that it is on, as any number that tells nodes apart. A pod without a node lends and borrows nothing.
    pub node: Option<u32>,
}

/// Which way a grant went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// More.
    Up,
    /// Less.
    Down,
}

/// A move under 5 % of what the pod holds is not worth a resize.
const BAND_PERCENT: u128 = 5;
/// A pod that is granted under 95 % of what it owns, and needs it, gets it at once.
const ENTITLED_PERCENT: u128 = 95;

/// What each pod is granted from now on.
///
/// - A move is made where it is outside the dead band (5 %, and 10m or 16Mi), and does not undo one of the last five
///   minutes. A pod that is under what it owns never waits to grow to it.
/// - Grows are made only into room: what the pods of a node own together, less what they are granted. Where it is short,
///   shrinks inside the dead band are made too, the largest first; and for pods under 95 % of what they own (or where
///   more is granted than is owned), those that would have to wait as well.
#[must_use]
pub fn stabilize(pods: &[Candidate], resource: Resource) -> Vec<u64> {
    let mut grants: Vec<u64> = pods.iter().map(|pod| pod.granted).collect();
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by_key(|&i| pods[i].node);
    for on_node in order.chunk_by(|&i, &k| pods[i].node == pods[k].node) {
        if pods[on_node[0]].node.is_some() {
            calm_node(pods, on_node, resource, &mut grants);
        } else {
            on_node.iter().for_each(|&i| grants[i] = pods[i].share);
        }
    }
    grants
}

/// Decides for the pods of one node.
fn calm_node(pods: &[Candidate], on_node: &[usize], resource: Resource, grants: &mut [u64]) {
    let wanted: Vec<u64> = on_node.iter().map(|&i| pods[i].grows_to(resource)).collect();
    let mut shrinks: Vec<usize> =
        on_node.iter().copied().filter(|&i| pods[i].share < pods[i].granted).collect();
    // The largest first; ties as given.
    shrinks.sort_by_key(|&i| std::cmp::Reverse(pods[i].granted - pods[i].share));

    let sum = |of: &dyn Fn(usize) -> u64| on_node.iter().map(|&i| i128::from(of(i))).sum::<i128>();
    let owned = sum(&|i| pods[i].fair);
    let mut room = owned - sum(&|i| pods[i].granted);
    let need = |entitled: bool| {
        let grows = on_node.iter().zip(&wanted).filter(|(i, _)| !entitled || pods[**i].entitled());
        grows.map(|(&i, &to)| i128::from(to - pods[i].granted)).sum::<i128>()
    };
    let (all, entitled) = (need(false), need(true));
    let mut shrink = |i: usize, room: &mut i128| {
        *room += i128::from(grants[i] - pods[i].share);
        grants[i] = pods[i].share;
    };
    for &i in &shrinks {
        if !pods[i].is_small(resource) && !pods[i].waits(Direction::Down) {
            shrink(i, &mut room);
        }
    }
    for &i in &shrinks {
        if room < all && pods[i].is_small(resource) && !pods[i].waits(Direction::Down) {
            shrink(i, &mut room);
        }
    }
    for &i in &shrinks {
        if room < entitled {
            shrink(i, &mut room);
        }
    }

    // The pod that is furthest under what it owns comes first, then the one that needs most.
    let mut grows: Vec<(usize, u64)> = on_node.iter().copied().zip(wanted).collect();
    grows.retain(|&(i, to)| to > pods[i].granted);
    grows.sort_by_key(|&(i, to)| {
        (!pods[i].entitled(), std::cmp::Reverse((to - pods[i].granted, pods[i].fair)))
    });
    for (i, to) in grows {
        let part = room.clamp(0, i128::from(to - pods[i].granted));
        let part = u64::try_from(part).unwrap_or_default();
        let moved = Candidate { share: pods[i].granted + part, ..pods[i] };
        if !moved.is_small(resource) {
            grants[i] = moved.share;
            room -= i128::from(part);
        }
    }
}

impl Candidate {
    /// Whether the move is inside the dead band.
    #[must_use]
    pub fn is_small(&self, resource: Resource) -> bool {
        let least = match resource {
            Resource::Cpu => 10,
            Resource::Memory => 16 << 20,
        };
        let by = self.share.abs_diff(self.granted);
        by < least || u128::from(by) * 100 < u128::from(self.granted) * BAND_PERCENT
    }

    /// Whether a move in a direction would undo one of the last five minutes.
    fn waits(&self, direction: Direction) -> bool {
        self.moved.is_some_and(|moved| moved != direction)
    }

    /// Whether it needs what it owns, and is granted clearly less.
    fn entitled(&self) -> bool {
        self.share > self.granted
            && u128::from(self.granted) * 100 < u128::from(self.fair) * ENTITLED_PERCENT
    }

    /// What it may grow to, room provided; what it is granted, if it may not.
    fn grows_to(&self, resource: Resource) -> u64 {
        // What it owns is its own at once; for more, it has to wait after it gave some back.
        let most = if self.waits(Direction::Up) { self.fair } else { u64::MAX };
        let to = Self { share: self.share.min(most), ..*self };
        if to.share > self.granted && !to.is_small(resource) { to.share } else { self.granted }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    fn pod(granted: u64, share: u64, fair: u64) -> Candidate {
        Candidate { granted, share, fair, moved: None, node: Some(0) }
    }

    fn cpu(pods: &[Candidate]) -> Vec<u64> {
        stabilize(pods, Resource::Cpu)
    }

    #[test]
    fn small_moves_are_not_made() {
        assert_eq!(cpu(&[pod(1000, 951, 1000), pod(100, 109, 1000)]), [1000, 100]);
        assert_eq!(cpu(&[pod(1000, 950, 1000), pod(100, 110, 1000)]), [950, 110]);
        // Memory has a band of its own.
        let memory = |share| stabilize(&[pod(100 << 20, share, 200 << 20)], Resource::Memory)[0];
        assert_eq!([memory(115 << 20), memory(116 << 20)], [100 << 20, 116 << 20]);
    }

    #[test]
    fn small_shrinks_are_made_where_a_grow_lacks_room() {
        // Three borrowed 4 % each; the fourth wants back what it lent: the largest surplus goes first, until it is
        // enough.
        let borrower = |granted| pod(granted, 2500, 2500);
        let pods = [borrower(2600), borrower(2700), borrower(2620), pod(2080, 2300, 2500)];
        assert_eq!(cpu(&pods), [2600, 2500, 2500, 2300]);
        let all = [pods[0], pods[1], pods[2], Candidate { share: 2500, ..pods[3] }];
        assert_eq!(cpu(&all), [2500; 4]);
    }

    #[test]
    fn the_largest_surplus_goes_first_and_the_largest_want() {
        // 60m of 2100m, against 50m of 3050m: the first is enough.
        let want = pod(1000, 1060, 1110);
        assert_eq!(cpu(&[pod(3050, 3000, 3000), pod(2100, 2040, 2040), want]), [3050, 2040, 1060]);
        // Room for one of two that want more than they own.
        let lender = pod(0, 0, 100);
        let wants = [pod(1000, 1060, 1000), pod(100, 200, 100)];
        assert_eq!(cpu(&[lender, wants[0], wants[1]]), [0, 1000, 200]);
    }

    #[test]
    fn no_more_is_taken_back_than_it_takes() {
        let waits =
            |granted, fair| Candidate { moved: Some(Direction::Up), ..pod(granted, fair, fair) };
        let pods = [waits(800, 500), waits(700, 600), pod(200, 500, 500)];
        // 300m are wanted, and the larger surplus is just that.
        assert_eq!(cpu(&pods[..]), [500, 600, 500]);
        let roomy = [waits(800, 500), waits(700, 600), pod(200, 500, 600)];
        assert_eq!(cpu(&roomy), [500, 700, 500]);
    }

    #[test]
    fn what_undoes_a_move_waits() {
        let grew = |pod| Candidate { moved: Some(Direction::Up), ..pod };
        let shrank = |pod| Candidate { moved: Some(Direction::Down), ..pod };
        assert_eq!(cpu(&[grew(pod(1000, 500, 1000))]), [1000]);
        assert_eq!(cpu(&[shrank(pod(1000, 500, 1000))]), [500]);
        // To borrow again it waits; what it owns it has at once.
        assert_eq!(cpu(&[shrank(pod(500, 900, 400)), pod(0, 0, 1000)]), [500, 0]);
        assert_eq!(cpu(&[shrank(pod(500, 900, 700)), pod(0, 0, 1000)]), [700, 0]);
        assert_eq!(cpu(&[grew(pod(500, 900, 400)), pod(0, 0, 1000)]), [900, 0]);
    }

    #[test]
    fn who_is_under_what_he_owns_does_not_wait_for_those_who_borrow() {
        let borrower = Candidate { moved: Some(Direction::Up), ..pod(800, 500, 500) };
        assert_eq!(cpu(&[borrower, pod(200, 500, 500)]), [500, 500]);
        // At 95 % of it there is no hurry.
        assert_eq!(cpu(&[Candidate { granted: 525, ..borrower }, pod(475, 500, 500)]), [525, 475]);
        // A borrower that wants more waits for those that may stay.
        assert_eq!(cpu(&[borrower, pod(200, 300, 100), pod(0, 0, 400)]), [800, 200, 0]);
    }

    #[test]
    fn each_node_by_itself() {
        let there = |pod| Candidate { node: Some(1), ..pod };
        let pods = [pod(800, 500, 500), there(pod(500, 800, 500)), pod(500, 500, 500)];
        assert_eq!(cpu(&pods), [500, 500, 500]);
        let nowhere = Candidate { node: None, ..pod(500, 499, 700) };
        assert_eq!(cpu(&[nowhere]), [499]);
    }

    #[test]
    fn more_than_is_owned_is_taken_back() {
        let waits = Candidate { moved: Some(Direction::Up), ..pod(600, 500, 500) };
        assert_eq!(cpu(&[waits, pod(500, 500, 500)]), [500, 500]);
    }

    /// Shares that a division could give: what each owns, and some of it moved from one to the other.
    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let direction =
            prop_oneof![Just(None), Just(Some(Direction::Up)), Just(Some(Direction::Down))];
        let pod = (0..2000u64, 0..=100u64, 0..=100u64, direction, 0..2u32);
        prop::collection::vec(pod, 1..12).prop_map(|pods| {
            let mut candidates: Vec<Candidate> = pods
                .iter()
                .map(|&(fair, _, _, moved, node)| Candidate {
                    fair,
                    granted: fair,
                    share: fair,
                    moved,
                    node: Some(node),
                })
                .collect();
            for field in [0, 1] {
                for node in 0..2 {
                    let mut pot = 0;
                    let on = |candidate: &Candidate| candidate.node == Some(node);
                    for (candidate, pod) in
                        candidates.iter_mut().zip(&pods).filter(|(it, _)| on(it))
                    {
                        let lends = candidate.fair * [pod.1, pod.2][field] / 100;
                        let amount =
                            if field == 0 { &mut candidate.granted } else { &mut candidate.share };
                        if lends % 3 == 0 {
                            *amount += pot / 2;
                            pot -= pot / 2;
                        } else {
                            *amount -= lends;
                            pot += lends;
                        }
                    }
                }
            }
            candidates
        })
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn never_over_what_is_owned_and_nobody_entitled_is_left(pods in candidates()) {
            let grants = cpu(&pods);
            for node in 0..2 {
                let on = || pods.iter().zip(&grants).filter(|(pod, _)| pod.node == Some(node));
                let owned: u64 = on().map(|(pod, _)| pod.fair).sum();
                prop_assert!(on().map(|(_, grant)| grant).sum::<u64>() <= owned);
                for (pod, &grant) in on() {
                    prop_assert!(grant >= pod.granted.min(pod.share) && grant <= pod.granted.max(pod.share));
                    // A pod that is clearly under what it owns, and needs it, has it now, as the shares fit.
                    if pod.entitled() && pod.grows_to(Resource::Cpu) > pod.granted {
                        prop_assert!(grant >= pod.share.min(pod.fair), "{pod:?} is granted {grant}");
                    }
                }
                // No pod that may grow lacks room while another one that may shrink holds more than its share.
                let lacks = on().any(|(pod, &grant)| {
                    pod.share > grant && grant == pod.granted && pod.grows_to(Resource::Cpu) > grant
                });
                let sits = on().any(|(pod, &grant)| grant > pod.share && !pod.waits(Direction::Down));
                prop_assert!(!(lacks && sits), "{pods:?}: {grants:?}");
            }
        }

        /// A pod that had to wait can have moved to what it owns, and then goes on from there: that is all.
        #[test]
        fn looking_again_comes_to_an_end(pods in candidates()) {
            let mut pods = pods;
            for looks in 0.. {
                let grants = cpu(&pods);
                if pods.iter().zip(&grants).all(|(pod, &granted)| pod.granted == granted) {
                    break;
                }
                prop_assert!(looks < 3, "{pods:?}: {grants:?}");
                for (pod, granted) in pods.iter_mut().zip(grants) {
                    if granted != pod.granted {
                        let up = granted > pod.granted;
                        pod.moved = Some(if up { Direction::Up } else { Direction::Down });
                        pod.granted = granted;
                    }
                }
            }
        }
    }
}
