//! How the controller bears a large cluster, against a bare loop of the same resizes in the same run.

mod bare_loop;
mod confirmed;
mod demand;
mod edits;
mod leader;
mod report;
mod setting;
mod tree;
mod usage;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;
use kube::Client;
use tokio::time::sleep;

use self::{
    confirmed::Confirmed,
    report::Report,
    setting::{Heavier, Setting, held},
    usage::Usage,
};
use crate::{
    Cluster, audit, kubectl,
    operator::{self, NAMESPACE},
    run_dir::RunDir,
    say::say,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// How large the cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The pods in pools, ten in each. Half as many more are in none.
    pub pods: usize,
    /// How many namespaces the pools are in.
    pub namespaces: usize,
    /// How often all pools are edited.
    pub edits: u32,
}

/// Measures on the cluster of the environment, which must be one of our own, and writes the figures to a file.
///
/// # Errors
/// When something does not come up, or pods do not come to have what they should.
pub async fn run(size: Size, json: Option<PathBuf>) -> Result<()> {
    let mut scale = Scale::new(size).await?;
    let bare = scale.bare().await?;
    scale.cold_start().await?;
    scale.edits(bare).await?;
    scale.storm().await?;
    scale.quiet().await?;
    scale.demand().await?;
    scale.edit_tree(bare).await?;
    json.map_or(Ok(()), |file| scale.report.write(&file))
}

struct Scale {
    client: Client,
    run_dir: RunDir,
    setting: Setting,
    confirmed: Confirmed,
    usage: Usage,
    report: Report,
    edits: u32,
    /// Which members are heavier now.
    heavier: Heavier,
}

impl Scale {
    async fn new(size: Size) -> Result<Self> {
        let cluster = Cluster::from_env();
        let client = cluster.client().await?;
        let run_dir = cluster.own()?.clone();
        let mut report = Report::new(size.pods, size.namespaces);
        let members = 2 * size.pods;
        let bounds = [format!("bounds.pools={}", size.pods), format!("bounds.members={members}")];
        operator::install_with(&cluster, &bounds).await?;
        replicas(0).await?;
        let usage = Usage::begin(&run_dir).await?;
        let confirmed = Confirmed::watch(&client);
        let began = Instant::now();
        let setting = Setting::make(&cluster, &client, size.pods, size.namespaces).await?;
        let all = setting.pools.iter().chain([&setting.aside]);
        confirmed.expect(held(all, Heavier::None));
        confirmed.met(PATIENCE).await?;
        report.add("pods made and running after", began.elapsed().as_secs_f64(), "s", None);
        let heavier = Heavier::None;
        let edits = size.edits;
        Ok(Self { client, run_dir, setting, confirmed, usage, report, edits, heavier })
    }

    /// The next weights.
    fn turn(&mut self) -> Heavier {
        self.heavier = match self.heavier {
            Heavier::First => Heavier::Second,
            Heavier::None | Heavier::Second => Heavier::First,
        };
        self.heavier
    }

    fn written(&self, since: Timestamp) -> Result<Vec<audit::Request>> {
        let mut writes = audit::writes(&self.run_dir.audit_log(), since)?;
        writes.retain(audit::Request::is_of_operator);
        Ok(writes)
    }

    /// Adds how many writes there were for each resize.
    async fn count_writes(
        &mut self,
        since: Timestamp,
        what: &'static str,
        bar: Option<f64>,
    ) -> Result<()> {
        // Statuses are written at a pace.
        sleep(Duration::from_secs(10)).await;
        let writes = self.written(since)?;
        let resizes = writes.iter().filter(|it| it.resource == "pods/resize" && it.took_effect());
        let each = writes.len() as f64 / resizes.count().max(1) as f64;
        self.report.add(what, each, "", bar);
        for ((_, verb, resource), count) in audit::count(&writes) {
            say(format_args!("    {verb} {resource}: {count}"));
        }
        Ok(())
    }
}

/// How many controllers run.
async fn replicas(count: u32) -> Result<()> {
    let (namespace, count) = (format!("--namespace={NAMESPACE}"), format!("--replicas={count}"));
    let scale = ["scale", "deployment/weighted-share", &namespace, &count];
    kubectl::run("kubectl", &scale, "").await?;
    if count == "--replicas=0" {
        let selector = "--selector=app.kubernetes.io/name=weighted-share";
        let wait = ["wait", "--for=delete", "pods", &namespace, selector, "--timeout=60s"];
        kubectl::run("kubectl", &wait, "").await?;
    }
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
