//! Each pod's part of its member's weight, min and max.

use super::{
    Claim, Division, Filling, PodClaim, Pool, percent,
    weights::{Fraction, gcd},
};

/// A pod's part of its member's weight, min and max.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its weight relative to the pods of all members.
    pub weight: Fraction,
    /// Its part of its member's min, which it never lends: `fill(weight, 0, fair, min(min, fair))` over the member's pods.
    pub min: u64,
    /// The most that it may hold: its cap or, if the member has a max, `fill(weight, fair, cap, max(max, fair))` over the member's
    /// pods.
    pub most: u64,
    /// The percentage of its idle share above its min that it lends (100 at most).
    pub lend: u8,
}

impl Part {
    /// The least that the pod holds: its fair share less what it lends.
    pub fn least(&self, pod: &PodClaim, fair: u64) -> u64 {
        let used = fair.min(self.min.max(pod.demand.of(fair)));
        pod.floor.min(fair).max(fair - percent(self.lend, fair - used))
    }
}

/// The parts of a pool's pods, in their order, and the buffers to work them out.
#[derive(Debug, Default)]
pub struct Parts {
    pub of_pods: Vec<Part>,
    claims: Vec<Claim>,
    shares: Vec<u64>,
}

impl Parts {
    /// Works out the parts of a pool's pods, by their fair shares.
    pub fn work_out(&mut self, filling: &mut Filling, pool: &Pool, division: &Division) {
        self.of_pods.clear();
        for (i, (member, run)) in pool.runs().enumerate() {
            let fair = division.members[i].fair;
            let pods = &pool.pods[run.clone()];
            if let [pod] = pods {
                let most = pod.most(pool.capacity).min(member.max.unwrap_or(u64::MAX));
                let weight = Fraction { over: member.weight, under: 1 };
                let (min, most) = (member.min.min(fair), most.max(fair));
                self.of_pods.push(Part { weight, min, most, lend: member.lend });
                continue;
            }
            let sum: u64 = pods.iter().map(|pod| pod.weight).sum::<u64>().max(1);
            let common = gcd(member.weight, sum).max(1);
            let (over, under) = (member.weight / common, sum / common);
            self.of_pods.extend(pods.iter().map(|pod| Part {
                weight: Fraction { over: over.saturating_mul(pod.weight), under },
                min: 0,
                most: pod.most(pool.capacity),
                lend: member.lend,
            }));
            let shares = division.pods[run.clone()].iter().map(|share| share.fair);
            let owned = pods.iter().zip(shares);
            if member.min > 0 {
                self.claims.clear();
                let owned = owned.clone();
                self.claims.extend(owned.map(|(pod, fair)| Claim {
                    weight: pod.weight,
                    lo: 0,
                    hi: fair,
                }));
                filling.fill(&self.claims, member.min.min(fair), &mut self.shares);
                let parts = self.of_pods[run.clone()].iter_mut().zip(&self.shares);
                parts.for_each(|(part, &share)| part.min = share);
            }
            if let Some(max) = member.max {
                self.claims.clear();
                self.claims.extend(owned.clone().zip(&self.of_pods[run.clone()]).map(
                    |((pod, fair), part)| Claim {
                        weight: pod.weight,
                        lo: fair,
                        hi: part.most.max(fair),
                    },
                ));
                filling.fill(&self.claims, max.max(fair), &mut self.shares);
                let parts = self.of_pods[run.clone()].iter_mut().zip(&self.shares);
                parts.for_each(|(part, &share)| part.most = share);
            }
            for (part, (_, fair)) in self.of_pods[run].iter_mut().zip(owned) {
                part.most = part.most.max(fair);
            }
        }
    }
}
