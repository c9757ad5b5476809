//! Measurements that say the same, and demand that changes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    PATIENCE, Scale,
    leader::Leader,
    setting::{EACH, Heavier, PodName, PoolName, Sharing, held},
};
use crate::{audit, say::say};

/// How long nothing must happen for the controller to be quiet, and how long it is watched then.
const SETTLING: Duration = Duration::from_secs(45);
const QUIET: Duration = Duration::from_secs(60);
/// How soon all that wakes must have been given more.
const WAKING: Duration = Duration::from_secs(45);
/// What a pod uses that has nothing to do, in millicores.
const IDLE: u64 = 5;
/// Of so many pools, the first member of one has nothing to do.
const ONE_IDLE_OF: usize = 20;

impl Scale {
    /// Everything is measured every 15 s, and nothing changes.
    pub(super) async fn quiet(&mut self) -> Result<()> {
        let pools = || self.setting.pools.iter().chain([&self.setting.aside]);
        self.setting.put(pools(), Heavier::None, Sharing::Isolated).await?;
        self.confirmed.expect(held(pools(), Heavier::None));
        self.confirmed.met(PATIENCE).await?;
        self.setting.put(pools(), Heavier::None, Sharing::Lending).await?;
        self.settle().await?;
        let leader = Leader::find()?;
        let (since, before) = (Timestamp::now(), leader.cpu_time()?);
        sleep(QUIET).await;
        let cpu = 100.0 * (leader.cpu_time()? - before).as_secs_f64() / QUIET.as_secs_f64();
        self.report.add("quiet: CPU", cpu, "% ", Some(1.0));
        let written = self.written(since)?;
        self.report.add("quiet: writes in a minute", written.len() as f64, "", Some(0.0));
        for ((_, verb, resource), count) in audit::count(&written) {
            say(format_args!("    {verb} {resource}: {count}"));
        }
        let (now, most) = leader.memory()?;
        let bar = if self.report.pods <= 10_000 { 64.0 } else { 450.0 };
        self.report.add("quiet: memory", now, "MiB", Some(bar));
        self.report.add("quiet: memory at most", most, "MiB", Some(bar));
        Ok(())
    }

    /// Members that had nothing to do begin to work.
    pub(super) async fn demand(&mut self) -> Result<()> {
        let woken = self.idle();
        let began = tokio::time::Instant::now();
        let used = |pod: &PodName| self.confirmed.held(pod).map(|held| (pod.clone(), held));
        self.usage.set(woken.iter().filter_map(used).collect::<Vec<_>>());
        let lent = woken.iter().filter_map(|pod| self.confirmed.held(pod)).max();
        ensure!(lent.is_some_and(|most| most < EACH / 2), "nothing of idle pods is lent: {lent:?}");
        sleep(WAKING).await;
        let mut took = Vec::new();
        for pod in &woken {
            let changed = self.confirmed.changed(pod).filter(|changed| *changed > began);
            let changed = changed.with_context(|| format!("{} was not given more", pod.1))?;
            took.push((changed - began).as_secs_f64());
        }
        took.sort_by(f64::total_cmp);
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        self.report.add("demand: more is used, until the resize (p50)", at(50), "s", None);
        self.report.add("demand: more is used, until the resize (p99)", at(99), "s", None);
        Ok(())
    }

    /// The pods that have nothing to do.
    fn idle(&self) -> Vec<PodName> {
        let some: Vec<&PoolName> = self.setting.pools.iter().step_by(ONE_IDLE_OF).collect();
        let first = held(some, Heavier::First).into_iter().filter(|(_, held)| *held > EACH);
        first.map(|(pod, _)| pod).collect()
    }

    /// All pods use all that they have, but for those that have nothing to do.
    pub(super) fn use_all(&self) {
        let pools = self.setting.pools.iter().chain([&self.setting.aside]);
        self.usage.set(held(pools, Heavier::None));
        self.usage.set(self.idle().into_iter().map(|pod| (pod, IDLE)));
    }

    /// Waits until the controller has written nothing for a while.
    pub(super) async fn settle(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let since = Timestamp::now();
            sleep(SETTLING).await;
            if self.written(since)?.is_empty() {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "the controller is not quiet after {PATIENCE:?}");
        }
    }
}
