//! Who owns what where nodes are short of room: the first stage, fitted to what the nodes can hold.

use std::{cmp::Reverse, ops::Range};

use super::{Bounds, Claim, Division, Fair, Filling, Fitting, Node, PodShare, Pool, Wish, percent};

/// The buffers of the fitting.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// What all pods on a node own there, without node limits.
    loads: Vec<u64>,
    /// What each pool has on each node where it has pods, by node, then by pool.
    stakes: Vec<Stake>,
    /// The nodes where each pool has pods, pool by pool, and where those of a pool end.
    visits: Vec<u32>,
    ends: Vec<usize>,
    /// Where a pool's stake in a node is while its pods are looked through, one more than its place.
    places: Vec<u32>,
    /// What each node holds for the pool in hand.
    rooms: Vec<u64>,
    wishes: Vec<Wish>,
    bounds: Vec<Bounds>,
    shares: Vec<u64>,
    claims: Vec<Claim>,
    parts: Vec<u64>,
    fitting: Fitting,
}

/// What one pool has on one node.
#[derive(Clone, Copy, Debug)]
struct Stake {
    node: u32,
    pool: u32,
    /// What its pods own there without node limits.
    wanted: u64,
    /// What they own there: as much, until the pool was fitted.
    fair: u64,
    floor: u64,
    requested: u64,
    /// The node is over, and they have no more there than the pool's part of it.
    kept: bool,
}

impl Node {
    /// What it can hold for the pods of all pools, less what a pool leaves free there: pods to come may have that.
    fn room(&self, reserve: u8) -> Option<u64> {
        let kept = percent(100 - reserve.min(100), self.allocatable?).saturating_sub(self.others);
        Some(kept.min(self.all()?))
    }

    /// What it can hold for the pods of all pools, whatever a pool leaves free.
    fn all(&self) -> Option<u64> {
        Some(self.allocatable?.saturating_sub(self.others).saturating_sub(self.wanted))
    }
}

impl Rooms {
    /// Fits the fair shares of the pools to the nodes, the first pool first.
    ///
    /// Where all that is owned on a node fits there, a pool may rise into what the others leave; where it does not,
    /// the node's room is split in proportion to what the pools own there, and no room is promised twice. A node on
    /// which pods ask for more than any of the pools may fill is left as it is: they neither grow there nor have to
    /// shrink, but for pods that wait for room.
    pub fn fit(
        &mut self,
        filling: &mut Filling,
        fair: &mut Fair,
        pools: &[Pool],
        nodes: &[Node],
        divisions: &mut [Division],
    ) {
        self.stakes.clear();
        if !self.is_short(pools, nodes, divisions) {
            return;
        }
        self.stake(pools, nodes.len(), divisions);
        for (k, (pool, division)) in pools.iter().zip(divisions).enumerate() {
            if division.pods.is_empty() || !self.hold(filling, k as u32, pools, nodes) {
                continue;
            }
            self.fit_one(fair, pool, division);
            self.settle(k as u32, pool, nodes, division);
        }
    }

    /// Whether a node has too little room for what is owned there.
    fn is_short(&mut self, pools: &[Pool], nodes: &[Node], divisions: &[Division]) -> bool {
        self.loads.clear();
        self.loads.resize(nodes.len(), 0);
        let mut reserve = 0;
        for (pool, division) in pools.iter().zip(divisions) {
            reserve = reserve.max(pool.node_reserve);
            for (pod, share) in pool.pods.iter().zip(&division.pods) {
                if let Some(load) = pod.node.and_then(|node| self.loads.get_mut(node as usize)) {
                    *load = load.saturating_add(share.fair);
                }
            }
        }
        let short =
            |(node, load): (&Node, &u64)| node.room(reserve).is_some_and(|room| room < *load);
        nodes.iter().zip(&self.loads).any(short)
    }

    /// Adds up what each pool has on each node.
    fn stake(&mut self, pools: &[Pool], nodes: usize, divisions: &[Division]) {
        self.visits.clear();
        self.ends.clear();
        self.places.clear();
        self.places.resize(nodes, 0);
        for (k, (pool, division)) in pools.iter().zip(divisions).enumerate() {
            let first = self.visits.len();
            for (pod, share) in pool.pods.iter().zip(&division.pods) {
                let Some(node) = pod.node else { continue };
                let place = &mut self.places[node as usize];
                if *place as usize <= first {
                    self.stakes.push(Stake {
                        node,
                        pool: k as u32,
                        wanted: 0,
                        fair: 0,
                        floor: 0,
                        requested: 0,
                        kept: false,
                    });
                    self.visits.push(node);
                    *place = self.stakes.len() as u32;
                }
                let stake = &mut self.stakes[*place as usize - 1];
                stake.wanted = stake.wanted.saturating_add(share.fair);
                stake.floor = stake.floor.saturating_add(pod.floor);
                stake.requested = stake.requested.saturating_add(pod.requested);
                stake.fair = stake.wanted;
            }
            self.ends.push(self.visits.len());
        }
        self.stakes.sort_unstable_by_key(|stake| (stake.node, stake.pool));
    }

    /// Works out what each node holds for one pool. Returns whether one holds less than the pool owns there.
    fn hold(&mut self, filling: &mut Filling, k: u32, pools: &[Pool], nodes: &[Node]) -> bool {
        self.rooms.clear();
        self.rooms.resize(nodes.len(), u64::MAX);
        let mut short = false;
        let pool = &pools[k as usize];
        for visit in self.visits(k) {
            let there = stakes_of(&self.stakes, self.visits[visit]);
            let there = &mut self.stakes[there];
            let Some(place) = there.iter().position(|stake| stake.pool == k) else { continue };
            let mine = there[place];
            let node = mine.node as usize;
            let Some(whole) = nodes[node].room(pool.node_reserve) else { continue };
            if self.loads[node] <= whole {
                let others = there.iter().filter(|stake| stake.pool != k);
                let others = others.map(|stake| stake.fair).fold(0, u64::saturating_add);
                self.rooms[node] = whole.saturating_sub(others);
            } else {
                let requested =
                    there.iter().fold(0, |sum: u64, it| sum.saturating_add(it.requested));
                // What the pools have there together is within what the least reserve of them leaves.
                let most = there.iter().map(|it| pools[it.pool as usize].node_reserve).min();
                let over = nodes[node].room(most.unwrap_or(0)).is_some_and(|most| requested > most);
                let all = nodes[node].all().unwrap_or(whole);
                let left = over && (nodes[node].wanted == 0 || requested <= all);
                let whole = if over && !left { all } else { whole };
                self.claims.clear();
                self.claims.extend(there.iter().map(|stake| Claim {
                    weight: stake.wanted,
                    lo: stake.floor,
                    hi: u64::MAX,
                }));
                filling.fill(&self.claims, whole, &mut self.parts);
                let part = self.parts.get(place).copied().unwrap_or(0);
                self.rooms[node] = if left { mine.requested } else { part };
                there[place].kept = left && mine.requested <= part;
            }
            self.rooms[node] = self.rooms[node].max(mine.floor);
            short |= self.rooms[node] < mine.wanted;
        }
        short
    }

    /// Whether a node is over, and the pods of a pool have no more there than the pool's part of it. They lend nothing:
    /// they could not take it back, and what they own there would go down with what they lend.
    pub fn keeps(&self, k: usize, node: usize) -> bool {
        let there = &self.stakes[stakes_of(&self.stakes, node as u32)];
        there.iter().any(|stake| stake.pool as usize == k && stake.kept)
    }

    /// Fits one pool to the rooms.
    fn fit_one(&mut self, fair: &mut Fair, pool: &Pool, division: &mut Division) {
        self.bounds.clear();
        self.bounds
            .extend(fair.bounds(pool).iter().map(|claim| Bounds { lo: claim.lo, hi: claim.hi }));
        self.wishes.clear();
        for (member, (_, run)) in pool.runs().enumerate() {
            let pods = pool.pods[run.clone()].iter().zip(&division.pods[run]);
            self.wishes.extend(pods.map(|(pod, share)| Wish {
                member,
                node: pod.node.map(|node| node as usize),
                fair: share.fair,
                floor: pod.floor,
                cap: pod.most(pool.capacity),
            }));
        }
        let total = division.members.iter().map(|member| member.fair).sum();
        self.fitting.fit(total, &self.bounds, &self.wishes, &self.rooms, &mut self.shares);
        for (share, &fair) in division.pods.iter_mut().zip(&self.shares) {
            *share = PodShare { by_weight: share.by_weight, ..PodShare::whole(fair) };
        }
    }

    /// Notes what the pool owns now: its members, and on each node.
    fn settle(&mut self, k: u32, pool: &Pool, nodes: &[Node], division: &mut Division) {
        for (i, (_, run)) in pool.runs().enumerate() {
            let member = &mut division.members[i];
            member.fair = division.pods[run.clone()].iter().map(|share| share.fair).sum();
            if member.fair >= member.by_weight {
                continue;
            }
            // Of the full nodes that it is on, the one that lacks most.
            let full = pool.pods[run].iter().filter_map(|pod| pod.node);
            let full = full.filter(|&node| self.fitting.is_full(node as usize));
            member.full_node = full.max_by_key(|&node| {
                let room = nodes[node as usize].room(pool.node_reserve).unwrap_or(u64::MAX);
                (self.loads[node as usize].saturating_sub(room), Reverse(node))
            });
        }
        let mut owned = std::mem::take(&mut self.rooms);
        owned.fill(0);
        for (pod, share) in pool.pods.iter().zip(&division.pods) {
            if let Some(node) = pod.node {
                owned[node as usize] += share.fair;
            }
        }
        for visit in self.visits(k) {
            let node = self.visits[visit];
            let there = stakes_of(&self.stakes, node);
            for stake in self.stakes[there].iter_mut().filter(|stake| stake.pool == k) {
                stake.fair = owned[node as usize];
            }
        }
        self.rooms = owned;
    }

    /// Where the nodes of a pool are in `visits`.
    fn visits(&self, k: u32) -> Range<usize> {
        let end = |pool: usize| self.ends[pool];
        (k as usize).checked_sub(1).map_or(0, end)..end(k as usize)
    }
}

/// Where the stakes in a node are.
fn stakes_of(stakes: &[Stake], node: u32) -> Range<usize> {
    let start = stakes.partition_point(|stake| stake.node < node);
    start..start + stakes[start..].partition_point(|stake| stake.node == node)
}
