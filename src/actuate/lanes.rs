//! Which of the writes that wait is sent next: first what pods hold, then what is said of it. Pure: the time is passed in.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Ended, Queue};

/// How many pods are resized at once, how many other writes are on their way beside them, and how many reports.
const RESIZES: usize = 8;
const OTHERS: usize = 4;
const REPORTS: usize = 4;
/// While pods are being resized reports wait for so long; then one is written now and then, so that they take little of what
/// the API server has for resizes and for the kubelets that confirm them.
const REPORTS_WAIT: Duration = Duration::from_secs(5);
const NOW_AND_THEN: Duration = Duration::from_millis(100);
/// A status that only tells a pool's progress waits longer: by then the pool has mostly arrived, and one status tells all.
const PROGRESS_WAITS: Duration = Duration::from_secs(60);
/// Nothing waits any more once no pod has been resized for so long.
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
    /// None: no pod has been resized for a while.
    motion: Option<Motion>,
    /// When the last report was sent.
    reported_at: Option<Instant>,
}

/// Pods are being resized, or were a moment ago.
#[derive(Clone, Copy, Debug)]
struct Motion {
    since: Instant,
    ended: Option<Instant>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            resizes: Queue::new(RESIZES),
            others: Queue::new(OTHERS),
            reports: Queue::new(REPORTS),
            progress: Queue::new(REPORTS),
            motion: None,
            reported_at: None,
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
        self.see(now);
        for lane in [Lane::Reports, Lane::Progress] {
            if self.not_before(lane).is_none_or(|at| at <= now)
                && let Some((_, write)) = self.queue(lane).begin()
            {
                self.reported_at = Some(now);
                return Some((lane, write));
            }
        }
        None
    }

    /// When the next waiting report may be sent by time alone. None: no report waits for a later time.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = [(Lane::Reports, &self.reports), (Lane::Progress, &self.progress)];
        let waiting = waiting.into_iter().filter(|(_, queue)| !queue.is_empty());
        waiting.filter_map(|(lane, _)| self.not_before(lane)).filter(|at| *at > now).min()
    }

    /// Takes note of whether pods are being resized.
    fn see(&mut self, now: Instant) {
        let moves = !self.resizes.is_empty() || self.resizes.under_way() > 0;
        let is_over = |it: &Motion| it.ended.is_some_and(|at| at + CALM <= now);
        let motion = self.motion.take().filter(|it| !is_over(it));
        self.motion = match (motion, moves) {
            (None, false) => None,
            (None, true) => Some(Motion { since: now, ended: None }),
            (Some(motion), true) => Some(Motion { ended: None, ..motion }),
            (Some(motion), false) => Some(Motion { ended: motion.ended.or(Some(now)), ..motion }),
        };
    }

    /// When reports may be sent. None: at once.
    fn not_before(&self, lane: Lane) -> Option<Instant> {
        let Motion { since, ended } = *self.motion.as_ref()?;
        let wait = match lane {
            Lane::Resizes | Lane::Others => return None,
            Lane::Reports => REPORTS_WAIT,
            Lane::Progress => PROGRESS_WAITS,
        };
        let last = self.reported_at.map_or(since, |at| at + NOW_AND_THEN);
        let in_turn = last.max(since + wait);
        let Some(ended) = ended else { return Some(in_turn) };
        // After a short motion, reports do not wait for long.
        let calm = if lane == Lane::Progress { CALM } else { CALM.min(ended - since) };
        Some(in_turn.min(ended + calm))
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
    fn reports_wait_while_pods_are_resized_and_are_then_written_now_and_then() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        for report in [2, 4, 6] {
            lanes.push(Lane::Reports, "shop", report);
        }
        lanes.push(Lane::Progress, "shop", 3);
        lanes.push(Lane::Resizes, "shop", 1);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 1)]);
        assert_eq!(all(&mut lanes, start + REPORTS_WAIT / 2), []);
        assert_eq!(lanes.due(start + REPORTS_WAIT / 2), Some(start + REPORTS_WAIT));
        let mut at = start + REPORTS_WAIT;
        for report in [2, 4, 6] {
            assert_eq!(all(&mut lanes, at), [(Lane::Reports, report)]);
            at += NOW_AND_THEN;
        }
        assert_eq!(all(&mut lanes, at), []);
        assert_eq!(lanes.due(at), Some(start + PROGRESS_WAITS));
        assert_eq!(all(&mut lanes, start + PROGRESS_WAITS), [(Lane::Progress, 3)]);
    }

    #[test]
    fn once_no_pod_has_been_resized_for_a_while_all_is_told_and_the_next_resize_begins_anew() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        lanes.push(Lane::Progress, "shop", 1);
        lanes.push(Lane::Reports, "shop", 2);
        lanes.push(Lane::Resizes, "shop", 3);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 3)]);
        lanes.done(Lane::Resizes, "shop", Ended::InTime);
        assert_eq!(all(&mut lanes, start + CALM), []);
        // It goes on before the calm has come.
        let again = start + CALM + CALM / 2;
        lanes.push(Lane::Resizes, "farm", 4);
        assert_eq!(all(&mut lanes, again), [(Lane::Resizes, 4)]);
        lanes.done(Lane::Resizes, "farm", Ended::InTime);
        assert_eq!(all(&mut lanes, again), []);
        assert_eq!(lanes.due(again), Some(again + CALM));
        let calm = again + CALM;
        assert_eq!(all(&mut lanes, calm), [(Lane::Reports, 2), (Lane::Progress, 1)]);

        lanes.push(Lane::Resizes, "shop", 5);
        lanes.push(Lane::Reports, "shop", 6);
        assert_eq!(all(&mut lanes, calm), [(Lane::Resizes, 5)]);
        assert_eq!(lanes.due(calm), Some(calm + REPORTS_WAIT));
    }

    #[test]
    fn after_a_single_resize_nothing_but_progress_waits() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        let moment = Duration::from_millis(20);
        lanes.push(Lane::Progress, "shop", 1);
        lanes.push(Lane::Reports, "shop", 2);
        lanes.push(Lane::Resizes, "shop", 3);
        assert_eq!(all(&mut lanes, start), [(Lane::Resizes, 3)]);
        lanes.done(Lane::Resizes, "shop", Ended::InTime);
        assert_eq!(all(&mut lanes, start + moment), []);
        assert_eq!(all(&mut lanes, start + 2 * moment), [(Lane::Reports, 2)]);
        assert_eq!(lanes.due(start + 2 * moment), Some(start + moment + CALM));
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
