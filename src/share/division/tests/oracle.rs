//! The division by its definition, from fills by theirs.

use super::{super::super::testing::by_definition, *};

/// The two stages, word by word, from fills by definition.
pub(super) fn shares(pool: &Pool) -> Vec<u64> {
    let claims = |of: &dyn Fn(usize, &PodClaim) -> Claim, run: Range<usize>| -> Vec<Claim> {
        run.map(|p| of(p, &pool.pods[p])).collect()
    };
    let most = |pod: &PodClaim| pod.cap.unwrap_or(pool.capacity).max(pod.floor);
    let (mut bounds, mut floors) = (Vec::new(), Vec::new());
    for (member, run) in pool.runs() {
        let f: u64 = pool.pods[run.clone()].iter().map(|pod| pod.floor).sum();
        let caps: u64 = pool.pods[run.clone()].iter().map(most).sum();
        let hi = f.max(member.max.unwrap_or(pool.capacity).min(caps));
        let lo = hi.min(member.min.max(f));
        let empty = run.is_empty();
        bounds.push(if empty { Claim::default() } else { Claim { weight: member.weight, lo, hi } });
        floors.push(f);
    }
    if bounds.iter().map(|claim| claim.lo).sum::<u64>() > pool.capacity {
        for (claim, &floor) in bounds.iter_mut().zip(&floors) {
            *claim = Claim { lo: floor, hi: claim.lo, ..*claim };
        }
    }
    let owned = by_definition(&bounds, pool.capacity);
    let mut x = vec![0; pool.pods.len()];
    let (mut lo, mut hi, mut cap) = (x.clone(), x.clone(), x.clone());
    let (mut weight, mut fair) = (x.clone(), x.clone());
    let per_member: u64 = pool
        .runs()
        .map(|(_, run)| pool.pods[run].iter().map(|pod| pod.weight).sum::<u64>().max(1))
        .product();
    for ((member, run), &owned) in pool.runs().zip(&owned) {
        let sum: u64 = pool.pods[run.clone()].iter().map(|pod| pod.weight).sum();
        let parts = by_definition(
            &claims(
                &|_, pod| Claim { weight: pod.weight, lo: pod.floor, hi: most(pod) },
                run.clone(),
            ),
            owned,
        );
        run.clone().zip(parts).for_each(|(p, part)| fair[p] = part);
        let min = by_definition(
            &claims(&|p, pod| Claim { weight: pod.weight, lo: 0, hi: fair[p] }, run.clone()),
            member.min.min(owned),
        );
        let max = by_definition(
            &claims(
                &|p, pod| Claim { weight: pod.weight, lo: fair[p], hi: most(pod) },
                run.clone(),
            ),
            member.max.unwrap_or(u64::MAX / 4).max(owned),
        );
        for ((p, m), most) in run.zip(min).zip(max) {
            let (pod, f) = (&pool.pods[p], fair[p]);
            let d = pod.demand.of(f);
            let lent = u64::from(member.lend) * (f - f.min(m.max(d))) / 100;
            lo[p] = pod.floor.min(f).max(f - lent);
            cap[p] = most;
            hi[p] = d.clamp(lo[p], most);
            weight[p] = member.weight * pod.weight * (per_member / sum);
        }
    }
    for node in 0..3 {
        let here: Vec<usize> = (0..x.len()).filter(|&p| pool.pods[p].node == Some(node)).collect();
        let there = here.iter().map(|&p| fair[p]).sum();
        let fill = |lo: &[u64], hi: &[u64]| {
            let claims: Vec<Claim> =
                here.iter().map(|&p| Claim { weight: weight[p], lo: lo[p], hi: hi[p] }).collect();
            by_definition(&claims, there)
        };
        here.iter().zip(fill(&lo, &hi)).for_each(|(&p, share)| x[p] = share);
        if pool.idle == Idle::Spread {
            let from = x.clone();
            here.iter().zip(fill(&from, &cap)).for_each(|(&p, share)| x[p] = share);
        }
    }
    let kept = |p: usize| pool.idle == Idle::Kept || pool.pods[p].node.is_none();
    (0..x.len()).map(|p| if kept(p) { fair[p] } else { x[p] }).collect()
}
