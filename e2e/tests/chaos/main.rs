//! Everything goes wrong at once on a real cluster, while everything changes: the leader is killed, the API server, etcd
//! and the kubelet are killed and started again, the node and a quota are full. Afterwards every pod has its share, none
//! was disturbed, and a playback of all that the API server ever stored shows that no write of ours took a pool beyond its
//! capacity.
//!
//! `CHAOS_SECONDS` says for how long (60, in the tier `nightly` 300), `CHAOS_SEED` which random choices are made.
//! `CHAOS_PLAYBACK=1` plays back what the last run recorded, and does nothing else.

mod charge;
mod churn;
mod faults;
mod lives;
mod random;
mod record;
mod replay;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use support::{Bench, MINUTE, eventually, identity, replicas::written, tier::Tier};
use tokio::time::{Instant, sleep};

use churn::{POOLS, STEADY};
use random::Random;
use record::Recording;

/// How long the controller may take to get there, once all is calm. Its pods that were killed again and again may wait
/// for minutes before they are started.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where what was recorded is kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/chaos.jsonl");

fn setting(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map(|text| text.parse().with_context(|| format!("{name}={text}"))).transpose()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn whatever_goes_wrong_no_pool_is_overdrawn_and_all_get_their_shares() -> Result<()> {
    if setting("CHAOS_PLAYBACK")?.is_some() {
        let file = Path::new(KEPT);
        println!("{}", replay::play(record::kept("pod", file)?, record::kept("pool", file)?)?);
        return Ok(());
    }
    let nightly = Tier::Nightly.is_included();
    let seconds = setting("CHAOS_SECONDS")?.unwrap_or(if nightly { 300 } else { 60 });
    let drawn = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs());
    let seed = setting("CHAOS_SEED")?.unwrap_or(drawn);
    println!("CHAOS_SECONDS={seconds} CHAOS_SEED={seed}");
    let mut random = Random::of(seed);

    let bench = Arc::new(Bench::new("chaos").await?);
    let (pods, pools) =
        (Recording::start(bench.pods()).await?, Recording::start(bench.pools()).await?);
    let from = Timestamp::now();
    churn::begin(&bench).await?;
    let before = steady(&bench).await?;

    let end = Arc::new(AtomicBool::new(false));
    let changes = tokio::spawn(churn::go_on(
        bench.clone(),
        end.clone(),
        Random::of(random.range(0, u64::MAX - 1)),
    ));
    let made = faults::go_on(&bench, Duration::from_secs(seconds), &mut random).await;
    end.store(true, Ordering::Relaxed);
    let (changed, failed) = changes.await?;
    faults::end(&bench).await?;
    println!("{changed} changes, and {failed} that were not taken; {} faults", made?.len());

    churn::settle(&bench).await?;
    let last_change = Instant::now();
    eventually(PATIENCE, || all_have_their_shares(&bench)).await?;
    println!(
        "all have their shares {:.1} s after the last change",
        last_change.elapsed().as_secs_f32()
    );
    let after = steady(&bench).await?;
    ensure!(identity(&after) == identity(&before), "{before:?} became {after:?}");

    let quiet_from = Timestamp::now();
    // At least three intervals of measuring.
    sleep(if nightly { 2 * MINUTE } else { MINUTE * 3 / 4 }).await;
    let late = written(&bench, quiet_from)?;
    ensure!(late.is_empty(), "nothing changes, and yet {late:?}");
    all_have_their_shares(&bench).await?;

    let ((pods, pods_read), (pools, pools_read)) = (pods.end().await?, pools.end().await?);
    println!("{pods_read} and {pools_read} revisions were read from history");
    println!("{} pods lived undisturbed", lives::undisturbed(&pods)?);
    record::keep(&pods, &pools, Path::new(KEPT))?;
    let figures = replay::play(pods, pools).with_context(|| format!("see {KEPT}"))?;
    println!("{figures}");

    let writes = written(&bench, from)?;
    let mut counts = BTreeMap::<(&str, &str, u16), usize>::new();
    for write in &writes {
        *counts.entry((&write.verb, &write.resource, write.code)).or_default() += 1;
    }
    println!("writes of ours: {counts:?}");
    let asked_for =
        ["pods/resize", "weightedshares", "weightedshares/status", "startprofiles", "events"];
    let other = writes
        .iter()
        .find(|write| !asked_for.contains(&&*write.resource) || write.verb == "delete");
    ensure!(other.is_none(), "{other:?} was not asked for");
    // An answer that was lost is in the history, but not in the log.
    let answered = writes.iter().filter(|it| it.resource == "pods/resize" && it.took_effect());
    let answered = answered.filter(|write| write.namespace == bench.namespace).count();
    ensure!(figures.resizes() >= answered, "{answered} resizes, of which {figures}");
    Arc::into_inner(bench).context("the bench is in use")?.end().await
}

/// The pods that nothing replaces.
async fn steady(bench: &Bench) -> Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for (app, replicas) in STEADY {
        pods.extend(bench.running(app, usize::try_from(replicas)?).await?);
    }
    Ok(pods)
}

/// All pools are Ready, and `plan` knows nothing that were worth a move.
async fn all_have_their_shares(bench: &Bench) -> Result<()> {
    for (name, _) in POOLS {
        bench.settled(name).await?;
    }
    let binary = operator::binary().display().to_string();
    let plan = kubectl::run(&binary, &["plan", "-o", "json", "-n", &bench.namespace], "").await?;
    let plan: Value = serde_json::from_str(&plan)?;
    let pools = plan["pools"].as_array().context("pools")?;
    ensure!(pools.len() == POOLS.len(), "{plan}");
    let pods = pools.iter().flat_map(|pool| pool["pods"].as_array().into_iter().flatten());
    for pod in pods {
        for (resource, least) in [("cpu", 10), ("memory", 16 << 20)] {
            let amount = |which: &str| pod[resource][which].as_u64().context("an amount");
            let (holds, share) = (amount("from")?, amount("to")?);
            let band = least.max(holds / 20);
            ensure!(holds == share || holds.abs_diff(share) < band, "{pod}");
        }
    }
    Ok(())
}
