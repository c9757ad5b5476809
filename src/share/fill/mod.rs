//! Water-filling: an amount goes to claims in proportion to their weights, each within its bounds.

mod level;
#[cfg(test)]
mod tests;

use level::{Level, Search};

/// One claim on an amount, in units of it (millicores or bytes).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Claim {
    /// How heavily it draws beside the others. A claim of weight zero stays at its lower bound.
    pub weight: u64,
    /// The least it gets, while there is enough for everyone's least.
    pub lo: u64,
    /// The most it gets, `lo` or more.
    pub hi: u64,
}

/// Fills again and again, in buffers that are kept: a call no larger than an earlier one allocates nothing.
#[derive(Debug, Default)]
pub struct Filling {
    search: Search,
    /// The remainder of each claim that rounding down cut something from, else zero.
    remainders: Vec<u64>,
    /// A copy of them, to find the largest.
    ranked: Vec<u64>,
}

impl Filling {
    /// Divides `total` over `claims`: `x_i = clamp(L * w_i, lo_i, hi_i)` with the one level L that makes
    /// `sum x = min(total, sum hi)`. Where the lower bounds alone exceed `total`, `x_i = lo_i * total / sum lo`.
    /// The shares are written over `shares`, in the order of the claims.
    ///
    /// Whole units go by largest remainder, ties to the earlier claim, so the sum is exact; only a claim of
    /// weight zero, which never rises above `lo`, can leave something over. Weights that sum to 2^63 or more
    /// are first divided by a power of two.
    ///
    /// This is weighted max-min fairness, and the maximiser of `sum w_i log x_i` within the bounds. It takes
    /// linear time, but where the claims are in an order that misleads a sample: O(n log n) there.
    pub fn fill(&mut self, claims: &[Claim], total: u64, shares: &mut Vec<u64>) {
        // What is there already is written over: it need not be cleared.
        shares.resize(claims.len(), 0);
        if let [claim] = claims {
            shares[0] = total.min(claim.most());
            return;
        }
        let sums = Sums::of(claims);
        if sums.lo > u128::from(total) {
            cut(claims, sums.lo, total, shares);
        } else if sums.hi <= u128::from(total) {
            shares.iter_mut().zip(claims).for_each(|(share, claim)| *share = claim.most());
        } else {
            let shift = sums.shift(claims.len());
            let level = self.search.level(claims, total, shift);
            self.pour(claims, total, level, shift, shares);
        }
    }

    /// What each claim has at `level`, in whole units: rounded down, then one more by largest remainder.
    fn pour(&mut self, claims: &[Claim], total: u64, level: Level, shift: u32, shares: &mut [u64]) {
        let level = level.divisor();
        let Self { remainders, ranked, .. } = self;
        remainders.resize(claims.len(), 0);
        ranked.resize(claims.len(), 0);
        let (mut left, mut rounded) = (total, 0);
        // Without branches: which claims float is anybody's guess.
        for ((claim, share), kept) in claims.iter().zip(&mut *shares).zip(&mut *remainders) {
            let (whole, remainder) = level.of(claim.scaled(shift));
            *share = whole.max(claim.lo).min(claim.hi);
            // Rounded down, they hold no more than there is.
            left -= *share;
            // Only a claim that floats was rounded.
            *kept = remainder * u64::from((claim.lo <= whole) & (whole < claim.hi));
            ranked[rounded] = *kept;
            rounded += usize::from(*kept > 0);
        }
        // The remainders sum to what is left, and each is less than one unit.
        let left = rounded.min(left as usize);
        if left == 0 {
            return;
        }
        let (_, &mut least, larger) = ranked[..rounded].select_nth_unstable(rounded - left);
        let mut ties = left - larger.iter().filter(|&&remainder| remainder > least).count();
        for (share, &remainder) in shares.iter_mut().zip(&*remainders) {
            let tied = (remainder == least) & (ties > 0);
            ties -= usize::from(tied);
            *share += u64::from(tied | (remainder > least));
        }
    }
}

/// `Filling::fill` for one time only.
#[must_use]
pub fn fill(claims: &[Claim], total: u64) -> Vec<u64> {
    let mut shares = Vec::with_capacity(claims.len());
    Filling::default().fill(claims, total, &mut shares);
    shares
}

impl Claim {
    /// The most it can get: a claim without weight never rises.
    fn most(&self) -> u64 {
        if self.weight > 0 { self.hi } else { self.lo }
    }

    /// Its weight divided by 2^`shift`, but not to zero.
    fn scaled(&self, shift: u32) -> u64 {
        (self.weight >> shift).max(u64::from(self.weight > 0))
    }
}

/// What the claims have together.
struct Sums {
    lo: u128,
    hi: u128,
    weight: u128,
}

impl Sums {
    fn of(claims: &[Claim]) -> Self {
        let mut sums = Self { lo: 0, hi: 0, weight: 0 };
        for claim in claims {
            sums.lo += u128::from(claim.lo);
            sums.hi += u128::from(claim.most());
            sums.weight += u128::from(claim.weight);
        }
        sums
    }

    /// By how many bits weights are too long for sums of them below 2^63.
    fn shift(&self, claims: usize) -> u32 {
        let bits = |sum: u128| u128::BITS - sum.leading_zeros();
        match bits(self.weight).saturating_sub(63) {
            0 => 0,
            // One more, for what is kept from becoming zero.
            _ => bits(self.weight + claims as u128).saturating_sub(62),
        }
    }
}

/// Cuts lower bounds that sum to `whole`, more than `total`, in proportion, by largest remainder.
fn cut(claims: &[Claim], whole: u128, total: u64, shares: &mut [u64]) {
    let product = |claim: &Claim| u128::from(claim.lo) * u128::from(total);
    // A quotient is at most `total`: no part exceeds the whole.
    for (share, claim) in shares.iter_mut().zip(claims) {
        *share = (product(claim) / whole) as u64;
    }
    let left = total - shares.iter().sum::<u64>();
    let mut ranked: Vec<usize> = (0..claims.len()).collect();
    ranked.sort_by_key(|&i| std::cmp::Reverse(product(&claims[i]) % whole));
    for i in ranked.into_iter().take(left as usize) {
        shares[i] += 1;
    }
}
