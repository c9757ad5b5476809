//! A member's share, divided over its pods.

use super::{Claim, FREE, Fitting, Wish, most};

#[derive(Debug, Default)]
pub(super) struct Spreading {
    /// The pods that claim.
    picked: Vec<u32>,
    /// The nodes that have more than their room.
    short: Vec<u32>,
    /// Whether a pod's share is what it must be, or what a full node left to it.
    settled: Vec<bool>,
    /// The members to divide anew.
    again: Vec<u32>,
    /// What the pods of each member can take yet.
    reach: Vec<u128>,
}

impl Fitting {
    /// Divides the members' shares over their pods: each by water-filling, by fair share between floor and cap.
    /// Nodes that this would overfill are filled in the same way from their room, up to what their pods would
    /// have had, and no lower than a pod needs whose member has nowhere else to go; what is cut off goes to the
    /// other pods of the same member. So on, until no node is overfilled.
    ///
    /// What then finds no room among the other pods of its member is placed along augmenting paths, and members
    /// that this changes are divided again beside the nodes that are full. A node that was full stays so: a
    /// member that no full node touches has its pods at one level, within their bounds.
    ///
    /// Sums, bounds and rooms are exact. Which of several members gives way on a full node need not be the
    /// fairest choice in this last step: only the members' shares are optimal.
    pub(super) fn spread(&mut self, pods: &[Wish], shares: &mut [u64]) {
        self.prepare(pods, shares);
        // Before members lack something once more, a node more has become full.
        for _ in 0..=self.nodes.len() {
            while !self.spreading.again.is_empty() {
                for at in 0..self.spreading.again.len() {
                    self.divide(self.spreading.again[at], pods, shares);
                }
                self.spreading.again.clear();
                self.cut_back(pods, shares);
            }
            if !self.make_way(pods, shares) {
                break;
            }
        }
    }

    /// Settles the pods whose share follows from the members'.
    fn prepare(&mut self, pods: &[Wish], shares: &mut [u64]) {
        let Spreading { settled, again, .. } = &mut self.spreading;
        settled.clear();
        settled.resize(pods.len(), false);
        shares.fill(0);
        for (arc, &pod) in self.arcs.iter().enumerate() {
            let pod = pod as usize;
            let member = pods[pod].member as u32;
            if let Some(flow) = self.network.settled(arc, member, self.places[pod]) {
                settled[pod] = true;
                shares[pod] = pods[pod].floor + flow;
            }
        }
        again.clear();
        again.extend(0..self.members.len() as u32);
        self.tally(pods, shares);
    }

    /// Sums up what the nodes have, and what the members can take yet.
    fn tally(&mut self, pods: &[Wish], shares: &[u64]) {
        let Spreading { settled, reach, .. } = &mut self.spreading;
        self.nodes.iter_mut().for_each(|node| node.load = 0);
        reach.clear();
        reach.resize(self.members.len(), 0);
        for (i, pod) in pods.iter().enumerate() {
            if let Some(node) = self.nodes.get_mut(self.places[i] as usize) {
                node.load += shares[i];
            }
            reach[pod.member] += u128::from(if settled[i] { shares[i] } else { most(pod) });
        }
    }

    /// Divides what a member has beyond its settled pods over its other pods.
    fn divide(&mut self, member: u32, pods: &[Wish], shares: &mut [u64]) {
        let Spreading { picked, settled, .. } = &mut self.spreading;
        let member = member as usize;
        let mut rest = self.members[member].share;
        picked.clear();
        for pod in self.members[member].pods.clone() {
            if settled[pod] {
                rest -= shares[pod];
            } else {
                picked.push(pod as u32);
            }
        }
        self.water.pour(picked.iter().map(|&pod| claim(&pods[pod as usize])), rest);
        for (&pod, &amount) in picked.iter().zip(&self.water.amounts) {
            let share = &mut shares[pod as usize];
            if let Some(node) = self.nodes.get_mut(self.places[pod as usize] as usize) {
                node.load = node.load - *share + amount;
            }
            *share = amount;
            rest -= amount;
        }
        self.network.lack[member] = u128::from(rest);
    }

    /// Fills the nodes that have more than their room from their room, and calls the members that lose by it.
    fn cut_back(&mut self, pods: &[Wish], shares: &mut [u64]) {
        let Spreading { picked, short, settled, again, reach } = &mut self.spreading;
        short.clear();
        let over = (0..).zip(&self.nodes).filter(|(_, node)| node.load > node.room);
        short.extend(over.map(|(at, _)| at));
        for &at in &*short {
            let node = &mut self.nodes[at as usize];
            let on_node = self.network.arcs_at(at).map(|arc| self.arcs[arc as usize]);
            picked.clear();
            picked.extend(on_node.filter(|&pod| !settled[pod as usize]));
            let needs = |&pod: &u32| {
                let (pod, share) = (&pods[pod as usize], shares[pod as usize]);
                let elsewhere = reach[pod.member] - u128::from(most(pod));
                let needed = u128::from(self.members[pod.member].share).saturating_sub(elsewhere);
                (needed as u64).min(share).max(pod.floor)
            };
            // Of the room, what settled pods leave.
            let open: u64 = picked.iter().map(|&pod| shares[pod as usize]).sum();
            let room = node.room.saturating_sub(node.load - open);
            let needed: u64 = picked.iter().map(needs).sum();
            let claims = picked.iter().map(|pod| {
                let (wish, hi) = (&pods[*pod as usize], shares[*pod as usize]);
                let lo = if needed > room { wish.floor } else { needs(pod) };
                Claim { weight: wish.fair, lo, hi }
            });
            self.water.pour(claims, room);
            for (&pod, &amount) in picked.iter().zip(&self.water.amounts) {
                if amount < shares[pod as usize] {
                    again.push(pods[pod as usize].member as u32);
                }
                shares[pod as usize] = amount;
            }
            node.load = node.room;
        }
        // Only now: which of the short nodes comes first makes no difference.
        for arc in short.iter().flat_map(|&node| self.network.arcs_at(node)) {
            let pod = self.arcs[arc as usize] as usize;
            if !settled[pod] {
                settled[pod] = true;
                reach[pods[pod].member] -= u128::from(most(&pods[pod]) - shares[pod]);
            }
        }
        again.sort_unstable();
        again.dedup();
    }

    /// Places what members lack where others can give way, and calls the members that this changes. Returns
    /// whether any lacked something.
    fn make_way(&mut self, pods: &[Wish], shares: &mut [u64]) -> bool {
        let network = &mut self.network;
        let Spreading { settled, again, .. } = &mut self.spreading;
        let lacks = network.lack.iter().take(self.members.len());
        again.extend((0..).zip(lacks).filter(|(_, lack)| **lack > 0).map(|(i, _)| i));
        if again.is_empty() {
            return false;
        }
        let (members, nodes) = network.spare.split_at_mut(self.members.len());
        for (spare, member) in members.iter_mut().zip(&self.members) {
            let free = member.pods.clone().filter(|&pod| self.places[pod] == FREE);
            *spare = u128::from(member.free_cap - free.map(|pod| shares[pod]).sum::<u64>());
        }
        for (spare, node) in nodes.iter_mut().zip(&self.nodes) {
            *spare = u128::from(node.room.saturating_sub(node.load));
        }
        for (flow, &pod) in network.flow.iter_mut().zip(&self.arcs) {
            *flow = u128::from(shares[pod as usize] - pods[pod as usize].floor);
        }
        network.resume();
        network.push();
        for (&flow, &pod) in network.flow.iter().zip(&self.arcs) {
            let pod = pod as usize;
            let share = pods[pod].floor + flow as u64;
            if share != shares[pod] {
                shares[pod] = share;
                again.push(pods[pod].member as u32);
            }
            settled[pod] |= network.spare[self.members.len() + self.places[pod] as usize] == 0;
        }
        again.sort_unstable();
        again.dedup();
        for at in 0..self.spreading.again.len() {
            self.even_out(self.spreading.again[at], pods, shares);
        }
        self.tally(pods, shares);
        true
    }

    /// Divides what a member has on each node evenly over its pods there.
    fn even_out(&mut self, member: u32, pods: &[Wish], shares: &mut [u64]) {
        let picked = &mut self.spreading.picked;
        picked.clear();
        picked.extend_from_slice(&self.arcs[self.members[member as usize].arcs.clone()]);
        picked.sort_unstable_by_key(|&pod| (self.places[pod as usize], pod));
        let on_node = |a: &u32, b: &u32| self.places[*a as usize] == self.places[*b as usize];
        for run in picked.chunk_by(on_node).filter(|run| run.len() > 1) {
            let sum = run.iter().map(|&pod| shares[pod as usize]).sum();
            self.water.pour(run.iter().map(|&pod| claim(&pods[pod as usize])), sum);
            for (&pod, &amount) in run.iter().zip(&self.water.amounts) {
                shares[pod as usize] = amount;
            }
        }
    }
}

fn claim(pod: &Wish) -> Claim {
    Claim { weight: pod.fair, lo: pod.floor, hi: most(pod) }
}
