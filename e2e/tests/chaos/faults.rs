//! What goes wrong meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{outage::Outage, pause};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    charge::charge,
    random::Random,
    support::{
        Bench, container, eventually, pod_spec,
        replicas::{PROCESS, Replicas},
        tier::Tier,
    },
};

/// How long the API server may take to answer again.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long the kubelet is away, the node full, the quota exhausted: longer than the controller takes to look again at a full
/// node (10 s).
fn phase() -> Duration {
    Duration::from_secs(if Tier::Nightly.is_included() { 20 } else { 12 })
}
/// What takes the rest of the node.
const FILLER: &str = "filler";
const QUOTA: &str = "exhausted";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The process that leads is killed.
    Leader,
    ApiServer,
    Etcd,
    Kubelet,
    /// A pod that belongs to no pool takes what is left of the node.
    FullNode,
    /// The namespace may not ask for more than it does.
    FullQuota,
}

use Fault::{ApiServer, Etcd, FullNode, FullQuota, Kubelet, Leader};

/// Makes all of them in random order, again and again, for so long. Each of them at least once. Returns those that were
/// made.
///
/// # Errors
/// When the cluster does not come back.
pub async fn go_on(bench: &Bench, limit: Duration, random: &mut Random) -> Result<Vec<Fault>> {
    let began = Instant::now();
    let (mut made, mut bag) = (Vec::new(), Vec::new());
    let all = [Leader, Leader, ApiServer, Etcd, Kubelet, FullNode, FullQuota];
    while began.elapsed() < limit || made.len() < all.len() {
        if bag.is_empty() {
            bag = all.to_vec();
            random.shuffle(&mut bag);
        }
        sleep(Duration::from_millis(random.range(1_000, 8_000))).await;
        let Some(fault) = bag.pop() else { continue };
        let what = make(bench, fault, random).await.with_context(|| format!("{fault:?}"))?;
        println!("{:6.1} s  {what}", began.elapsed().as_secs_f32());
        made.push(fault);
    }
    Ok(made)
}

async fn make(bench: &Bench, fault: Fault, random: &mut Random) -> Result<String> {
    let away = Duration::from_millis(random.range(500, 6_000));
    match fault {
        Leader => kill_leader(bench).await,
        ApiServer => out(bench, "kube-apiserver", away).await,
        Etcd => out(bench, "etcd", away).await,
        Kubelet => out(bench, "kubelet", phase()).await,
        FullNode => {
            let milli = eventually(RECOVERY, || fill(bench)).await?;
            sleep(phase()).await;
            eventually(RECOVERY, || empty(bench)).await?;
            Ok(format!("the node was full, with a pod of {milli}m, for {} s", phase().as_secs()))
        }
        FullQuota => {
            let milli = eventually(RECOVERY, || exhaust(bench)).await?;
            sleep(phase()).await;
            eventually(RECOVERY, || relieve(bench)).await?;
            Ok(format!("a quota of {milli}m was exhausted for {} s", phase().as_secs()))
        }
    }
}

/// Removes what the last of them may have left.
pub async fn end(bench: &Bench) -> Result<()> {
    eventually(RECOVERY, || empty(bench)).await?;
    eventually(RECOVERY, || relieve(bench)).await
}

async fn kill_leader(bench: &Bench) -> Result<String> {
    let replicas = Replicas::of(bench);
    // Its process may be down, as it was killed a moment ago and no other process has followed yet.
    eventually(RECOVERY, || async {
        let (leader, pod) = replicas.leader().await?;
        pause::kill_in_pod(&bench.cluster, PROCESS, &pod.uid().unwrap_or_default())?;
        Ok(format!("the leader {leader} was killed"))
    })
    .await
}

async fn out(bench: &Bench, name: &str, away: Duration) -> Result<String> {
    let outage = Outage::of(&bench.cluster, name)?;
    sleep(away).await;
    outage.end()?;
    let began = Instant::now();
    eventually(RECOVERY, || async { Ok(bench.pods().list(&ListParams::default()).await?) }).await?;
    let (away, later) = (away.as_secs_f32(), began.elapsed().as_secs_f32());
    Ok(format!("{name} was killed and away for {away:.1} s; {later:.1} s later all was answered"))
}

/// What the pods of the namespace are charged, in millicores.
async fn charged(bench: &Bench) -> Result<u64> {
    let mut charged = 0;
    for pod in bench.pods().list(&ListParams::default()).await? {
        charged += charge(&pod)?[0];
    }
    Ok(charged)
}

async fn fill(bench: &Bench) -> Result<u64> {
    let milli = bench.room().await?.saturating_sub(charged(bench).await?);
    let resources = json!({"requests": {"cpu": format!("{milli}m"), "memory": "16Mi"}});
    let mut spec = pod_spec(json!([container("main", resources)]));
    spec["terminationGracePeriodSeconds"] = json!(0);
    let pod = json!({"metadata": {"name": FILLER}, "spec": spec});
    fillers(bench).create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Ok(milli)
}

async fn empty(bench: &Bench) -> Result<()> {
    gone(fillers(bench).delete(FILLER, &DeleteParams::default()).await.map(drop))
}

fn fillers(bench: &Bench) -> Api<Pod> {
    Api::namespaced(bench.client.clone(), "default")
}

async fn exhaust(bench: &Bench) -> Result<u64> {
    let milli = charged(bench).await?;
    let hard = json!({"requests.cpu": format!("{milli}m")});
    let quota = json!({"metadata": {"name": QUOTA}, "spec": {"hard": hard}});
    quotas(bench).create(&PostParams::default(), &serde_json::from_value(quota)?).await?;
    Ok(milli)
}

async fn relieve(bench: &Bench) -> Result<()> {
    gone(quotas(bench).delete(QUOTA, &DeleteParams::default()).await.map(drop))
}

fn quotas(bench: &Bench) -> Api<ResourceQuota> {
    Api::namespaced(bench.client.clone(), &bench.namespace)
}

/// Whether it is gone, by us or before.
fn gone(deleted: Result<(), kube::Error>) -> Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => Ok(result?),
    }
}
