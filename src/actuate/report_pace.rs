//! How often pools are reported on: while a pool moves its status would follow every pod, and a pool that flaps would fill its
//! namespace with events. Pure: the time is passed in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use crate::{api::WeightedShareStatus, cluster::PoolId, engine::Notice};

/// How long the status of a pool that moves stands at least.
const STATUS: Duration = Duration::from_secs(5);
/// So many events of a pool are published in a minute.
const EVENTS: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// What was reported on pools of late.
#[derive(Debug, Default)]
pub struct ReportPace {
    pools: BTreeMap<PoolId, Reported>,
    /// What was reported on trees, by name.
    trees: BTreeMap<String, Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    status: Option<Instant>,
    /// When events were published in the last minute, the newest last.
    events: VecDeque<Instant>,
    /// How many were left out since.
    left_out: usize,
}

impl ReportPace {
    /// A status of a pool is sent.
    pub fn sent_status(&mut self, pool: &PoolId, now: Instant) {
        self.pools.entry(pool.clone()).or_default().status = Some(now);
    }

    /// A status of a tree is sent.
    pub fn sent_tree_status(&mut self, tree: &str, now: Instant) {
        // What is older delays nothing any more.
        self.trees.retain(|_, it| it.is_recent(now));
        self.trees.entry(tree.to_owned()).or_default().status = Some(now);
    }

    /// When a status of a tree may be sent. None: at once, as none was sent lately. There is always something that moves in it.
    #[must_use]
    pub fn next_tree_status(&self, tree: &str) -> Option<Instant> {
        self.trees.get(tree)?.status.map(|sent| sent + STATUS)
    }

    /// When this status may be sent. None: at once, as it is the first, or nothing of the pool moves any more.
    #[must_use]
    pub fn next_status(&self, pool: &PoolId, status: &WeightedShareStatus) -> Option<Instant> {
        self.pools.get(pool).filter(|_| status.is_reconciling())?.status.map(|sent| sent + STATUS)
    }

    /// Of these notices of a pool, those that are published now. Of the others the log tells, and the next one says how many.
    pub fn notices(&mut self, pool: &PoolId, notices: Vec<Notice>, now: Instant) -> Vec<Notice> {
        if notices.is_empty() {
            return notices;
        }
        let (published, left_out) = self.pools.entry(pool.clone()).or_default().admit(notices, now);
        for notice in left_out {
            info!(namespace = %pool.namespace, pool = %pool.name, "{}", notice.note);
        }
        published
    }

    /// Likewise of a tree.
    pub fn tree_notices(&mut self, tree: &str, notices: Vec<Notice>, now: Instant) -> Vec<Notice> {
        if notices.is_empty() {
            return notices;
        }
        let (published, left_out) =
            self.trees.entry(tree.to_owned()).or_default().admit(notices, now);
        for notice in left_out {
            info!(%tree, "{}", notice.note);
        }
        published
    }

    /// A pool is gone.
    pub fn forget(&mut self, pool: &PoolId) {
        self.pools.remove(pool);
    }
}

impl Reported {
    /// Which of these notices are published now, and which are left out.
    fn admit(&mut self, notices: Vec<Notice>, now: Instant) -> (Vec<Notice>, Vec<Notice>) {
        while self.events.front().is_some_and(|at| *at + MINUTE <= now) {
            self.events.pop_front();
        }
        let (mut published, room) = (notices, EVENTS - self.events.len());
        let left_out = published.split_off(room.min(published.len()));
        if let Some(first) = published.first_mut().filter(|_| self.left_out > 0) {
            first.note +=
                &format!(" (Events before it that are only in the log: {}.)", self.left_out);
            self.left_out = 0;
        }
        self.left_out += left_out.len();
        self.events.extend(published.iter().map(|_| now));
        (published, left_out)
    }

    /// Whether a report is so recent that it still delays the next one.
    fn is_recent(&self, now: Instant) -> bool {
        let status = self.status.is_some_and(|sent| sent + STATUS > now);
        status || self.events.back().is_some_and(|at| *at + MINUTE > now)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;
    use crate::api::condition::RECONCILING;

    fn status(reconciling: &str) -> WeightedShareStatus {
        let condition = serde_json::json!({
            "type": RECONCILING, "status": reconciling, "reason": "Moving", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let condition: Condition = serde_json::from_value(condition).unwrap();
        WeightedShareStatus { conditions: vec![condition], ..WeightedShareStatus::default() }
    }

    #[test]
    fn the_first_and_the_last_status_wait_for_nothing() {
        let (mut pace, pool, now) = (ReportPace::default(), PoolId::default(), Instant::now());
        assert_eq!(pace.next_status(&pool, &status("True")), None);
        pace.sent_status(&pool, now);
        assert_eq!(pace.next_status(&pool, &status("True")), Some(now + STATUS));
        assert_eq!(pace.next_status(&pool, &status("False")), None);
        pace.forget(&pool);
        assert_eq!(pace.next_status(&pool, &status("True")), None);
    }

    #[test]
    fn a_pool_that_flaps_publishes_ten_events_a_minute() {
        let (mut pace, pool, now) = (ReportPace::default(), PoolId::default(), Instant::now());
        let notices = |count: usize| -> Vec<Notice> {
            let notice =
                |i| Notice { warning: false, reason: "Resized".into(), note: format!("{i}") };
            (0..count).map(notice).collect()
        };
        assert_eq!(pace.notices(&pool, notices(7), now).len(), 7);
        assert_eq!(pace.notices(&pool, notices(7), now + MINUTE / 2).len(), 3);
        assert!(pace.notices(&pool, notices(2), now + MINUTE / 2).is_empty());
        // Those of a tree are counted by themselves.
        assert_eq!(pace.tree_notices("tree", notices(11), now + MINUTE / 2).len(), 10);
        let later = pace.notices(&pool, notices(2), now + MINUTE);
        assert_eq!(later[0].note, "0 (Events before it that are only in the log: 6.)");
        assert_eq!(later[1].note, "1");
    }
}
