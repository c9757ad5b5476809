//! Who holds what while others leave it idle: the second stage of the division, on each node by itself.

use super::{
    Claim, Demand, Division, Filling, Idle, MemberClaim, PodClaim, Pool, Room, Verdict, percent,
    weights::{self, Fraction, gcd},
};

/// The buffers of the second stage.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// What each pod weighs beside all other pods.
    weights: Vec<Fraction>,
    claims: Vec<Claim>,
    shares: Vec<u64>,
    /// Where the pods of each node begin in `by_node`.
    starts: Vec<usize>,
    by_node: Vec<u32>,
    fractions: Vec<Fraction>,
    numbers: Vec<u64>,
}

impl Sharing {
    /// Lends what pods leave idle to those on the same node that have a use for it. With R_n the sum of the fair
    /// shares on the node, m_p the pod's part of its member's min, M_p the most it may hold, and d_p its demand:
    ///
    /// ```text
    /// lo = max(min(floor, fair), fair - round_down(lend * (fair - min(fair, max(m_p, d_p)))))
    /// hi = clamp(d_p, lo, M_p)
    /// x  = fill(weight, lo, hi, R_n)        if sum x < R_n, and it is spread:  x = fill(weight, x, M_p, R_n)
    /// ```
    ///
    /// A pod without a node, one on a node whose room is kept, and every pod where idle parts are kept, holds its fair share.
    pub fn share(
        &mut self,
        filling: &mut Filling,
        pool: &Pool,
        rooms: &[Room],
        division: &mut Division,
    ) {
        let known = pool.pods.iter().any(|pod| pod.demand != Demand::Unknown);
        if pool.idle == Idle::Kept || !known || matches!(division.verdict, Verdict::TooSmall { .. })
        {
            return;
        }
        self.weigh(pool);
        self.bound(filling, pool, division);
        self.group(pool, rooms.len());
        for (node, room) in rooms.iter().enumerate() {
            let pods = self.starts[node]..self.starts[node + 1];
            if !pods.is_empty() && !room.kept {
                self.share_node(filling, pool, pods, division);
            }
        }
    }

    /// A pod's weight is its part of its member's.
    fn weigh(&mut self, pool: &Pool) {
        self.weights.clear();
        for (member, run) in pool.runs() {
            let pods = &pool.pods[run];
            if pods.len() == 1 {
                self.weights.push(Fraction { over: member.weight, under: 1 });
                continue;
            }
            let sum: u64 = pods.iter().map(|pod| pod.weight).sum::<u64>().max(1);
            let common = gcd(member.weight, sum).max(1);
            let (over, under) = (member.weight / common, sum / common);
            self.weights.extend(
                pods.iter().map(|pod| Fraction { over: over.saturating_mul(pod.weight), under }),
            );
        }
    }

    /// Says between which amounts each pod's share is.
    fn bound(&mut self, filling: &mut Filling, pool: &Pool, division: &mut Division) {
        for (i, (member, run)) in pool.runs().enumerate() {
            let fair = division.members[i].fair;
            let pods = &pool.pods[run.clone()];
            if let [pod] = pods {
                let share = &mut division.pods[run.start];
                let most = pod.most(pool.capacity).min(member.max.unwrap_or(u64::MAX));
                share.least = least(member, pod, fair, member.min.min(fair));
                share.most = most.max(fair);
                continue;
            }
            // First `least` is the pod's part of the min, and `most` of the max.
            for (share, pod) in division.pods[run.clone()].iter_mut().zip(pods) {
                (share.least, share.most) = (0, pod.most(pool.capacity));
            }
            if member.min > 0 {
                let claim =
                    |(pod, fair): (&PodClaim, u64)| Claim { weight: pod.weight, lo: 0, hi: fair };
                self.claims.clear();
                let owned = division.pods[run.clone()].iter().map(|share| share.fair);
                self.claims.extend(pods.iter().zip(owned).map(claim));
                filling.fill(&self.claims, member.min.min(fair), &mut self.shares);
                for (share, &least) in division.pods[run.clone()].iter_mut().zip(&self.shares) {
                    share.least = least;
                }
            }
            if let Some(max) = member.max {
                self.claims.clear();
                self.claims.extend(division.pods[run.clone()].iter().zip(pods).map(
                    |(share, pod)| Claim {
                        weight: pod.weight,
                        lo: share.fair,
                        hi: share.most.max(share.fair),
                    },
                ));
                filling.fill(&self.claims, max.max(fair), &mut self.shares);
                for (share, &most) in division.pods[run.clone()].iter_mut().zip(&self.shares) {
                    share.most = most;
                }
            }
            for (share, pod) in division.pods[run].iter_mut().zip(pods) {
                share.least = least(member, pod, share.fair, share.least);
                share.most = share.most.max(share.fair);
            }
        }
    }

    /// Lists the pods of each node, in order.
    fn group(&mut self, pool: &Pool, nodes: usize) {
        self.starts.clear();
        self.starts.resize(nodes + 1, 0);
        let on_nodes = || pool.pods.iter().enumerate().filter_map(|(i, pod)| Some((i, pod.node?)));
        for (_, node) in on_nodes() {
            self.starts[node as usize] += 1;
        }
        // The end of each node, from which its pods are laid down backwards.
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.by_node.clear();
        self.by_node.resize(end, 0);
        for (i, node) in on_nodes().rev() {
            let start = &mut self.starts[node as usize];
            *start -= 1;
            self.by_node[*start] = i as u32;
        }
    }

    fn share_node(
        &mut self,
        filling: &mut Filling,
        pool: &Pool,
        pods: std::ops::Range<usize>,
        division: &mut Division,
    ) {
        let pods = &self.by_node[pods];
        self.fractions.clear();
        self.fractions.extend(pods.iter().map(|&i| self.weights[i as usize]));
        weights::whole(&self.fractions, &mut self.numbers);

        let mut owned = 0;
        self.claims.clear();
        self.claims.extend(pods.iter().zip(&self.numbers).map(|(&i, &weight)| {
            let share = &division.pods[i as usize];
            owned += share.fair;
            let demand = pool.pods[i as usize].demand.of(share.fair);
            Claim { weight, lo: share.least, hi: demand.clamp(share.least, share.most) }
        }));
        filling.fill(&self.claims, owned, &mut self.shares);
        if pool.idle == Idle::Spread && self.shares.iter().sum::<u64>() < owned {
            for ((claim, &share), &i) in self.claims.iter_mut().zip(&self.shares).zip(pods) {
                *claim = Claim { lo: share, hi: division.pods[i as usize].most, ..*claim };
            }
            filling.fill(&self.claims, owned, &mut self.shares);
        }
        for (&i, &share) in pods.iter().zip(&self.shares) {
            division.pods[i as usize].share = share;
        }
    }
}

/// The least that a pod holds: its fair share less what it lends. `min` is its part of its member's.
fn least(member: &MemberClaim, pod: &PodClaim, fair: u64, min: u64) -> u64 {
    let used = fair.min(min.max(pod.demand.of(fair)));
    pod.floor.min(fair).max(fair - percent(member.lend, fair - used))
}
