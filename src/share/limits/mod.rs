//! Fair shares under node limits: what a full node cannot hold goes to those that have room elsewhere.
//!
//! What members can have is what can flow from the pool to members, on to the nodes where they have pods, and
//! through the room there. If all rise together until the total is spent (`water`) and that flows (`flow`), those
//! are the shares. If not, a minimum cut shows whom a set of nodes holds down: they have just what it holds, the
//! others what that leaves, and both sides go on by themselves (`levels`). Everyone's least goes the same way
//! first. In the end each member's share is divided over its pods (`spread`).

mod flow;
mod levels;
mod spread;
#[cfg(test)]
mod tests;
mod water;

use std::ops::Range;

use super::Claim;
use flow::Network;
use levels::Part;
use spread::Spreading;
use water::Water;

/// A pod as it asks for its share, in units of the resource (millicores or bytes).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The index of the pod's member.
    pub member: usize,
    /// The index of the node that limits it, if one does.
    pub node: Option<usize>,
    /// Its share where no node is short, and its weight beside others. Without one it gets nothing.
    pub fair: u64,
    /// The least it gets, at most `fair`.
    pub floor: u64,
    /// The most it gets, at least `fair`.
    pub cap: u64,
}

/// What a member should get at least, and may get at most, with all its pods together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The least, while the nodes have room for everyone's least. No more than the fair share counts.
    pub lo: u64,
    /// The most. The fair share is always allowed.
    pub hi: u64,
}

/// Fits fair shares to nodes, again and again, in buffers that are kept.
#[derive(Debug, Default)]
pub struct Fitting {
    nodes: Vec<Node>,
    members: Vec<Member>,
    /// The node that limits each pod, `FREE` where none does.
    places: Vec<u32>,
    /// The pods that are limited, by member: the arcs of the network.
    arcs: Vec<u32>,
    network: Network,
    /// The members: those of one part of the network are in one piece.
    order: Vec<u32>,
    parts: Vec<Part>,
    water: Water,
    spreading: Spreading,
}

/// In place of a node: none limits the pod.
const FREE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// What its pods have: at first the fair shares.
    load: u64,
    /// The floors of its pods.
    floor: u64,
    room: u64,
}

#[derive(Clone, Debug, Default)]
struct Member {
    /// The floors of its pods.
    floor: u64,
    /// The bounds of those of its pods that no node limits.
    free_floor: u64,
    free_cap: u64,
    /// What it claims, by fair share, and what it gets of that.
    claim: Claim,
    share: u64,
    pods: Range<usize>,
    arcs: Range<usize>,
}

impl Fitting {
    /// Fits the pods' shares to the `room` that each node has for the pool, at least the floors there. Returns
    /// whether a node binds; if none does, each pod has its fair share. The shares are written over `shares`.
    ///
    /// `pods` come by member, in order, and hold to what `Wish` says. `total` is the sum of their fair shares, or
    /// more. A node that is not in `room` limits nothing.
    ///
    /// Of all shares within the bounds, the rooms and the total, these have the members' levels (share by fair
    /// share) as equal as can be: the smallest level is as large as possible, then the next, and so on; first
    /// so for everyone's least, `min(fair, lo)`, then for the rest. So no member rises above level one but by what
    /// nodes have taken from others. Whole units go by largest remainder among those that have room, ties to
    /// the earlier member.
    ///
    /// This is the lexicographically optimal base of a polymatroid (Fujishige, 1980), found by decomposition.
    ///
    /// If no node binds it takes one pass over the pods. If some do: one maximum flow for each level that turns
    /// up, nearly linear unless thousands of nodes hang together in a long row of members with pods on two or
    /// three of them, where it is quadratic.
    pub fn fit(
        &mut self,
        total: u64,
        members: &[Bounds],
        pods: &[Wish],
        room: &[u64],
        shares: &mut Vec<u64>,
    ) -> bool {
        shares.clear();
        shares.extend(pods.iter().map(|pod| pod.fair));
        self.nodes.clear();
        self.nodes.extend(room.iter().map(|&room| Node { room, ..Node::default() }));
        for pod in pods {
            if let Some(node) = pod.node.and_then(|node| self.nodes.get_mut(node)) {
                node.load += pod.fair;
                node.floor += pod.floor;
            }
        }
        for node in &mut self.nodes {
            node.room = node.room.max(node.floor);
        }
        if self.nodes.iter().all(|node| node.load <= node.room) {
            return false;
        }
        self.gather(members, pods);
        self.level_members(total);
        self.spread(pods, shares);
        true
    }

    /// Whether the pods on a node have all that it has room for, as of the last `fit`.
    #[must_use]
    pub fn is_full(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.load >= node.room)
    }

    /// Sums the pods up by member, and lays out the network.
    fn gather(&mut self, bounds: &[Bounds], pods: &[Wish]) {
        self.members.clear();
        self.members.resize(bounds.len(), Member::default());
        self.arcs.clear();
        self.places.clear();
        for (i, pod) in pods.iter().enumerate() {
            let member = &mut self.members[pod.member];
            if member.pods.is_empty() {
                member.pods.start = i;
                member.arcs.start = self.arcs.len();
            }
            member.floor += pod.floor;
            member.claim.weight += pod.fair;
            member.claim.hi = member.claim.hi.saturating_add(most(pod));
            if let Some(node) = pod.node.filter(|&node| node < self.nodes.len()) {
                self.places.push(node as u32);
                self.arcs.push(i as u32);
            } else {
                self.places.push(FREE);
                member.free_floor += pod.floor;
                member.free_cap = member.free_cap.saturating_add(most(pod));
            }
            member.pods.end = i + 1;
            member.arcs.end = self.arcs.len();
        }
        for (Member { claim, floor, .. }, bounds) in self.members.iter_mut().zip(bounds) {
            claim.lo = bounds.lo.min(claim.weight).max(*floor);
            claim.hi = claim.hi.min(bounds.hi.max(claim.weight));
        }
        let free = self.members.iter().map(|member| member.free_cap - member.free_floor);
        let rooms = free.chain(self.nodes.iter().map(|node| node.room - node.floor));
        let arcs = self.arcs.iter().map(|&pod| {
            let (node, pod) = (self.places[pod as usize], &pods[pod as usize]);
            (pod.member as u32, node, most(pod) - pod.floor)
        });
        self.network.build(bounds.len(), rooms, arcs);
    }
}

/// The most that a pod can take.
fn most(pod: &Wish) -> u64 {
    if pod.fair == 0 { pod.floor } else { pod.cap }
}
