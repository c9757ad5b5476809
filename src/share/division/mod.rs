//! The division of one resource: who owns what, and who holds what while others leave it idle.

pub(super) mod fair;
pub(super) mod parts;
mod rooms;
mod sharing;
#[cfg(test)]
mod tests;
pub(super) mod weights;

use std::ops::Range;

use super::{
    Claim, Demand, Filling,
    limits::{Bounds, Fitting, Wish},
};
use fair::Fair;
use rooms::Rooms;
pub use rooms::{Full, Node, Presence, Room};
use sharing::Sharing;

/// A pool as the division sees it. All amounts are in units of the resource (millicores or bytes).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pool {
    /// The amount to divide.
    pub capacity: u64,
    /// What becomes of idle shares.
    pub idle: Idle,
    /// How much of what a node can allocate the pool leaves free there, in percent (100 at most).
    pub node_reserve: u8,
    /// The members, by name: ties go to the earlier.
    pub members: Vec<MemberClaim>,
    /// The pods of all members, those of the first member first, each member's by name: ties go to the earlier.
    pub pods: Vec<PodClaim>,
}

/// What becomes of the part of a share that its owner has no use for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Idle {
    /// It stays with its owner.
    #[default]
    Kept,
    /// It is lent, as far as `MemberClaim::lend` goes; what no pod on the node needs is not requested.
    Lent,
    /// It is lent; what no pod on the node needs is held by all in proportion to weight.
    Spread,
}

/// A member of a pool as the division sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemberClaim {
    /// Its weight beside the other members, all its pods together.
    pub weight: u64,
    /// What it is to have before weights count. It is never lent.
    pub min: u64,
    /// What it is not to exceed. None: no limit of its own.
    pub max: Option<u64>,
    /// The percentage of its idle share above its min that it lends (100 at most).
    pub lend: u8,
    /// How many of the pool's pods are its own. A member without pods takes no part.
    pub pods: usize,
}

/// A pod of a member as the division sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PodClaim {
    /// Its weight beside the other pods of its member.
    pub weight: u64,
    /// The least that it can be given.
    pub floor: u64,
    /// The most that it can take. None: all there is.
    pub cap: Option<u64>,
    /// The node that it is on: its place among the nodes. None: it has none yet.
    pub node: Option<u32>,
    /// Its charge when it was bound to that node.
    pub started: u64,
    /// What it needs.
    pub demand: Demand,
    /// What it asks for now: what it is charged once that is carried out. (What is on its way must not count: it moves
    /// with every answer, and the shares would move with it.)
    pub requested: u64,
}

/// A pod that a member could get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Newcomer {
    /// The place of its member.
    pub member: usize,
    /// The weight that the member has beside the others once it is there.
    pub weight: u64,
    /// The pod: the last of its member's by name.
    pub pod: PodClaim,
}

/// How one pool was divided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Division {
    /// Whether there was enough.
    pub verdict: Verdict,
    /// For each member, in the order given.
    pub members: Vec<MemberDivision>,
    /// For each pod, in the order given. Nothing where the pool is too small.
    pub pods: Vec<PodDivision>,
}

/// Whether there is enough for what the members are to have at least.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verdict {
    /// There is.
    #[default]
    Fits,
    /// Minima (or floors) together exceed the pool: they are cut by weight, above the floors.
    Overcommitted,
    /// Not even the floors of the pods fit: nothing can be divided.
    TooSmall {
        /// The sum of the floors.
        needed: u128,
    },
}

/// What one member owns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemberDivision {
    /// Its fair share.
    pub fair: u64,
    /// What its fair share would be if nodes set no limit.
    pub by_weight: u64,
    /// Where that is more: the full node that would have to be freed.
    pub full_node: Option<u32>,
    /// Why that node is full.
    pub full_by: Full,
}

/// What one pod owns and holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PodDivision {
    /// Its fair share; those of a member sum to the member's.
    pub fair: u64,
    /// What its fair share would be if nodes set no limit.
    pub by_weight: u64,
    /// The least that it holds, however much of it others could use.
    pub least: u64,
    /// The most that it needs and may hold.
    pub most: u64,
    /// What it is to hold.
    pub share: u64,
}

/// Divides pools again and again, in buffers that are kept: no larger division than an earlier one allocates.
///
/// One pool is divided in three steps: [`own`](Self::own), then [`fit`](Self::fit) to the [`rooms`](Self::rooms) of its
/// nodes, then [`share`](Self::share).
#[derive(Debug, Default)]
pub struct Divider {
    filling: Filling,
    fair: Fair,
    rooms: Rooms,
    sharing: Sharing,
    /// What pools have on nodes, and what nodes hold for pools, where all are divided at once.
    presences: Vec<Option<Presence>>,
    there: Vec<(usize, usize, Presence)>,
    on_node: Vec<Presence>,
    split: Vec<Room>,
    held: Vec<(usize, usize, Room)>,
}

impl Divider {
    /// What the members and pods of a pool own by weight, min and max, if nodes set no limit. Written over `division`.
    pub fn own(&mut self, pool: &Pool, division: &mut Division) {
        self.fair.divide(&mut self.filling, pool, division);
    }

    /// What a node holds for each of the pools that have pods there, oldest first, whose stakes fit there together. Written over
    /// `rooms`.
    pub fn rooms(&mut self, node: &Node, there: &[Presence], rooms: &mut Vec<Room>) {
        self.rooms.split(&mut self.filling, node, there, rooms);
    }

    /// Fits what the members and pods of a pool own to the `rooms` of its nodes, by their places. What a full node cannot
    /// hold goes to those that have room elsewhere.
    pub fn fit(&mut self, pool: &Pool, rooms: &[Room], division: &mut Division) {
        self.rooms.fit(&mut self.fair, pool, rooms, division);
    }

    /// Lends what lies idle, on each node by itself: a pool's pods never hold more together than they own there.
    pub fn share(&mut self, pool: &Pool, rooms: &[Room], division: &mut Division) {
        self.sharing.share(&mut self.filling, pool, rooms, division);
    }

    /// Takes all steps for all `pools`, whose pods are on `nodes`, and writes the results over `divisions`.
    ///
    /// The fair shares of a member's pods sum to its own, those of all to the capacity or to all that the members and
    /// their nodes can take, exactly.
    pub fn divide(&mut self, pools: &[Pool], nodes: &[Node], divisions: &mut Vec<Division>) {
        divisions.resize_with(pools.len(), Division::default);
        self.there.clear();
        for (k, (pool, division)) in pools.iter().zip(&mut *divisions).enumerate() {
            self.fair.divide(&mut self.filling, pool, division);
            pool.presences(nodes.len(), division, &mut self.presences);
            let there = self.presences.iter().enumerate();
            self.there.extend(there.filter_map(|(node, it)| Some((node, k, (*it)?))));
        }
        self.there.sort_unstable_by_key(|&(node, pool, _)| (node, pool));
        self.held.clear();
        for there in self.there.chunk_by(|a, b| a.0 == b.0) {
            let node = &nodes[there[0].0];
            self.on_node.clear();
            self.on_node.extend(there.iter().map(|(_, _, presence)| *presence));
            self.rooms.fit_stakes(&mut self.filling, node, &mut self.on_node);
            self.rooms.split(&mut self.filling, node, &self.on_node, &mut self.split);
            let held = there.iter().zip(&self.split);
            self.held.extend(held.map(|(&(node, pool, _), room)| (pool, node, *room)));
        }
        self.held.sort_unstable_by_key(|&(pool, node, _)| (pool, node));
        let mut held = self.held.iter().peekable();
        for (k, (pool, division)) in pools.iter().zip(divisions).enumerate() {
            self.split.clear();
            self.split.resize(nodes.len(), Room::default());
            while let Some((_, node, room)) = held.next_if(|(pool, ..)| *pool == k) {
                self.split[*node] = *room;
            }
            self.rooms.fit(&mut self.fair, pool, &self.split, division);
            self.sharing.share(&mut self.filling, pool, &self.split, division);
        }
    }

    /// What one more pod would own, as far as nodes set no limit: its node is not known yet. None: not even the floors
    /// of all pods would fit then.
    pub fn one_more(&mut self, pool: &Pool, newcomer: &Newcomer) -> Option<u64> {
        self.fair.one_more(&mut self.filling, pool, newcomer)
    }
}

/// Divides pools, for one time only.
#[must_use]
pub fn divide(pools: &[Pool], nodes: &[Node]) -> Vec<Division> {
    let mut divisions = Vec::with_capacity(pools.len());
    Divider::default().divide(pools, nodes, &mut divisions);
    divisions
}

impl Pool {
    /// What its members are to have at least, together: their minima, and the floors of their pods.
    #[must_use]
    pub fn least(&self) -> u64 {
        let of = |(member, pods): (&MemberClaim, Range<usize>)| {
            let floors = self.pods[pods.clone()].iter().map(|pod| pod.floor);
            let floors = floors.fold(0, u64::saturating_add);
            let min = if pods.is_empty() { 0 } else { member.min };
            min.min(member.max.unwrap_or(u64::MAX)).max(floors)
        };
        self.runs().map(of).fold(0, u64::saturating_add)
    }

    /// What its pods have on each of so many nodes, as they were divided without node limits, is written over `presences`.
    /// None: it has no pods there.
    pub fn presences(
        &self,
        nodes: usize,
        division: &Division,
        presences: &mut Vec<Option<Presence>>,
    ) {
        presences.clear();
        presences.resize(nodes, None);
        for (pod, share) in self.pods.iter().zip(&division.pods) {
            let Some(presence) = pod.node.and_then(|node| presences.get_mut(node as usize)) else {
                continue;
            };
            let reserve = self.node_reserve;
            let presence = presence.get_or_insert(Presence { reserve, ..Presence::default() });
            presence.owned = presence.owned.saturating_add(share.fair);
            presence.stake = presence.stake.saturating_add(pod.stake(share.fair));
            presence.floor = presence.floor.saturating_add(pod.floor);
            presence.requested = presence.requested.saturating_add(pod.requested);
        }
    }

    /// Each member with the places of its pods.
    fn runs(&self) -> impl Iterator<Item = (&MemberClaim, Range<usize>)> {
        let mut end = 0;
        self.members.iter().map(move |member| {
            let start = end;
            end += member.pods;
            (member, start..end)
        })
    }
}

impl PodClaim {
    /// What other pools cannot take from it, if it would own `fair` without node limits.
    #[must_use]
    pub fn stake(&self, fair: u64) -> u64 {
        fair.min(self.started)
    }

    /// The most that it can take of a pool of `capacity`.
    fn most(&self, capacity: u64) -> u64 {
        self.cap.unwrap_or(capacity).max(self.floor)
    }

    /// What it claims of its member's share, in a pool of `capacity`.
    fn claim(&self, capacity: u64) -> Claim {
        Claim { weight: self.weight, lo: self.floor, hi: self.most(capacity) }
    }
}

/// So many percent (100 at most) of an amount, rounded down.
pub(super) fn percent(percent: u8, amount: u64) -> u64 {
    let percent = u64::from(percent.min(100));
    amount / 100 * percent + amount % 100 * percent / 100
}
