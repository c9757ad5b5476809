//! The main job, before your eyes: three Deployments that spin, one pool, and the kernel's account of who got what.

use std::{io::IsTerminal, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval},
};
use weightedshare::api::WeightedShare;

use crate::{
    Cluster,
    cgroups::CpuWeight,
    cpu_time::{self, Meter},
    kubectl,
    operator::{self, Beside},
};

const NAMESPACE: &str = "shop";
const POOL: &str = "demo";
const MEMBERS: [&str; 3] = ["bronze", "silver", "gold"];
/// How often the table is drawn.
const PERIOD: Duration = Duration::from_secs(2);

/// Runs the demo on the cluster of the environment, and clears away what it made there.
///
/// # Errors
/// When the cluster, the operator or the pods do not come up.
pub async fn run() -> Result<()> {
    // From here on, Ctrl-C does not end us before all is cleared away.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut demo = Demo::new().await?;
    let result = tokio::select! {
        result = demo.perform() => result,
        _ = interrupt.recv() => Ok(()),
    };
    result.and(demo.clear_away().await)
}

struct Demo {
    cluster: Cluster,
    client: Client,
    /// A controller of our own, on a cluster that has none.
    beside: Option<Beside>,
    meter: Meter,
}

impl Demo {
    async fn new() -> Result<Self> {
        let cluster = Cluster::from_env();
        let client = cluster.client().await?;
        let mut beside = None;
        if cluster.run_dir().is_none() {
            // It is deleted at the end, so it must be ours.
            let namespace = ["get", "namespace", NAMESPACE, "-o", "name", "--ignore-not-found"];
            ensure!(
                kubectl::run("kubectl", &namespace, "").await?.is_empty(),
                "the demo makes and deletes the namespace {NAMESPACE}, and this cluster has one already: \
                 use another cluster, or delete it if it is left from a demo"
            );
            beside = Beside::start().await?;
        }
        Ok(Self { cluster, client, beside, meter: Meter::default() })
    }

    async fn perform(&mut self) -> Result<()> {
        if self.cluster.run_dir().is_some() {
            println!("Installing the operator with its charts ...");
            operator::install(&self.cluster).await?;
        }
        println!(
            "Applying examples/demo.yaml: three Deployments that use all the CPU they get, and this pool:\n"
        );
        let manifests = operator::apply_example(&self.cluster, "demo.yaml").await?;
        let pool = manifests.split("---").find(|manifest| manifest.contains("kind: WeightedShare"));
        println!("{}\n", pool.unwrap_or_default().trim());
        self.show().await
    }

    async fn show(&mut self) -> Result<()> {
        println!(
            "Before anything else, each holds what its template asks for; then the pool is divided 1:2:5."
        );
        self.watch(Duration::from_secs(24)).await?;

        say("The weights are edited to 5:2:1. No pod is restarted.");
        let weights = r#"[{"op": "replace", "path": "/spec/members/0/weight", "value": 500},
                          {"op": "replace", "path": "/spec/members/2/weight", "value": 100}]"#;
        self.on_pool(&["patch", "--type=json", "-p", weights]).await?;
        self.watch(Duration::from_secs(20)).await?;

        say(
            "Member silver leaves the pool: its pod goes back to its template, its part to the others.",
        );
        let leave = r#"[{"op": "remove", "path": "/spec/members/1"}]"#;
        self.on_pool(&["patch", "--type=json", "-p", leave]).await?;
        self.watch(Duration::from_secs(16)).await?;

        say("What the pool says of itself (kubectl describe ws demo -n shop):");
        println!("{}", self.on_pool(&["describe"]).await?);

        say("The pool is deleted: every pod goes back to what its template says.");
        self.on_pool(&["delete"]).await?;
        self.watch(Duration::from_secs(8)).await
    }

    /// Runs a kubectl verb on the pool.
    async fn on_pool(&self, words: &[&str]) -> Result<String> {
        let (verb, options) = words.split_first().context("a verb")?;
        let arguments = [&[*verb, "ws", POOL, "-n", NAMESPACE], options].concat();
        kubectl::run("kubectl", &arguments, "").await
    }

    /// Draws the table for a while.
    async fn watch(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut tick = interval(PERIOD);
        let mut drawn = 0;
        while Instant::now() < end {
            tick.tick().await;
            let lines = self.table().await?;
            if std::io::stdout().is_terminal() && drawn > 0 {
                print!("\x1b[{drawn}A\x1b[J");
            }
            drawn = lines.len();
            println!("{}", lines.join("\n"));
        }
        Ok(())
    }

    async fn table(&mut self) -> Result<Vec<String>> {
        let pools: Api<WeightedShare> = Api::namespaced(self.client.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let pool = pools.get_opt(POOL).await?;
        let pods = pods.list(&ListParams::default()).await?.items;
        self.meter.take(cpu_time::read(&self.cluster, &self.client, &pods).await?);

        let used = |pod: &Pod| self.meter.rate(&pod.uid()?);
        let all: u64 = pods.iter().filter_map(used).sum();
        let mut lines = vec![format!(
            "{:<8} {:>6} {:>7} {:>10} {:>8} {:>9}  CPU time by the kernel",
            "MEMBER", "WEIGHT", "SHARE", "cpu.shares", "STATE", "RESTARTS"
        )];
        for name in MEMBERS {
            let status = pool.as_ref().and_then(|pool| pool.status.as_ref());
            let member =
                status.and_then(|status| status.members.iter().find(|member| member.name == name));
            let pod =
                pods.iter().find(|pod| pod.labels().get("app").is_some_and(|app| app == name));
            let percent = pod.and_then(used).filter(|_| all > 0).map(|used| 100 * used / all);
            let bar = percent.map(|percent| {
                format!(
                    "{} {percent} %",
                    "#".repeat(usize::try_from(percent / 3).unwrap_or_default())
                )
            });
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            lines.push(format!(
                "{name:<8} {:>6} {:>7} {:>10} {:>8} {:>9}  {}",
                or_dash(member.map(|member| member.weight.to_string())),
                or_dash(member.and_then(|member| Some(member.share.cpu?.to_string()))),
                or_dash(pod.and_then(|pod| self.kernel_weight(pod))),
                or_dash(member.and_then(|member| Some(format!("{:?}", member.state?)))),
                or_dash(pod.map(restarts)),
                bar.unwrap_or_default(),
            ));
        }
        lines.push(String::new());
        Ok(lines)
    }

    /// What the kernel weighs the pod with; known only where its cgroup is on this machine.
    fn kernel_weight(&self, pod: &Pod) -> Option<String> {
        self.cluster.run_dir()?;
        Some(match cpu_time::cgroup(pod).ok()?.cpu_weight().ok()? {
            CpuWeight::Shares(shares) => shares.to_string(),
            CpuWeight::Weight(weight) => format!("{weight} (v2)"),
        })
    }

    /// A cluster of our own goes as a whole; elsewhere, what we made is deleted.
    async fn clear_away(self) -> Result<()> {
        if self.cluster.run_dir().is_some() {
            return Ok(());
        }
        println!("Clearing away ...");
        self.on_pool(&["delete", "--ignore-not-found"]).await?;
        kubectl::run("kubectl", &["delete", "namespace", NAMESPACE, "--ignore-not-found"], "")
            .await?;
        match self.beside {
            Some(beside) => beside.end().await,
            None => Ok(()),
        }
    }
}

fn restarts(pod: &Pod) -> String {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum::<i32>().to_string()
}

fn say(what: &str) {
    println!("\n{what}\n");
}
