//! Water-filling with its level as an exact fraction, in buffers that are kept.

use std::cmp::Reverse;

use super::Claim;

/// A level, `over / under`: what every claim that floats gets per unit of weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub over: u64,
    pub under: u64,
}

impl Level {
    /// What a claim gets at this level, times `under`. Products of two u64 each: nothing overflows.
    pub fn of(self, claim: &Claim) -> u128 {
        let within = |bound| product(bound, self.under);
        product(claim.weight, self.over).max(within(claim.lo)).min(within(claim.hi))
    }
}

/// Fills claims as `fill` does, and says at what level.
#[derive(Debug, Default)]
pub(super) struct Water {
    claims: Vec<Claim>,
    /// Where claims begin to float (twice their index) and where they are full (one more), by level.
    turns: Vec<u32>,
    /// What each claim got.
    pub amounts: Vec<u64>,
    /// Of the claims that rounding down cut something from, that part and their index, the largest first.
    pub rests: Vec<(Reverse<u64>, u32)>,
}

impl Water {
    /// The level at which claims hold `total`, at least the sum of their lower bounds; if they cannot hold it,
    /// one at which all are full. The sum of their weights, and what they hold at any level up to it, fit a u64.
    pub fn level(&mut self, claims: impl Iterator<Item = Claim>, total: u64) -> Level {
        self.claims.clear();
        self.claims.extend(claims);
        let claims = &self.claims;
        let turn = |turn: u32| {
            let claim = &claims[turn as usize / 2];
            (if turn.is_multiple_of(2) { claim.lo } else { claim.hi }, claim.weight)
        };
        self.turns.clear();
        let drawing = (0u32..).zip(claims).filter(|(_, claim)| claim.weight > 0);
        self.turns.extend(drawing.flat_map(|(i, _)| [2 * i, 2 * i + 1]));
        self.turns.sort_unstable_by(|&s, &t| {
            let ((a, w), (b, v)) = (turn(s), turn(t));
            // At the same level a claim floats before it is full.
            product(a, v).cmp(&product(b, w)).then((s % 2).cmp(&(t % 2)))
        });

        let mut settled: u64 = claims.iter().map(|claim| claim.lo).sum();
        let (mut weight, mut level) = (0u64, Level { over: 0, under: 1 });
        for &next in &self.turns {
            let (amount, one) = turn(next);
            let rest = total.saturating_sub(settled);
            if rest == 0 || (weight > 0 && product(amount, weight) >= product(rest, one)) {
                break;
            }
            if next.is_multiple_of(2) {
                settled -= amount;
                weight += one;
            } else {
                settled += amount;
                weight -= one;
            }
            level = Level { over: amount, under: one };
        }
        if weight > 0 {
            level = Level { over: total.saturating_sub(settled), under: weight };
        }
        level
    }

    /// Rounds what the claims have at the level just found to whole units in `amounts`, by largest remainder.
    /// Returns how many of the first in `rests` got one more.
    pub fn round(&mut self, level: Level) -> usize {
        self.amounts.clear();
        self.rests.clear();
        let mut sum = 0u128;
        for (i, claim) in (0u32..).zip(&self.claims) {
            let (whole, rest) = split(level.of(claim), level.under);
            self.amounts.push(whole);
            if rest > 0 {
                self.rests.push((Reverse(rest), i));
                sum += u128::from(rest);
            }
        }
        let (left, _) = split(sum, level.under);
        self.rests.sort_unstable();
        for &(_, i) in &self.rests[..left as usize] {
            self.amounts[i as usize] += 1;
        }
        left as usize
    }

    /// Divides `total` over claims into `amounts`, each at least at its lower bound.
    pub fn pour(&mut self, claims: impl Iterator<Item = Claim>, total: u64) {
        let level = self.level(claims, total);
        self.round(level);
    }
}

pub(super) fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// The whole part, which fits a u64, and the remainder of `amount / under`.
fn split(amount: u128, under: u64) -> (u64, u64) {
    let under = u128::from(under);
    ((amount / under) as u64, (amount % under) as u64)
}
