//! The one level of the water. All amounts and weights are products of two u64: exact in a u128.

use super::Claim;

/// So few claims are sorted without further ado.
const FEW: usize = 128;

/// A level of the water: what a claim that floats has for each unit of weight is `over / under`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub over: u64,
    /// Above zero.
    pub under: u64,
}

/// Divides by the `under` of one level again and again.
#[derive(Clone, Copy)]
pub(super) struct Divisor {
    whole: u64,
    part: u64,
    under: u64,
    /// `part / under` in units of 2^-64, rounded down.
    reciprocal: u64,
}

impl Level {
    /// The level, made ready to be asked for many weights.
    pub fn divisor(self) -> Divisor {
        let (whole, part) = (self.over / self.under, self.over % self.under);
        let reciprocal = (u128::from(part) << 64) / u128::from(self.under);
        Divisor { whole, part, under: self.under, reciprocal: reciprocal as u64 }
    }

    /// This level in units of 2^-`FRACTION`, rounded down, as far as it fits.
    fn rounded(self) -> Rounded {
        let level = (u128::from(self.over) << FRACTION) / u128::from(self.under);
        Rounded(level.try_into().unwrap_or(u64::MAX))
    }
}

/// So many bits of a rounded level are behind the point: enough for a thousandth of a unit.
const FRACTION: u32 = 16;

/// A level near another one, quicker to ask.
#[derive(Clone, Copy)]
struct Rounded(u64);

impl Rounded {
    /// What a claim of `weight` has at this level, in units of 2^-`FRACTION`.
    fn of(self, weight: u64) -> u128 {
        product(weight, self.0)
    }
}

impl Divisor {
    /// What a claim of `weight` (below 2^63, as `under`) has at this level: whole units, as far as they fit a u64,
    /// and the remainder in units of 1 / `under`.
    pub fn of(self, weight: u64) -> (u64, u64) {
        // At most one less than the quotient of `weight * part / under`, so the remainder is below 2 * under.
        let quotient = (product(weight, self.reciprocal) >> 64) as u64;
        let remainder =
            weight.wrapping_mul(self.part).wrapping_sub(quotient.wrapping_mul(self.under));
        let over = remainder >= self.under;
        let whole = weight.saturating_mul(self.whole).saturating_add(quotient + u64::from(over));
        (whole, if over { remainder - self.under } else { remainder })
    }
}

/// Finds levels, in buffers that are kept.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The claims whose place at the level is not known yet.
    open: Open,
    /// Those of them that a narrower bracket leaves open.
    narrowed: Open,
    turns: Vec<Turn>,
}

/// Some claims, by their places: the first so many, or those of a list.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    list: Vec<u32>,
}

impl Open {
    fn len(&self) -> usize {
        if self.all > 0 { self.all } else { self.list.len() }
    }

    fn place(&self, i: usize) -> u32 {
        if self.all > 0 { i as u32 } else { self.list[i] }
    }

    /// Every `step`th place.
    fn every(&self, step: usize) -> impl Iterator<Item = usize> {
        (0..self.len()).step_by(step).map(|i| self.place(i) as usize)
    }
}

/// A point that a rising level passes: a claim begins to float, or is full.
#[derive(Clone, Copy, Debug)]
struct Turn {
    amount: u64,
    weight: u64,
    full: bool,
}

/// Claims whose place is known: what those at a bound have, and the weight of those that float.
#[derive(Clone, Copy, Default)]
struct Known {
    settled: u64,
    weight: u64,
}

impl Search {
    /// The level at which `claims`, their weights divided by 2^`shift`, hold `total`: at least the sum of their
    /// lower bounds, less than that of their upper ones.
    ///
    /// Sorts the points at which claims begin to float and are full, and walks along them. A sample of the
    /// claims says between which levels the true one will be, so that all but a few need no sorting; where it
    /// turns out that it is not between them, the claims are sorted after all.
    pub fn level(&mut self, claims: &[Claim], total: u64, shift: u32) -> Level {
        self.open.all = claims.len();
        self.open.list.clear();
        let mut known = Known::default();
        while self.open.len() > FEW {
            let Some(bracket) = self.guess(claims, known, total, shift) else { break };
            let Some(narrowed) = self.narrow(claims, known, bracket, total, shift) else { break };
            known = narrowed;
            std::mem::swap(&mut self.open, &mut self.narrowed);
            if self.open.len() > self.narrowed.len() / 2 {
                // Too many claims turn at much the same level: no sample tells them apart.
                break;
            }
        }
        self.sort_turns(claims, 1, shift);
        let least: u64 = self.open.every(1).map(|i| claims[i].lo).sum();
        self.walk(Known { settled: known.settled + least, ..known }, total).0
    }

    /// Two levels, between which the true one probably is, from a sample of the open claims.
    fn guess(
        &mut self,
        claims: &[Claim],
        known: Known,
        total: u64,
        shift: u32,
    ) -> Option<[Rounded; 2]> {
        // Some square roots: the more claims, the more it pays to know well where the level is.
        let step = (self.open.len().isqrt() / 4).max(1);
        let least: u128 = self.open.every(step).map(|i| u128::from(claims[i].lo)).sum();
        // What is known, and what there is, on the scale of the sample.
        let scaled = |amount: u64| amount / step as u64;
        let settled = u64::try_from(u128::from(scaled(known.settled)) + least).ok()?;
        let known = Known { settled, weight: scaled(known.weight) };
        self.sort_turns(claims, step, shift);
        if self.turns.is_empty() {
            // None of the sample has a weight: it says nothing.
            return None;
        }
        let (_, passed) = self.walk(known, scaled(total).max(settled));
        // How far the number of turns strays from what the sample says: three standard deviations.
        let margin = 3 * self.turns.len().isqrt() / 2;
        let turn = |at: usize| Level { over: self.turns[at].amount, under: self.turns[at].weight };
        let below = passed.checked_sub(margin).map_or(Level { over: 0, under: 1 }, turn);
        // Past the last turn of the sample, anything is possible.
        let above = match passed + margin {
            past if past >= self.turns.len() => Level { over: u64::MAX, under: 1 },
            at => turn(at),
        };
        Some([below.rounded(), above.rounded()])
    }

    /// Leaves in `narrowed` only the open claims whose place differs between the two levels; the others become
    /// known. None where the level for `total` is not between them.
    fn narrow(
        &mut self,
        claims: &[Claim],
        known: Known,
        [below, above]: [Rounded; 2],
        total: u64,
        shift: u32,
    ) -> Option<Known> {
        let Self { open, narrowed, .. } = self;
        narrowed.all = 0;
        let (narrowed, count) = (&mut narrowed.list, open.len());
        narrowed.resize(count, 0);
        let (mut settled, mut weight) = (u128::from(known.settled), u128::from(known.weight));
        let mut left = 0;
        // Without branches: which way a claim goes is anybody's guess.
        for i in (0..count).map(|i| open.place(i)) {
            let claim = &claims[i as usize];
            let one = claim.scaled(shift);
            let (lo, hi) = (u128::from(claim.lo), u128::from(claim.hi));
            let (least, most) = (below.of(one) >> FRACTION, above.of(one) >> FRACTION);
            let (low, full) = (most < lo, least >= hi);
            let floats = (least >= lo) & (most < hi);
            settled += if low { lo } else { hi } * u128::from(low | full);
            weight += u128::from(one * u64::from(floats));
            narrowed[left] = i;
            left += usize::from(!(low | full | floats));
        }
        narrowed.truncate(left);
        let known = Known { settled: settled.try_into().ok()?, weight: weight.try_into().ok()? };
        // Beyond 2^128 it is more than any total.
        let within = |amount: u64| u128::from(amount) << FRACTION;
        let holds = |level: Rounded| {
            let fixed = within(known.settled).saturating_add(level.of(known.weight));
            narrowed.iter().fold(fixed, |sum, &i| {
                let claim = &claims[i as usize];
                let floating = level.of(claim.scaled(shift));
                sum.saturating_add(floating.max(within(claim.lo)).min(within(claim.hi)))
            })
        };
        (holds(below) <= within(total) && holds(above) >= within(total)).then_some(known)
    }

    /// Lists the turns of every `step`th open claim, by level.
    fn sort_turns(&mut self, claims: &[Claim], step: usize, shift: u32) {
        self.turns.clear();
        for i in self.open.every(step) {
            let claim = &claims[i];
            let weight = claim.scaled(shift);
            if weight > 0 {
                self.turns.push(Turn { amount: claim.lo, weight, full: false });
                self.turns.push(Turn { amount: claim.hi, weight, full: true });
            }
        }
        // At the same level, a claim floats before it is full.
        self.turns.sort_unstable_by(|a, b| {
            let order = product(a.amount, b.weight).cmp(&product(b.amount, a.weight));
            order.then(a.full.cmp(&b.full))
        });
    }

    /// Raises the level along the turns until what is known and what floats holds `total`. Returns it, and how
    /// many turns it has passed. `known` counts every claim that has turns as being at its lower bound.
    fn walk(&self, known: Known, total: u64) -> (Level, usize) {
        let Known { mut settled, mut weight } = known;
        let mut level = Level { over: 0, under: 1 };
        for (passed, turn) in self.turns.iter().enumerate() {
            let rest = total.saturating_sub(settled);
            if weight > 0 && product(turn.amount, weight) >= product(rest, turn.weight) {
                return (Level { over: rest, under: weight }, passed);
            }
            if weight == 0 && rest == 0 {
                return (level, passed);
            }
            if turn.full {
                settled += turn.amount;
                weight -= turn.weight;
            } else {
                settled -= turn.amount;
                weight += turn.weight;
            }
            level = Level { over: turn.amount, under: turn.weight };
        }
        if weight > 0 {
            level = Level { over: total.saturating_sub(settled), under: weight };
        }
        (level, self.turns.len())
    }
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}
