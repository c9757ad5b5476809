//! The most that was used of late: what a pod needs must not forget the busy minute after the quiet one.

use std::collections::VecDeque;

/// How long a use is remembered, in milliseconds: ten minutes.
const WINDOW: i64 = 600_000;
/// What a use rose to, the last so many samples say.
const RECENT: usize = 4;

/// The use of one resource over the last ten minutes, as far as the highest of it matters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Peak {
    /// Samples that are higher than all after them: the time in milliseconds, the use in its unit.
    falling: VecDeque<(i64, u64)>,
    /// Samples that are lower than all after them.
    rising: VecDeque<(i64, u64)>,
    /// When the first sample was taken, in milliseconds.
    since: Option<i64>,
    /// The last samples, the newest first.
    recent: [Option<(i64, u64)>; RECENT],
}

impl Peak {
    /// Takes a sample in: `used` at a time in milliseconds. One that is not newer than the last is left out, as
    /// sources repeat themselves. Says whether it was taken.
    ///
    /// When the last two samples are both under half of the peak, the busy time is over: they alone are remembered.
    pub fn take(&mut self, at: i64, used: u64) -> bool {
        if self.last().is_some_and(|(last, _)| at <= last) {
            return false;
        }
        self.recent.rotate_right(1);
        self.recent[0] = Some((at, used));
        while self.falling.pop_back_if(|&mut (_, lower)| lower <= used).is_some() {}
        self.falling.push_back((at, used));
        while self.falling.pop_front_if(|&mut (past, _)| past < at - WINDOW).is_some() {}
        while self.rising.pop_back_if(|&mut (_, higher)| higher >= used).is_some() {}
        self.rising.push_back((at, used));
        while self.rising.pop_front_if(|&mut (past, _)| past < at - WINDOW).is_some() {}
        self.since.get_or_insert(at);

        let quiet = |sample: (i64, u64)| sample.1 < self.highest().div_ceil(2);
        if let [Some(last), Some(before), ..] = self.recent
            && quiet(before)
            && quiet(last)
        {
            self.falling.retain(|&(past, _)| past >= before.0);
        }
        true
    }

    /// As [`take`](Self::take), of a sample that is a mean over the time since the last one, as that of CPU time is. Where
    /// that is under a quarter of the peak, three quarters of the time were quiet, and no second sample has to say so:
    /// it alone is remembered.
    pub fn take_mean(&mut self, at: i64, used: u64) -> bool {
        let before = self.highest();
        let taken = self.take(at, used);
        if taken && used < before.div_ceil(4) {
            self.falling.retain(|&(past, _)| past >= at);
        }
        taken
    }

    /// The highest use that is remembered. Zero where nothing was ever measured.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.falling.front().map_or(0, |&(_, used)| used)
    }

    /// The least use in the last `span` milliseconds, of ten minutes at most. None where it has not been measured for so
    /// long.
    #[must_use]
    pub fn throughout(&self, span: i64) -> Option<u64> {
        let from = self.last()?.0 - span.min(WINDOW);
        let within = self.rising.iter().find(|&&(at, _)| at >= from);
        within.filter(|_| self.since.is_some_and(|since| since <= from)).map(|&(_, used)| used)
    }

    /// The last sample: when, and how much. None where nothing was ever measured.
    #[must_use]
    pub fn last(&self) -> Option<(i64, u64)> {
        self.recent[0]
    }

    /// What the use rose to in the last four samples, by two thirds or more; zero where it did not. A sample is a mean, and
    /// of a pod that wakes, or wakes again and again, it shows only the part of the time in which the pod was awake.
    #[must_use]
    pub fn risen(&self) -> u64 {
        let (mut lowest, mut risen) = (u64::MAX, 0);
        for &(_, used) in self.recent.iter().rev().flatten() {
            lowest = lowest.min(used);
            if 3 * u128::from(used) >= 5 * u128::from(lowest) {
                risen = used.max(risen);
            }
        }
        risen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    fn peak(samples: &[(i64, u64)]) -> u64 {
        let mut peak = Peak::default();
        for &(second, used) in samples {
            peak.take(second * 1000, used);
        }
        peak.highest()
    }

    /// After these uses, one a millisecond.
    fn after(uses: &[u64], take: fn(&mut Peak, i64, u64) -> bool) -> Peak {
        let mut peak = Peak::default();
        for (at, &used) in (0..).zip(uses) {
            take(&mut peak, at, used);
        }
        peak
    }

    #[test]
    fn the_highest_of_ten_minutes() {
        assert_eq!(peak(&[]), 0);
        assert_eq!(peak(&[(0, 100), (15, 300), (30, 200)]), 300);
        assert_eq!(peak(&[(0, 100), (600, 60)]), 100);
        assert_eq!(peak(&[(0, 100), (601, 60)]), 60);
        // An answer that comes twice, or late, is no news.
        assert_eq!(peak(&[(15, 300), (15, 900), (0, 900), (30, 200)]), 300);
    }

    #[test]
    fn the_least_of_five_minutes_is_known_after_five_minutes() {
        let least = |samples: &[(i64, u64)]| {
            let mut peak = Peak::default();
            for &(second, used) in samples {
                peak.take(second * 1000, used);
            }
            peak.throughout(300_000)
        };
        assert_eq!([least(&[]), least(&[(0, 90)]), least(&[(0, 90), (299, 95)])], [None; 3]);
        assert_eq!(least(&[(0, 90), (150, 80), (300, 95)]), Some(80));
        assert_eq!(least(&[(0, 10), (150, 90), (301, 95)]), Some(90));
        assert_eq!(least(&[(0, 90), (300, 95), (315, 20), (330, 95)]), Some(20));
    }

    #[test]
    fn two_quiet_samples_end_a_busy_time() {
        assert_eq!(peak(&[(0, 100), (15, 20)]), 100);
        assert_eq!(peak(&[(0, 100), (15, 20), (30, 30)]), 30);
        assert_eq!(peak(&[(0, 100), (15, 49), (30, 10)]), 49);
        assert_eq!(peak(&[(0, 100), (15, 50), (30, 10)]), 100);
        assert_eq!(peak(&[(0, 1), (15, 0), (30, 0)]), 0);
        // One burst in between does not count as quiet.
        assert_eq!(peak(&[(0, 100), (15, 20), (30, 60), (45, 20)]), 100);
    }

    #[test]
    fn one_mean_that_is_low_enough_ends_a_busy_time() {
        let peak = |uses: &[u64]| after(uses, Peak::take_mean).highest();
        assert_eq!([peak(&[100, 24]), peak(&[100, 25]), peak(&[100, 45, 24])], [24, 100, 24]);
        assert_eq!([peak(&[100, 45, 30]), peak(&[100, 24, 90]), peak(&[0, 0])], [45, 90, 0]);
        // What is late is no mean of anything.
        let mut late = Peak::default();
        assert!(late.take_mean(15, 100) && !late.take_mean(15, 0));
        assert_eq!(late.highest(), 100);
    }

    #[test]
    fn who_wakes_is_seen_for_four_samples() {
        let risen = |uses: &[u64]| after(uses, Peak::take).risen();
        assert_eq!([risen(&[]), risen(&[0, 0]), risen(&[90]), risen(&[80, 120, 80, 120])], [0; 4]);
        assert_eq!([risen(&[0, 1]), risen(&[60, 100]), risen(&[61, 100])], [1, 100, 0]);
        // Who falls asleep does not wake; who has been awake for some time is steady.
        assert_eq!([risen(&[100, 50, 0, 0]), risen(&[100, 50, 1, 2])], [0, 2]);
        assert_eq!([risen(&[0, 90, 0, 0]), risen(&[0, 90, 100, 90])], [90, 100]);
        assert_eq!([risen(&[0, 90, 90, 90, 90]), risen(&[0, 90, 0, 0, 0])], [0; 2]);
        assert_eq!([risen(&[u64::MAX; 2]), risen(&[u64::MAX / 2, u64::MAX])], [0, u64::MAX]);
    }

    proptest! {
        #![proptest_config(cases(1))]

        /// As it is defined, over all samples at once.
        #[test]
        fn it_is_the_maximum_since_the_last_reset(
            samples in prop::collection::vec((1..200i64, 0..100u64), 0..40),
        ) {
            let (mut peak, mut at, mut kept) = (Peak::default(), 0, Vec::<(i64, u64)>::new());
            for (step, used) in samples {
                at += step * 1000;
                prop_assert!(peak.take(at, used));
                kept.push((at, used));
                kept.retain(|&(past, _)| past + 600_000 >= at);
                let highest = kept.iter().map(|it| it.1).max().unwrap_or(0);
                // A sample that is too old to be remembered can still be the one before the last.
                if let [.., before, last] = &kept[..] && before.1 * 2 < highest && last.1 * 2 < highest {
                    kept.drain(..kept.len() - 2);
                }
                prop_assert_eq!(peak.highest(), kept.iter().map(|it| it.1).max().unwrap_or(0));
                prop_assert_eq!(peak.last(), Some((at, used)));
                prop_assert!(!peak.take(at, used + 1));
            }
        }
    }
}
