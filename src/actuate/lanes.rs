//! Which of the writes that wait is sent next: first what pods hold, then what is said of it. Pure: the time is passed in.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Ended, Queue};

/// How many pods are resized at once, how many other writes are on their way beside them, and how many reports.
const RESIZES: usize = 8;
const OTHERS: usize = 4;
const REPORTS: usize = 4;
/// While pods are being resized reports wait for so long; then they are written one at a time.
const REPORTS_WAIT: Duration = Duration::from_secs(5);
/// A status that only tells a pool's progress waits longer, and until no pod has been resized for a while: by then the pool has
/// mostly arrived, and one status tells all.
const PROGRESS_WAITS: Duration = Duration::from_secs(60);
const CALM: Duration = Duration::from_secs(2);

/// Writes that wait for each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// What pods hold.
    Resizes,
    /// What goes with that: finalizers, virtual machines, last words.
    Others,
    /// What is said of pools.
    Reports,
    /// How far pools have come that are on their way.
    Progress,
}

/// The writes that wait, and how many are under way.
#[derive(Debug)]
pub struct Lanes<T> {
    resizes: Queue<T>,
    others: Queue<T>,
    reports: Queue<T>,
    progress: Queue<T>,
    /// Since when pods are resized without a break.
    moving_since: Option<Instant>,
    /// When pods were last seen being resized.
    moved_at: Option<Instant>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            resizes: Queue::new(RESIZES),
            others: Queue::new(OTHERS),
            reports: Queue::new(REPORTS),
            progress: Queue::new(REPORTS),
            moving_since: None,
            moved_at: None,
        }
    }
}

impl<T> Lanes<T> {
    /// Lets a write wait for its turn among those of its namespace.
    pub fn push(&mut self, lane: Lane, namespace: &str, write: T) {
        self.queue(lane).push(namespace, write);
    }

    /// The next write that may be sent now: it is under way then, until [`Lanes::done`].
    pub fn next(&mut self, now: Instant) -> Option<(Lane, T)> {
        for lane in [Lane::Resizes, Lane::Others] {
            if let Some((_, write)) = self.queue(lane).begin() {
                return Some((lane, write));
            }
        }
        if self.moves() {
            self.moving_since.get_or_insert(now);
            self.moved_at = Some(now);
            if self.reports.under_way() + self.progress.under_way() > 0 {
                return None;
            }
        } else {
            self.moving_since = None;
        }
        for lane in [Lane::Reports, Lane::Progress] {
            if self.not_before(lane).is_none_or(|at| at <= now)
                && let Some((_, write)) = self.queue(lane).begin()
            {
                return Some((lane, write));
            }
        }
        None
    }

    /// When the next of the reports that wait may be sent whatever else happens. None: none of them waits for a time to come.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = [(Lane::Reports, &self.reports), (Lane::Progress, &self.progress)];
        let waiting = waiting.into_iter().filter(|(_, queue)| !queue.is_empty());
        waiting.filter_map(|(lane, _)| self.not_before(lane)).filter(|at| *at > now).min()
    }

    fn moves(&self) -> bool {
        !self.resizes.is_empty() || self.resizes.under_way() > 0
    }

    /// When reports may be sent. None: at once.
    fn not_before(&self, lane: Lane) -> Option<Instant> {
        match (lane, self.moving_since) {
            (Lane::Resizes | Lane::Others, _) | (Lane::Reports, None) => None,
            (Lane::Reports, Some(since)) => Some(since + REPORTS_WAIT),
            (Lane::Progress, Some(since)) => Some(since + PROGRESS_WAITS),
            (Lane::Progress, None) => Some(self.moved_at? + CALM),
        }
    }

    /// A write of this namespace has ended.
    pub fn done(&mut self, lane: Lane, namespace: &str, how: Ended) {
        self.queue(lane).done(namespace, how);
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue<T> {
        match lane {
            Lane::Resizes => &mut self.resizes,
            Lane::Others => &mut self.others,
            Lane::Reports => &mut self.reports,
            Lane::Progress => &mut self.progress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lanes: &mut Lanes<u8>, now: Instant) -> Vec<(Lane, u8)> {
        std::iter::from_fn(|| lanes.next(now)).collect()
    }

    #[test]
    fn where_nothing_moves_all_that_waits_is_written() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        lanes.push(Lane::Progress, "shop", 1);
        lanes.push(Lane::Reports, "shop", 2);
        lanes.push(Lane::Reports, "shop", 3);
        let sent = all(&mut lanes, now);
        assert_eq!(sent, [(Lane::Reports, 2), (Lane::Reports, 3), (Lane::Progress, 1)]);
    }

    #[test]
    fn reports_wait_while_pods_are_resized_and_are_then_written_one_at_a_time() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        lanes.push(Lane::Reports, "shop", 2);
        lanes.push(Lane::Progress, "shop", 3);
        lanes.push(Lane::Reports, "shop", 4);
        lanes.push(Lane::Resizes, "shop", 1);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 1)]);
        assert_eq!(all(&mut lanes, start + REPORTS_WAIT / 2), []);
        for report in [2, 4] {
            assert_eq!(all(&mut lanes, start + REPORTS_WAIT), [(Lane::Reports, report)]);
            lanes.done(Lane::Reports, "shop", Ended::InTime);
        }
        assert_eq!(all(&mut lanes, start + REPORTS_WAIT), []);
        assert_eq!(all(&mut lanes, start + PROGRESS_WAITS), [(Lane::Progress, 3)]);
        lanes.done(Lane::Progress, "shop", Ended::InTime);

        // Once the resize is answered, only progress waits. The next resize starts the wait again.
        lanes.push(Lane::Progress, "shop", 5);
        lanes.push(Lane::Reports, "shop", 6);
        lanes.done(Lane::Resizes, "shop", Ended::InTime);
        let answered = start + PROGRESS_WAITS;
        assert_eq!(all(&mut lanes, answered), [(Lane::Reports, 6)]);
        lanes.done(Lane::Reports, "shop", Ended::InTime);
        assert_eq!(lanes.due(answered), Some(answered + CALM));
        lanes.push(Lane::Resizes, "shop", 7);
        lanes.push(Lane::Reports, "shop", 8);
        assert_eq!(all(&mut lanes, answered + CALM), [(Lane::Resizes, 7)]);
        assert_eq!(lanes.due(answered + CALM), Some(answered + CALM + REPORTS_WAIT));
    }

    #[test]
    fn progress_is_told_once_no_pod_has_been_resized_for_a_while() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        lanes.push(Lane::Progress, "shop", 1);
        lanes.push(Lane::Resizes, "shop", 2);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 2)]);
        lanes.done(Lane::Resizes, "shop", Ended::InTime);
        assert_eq!(all(&mut lanes, start + CALM / 2), []);
        lanes.push(Lane::Resizes, "farm", 3);
        assert_eq!(all(&mut lanes, start + CALM / 2), [(Lane::Resizes, 3)]);
        lanes.done(Lane::Resizes, "farm", Ended::InTime);
        assert_eq!(all(&mut lanes, start + CALM), []);
        assert_eq!(lanes.due(start + CALM), Some(start + CALM / 2 + CALM));
        assert_eq!(all(&mut lanes, start + CALM / 2 + CALM), [(Lane::Progress, 1)]);
        assert_eq!(lanes.due(start + CALM / 2 + CALM), None);
    }

    #[test]
    fn who_is_slow_without_end_holds_up_no_reports() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        lanes.push(Lane::Resizes, "slow", 1);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 1)]);
        let later = start + PROGRESS_WAITS;
        assert_eq!(all(&mut lanes, later), []);
        lanes.push(Lane::Progress, "shop", 2);
        assert_eq!(all(&mut lanes, later), [(Lane::Progress, 2)]);
    }
}
