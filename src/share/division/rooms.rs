//! Who owns what where nodes are short of room: the first stage, fitted to what the nodes can hold.

use std::cmp::Reverse;

use super::{Bounds, Claim, Division, Fair, Filling, Fitting, PodDivision, Pool, Wish, percent};

/// A node as the division sees it, in units of the resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// What it can allocate. None: it is not known, and sets no limit.
    pub allocatable: Option<u64>,
    /// What pods are charged there that are not divided.
    pub others: u64,
    /// Room that is to be free there for pods that are to come.
    pub reserved: u64,
    /// How much of what is free there above all stakes the pools can own, in percent (100 at most). None: all of it.
    pub above_stakes: Option<u8>,
}

/// What the pods of one pool have on one node, together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Presence {
    /// What they would own there, if nodes set no limit.
    pub owned: u64,
    /// What no other pool can take from them: the sum of their stakes.
    pub stake: u64,
    /// The least that they can be given.
    pub floor: u64,
    /// What they ask for now.
    pub requested: u64,
    /// How much of what the node can allocate the pool leaves free, in percent (100 at most).
    pub reserve: u8,
    /// The tree that the pool is in, by any number. Beside other pools, those of one tree are like a single one. Among themselves
    /// they have no stakes: what they own decides, and so the weights of the tree.
    pub tree: Option<u32>,
}

/// What keeps pods from owning more on a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Full {
    /// The charges of the pods there.
    #[default]
    Charges,
    /// The part that the pool leaves free ([`Presence::reserve`]).
    Reserve,
    /// The bound on what pools can own above the stakes ([`Node::above_stakes`]).
    Stakes,
}

/// What a node holds for one pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// The most that the pool's pods can own there together.
    pub amount: u64,
    /// That is less than they would own if nodes set no limit.
    pub short: bool,
    /// How much more all pools would own there than the node has room for.
    pub lacks: u64,
    /// Why it is short, if it is.
    pub full_by: Full,
    /// The node is over, and the pool has no more there than its part of it. Its pods lend nothing: they could not take it
    /// back, and what they own there would go down with what they lend.
    pub kept: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { amount: u64::MAX, short: false, lacks: 0, full_by: Full::default(), kept: false }
    }
}

/// The buffers of the fitting.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    amounts: Vec<u64>,
    wishes: Vec<Wish>,
    bounds: Vec<Bounds>,
    shares: Vec<u64>,
    claims: Vec<Claim>,
    parts: Vec<u64>,
    filled: Vec<u64>,
    /// The pools outside trees, and each tree as one pool.
    joined: Vec<Presence>,
    /// Which of these each pool belongs to.
    places: Vec<usize>,
    of_joined: Vec<u64>,
    fitting: Fitting,
}

impl Node {
    /// What it can hold for the pods of all pools, less what a pool leaves free there: pods to come may have that.
    fn room(&self, reserve: u8) -> Option<u64> {
        let kept = percent(100 - reserve.min(100), self.allocatable?).saturating_sub(self.others);
        Some(kept.min(self.all()?))
    }

    /// Its room for the pods of all pools, if none were left free. Unlimited if it is not known what it can allocate.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.allocatable.unwrap_or(u64::MAX).saturating_sub(self.others)
    }

    /// How much of a room pools can own whose stakes sum to `stakes`.
    fn bounded(&self, room: u64, stakes: u64) -> u64 {
        let free = room.saturating_sub(stakes);
        self.above_stakes.map_or(room, |part| (room - free) + percent(part, free))
    }

    /// What it can hold for the pods of all pools, whatever a pool leaves free.
    fn all(&self) -> Option<u64> {
        self.allocatable.map(|_| self.whole().saturating_sub(self.reserved))
    }
}

impl Rooms {
    /// Cuts stakes that exceed the node, in proportion: here it is not known whose pods were bound first.
    pub fn fit_stakes(&mut self, filling: &mut Filling, node: &Node, there: &mut [Presence]) {
        let by_stake = there.iter().map(|it| Claim {
            weight: it.stake,
            lo: it.floor.min(it.stake),
            hi: it.stake,
        });
        self.fill(filling, by_stake, node.whole());
        there.iter_mut().zip(&self.parts).for_each(|(it, &part)| it.stake = part);
    }

    /// Works out what a node holds for each of the pools `there`, and writes it over `rooms`.
    ///
    /// Each pool first keeps its stake; pods that wait for room never reduce that. See [`parts`](Self::parts) for the rest. What a
    /// pool can have depends on nothing else of the others, and no room is promised twice. A node on which pods ask for more than
    /// any of the pools may fill is left as it is: they neither grow there nor have to shrink, but for pods that wait for room.
    /// Where the node bounds what is owned above the stakes, it is full from there on.
    pub fn split(
        &mut self,
        filling: &mut Filling,
        node: &Node,
        there: &[Presence],
        rooms: &mut Vec<Room>,
    ) {
        rooms.clear();
        rooms.resize(there.len(), Room::default());
        let sum = |of: fn(&Presence) -> u64| there.iter().map(of).fold(0, u64::saturating_add);
        let (owned, requested) = (sum(|it| it.owned), sum(|it| it.requested));
        let stakes = sum(|it| it.stake).min(node.whole());
        // What the pools have there together is within what the least reserve of them leaves.
        let least_reserve = there.iter().map(|it| it.reserve).min().unwrap_or(0);
        let mut split = None;
        for (place, mine) in there.iter().enumerate() {
            let Some(room) = node.room(mine.reserve).map(|it| it.max(stakes)) else { continue };
            let whole = node.bounded(room, stakes);
            let least = node.room(least_reserve).map(|it| node.bounded(it, stakes));
            let over = owned > whole && least.is_some_and(|it| requested > it);
            let all = node.all().unwrap_or(whole).max(stakes);
            let left = over && (node.reserved == 0 || requested <= all);
            let held = if over && !left { all } else { whole };
            if split != Some(held) {
                self.parts(filling, there, held);
                split = Some(held);
            }
            let part = self.parts.get(place).copied().unwrap_or(0);
            let amount = if left { mine.requested } else { part }.max(mine.floor);
            rooms[place] = Room {
                amount,
                short: amount < mine.owned,
                lacks: owned.saturating_sub(whole),
                full_by: match node.all() {
                    _ if whole < room => Full::Stakes,
                    Some(all) if owned <= all => Full::Reserve,
                    _ => Full::Charges,
                },
                kept: left && mine.requested <= part,
            };
        }
    }

    /// Splits `held` among the pools. Where they own more than that, each tree is like a single pool, and its part is split
    /// by what its pools own, but for their floors.
    fn parts(&mut self, filling: &mut Filling, there: &[Presence], held: u64) {
        let owned = there.iter().map(|it| it.owned).fold(0, u64::saturating_add);
        if owned <= held {
            let by_owned = |it: &Presence| Claim { weight: it.owned, lo: it.floor, hi: u64::MAX };
            self.fill(filling, there.iter().map(by_owned), held);
            return;
        }
        self.join(there);
        let joined = std::mem::take(&mut self.joined);
        self.by_stakes(filling, &joined, held);
        if joined.len() < there.len() {
            let mut of_joined = std::mem::take(&mut self.of_joined);
            std::mem::swap(&mut of_joined, &mut self.parts);
            let mut parts = vec![0; there.len()];
            for (place, &part) in of_joined.iter().enumerate() {
                let inside = || (0..there.len()).filter(|&i| self.places[i] == place);
                self.claims.clear();
                self.claims.extend(inside().map(|i| Claim {
                    weight: there[i].owned,
                    lo: there[i].floor.min(there[i].owned),
                    hi: there[i].owned,
                }));
                filling.fill(&self.claims, part, &mut self.filled);
                inside().zip(&self.filled).for_each(|(i, &filled)| parts[i] = filled);
            }
            (self.parts, self.of_joined) = (parts, of_joined);
        }
        self.joined = joined;
    }

    /// Makes each tree a single pool.
    fn join(&mut self, there: &[Presence]) {
        self.joined.clear();
        self.places.clear();
        for it in there {
            let known = it.tree.and_then(|_| self.joined.iter().position(|of| of.tree == it.tree));
            let Some(place) = known else {
                self.places.push(self.joined.len());
                self.joined.push(*it);
                continue;
            };
            self.places.push(place);
            let of = &mut self.joined[place];
            of.owned = of.owned.saturating_add(it.owned);
            of.stake = of.stake.saturating_add(it.stake);
            of.floor = of.floor.saturating_add(it.floor);
        }
    }

    /// Splits `held` among pools that own more: up to what they own, first by their stakes, then by their floors; what is left
    /// then, by what they own.
    fn by_stakes(&mut self, filling: &mut Filling, there: &[Presence], held: u64) {
        // A pod can have a floor and no stake. Where there is room for all floors they come before what is above the stakes.
        let least = |it: &Presence| it.stake.max(it.floor).min(it.owned);
        let all_fit = there.iter().map(least).fold(0, u64::saturating_add) <= held;
        let least = |it: &Presence| if all_fit { least(it) } else { it.stake };
        let by_stake =
            there.iter().map(|it| Claim { weight: it.stake, lo: least(it), hi: it.owned });
        self.fill(filling, by_stake, held);
        let filled = std::mem::replace(&mut self.parts, std::mem::take(&mut self.filled));
        let by_floor = there.iter().zip(&filled).map(|(it, &filled)| Claim {
            weight: it.floor.max(1),
            lo: filled,
            hi: it.owned,
        });
        self.fill(filling, by_floor, held);
        self.filled = filled;
    }

    /// Fills these claims with `held`, and writes what each gets over `parts`.
    fn fill(&mut self, filling: &mut Filling, claims: impl Iterator<Item = Claim>, held: u64) {
        self.claims.clear();
        self.claims.extend(claims);
        filling.fill(&self.claims, held, &mut self.parts);
    }

    /// Fits what the members and pods of one pool own to the `rooms` of its nodes.
    pub fn fit(&mut self, fair: &mut Fair, pool: &Pool, rooms: &[Room], division: &mut Division) {
        if division.pods.is_empty() || !rooms.iter().any(|room| room.short) {
            return;
        }
        self.amounts.clear();
        self.amounts.extend(rooms.iter().map(|room| room.amount));
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
                // What finds no place on nodes is not for a pod that has none: asking for more, it would keep more room free for
                // itself there, and so find no place for even more.
                cap: pod.node.map_or(share.fair, |_| pod.most(pool.capacity)),
            }));
        }
        let total = division.members.iter().map(|member| member.fair).sum();
        self.fitting.fit(total, &self.bounds, &self.wishes, &self.amounts, &mut self.shares);
        for (share, &fair) in division.pods.iter_mut().zip(&self.shares) {
            *share = PodDivision { by_weight: share.by_weight, ..PodDivision::whole(fair) };
        }
        self.name_full_nodes(pool, rooms, division);
    }

    /// Sums up what the members own now, and names the node that keeps a member from owning more: of the full nodes that
    /// it is on, the one that lacks most.
    fn name_full_nodes(&self, pool: &Pool, rooms: &[Room], division: &mut Division) {
        for (i, (_, run)) in pool.runs().enumerate() {
            let member = &mut division.members[i];
            member.fair = division.pods[run.clone()].iter().map(|share| share.fair).sum();
            if member.fair >= member.by_weight {
                continue;
            }
            let full = pool.pods[run].iter().filter_map(|pod| pod.node);
            let full = full.filter(|&node| self.fitting.is_full(node as usize));
            member.full_node = full.max_by_key(|&node| (rooms[node as usize].lacks, Reverse(node)));
            member.full_by =
                member.full_node.map(|node| rooms[node as usize].full_by).unwrap_or_default();
        }
    }
}
