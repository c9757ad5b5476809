//! The members' levels, by decomposition along minimum cuts.

use std::ops::Range;

use super::{
    Fitting,
    water::{Level, product},
};

/// A part of the network whose members' levels are not known yet, and what those have together.
#[derive(Debug)]
pub(super) struct Part {
    members: Range<usize>,
    budget: u64,
}

impl Fitting {
    /// Gives every member its share of `total`.
    ///
    /// First everyone's least is made sure, or as much of it as there is room for: those who cannot have it are
    /// a part of their own, between floor and least; the others rise from their least.
    pub(super) fn level_members(&mut self, total: u64) {
        let above = |floor, share| u128::from(share - floor);
        let least = self.members.iter().map(|member| above(member.floor, member.claim.lo));
        self.network.start(1, (0..).zip(least));
        let secure = self.network.push();
        for &vertex in self.network.reached() {
            // A member, not a node.
            if let Some(member) = self.members.get_mut(vertex as usize) {
                (member.claim.lo, member.claim.hi) = (member.floor, member.claim.lo);
            }
        }
        self.order.clear();
        self.order.extend(0..self.members.len() as u32);
        let whole = Part { members: 0..self.order.len(), budget: total };
        self.parts.clear();
        if secure {
            self.parts.push(whole);
        } else {
            self.part(whole);
        }
        while let Some(part) = self.parts.pop() {
            self.settle(part);
        }
    }

    /// Raises the level of a part's members until their budget is spent. If the nodes have room for that, those
    /// are the shares. Otherwise those whom the narrowest set of nodes holds down have what it holds together,
    /// and the others what that leaves, each at a level of their own.
    fn settle(&mut self, part: Part) {
        let members = &self.order[part.members.clone()];
        let claims = members.iter().map(|&i| self.members[i as usize].claim);
        let level = self.water.level(claims, part.budget);
        let demands = members.iter().map(|&i| {
            let member = &self.members[i as usize];
            (i, level.of(&member.claim) - product(member.floor, level.under))
        });
        self.network.start(level.under, demands);
        if self.network.push() {
            self.round(&part, level);
        } else {
            self.part(part);
        }
    }

    /// Splits a part along the cut that was found.
    fn part(&mut self, part: Part) {
        let mut held = self.network.part();
        let members = &mut self.order[part.members.clone()];
        // Both sides stay in order.
        members.sort_unstable_by_key(|&i| (!self.network.is_reached(i), i));
        let middle = members.partition_point(|&i| self.network.is_reached(i));
        held += members[..middle].iter().map(|&i| self.members[i as usize].floor).sum::<u64>();
        let middle = part.members.start + middle;
        let budget = part.budget.saturating_sub(held);
        self.parts.push(Part { members: middle..part.members.end, budget });
        self.parts.push(Part { members: part.members.start..middle, budget: held });
    }

    /// Gives the members of a part what they have at a level, in whole units: rounded down, then one more by
    /// largest remainder to those with room for it, until the sum is what it was.
    fn round(&mut self, part: &Part, level: Level) {
        let left = self.water.round(level);
        for (&i, &amount) in self.order[part.members.clone()].iter().zip(&self.water.amounts) {
            self.members[i as usize].share = amount;
        }
        if left == 0 || self.place_shares(part) {
            return;
        }
        // Not all of the first have room. One by one: those that have none now will have none later.
        let member = |at: u32| self.order[part.members.start + at as usize];
        for &(_, at) in &self.water.rests[..left] {
            self.members[member(at) as usize].share -= 1;
        }
        self.place_shares(part);
        let mut left = left;
        for &(_, at) in &self.water.rests {
            let i = self.order[part.members.start + at as usize];
            if left > 0 && self.network.place_one(i) {
                self.members[i as usize].share += 1;
                left -= 1;
            }
        }
    }

    /// Whether the nodes have room for the shares of a part's members.
    fn place_shares(&mut self, part: &Part) -> bool {
        let demands = self.order[part.members.clone()].iter().map(|&i| {
            let member = &self.members[i as usize];
            (i, u128::from(member.share - member.floor))
        });
        self.network.start(1, demands);
        self.network.push()
    }
}
