//! Two replicas of the operator, of which one writes: killed, deleted and stood still while the pool changes all the
//! time. The audit log is the judge.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{
    kubectl, operator,
    pause::{self, Paused},
    prometheus,
};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, container, deployment, eventually, identity, member, pod_spec,
    replicas::{PROCESS, Replicas, written},
};
use tokio::time::sleep;
use weightedshare::api::StartProfile;

/// After this time without a sign of life the lease is free; and how soon that is seen.
const LEASE: Duration = Duration::from_secs(15 + 2);

/// Gives the weights of the two members to and fro, until it is told to end.
async fn change(bench: Arc<Bench>, end: Arc<AtomicBool>) -> Result<u32> {
    let mut rounds = 0;
    while !end.load(Ordering::Relaxed) {
        let (left, right) = if rounds % 2 == 0 { (100, 300) } else { (300, 100) };
        set_weights(&bench, left, right).await?;
        rounds += 1;
        sleep(Duration::from_millis(1500)).await;
    }
    Ok(rounds)
}

async fn set_weights(bench: &Bench, left: u32, right: u32) -> Result<()> {
    let members = json!([member("left", left), member("right", right)]);
    let patch = Patch::Merge(json!({"spec": {"members": members}}));
    bench.pools().patch("pool", &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn one_leads_and_another_follows() -> Result<()> {
    let bench = Arc::new(Bench::new("leading").await?);
    let operator = Replicas::of(&bench);
    operator.whole(MINUTE).await?;
    let waiting = || {
        pod_spec(json!([container("main", json!({"requests": {"cpu": "50m", "memory": "16Mi"}}))]))
    };
    bench.apply(deployment("left", 2, waiting())).await?;
    bench.apply(deployment("right", 2, waiting())).await?;
    bench.pool("pool", "400m", json!([member("left", 100), member("right", 100)])).await?;
    let mut before = bench.holding("left", &[100, 100]).await?;
    before.extend(bench.holding("right", &[100, 100]).await?);

    let (began, end) = (Timestamp::now(), Arc::new(AtomicBool::new(false)));
    let changes = tokio::spawn(change(bench.clone(), end.clone()));
    sleep(Duration::from_secs(5)).await;

    // Who is killed is followed when its lease is over.
    let (killed, pod) = operator.leader().await?;
    pause::kill_in_pod(&bench.cluster, PROCESS, &pod.uid().unwrap_or_default())?;
    let (_, took) = operator.followed(&killed).await?;
    println!("{:.1} s after the leader was killed, another one leads", took.as_secs_f32());
    ensure!(took <= LEASE, "it took {took:?}");
    sleep(Duration::from_secs(5)).await;

    // Who is told to end gives it back.
    operator.whole(MINUTE).await?;
    let (told, pod) = operator.leader().await?;
    operator.pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    let (_, took) = operator.followed(&told).await?;
    println!("{:.1} s after the leader was told to end, another one leads", took.as_secs_f32());
    ensure!(took <= Duration::from_secs(4), "it took {took:?}");
    sleep(Duration::from_secs(5)).await;

    // Who stood still beyond its lease writes nothing more when it goes on, and ends.
    operator.whole(MINUTE).await?;
    let (still, pod) = operator.leader().await?;
    let stopped = Paused::in_pod(&bench.cluster, PROCESS, &pod.uid().unwrap_or_default())?;
    let (next, took) = operator.followed(&still).await?;
    println!("{:.1} s after the leader stood still, another one leads", took.as_secs_f32());
    ensure!(took <= LEASE, "it took {took:?}");
    sleep(Duration::from_secs(3)).await;
    let goes_on = Timestamp::now();
    drop(stopped);
    eventually(MINUTE, || async {
        let restarts = identity(&[operator.pods.get(&pod.name_any()).await?])[0].1;
        let had = identity(std::slice::from_ref(&pod))[0].1;
        ensure!(restarts > had, "the process that lost the lease still runs");
        Ok(())
    })
    .await?;
    let log = ["logs", "-n", operator::NAMESPACE, &pod.name_any(), "--previous", "--tail=2"];
    print!("{}", kubectl::run("kubectl", &log, "").await?);
    sleep(Duration::from_secs(5)).await;
    ensure!(operator.holder().await? == next, "the lease went back");
    let late = written(&bench, goes_on)?;
    let late: Vec<_> = late.iter().filter(|write| write.from_pod == pod.name_any()).collect();
    ensure!(late.is_empty(), "it stood still and then wrote {late:?}");

    end.store(true, Ordering::Relaxed);
    let rounds = changes.await??;
    set_weights(&bench, 100, 300).await?;
    let mut after = bench.holding("left", &[50, 50]).await?;
    after.extend(bench.holding("right", &[150, 150]).await?);
    ensure!(identity(&after) == identity(&before), "{before:?} became {after:?}");
    bench.settled("pool").await?;

    // One writes at a time: each of the three takeovers is one change of hands, and there are no others.
    let writes = written(&bench, began)?;
    ensure!(writes.iter().all(|write| !write.from_pod.is_empty()), "{:?}", writes.first());
    let mut writers: Vec<&str> = writes.iter().map(|write| write.from_pod.as_str()).collect();
    writers.dedup();
    let resizes = writes.iter().filter(|write| write.resource == "pods/resize").count();
    println!(
        "{rounds} changes, {} writes, {resizes} of them resizes, by {writers:?}",
        writes.len()
    );
    ensure!(writers.len() <= 4, "{writers:?}");
    // After a leader that did not release its lease, no pod grows for up to 35 s.
    ensure!(resizes * 2 > usize::try_from(rounds)?, "{resizes} resizes in {rounds} rounds");

    // Both are whole, and tell of it.
    for pod in operator.whole(MINUTE).await? {
        let (name, leads) = (pod.name_any(), next.starts_with(&pod.name_any()));
        ensure!(operator.ask(&name, 8081, "healthz").await?.trim() == "ok", "{name} is not well");
        let pod = format!("pod=\"{name}\"");
        let tells = |query: String, value: Option<&'static str>| async move {
            let told = prometheus::ask(&query).await?;
            let told = told.pointer("/result/0/value/1").and_then(Value::as_str);
            ensure!(told == value, "{query}: {told:?}, not {value:?}");
            anyhow::Ok(())
        };
        eventually(MINUTE, || async {
            let status = format!("leader_election_master_status{{{pod}}}");
            tells(status, Some(if leads { "1" } else { "0" })).await?;
            let settled = format!("weightedshare_members{{{pod},reason=\"Settled\"}}");
            tells(settled, leads.then_some("2")).await
        })
        .await?;
    }
    let quiet_from = Timestamp::now();
    sleep(Duration::from_secs(10)).await;
    let quiet = written(&bench, quiet_from)?;
    ensure!(quiet.is_empty(), "nothing changes, and yet {quiet:?}");
    Arc::into_inner(bench).context("the bench is in use")?.end().await
}

/// An owner who edits the template of running pods and waits for the controller to be restarted gains nothing: what the pods started
/// with is written on them.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_pod_started_with_outlives_the_controller() -> Result<()> {
    let (bench, other) = (Bench::new("leader-stakes").await?, Bench::new("leader-other").await?);
    let operator = Replicas::of(&bench);
    let room = bench.room().await?;
    let template = room * 6 / 10;
    let asks = |milli: u64| {
        let requests = json!({"cpu": format!("{milli}m"), "memory": "16Mi"});
        pod_spec(json!([container("main", json!({"requests": requests}))]))
    };
    bench.pool("pool", &format!("{room}m"), json!([member("web", 100)])).await?;
    let new_pods: Api<StartProfile> = Api::namespaced(bench.client.clone(), &bench.namespace);
    eventually(MINUTE, || async {
        ensure!(new_pods.get("pool").await?.spec.starts.contains_key("app=web"), "nothing is told");
        Ok(())
    })
    .await?;
    // The API server's own watch sees it a moment later.
    sleep(Duration::from_millis(500)).await;
    let mut set = deployment("web", 1, asks(template));
    set["kind"] = json!("ReplicaSet");
    bench.apply(set.clone()).await?;
    let held = bench.holding("web", &[room]).await?;
    let written = held[0].annotations().get("weightedshare.dev/started");
    let wanted = format!("cpu={template}m,memory=16777216");
    ensure!(written == Some(&wanted), "{written:?}, not {wanted}");

    set["spec"]["template"]["spec"] = asks(room);
    bench.apply(set).await?;
    let deployment = ["-n", operator::NAMESPACE, "deployment/weighted-share"];
    kubectl::run("kubectl", &[&["rollout", "restart"], &deployment[..]].concat(), "").await?;
    let waits = ["rollout", "status", "--timeout=2m"];
    kubectl::run("kubectl", &[&waits, &deployment[..]].concat(), "").await?;
    operator.leader().await?;

    bench.gives_room(&other, asks(room - template - 50), template).await?;
    other.end().await?;
    bench.end().await
}
