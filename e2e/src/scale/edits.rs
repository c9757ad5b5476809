//! Edits of pools, against a bare loop of the same resizes.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    PATIENCE, Scale, bare_loop,
    leader::Leader,
    median, replicas,
    setting::{EACH, Heavier, PoolName, Sharing, Target, held},
};

/// How often what is quick is measured.
const TIMES: u32 = 10;

/// What the bare loop took, in seconds.
#[derive(Clone, Copy)]
pub struct Bare {
    /// For all pods.
    pub all: f64,
    /// For one pool, its grows after its shrinks.
    one: f64,
}

impl Scale {
    /// Measures the bare loop. The controller is stopped meanwhile.
    pub(super) async fn bare(&mut self) -> Result<Bare> {
        let client = bare_loop::client(&self.run_dir).await?;
        let one: Vec<PoolName> = vec![self.setting.aside.clone()];
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let (shrinks, grows) = stages(&one, self.turn());
            let began = Instant::now();
            for stage in [shrinks, grows] {
                self.confirmed.expect(stage.clone());
                bare_loop::resize(&client, stage).await?;
                self.confirmed.met(PATIENCE).await?;
            }
            took.push(began.elapsed().as_secs_f64());
        }
        let of_one = median(took);
        self.report.add("bare loop: one pool, grows after shrinks", of_one, "s", None);
        let mut took = Vec::new();
        for _ in 0..self.edits {
            let heavier = self.turn();
            let (shrinks, grows) = stages(&self.setting.pools, heavier);
            let all: Vec<_> = shrinks.into_iter().chain(grows).collect();
            self.confirmed.expect(all.clone());
            let began = Instant::now();
            bare_loop::resize(&client, all).await?;
            self.confirmed.met(PATIENCE).await?;
            took.push(began.elapsed().as_secs_f64());
        }
        let all = median(took);
        self.report.add("bare loop: all pools", all, "s", None);
        Ok(Bare { all, one: of_one })
    }

    /// All pools are new, and so is the controller.
    pub(super) async fn cold_start(&mut self) -> Result<()> {
        self.use_all();
        let heavier = self.turn();
        let pools = || self.setting.pools.iter().chain([&self.setting.aside]);
        self.setting.put(pools(), heavier, Sharing::Isolated).await?;
        self.confirmed.expect(held(pools(), heavier));
        let (began, since) = (Instant::now(), Timestamp::now());
        replicas(2).await?;
        self.confirmed.met(PATIENCE).await?;
        let took = began.elapsed().as_secs_f64();
        self.report.add("cold start: all pools settled after", took, "s", None);
        let leader = Leader::find()?;
        let cpu = leader.cpu_time()?.as_secs_f64();
        self.report.add("cold start: CPU time of the controller", cpu, "s", None);
        self.count_writes(since, "cold start: writes for each resize", None).await?;
        let (now, most) = leader.memory()?;
        self.report.add("memory after the start", now, "MiB", None);
        self.report.add("memory at most", most, "MiB", None);
        Ok(())
    }

    /// All pools are edited, one is edited.
    pub(super) async fn edits(&mut self, bare: Bare) -> Result<()> {
        let since = Timestamp::now();
        let (mut took, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..self.edits {
            let heavier = self.turn();
            self.confirmed.expect(held(&self.setting.pools, heavier));
            let (began, before) = (Instant::now(), Leader::find()?.cpu_time()?);
            self.setting.put(&self.setting.pools, heavier, Sharing::Isolated).await?;
            self.confirmed.met(PATIENCE).await?;
            took.push(began.elapsed().as_secs_f64());
            cpu.push((Leader::find()?.cpu_time()? - before).as_secs_f64());
        }
        let took = median(took);
        self.report.add("edit of all pools: settled after", took, "s", None);
        let bar = if self.report.pods < 5000 { 1.4 } else { 1.2 };
        self.report.add("  against the bare loop", took / bare.all, "x", Some(bar));
        self.report.add("  CPU time of the controller", median(cpu), "s", None);
        self.count_writes(since, "  writes for each resize", Some(1.3)).await?;

        let aside = [self.setting.aside.clone()];
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let heavier = self.turn();
            self.confirmed.expect(held(&aside, heavier));
            let began = Instant::now();
            self.setting.put(&aside, heavier, Sharing::Isolated).await?;
            self.confirmed.met(PATIENCE).await?;
            took.push(began.elapsed().as_secs_f64());
            sleep(Duration::from_secs(1)).await;
        }
        let bar = Some(bare.one + 0.25);
        self.report.add("edit of one pool: settled after (median)", median(took), "s", bar);
        Ok(())
    }

    /// One pool is edited while a pod of no pool changes as fast as the API server takes it, and all pools of another
    /// namespace are edited at once.
    pub(super) async fn storm(&mut self) -> Result<()> {
        let foreign = self.disturb();
        let team = self.setting.pools[0].namespace.clone();
        let theirs: Vec<PoolName> =
            self.setting.pools.iter().filter(|pool| pool.namespace == team).cloned().collect();
        let aside = [self.setting.aside.clone()];
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let heavier = self.turn();
            self.confirmed.expect(held(&aside, heavier));
            let edit_theirs = self.setting.put(&theirs, heavier, Sharing::Isolated);
            let edit_ours = async {
                // In the midst of the others.
                sleep(Duration::from_millis(500)).await;
                let began = Instant::now();
                self.setting.put(&aside, heavier, Sharing::Isolated).await?;
                self.confirmed.met(PATIENCE).await?;
                anyhow::Ok(began.elapsed().as_secs_f64())
            };
            let ((), settled) = tokio::try_join!(edit_theirs, edit_ours)?;
            took.push(settled);
            self.confirmed.expect(held(&theirs, heavier));
            self.confirmed.met(PATIENCE).await?;
        }
        let patched = foreign.end().await?;
        let most = took.iter().copied().fold(0.0, f64::max);
        self.report.add("storm: foreign patches in a second", patched, "", None);
        self.report.add("storm: one pool's edit settled after (median)", median(took), "s", None);
        self.report.add("storm: one pool's edit settled after (most)", most, "s", Some(2.0));
        Ok(())
    }

    /// Patches a foreign pod, one patch after the other.
    fn disturb(&self) -> Disturbance {
        let (namespace, name) = self.setting.foreign.clone();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let (began, mut count) = (Instant::now(), 0_u32);
            while stopped.try_recv().is_err() {
                count += 1;
                let label = json!({"metadata": {"labels": {"count": count.to_string()}}});
                pods.patch(&name, &PatchParams::default(), &Patch::Merge(label)).await?;
            }
            Ok(f64::from(count) / began.elapsed().as_secs_f64())
        });
        Disturbance { task, stop }
    }
}

/// Patches of a foreign pod that go on.
struct Disturbance {
    task: JoinHandle<Result<f64>>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Disturbance {
    /// Ends it, and says how many there were in a second.
    async fn end(self) -> Result<f64> {
        // If the task has failed, the channel is closed. Its error is returned below.
        let _ = self.stop.send(());
        self.task.await?
    }
}

/// What pods of pools come to have: those that shrink, and those that grow.
fn stages(pools: &[PoolName], heavier: Heavier) -> (Vec<Target>, Vec<Target>) {
    held(pools, heavier).into_iter().partition(|(_, held)| *held < EACH)
}
