//! Who holds what while others leave it idle: the second stage of the division, on each node by itself.

use super::{
    Claim, Demand, Division, Filling, Idle, Pool, Room, Verdict,
    parts::Parts,
    weights::{self, Fraction},
};

/// The buffers of the second stage.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    parts: Parts,
    claims: Vec<Claim>,
    shares: Vec<u64>,
    /// Where the pods of each node begin in `by_node`.
    starts: Vec<usize>,
    by_node: Vec<u32>,
    fractions: Vec<Fraction>,
    numbers: Vec<u64>,
}

impl Sharing {
    /// Lends what pods leave idle to those on the same node that need it. With R_n the sum of the fair
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
        self.parts.work_out(filling, pool, division);
        self.bound(pool, division);
        self.group(pool, rooms.len());
        for (node, room) in rooms.iter().enumerate() {
            let pods = self.starts[node]..self.starts[node + 1];
            if !pods.is_empty() && !room.kept {
                self.share_node(filling, pool, pods, division);
            }
        }
    }

    /// Says between which amounts each pod's share is.
    fn bound(&self, pool: &Pool, division: &mut Division) {
        let pods = pool.pods.iter().zip(&self.parts.of_pods);
        for (share, (pod, part)) in division.pods.iter_mut().zip(pods) {
            share.least = part.least(pod, share.fair);
            share.most = part.most;
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
        self.fractions.extend(pods.iter().map(|&i| self.parts.of_pods[i as usize].weight));
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
