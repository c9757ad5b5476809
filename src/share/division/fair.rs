//! Who owns what: the first stage of the division.

use super::{Claim, Division, Filling, Full, MemberDivision, Newcomer, PodDivision, Pool, Verdict};

/// The buffers of the first stage.
#[derive(Debug, Default)]
pub struct Fair {
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
        division.verdict = self.claim(pool, None);
        if matches!(division.verdict, Verdict::TooSmall { .. }) {
            division.members.resize(pool.members.len(), MemberDivision::default());
            return;
        }
        filling.fill(&self.claims, pool.capacity, &mut self.shares);
        division.members.extend(self.shares.iter().map(|&fair| MemberDivision {
            fair,
            by_weight: fair,
            full_node: None,
            full_by: Full::default(),
        }));
        for ((_, run), &fair) in pool.runs().zip(&self.shares) {
            if let [pod] = pool.pods[run.clone()] {
                // The bounds of its member are its own.
                division.pods.push(PodDivision::whole(fair.min(pod.most(pool.capacity))));
                continue;
            }
            self.claims.clear();
            self.claims.extend(pool.pods[run].iter().map(|pod| pod.claim(pool.capacity)));
            filling.fill(&self.claims, fair, &mut self.of_pods);
            division.pods.extend(self.of_pods.iter().map(|&fair| PodDivision::whole(fair)));
        }
    }

    /// What a newcomer would own beside the pods that are there: no others have to be divided for that. None: the pool
    /// is too small for it.
    pub fn one_more(
        &mut self,
        filling: &mut Filling,
        pool: &Pool,
        newcomer: &Newcomer,
    ) -> Option<u64> {
        if matches!(self.claim(pool, Some(newcomer)), Verdict::TooSmall { .. }) {
            return None;
        }
        filling.fill(&self.claims, pool.capacity, &mut self.shares);
        let fair = *self.shares.get(newcomer.member)?;
        let (_, siblings) = pool.runs().nth(newcomer.member)?;
        self.claims.clear();
        let pods = pool.pods[siblings].iter().chain([&newcomer.pod]);
        self.claims.extend(pods.map(|pod| pod.claim(pool.capacity)));
        filling.fill(&self.claims, fair, &mut self.of_pods);
        self.of_pods.last().copied()
    }

    /// Between which amounts the members' fair shares are.
    pub fn bounds(&mut self, pool: &Pool) -> &[Claim] {
        self.claim(pool, None);
        &self.claims
    }

    /// Lays out the members' claims, and says whether what they are to have at least fits.
    fn claim(&mut self, pool: &Pool, newcomer: Option<&Newcomer>) -> Verdict {
        self.claims.clear();
        self.floors.clear();
        let (mut needed, mut wanted, mut least) = (0u128, 0u128, 0u128);
        for (i, (member, run)) in pool.runs().enumerate() {
            let pods = &pool.pods[run];
            let newcomer = newcomer.filter(|newcomer| newcomer.member == i);
            let floors: u128 = pods.iter().map(|pod| u128::from(pod.floor)).sum();
            let floors = floors + newcomer.map_or(0, |newcomer| u128::from(newcomer.pod.floor));
            needed += floors;
            // Where it does not fit a u64, the pool is too small for it.
            let floors = u64::try_from(floors).unwrap_or(u64::MAX);
            self.floors.push(floors);
            if pods.is_empty() && newcomer.is_none() {
                self.claims.push(Claim::default());
                continue;
            }
            let its_cap = newcomer.map_or(0, |newcomer| newcomer.pod.most(pool.capacity));
            let caps = pods.iter().map(|pod| pod.most(pool.capacity));
            let caps = caps.fold(its_cap, u64::saturating_add);
            let hi = floors.max(member.max.unwrap_or(pool.capacity).min(caps));
            let lo = hi.min(member.min.max(floors));
            wanted += u128::from(member.min.max(floors));
            least += u128::from(lo);
            let weight = newcomer.map_or(member.weight, |newcomer| newcomer.weight);
            self.claims.push(Claim { weight, lo, hi });
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

impl PodDivision {
    /// Of a pod that holds what it owns.
    #[must_use]
    pub fn whole(fair: u64) -> Self {
        Self { fair, by_weight: fair, least: fair, most: fair, share: fair }
    }
}
