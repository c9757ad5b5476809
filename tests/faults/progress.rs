//! Whether what is wanted is done: an edit is decided at once, what a decision wants is sent at once, and in the end nothing is
//! wanted any more.

use std::{collections::BTreeMap, time::Duration};

use weightedshare::engine::{Plan, PodResize};

use super::{
    cluster::{Cluster, Shared, with},
    fault::Fault,
    oracle::Oracle,
};

/// How soon an edit is decided after it was made.
const DECIDED: Duration = Duration::from_millis(250);
/// So long a decision may take, and the edit that comes in the middle of it is still decided in time.
const QUICK: Duration = Duration::from_millis(80);
/// How soon a resize is sent that decision after decision wants.
const SENT: Duration = Duration::from_secs(1);

/// What was decided so far.
#[derive(Default)]
pub struct Progress {
    /// By pool, the generations that decisions knew, each with the first time.
    decided: BTreeMap<(String, String), Vec<(i64, Duration)>>,
    /// The resizes that the last decision for each pool wanted, by pod and resource, and since when each is wanted.
    wanted: BTreeMap<(String, String), Wanted>,
}

/// Since when resizes are wanted, by pod and resource.
type Wanted = BTreeMap<(String, &'static str), Duration>;

/// Takes note of a decision that takes so long: which pools it knew, and what it wants.
pub fn note(shared: &Shared, known: &weightedshare::cluster::Cluster, plan: &Plan, took: Duration) {
    with(shared, |cluster| {
        let now = cluster.elapsed() + took;
        let Progress { decided, wanted } = &mut cluster.progress;
        for (id, pool) in known.pools() {
            let generations = decided.entry((id.namespace.clone(), id.name.clone())).or_default();
            let generation = pool.object.metadata.generation.unwrap_or_default();
            if generations.last().is_none_or(|(last, _)| *last != generation) {
                generations.push((generation, now));
            }
        }
        for id in &plan.gone {
            wanted.remove(&(id.namespace.clone(), id.name.clone()));
        }
        for (id, pool) in &plan.pools {
            let before = wanted.entry((id.namespace.clone(), id.name.clone())).or_default();
            let since = |resize: &PodResize| {
                let key = (resize.pod.clone(), resize.resource.name());
                let since = before.get(&key).copied().unwrap_or(now);
                (key, since)
            };
            *before = pool.resizes.iter().map(since).collect();
        }
    });
}

impl Cluster {
    /// A resize of a pod was asked for.
    pub fn note_sent(&mut self, namespace: &str, pod: &str) {
        for ((of, _), wanted) in &mut self.progress.wanted {
            if of == namespace {
                wanted.retain(|(name, _), _| name != pod);
            }
        }
    }

    /// Judges whether what was wanted was done.
    pub fn judge_progress(&mut self) {
        let mut found = Vec::new();
        // Not in runs in which the controller cannot see the edit, or is down.
        let quick = |fault: &Fault| match fault {
            Fault::Storm { .. } | Fault::SilentKubelet { .. } | Fault::FailingShrinks { .. } => {
                true
            }
            Fault::SlowDecisions { by, .. } => *by <= QUICK,
            _ => false,
        };
        if self.faults.iter().all(quick) {
            found.extend(self.late_decisions());
        }
        for ((namespace, pool), wanted) in &self.progress.wanted {
            for ((pod, resource), since) in
                wanted.iter().filter(|(_, at)| self.elapsed().saturating_sub(**at) > SENT)
            {
                found.push((
                    Oracle::FixedPoint,
                    format!("{namespace}/{pool}: {resource} of {pod} is to be resized since {since:?}, and is not"),
                ));
            }
        }
        for (oracle, what) in found {
            self.violate(oracle, what);
        }
    }

    /// The edits that were decided late.
    fn late_decisions(&self) -> Vec<(Oracle, String)> {
        let mut found = Vec::new();
        let mut known: BTreeMap<&(&str, String, String), i64> = BTreeMap::new();
        for logged in self.store.log.iter().filter(|it| it.key.0 == "weightedshares") {
            let generation = logged.object["metadata"]["generation"].as_i64().unwrap_or_default();
            let before = known.insert(&logged.key, generation);
            let by = logged.at + DECIDED;
            // Only edits count, and only those whose time has come.
            if logged.event != "MODIFIED" || before == Some(generation) || by > self.elapsed() {
                continue;
            }
            let pool = (logged.key.1.clone(), logged.key.2.clone());
            let decided = self.progress.decided.get(&pool).map(Vec::as_slice).unwrap_or_default();
            if !decided.iter().any(|(of, at)| *of >= generation && *at <= by) {
                let at = logged.at;
                let what = format!(
                    "{}/{}: the edit of {at:?} was decided late: {decided:?}",
                    pool.0, pool.1
                );
                found.push((Oracle::Progress, what));
            }
        }
        found
    }
}
