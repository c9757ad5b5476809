//! What holds for every pool.

use super::{super::super::testing::cases, *};

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn agrees_with_the_definition(pool in viable()) {
        prop_assert_eq!(shares(&pool), oracle::shares(&pool));
    }

    #[test]
    fn sums_are_exact_and_bounds_are_kept(pool in pools()) {
        let division = divide(&pool);
        let floors = sum(pool.pods.iter().map(|pod| pod.floor));
        if floors > pool.capacity {
            prop_assert_eq!(division.verdict, Verdict::TooSmall { needed: floors.into() });
            return Ok(());
        }
        let wanted: u64 = pool.runs().filter(|(member, _)| member.pods > 0)
            .map(|(member, run)| member.min.max(sum(pool.pods[run].iter().map(|pod| pod.floor)))).sum();
        prop_assert_eq!(division.verdict == Verdict::Overcommitted, wanted > pool.capacity);
        let mut able = 0;
        for ((member, run), share) in pool.runs().zip(&division.members) {
            prop_assert_eq!(sum(division.pods[run.clone()].iter().map(|pod| pod.fair)), share.fair);
            let floors = sum(pool.pods[run.clone()].iter().map(|pod| pod.floor));
            let caps = sum(pool.pods[run].iter().map(|pod| pod.most(pool.capacity)));
            let hi = if member.pods == 0 { 0 } else { floors.max(caps.min(member.max.unwrap_or(pool.capacity))) };
            able += hi;
            prop_assert!(floors <= share.fair && share.fair <= hi);
            prop_assert!(division.verdict == Verdict::Overcommitted || share.fair >= member.min.min(hi));
        }
        prop_assert_eq!(sum(division.members.iter().map(|share| share.fair)), able.min(pool.capacity));
        for (pod, share) in pool.pods.iter().zip(&division.pods) {
            prop_assert!(share.fair >= pod.floor && share.share >= pod.floor.min(share.fair));
            prop_assert!(share.least <= share.fair && share.fair <= share.most);
            prop_assert!(share.least <= share.share && share.share <= share.most);
            prop_assert!(share.share <= pod.most(pool.capacity));
            // No pod is kept from what it owns and needs.
            prop_assert!(share.share >= share.fair.min(pod.demand.of(share.fair)));
        }
    }

    /// On each node, all that is owned is held as long as some pod needs more.
    #[test]
    fn nothing_lies_idle_while_somebody_is_short(pool in viable()) {
        let division = divide(&pool);
        for node in 0..3 {
            let here = || pool.pods.iter().zip(&division.pods).filter(|(pod, _)| pod.node == Some(node));
            let owned = sum(here().map(|(_, share)| share.fair));
            let held = sum(here().map(|(_, share)| share.share));
            prop_assert!(held <= owned);
            let short = here().any(|(pod, share)| match pool.idle {
                Idle::Kept => false,
                Idle::Lent => share.share < pod.demand.of(share.fair).min(share.most),
                Idle::Spread => share.share < share.most,
            });
            prop_assert!(held == owned || !short, "{held} of {owned} on node {node}");
        }
    }

    #[test]
    fn a_heavier_member_never_has_less(mut pool in viable(), pick: prop::sample::Index, more in 1..10_000u64) {
        let i = pick.index(pool.members.len());
        let before = fair(&pool);
        pool.members[i].weight += more;
        let after = fair(&pool);
        prop_assert!(after[i] >= before[i]);
        for k in (0..after.len()).filter(|&k| k != i) {
            prop_assert!(after[k] <= before[k] + 1);
        }
    }

    #[test]
    fn a_larger_pool_leaves_nobody_with_less(mut pool in viable(), more in 0..3000u64) {
        let before = fair(&pool);
        pool.capacity += more;
        for (before, after) in before.into_iter().zip(fair(&pool)) {
            prop_assert!(after + 1 >= before);
        }
    }

    /// A weight that is larger by one part in n moves no share by more than that part.
    #[test]
    fn shares_are_continuous_in_the_weight(mut pool in viable(), pick: prop::sample::Index) {
        let i = pick.index(pool.members.len());
        let before = fair(&pool);
        let weight = pool.members[i].weight;
        pool.members[i].weight += 1;
        for (before, after) in before.into_iter().zip(fair(&pool)) {
            let (less, more) = (before.min(after).saturating_add(1), before.max(after).saturating_sub(1));
            prop_assert!(more * weight <= less * (weight + 1), "{before} became {after}");
        }
    }

    #[test]
    fn shares_are_continuous_in_the_capacity(mut pool in viable(), more in 0..20u64) {
        // Through the point too where the minima just fit.
        let before = fair(&pool);
        pool.capacity += more;
        for (before, after) in before.into_iter().zip(fair(&pool)) {
            prop_assert!(near(before, after, more + 1), "{before} became {after}");
        }
    }

    #[test]
    fn shares_are_continuous_where_the_minima_just_fit(mut pool in viable(), off in 0..3u64) {
        let bounds: u64 = pool.runs().map(|(member, run)| {
            let floors = sum(pool.pods[run.clone()].iter().map(|pod| pod.floor));
            let caps = sum(pool.pods[run].iter().map(|pod| pod.most(u64::MAX >> 20)));
            let hi = floors.max(caps.min(member.max.unwrap_or(caps)));
            if member.pods == 0 { 0 } else { hi.min(member.min.max(floors)) }
        }).sum();
        pool.capacity = bounds;
        let at = fair(&pool);
        pool.capacity = bounds + off;
        for (at, above) in at.iter().zip(fair(&pool)) {
            prop_assert!(near(*at, above, off + 1));
        }
        let floors = sum(pool.pods.iter().map(|pod| pod.floor));
        pool.capacity = bounds.saturating_sub(off).max(floors);
        for (at, below) in at.iter().zip(fair(&pool)) {
            prop_assert!(near(*at, below, off + 1));
        }
    }

    #[test]
    fn shares_are_continuous_in_demand(mut pool in viable(), pick: prop::sample::Index, more in 0..50u64) {
        if pool.pods.is_empty() {
            return Ok(());
        }
        let p = pick.index(pool.pods.len());
        let before = shares(&pool);
        let demand = pool.pods[p].demand.of(divide(&pool).pods[p].fair);
        pool.pods[p].demand = Demand::Known(demand + more);
        for (before, after) in before.into_iter().zip(shares(&pool)) {
            prop_assert!(near(before, after, more + 2), "{before} became {after}");
        }
    }

    #[test]
    fn the_order_matters_only_in_ties(pool in viable()) {
        let runs: Vec<_> = pool.runs().map(|(member, run)| (*member, run)).collect();
        let turned: Vec<usize> = runs.iter().rev().flat_map(|(_, run)| run.clone().rev()).collect();
        let mirror = Pool {
            members: pool.members.iter().rev().copied().collect(),
            pods: turned.iter().map(|&p| pool.pods[p]).collect(),
            ..pool.clone()
        };
        let (straight, mirrored) = (divide(&pool), divide(&mirror));
        for (a, b) in straight.members.iter().zip(mirrored.members.iter().rev()) {
            prop_assert!(near(a.fair, b.fair, 1));
        }
        for (&p, b) in turned.iter().zip(&mirrored.pods) {
            prop_assert!(near(straight.pods[p].fair, b.fair, 2));
            prop_assert!(near(straight.pods[p].share, b.share, 4));
        }
    }

    #[test]
    fn only_proportions_of_weights_count(mut pool in viable(), factor in 1..1000u64) {
        let before = divide(&pool);
        pool.members.iter_mut().for_each(|member| member.weight *= factor);
        prop_assert_eq!(&divide(&pool), &before);
        pool.pods.iter_mut().for_each(|pod| pod.weight *= factor);
        prop_assert_eq!(&divide(&pool), &before);
    }

    #[test]
    fn a_member_in_two_halves_has_what_it_had_whole(pool in viable(), pick: prop::sample::Index, half in 1..4usize) {
        // The member of that place gets 2 * half pods, like the first of its own.
        let mut whole = pool;
        let i = pick.index(whole.members.len());
        let run = whole.runs().nth(i).map(|(_, run)| run).unwrap();
        let like = whole.pods.get(run.start).filter(|_| !run.is_empty()).copied();
        let like = like.unwrap_or(PodClaim { weight: 1, ..PodClaim::default() });
        whole.pods.splice(run.clone(), vec![like; 2 * half]);
        let member = &mut whole.members[i];
        *member = MemberClaim {
            weight: member.weight * 2,
            min: member.min / 2 * 2,
            max: member.max.map(|max| max.div_ceil(2) * 2),
            pods: 2 * half,
            ..*member
        };
        whole.capacity += like.floor * 2 * half as u64;
        let mut halves = whole.clone();
        let member = whole.members[i];
        let one = MemberClaim {
            weight: member.weight / 2, min: member.min / 2, max: member.max.map(|max| max / 2), pods: half, ..member
        };
        halves.members.splice(i..=i, [one, one]);
        for (a, b) in divide(&whole).pods.iter().zip(&divide(&halves).pods) {
            prop_assert!(near(a.fair, b.fair, 2), "{a:?} {b:?}");
            prop_assert!(near(a.share, b.share, 6), "{a:?} {b:?}");
        }
    }

    #[test]
    fn in_an_overcommitted_pool_a_min_gives_no_more_than_the_weight(pool in viable()) {
        let division = divide(&pool);
        if division.verdict != Verdict::Overcommitted {
            return Ok(());
        }
        for ((poor, run), x) in pool.runs().zip(&division.members).filter(|((member, _), _)| member.pods > 0) {
            let caps = sum(pool.pods[run].iter().map(|pod| pod.most(pool.capacity)));
            if x.fair >= poor.min.min(caps).min(pool.capacity) {
                continue;
            }
            for ((rich, run), y) in pool.runs().zip(&division.members) {
                let floors = sum(pool.pods[run].iter().map(|pod| pod.floor));
                if y.fair > floors {
                    prop_assert!((y.fair - 1) * poor.weight <= (x.fair + 1) * rich.weight);
                }
            }
        }
    }

    #[test]
    fn buffers_keep_nothing_between_divisions(pools in prop::collection::vec(pools(), 2..4)) {
        let (mut divider, mut divisions) = (Divider::default(), Vec::new());
        for pool in &pools {
            divider.divide(std::slice::from_ref(pool), &[Node::default(); 3], &mut divisions);
            prop_assert_eq!(&divisions[0], &divide(pool));
        }
    }
}
