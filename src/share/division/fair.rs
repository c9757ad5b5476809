//! Who owns what: the first stage of the division.

use super::{Claim, Division, Filling, MemberShare, PodShare, Pool, Verdict};

/// The buffers of the first stage.
#[derive(Debug, Default)]
pub(super) struct Fair {
    claims: Vec<Claim>,
    /// The sum of the floors of each member's pods.
    floors: Vec<u64>,
    shares: Vec<u64>,
    of_pods: Vec<u64>,
}

impl Fair {
    /// Gives each member and each pod its fair share; `least`, `most` and `share` of the pods are the same.
    ///
    /// With f the sum of a member's floors, m its min and M its max:
    ///
    /// ```text
    /// hi = max(f, min(M or capacity, sum of its pods' caps))        lo = min(hi, max(m, f))
    /// fair = fill(weight, lo, hi, capacity)        if sum lo > capacity:  fair = fill(weight, f, lo, capacity)
    /// ```
    ///
    /// and a member's share goes to its pods by their weights, within their floors and caps.
    pub fn divide(&mut self, filling: &mut Filling, pool: &Pool, division: &mut Division) {
        division.members.clear();
        division.pods.clear();
        division.verdict = self.claim(pool);
        if matches!(division.verdict, Verdict::TooSmall { .. }) {
            division.members.resize(pool.members.len(), MemberShare::default());
            return;
        }
        filling.fill(&self.claims, pool.capacity, &mut self.shares);
        division.members.extend(self.shares.iter().map(|&fair| MemberShare {
            fair,
            by_weight: fair,
            full_node: None,
        }));
        for ((_, run), &fair) in pool.runs().zip(&self.shares) {
            if let [pod] = pool.pods[run.clone()] {
                // The bounds of its member are its own.
                division.pods.push(PodShare::whole(fair.min(pod.most(pool.capacity))));
                continue;
            }
            self.claims.clear();
            self.claims.extend(pool.pods[run].iter().map(|pod| Claim {
                weight: pod.weight,
                lo: pod.floor,
                hi: pod.most(pool.capacity),
            }));
            filling.fill(&self.claims, fair, &mut self.of_pods);
            division.pods.extend(self.of_pods.iter().map(|&fair| PodShare::whole(fair)));
        }
    }

    /// Between which amounts the members' fair shares are.
    pub fn bounds(&mut self, pool: &Pool) -> &[Claim] {
        self.claim(pool);
        &self.claims
    }

    /// Lays out the members' claims, and says whether what they are to have at least fits.
    fn claim(&mut self, pool: &Pool) -> Verdict {
        self.claims.clear();
        self.floors.clear();
        let (mut needed, mut wanted, mut least) = (0u128, 0u128, 0u128);
        for (member, run) in pool.runs() {
            let pods = &pool.pods[run];
            let floors: u128 = pods.iter().map(|pod| u128::from(pod.floor)).sum();
            needed += floors;
            // Where it does not fit a u64, the pool is too small for it.
            let floors = u64::try_from(floors).unwrap_or(u64::MAX);
            self.floors.push(floors);
            if pods.is_empty() {
                self.claims.push(Claim::default());
                continue;
            }
            let caps = pods.iter().map(|pod| pod.most(pool.capacity)).fold(0, u64::saturating_add);
            let hi = floors.max(member.max.unwrap_or(pool.capacity).min(caps));
            let lo = hi.min(member.min.max(floors));
            wanted += u128::from(member.min.max(floors));
            least += u128::from(lo);
            self.claims.push(Claim { weight: member.weight, lo, hi });
        }
        let capacity = u128::from(pool.capacity);
        if needed > capacity {
            return Verdict::TooSmall { needed };
        }
        if least > capacity {
            for (claim, &floors) in self.claims.iter_mut().zip(&self.floors) {
                *claim = Claim { lo: floors, hi: claim.lo, ..*claim };
            }
        }
        if wanted > capacity { Verdict::Overcommitted } else { Verdict::Fits }
    }
}

impl PodShare {
    /// Of a pod that holds what it owns.
    pub(super) fn whole(fair: u64) -> Self {
        Self { fair, by_weight: fair, least: fair, most: fair, share: fair }
    }
}
