//! What is known of a source: how often it measures, and whether it can be trusted now.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::SourceError;

/// What is measured after more than so many intervals is not trusted any more.
pub const STALE_INTERVALS: i32 = 3;
/// The shortest interval that is expected, in seconds: no source measures more often.
pub const SHORTEST: i64 = 15;
/// A source that was there is waited for so long.
const GONE: SignedDuration = SignedDuration::from_mins(10);

/// How far the signals of a kind can be trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// They are up to date.
    Fresh,
    /// They are too old, or have not come yet, and what rests on them stays as it is. Why, in words.
    Stale(String),
    /// There is no source of them. Why, in words.
    Absent(String),
}

impl Default for Freshness {
    fn default() -> Self {
        Self::Absent("no source measures it".to_owned())
    }
}

/// What is known of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Sources expected before it come first.
    pub rank: usize,
    /// What it measures.
    pub usage: bool,
    pub performance: bool,
    /// When its newest sample was taken.
    pub newest: Option<Timestamp>,
    /// Every how many seconds it is taken to measure, whatever its samples say.
    pub fixed: Option<i64>,
    /// How long the last two samples took, in milliseconds.
    gaps: [Option<i128>; 2],
    /// Why it gives nothing, since it does not.
    pub trouble: Option<SourceError>,
    /// What it says holds for ever: it was written down.
    pub timeless: bool,
}

/// The best that sources of one kind can say. Where all fail, each says why.
pub(super) fn freshness<'r>(
    sources: impl Iterator<Item = &'r Record>,
    now: Timestamp,
) -> Freshness {
    let mut best = Freshness::default();
    for record in sources {
        let this = record.freshness(now);
        match (&best, &this) {
            (Freshness::Fresh, _) | (Freshness::Stale(_), Freshness::Absent(_)) => {}
            (Freshness::Stale(one), Freshness::Stale(other)) if one != other => {
                best = Freshness::Stale(format!("{one}; {other}"));
            }
            _ => best = this,
        }
    }
    best
}

impl Record {
    /// One of which nothing is known but how many are asked before it.
    pub fn of_rank(rank: usize) -> Self {
        Self { rank, ..Self::default() }
    }

    pub fn note_gap(&mut self, gap: Option<i128>) {
        if let Some(gap) = gap.filter(|&gap| gap > 0) {
            self.gaps = [Some(gap), self.gaps[0]];
        }
    }

    /// Every how many seconds it measures: the shorter of the last two gaps, as an outage makes one of them long.
    pub fn interval(&self) -> i64 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let shortest =
            self.gaps.iter().flatten().min().and_then(|&gap| i64::try_from(gap / 1000).ok());
        // Whole steps of five: what follows from it must not move with every breath.
        (shortest.unwrap_or(SHORTEST).max(SHORTEST) + 2) / 5 * 5
    }

    /// When it may be seen differently, without another word of it: its newest sample gets too old, or was waited for long
    /// enough.
    pub fn turns(&self) -> impl Iterator<Item = Timestamp> {
        let after = [SignedDuration::from_secs(self.interval()) * STALE_INTERVALS, GONE];
        let newest = self.newest.filter(|_| !self.timeless);
        let moment = SignedDuration::from_nanos(1);
        newest.into_iter().flat_map(move |newest| after.map(|after| newest + after + moment))
    }

    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if self.timeless && self.trouble.is_none() {
            return Freshness::Fresh;
        }
        let age = self.newest.map(|newest| now.duration_since(newest));
        let limit = SignedDuration::from_secs(self.interval()) * STALE_INTERVALS;
        match (&self.trouble, age) {
            (Some(SourceError::Absent(why)), None) => Freshness::Absent(why.clone()),
            (_, Some(age)) if age <= limit => Freshness::Fresh,
            // Who had metrics-server a minute ago waits for it, unless it does not come back.
            (Some(SourceError::Absent(why)), Some(age)) if age > GONE => {
                Freshness::Absent(why.clone())
            }
            (Some(trouble), _) => Freshness::Stale(trouble.to_string()),
            (None, None) => Freshness::Stale("no measurement has arrived yet".to_owned()),
            (None, Some(_)) => Freshness::Stale("the newest measurement is too old".to_owned()),
        }
    }
}
