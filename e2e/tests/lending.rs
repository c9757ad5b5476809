//! What lies idle is lent, and comes back when its owner wakes: on a real node, with its kernel as the judge.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    Cluster, audit,
    chart::{self, Line},
    cpu_time::Reading,
    kubectl, operator,
    pause::Paused,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, container, deployment, eventually, identity, judge::Judge, member,
    pod_spec, spinning, tier::Tier,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use weightedshare::api::WeightedShareStatus;

/// What is measured, is measured every so often.
const INTERVAL: Duration = Duration::from_secs(15);
const POOL: u64 = 800;
/// Of 800m, by 900 : 100.
const FAIR: [u64; 2] = [720, 80];
/// What the light member holds at the least when three quarters of what the heavy one owns are lent to it.
const LENT: u64 = 530;

/// A container that uses all the CPU that it gets while there is a file, as there is at its start.
fn waking() -> Value {
    let mut container = container("main", json!({"requests": {"cpu": "50m", "memory": "16Mi"}}));
    let script = "trap 'kill 0; exit 0' TERM; touch /tmp/awake; for i in $(seq $(nproc)); do \
                  (while :; do if [ -e /tmp/awake ]; then n=0; while [ $n -lt 2000 ]; do n=$((n+1)); done; \
                  else sleep 1; fi; done) & done; wait";
    container["command"] = json!(["sh", "-c", script]);
    container
}

/// What was seen of heavy and light at some second.
struct Seen {
    second: f64,
    /// Their CPU time, in millicores.
    used: [u64; 2],
    requests: [u64; 2],
}

/// What was measured of the heavy member, and when that was to be had.
struct Sample {
    at: Timestamp,
    /// Over how many seconds.
    window: f64,
    second: f64,
}

/// What was seen second by second.
struct Series {
    began: Instant,
    seen: Vec<Seen>,
    samples: Vec<Sample>,
    last: Option<[Reading; 2]>,
}

impl Series {
    fn new() -> Self {
        Self { began: Instant::now(), seen: Vec::new(), samples: Vec::new(), last: None }
    }

    fn second(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Looks once a second for so long, or until `done`.
    async fn watch(
        &mut self,
        bench: &Bench,
        judge: &Judge,
        limit: Duration,
        done: impl Fn(&[Seen]) -> bool,
    ) -> Result<Duration> {
        let began = Instant::now();
        let from = self.seen.len();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < limit {
            ticks.tick().await;
            let pods = [pod(bench, "heavy").await?, pod(bench, "light").await?];
            let now = judge.cpu_times(&[&pods[0], &pods[1]]).await?;
            let now = [now[0], now[1]];
            if let Some(last) = self.last.replace(now) {
                let used = [0, 1].map(|i| now[i].millicores_since(&last[i]).unwrap_or_default());
                let requests = [actual(&pods[0], "main"), actual(&pods[1], "main")];
                let second = self.second();
                self.seen.push(Seen { second, used, requests });
            }
            let sample = measured(bench, &pods[0], self.second()).await?;
            if self.samples.last().is_none_or(|last| last.at < sample.at) {
                self.samples.push(sample);
            }
            if done(&self.seen[from..]) {
                break;
            }
        }
        Ok(began.elapsed())
    }

    fn draw(&self, marks: &[(f64, &str)]) -> String {
        let line = |name, colour, dashed, of: fn(&Seen) -> u64| Line {
            name,
            colour,
            dashed,
            points: self.seen.iter().map(|seen| (seen.second, of(seen) as f64)).collect(),
        };
        let lines = [
            line("heavy (weight 900): CPU time", "#1f6fb2", false, |seen| seen.used[0]),
            line("its request", "#1f6fb2", true, |seen| seen.requests[0]),
            line("light (weight 100): CPU time", "#c25b12", false, |seen| seen.used[1]),
            line("its request", "#c25b12", true, |seen| seen.requests[1]),
        ];
        chart::draw(
            "Lent while its owner sleeps, back when it wakes: a real node",
            "m",
            &lines,
            marks,
        )
    }
}

/// What the operator wrote since then.
fn written_since(bench: &Bench, since: Timestamp) -> Result<Vec<audit::Request>> {
    let mut writes = audit::writes(&bench.cluster.own()?.audit_log(), since)?;
    writes.retain(audit::Request::is_of_operator);
    Ok(writes)
}

async fn pod(bench: &Bench, app: &str) -> Result<Pod> {
    Ok(bench.running(app, 1).await?.remove(0))
}

/// What the metrics say of a pod at some second.
async fn measured(bench: &Bench, pod: &Pod, second: f64) -> Result<Sample> {
    let path = format!(
        "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods/{}",
        bench.namespace,
        pod.name_any()
    );
    let request = http::Request::get(path).body(Vec::new())?;
    let metrics: Value = bench.client.request(request).await?;
    let said = |field: &str| metrics[field].as_str().with_context(|| metrics.to_string());
    let window: SignedDuration = said("window")?.parse()?;
    Ok(Sample { at: said("timestamp")?.parse()?, window: window.as_secs_f64(), second })
}

/// Wakes the heavy member, or lets it sleep.
async fn set_awake(bench: &Bench, awake: bool) -> Result<()> {
    let pod = pod(bench, "heavy").await?.name_any();
    let change = if awake { "touch" } else { "rm" };
    let command = ["exec", "-n", &bench.namespace, &pod, "--", change, "/tmp/awake"];
    kubectl::run("kubectl", &command, "").await.map(drop)
}

/// What `plan` says that the light member is to hold.
async fn planned(bench: &Bench) -> Result<u64> {
    let binary = operator::binary().display().to_string();
    let arguments = ["plan", "-o", "json", "-n", &bench.namespace];
    let plan: Value = serde_json::from_str(&kubectl::run(&binary, &arguments, "").await?)?;
    let members = plan["pools"][0]["members"].as_array().context("members")?;
    let light = members.iter().find(|member| member["name"] == "light").context("light")?;
    light["cpu"]["share"].as_u64().with_context(|| plan.to_string())
}

/// A namespace with both members, and their pool, which lends: the heavy one is awake, and both hold what they own.
async fn both_busy(namespace: &str, judge: &Judge) -> Result<Bench> {
    let bench = Bench::new(namespace).await?;
    for (app, container) in [("heavy", waking()), ("light", spinning("50m"))] {
        bench.apply(deployment(app, 1, judge.put(pod_spec(json!([container]))))).await?;
    }
    for app in ["heavy", "light"] {
        eventually(2 * MINUTE, || bench.running(app, 1)).await?;
    }
    let members = json!([member("heavy", 900), member("light", 100)]);
    let mut pool = support::pool("pool", json!({"cpu": format!("{POOL}m")}), members);
    bench.apply(pool.clone()).await?;
    // Both are measured while they are busy: over a whole interval that began after they were. Only then does the pool lend.
    // (Heavy is awake from its start. Had it just woken, it would count as limited for the next four samples.)
    let busy_at = Timestamp::now();
    eventually(2 * MINUTE, || async {
        for app in ["heavy", "light"] {
            let sample = measured(&bench, &pod(&bench, app).await?, 0.0).await?;
            let busy = sample.at.duration_since(busy_at).as_secs_f64();
            ensure!(busy >= sample.window, "{app} was last measured {busy:.0} s after it was busy");
        }
        Ok(())
    })
    .await?;
    // The controller asks once in an interval: then it has seen that, too. What it lends before, it takes back a moment later,
    // and that is then not lent for five minutes.
    sleep(INTERVAL + Duration::from_secs(2)).await;
    pool["spec"]["sharing"] = json!({"nodeReservePercent": 0});
    bench.apply(pool).await?;
    heavy_has_its_own(&bench).await?;
    Ok(bench)
}

/// Waits until the heavy member holds what it owns, but for what is not worth a move.
async fn heavy_has_its_own(bench: &Bench) -> Result<()> {
    eventually(MINUTE, || async {
        let held = actual(&pod(bench, "heavy").await?, "main");
        ensure!(held * 100 >= FAIR[0] * 95, "heavy holds {held}m of {}m", FAIR[0]);
        Ok(())
    })
    .await
}

/// UID and restarts of both pods.
async fn identities(bench: &Bench) -> Result<Vec<(String, i32)>> {
    Ok(identity(&[pod(bench, "heavy").await?, pod(bench, "light").await?]))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_lies_idle_is_lent_and_comes_back() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    lends("lending", &Judge::own()?).await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_lies_idle_on_a_node_with_cgroup_v2_is_lent_and_comes_back() -> Result<()> {
    if Tier::Nightly.is_left_out() {
        return Ok(());
    }
    lends("lending-v2", &Judge::start(&Cluster::from_env()).await?).await
}

async fn lends(namespace: &str, judge: &Judge) -> Result<()> {
    let bench = both_busy(namespace, judge).await?;
    let before = identities(&bench).await?;

    let mut series = Series::new();
    series.watch(&bench, judge, 2 * INTERVAL, |_| false).await?;
    set_awake(&bench, false).await?;
    let (slept, slept_at) = (series.second(), Timestamp::now());
    let lent = |seen: &[Seen]| seen.last().is_some_and(|seen| seen.requests[1] >= LENT);
    let mut took = Duration::ZERO;
    let (holds, plan) = loop {
        took += series.watch(&bench, judge, (9 * INTERVAL).saturating_sub(took), lent).await?;
        let holds = series.seen.last().context("nothing seen")?.requests[1];
        let plan = planned(&bench).await?;
        // The first sample after it fell asleep may still have some of its work in it.
        if holds == plan || took >= 9 * INTERVAL {
            break (holds, plan);
        }
        took += series.watch(&bench, judge, Duration::from_secs(1), |_| false).await?;
    };
    let reached = series.second();
    println!(
        "{:.0} s after it fell asleep, light holds {holds}m, the plan says {plan}m",
        reached - slept
    );
    // The plan has the peaks that the controller remembers.
    ensure!(holds == plan, "light holds {holds}m, not {plan}m");
    series.watch(&bench, judge, 2 * INTERVAL, |_| false).await?;
    // It fell asleep while the first of these was taken, and was asleep all through the second: from then on it is known.
    let asleep: Vec<_> = series.samples.iter().filter(|it| it.at > slept_at).take(2).collect();
    for sample in &asleep {
        println!(
            "measured over {:.1} s until {:.1} s after it fell asleep, and to be had {:.1} s after that",
            sample.window,
            sample.at.duration_since(slept_at).as_secs_f64(),
            sample.second - slept - sample.at.duration_since(slept_at).as_secs_f64(),
        );
    }
    let two = asleep.iter().map(|it| it.window).sum::<f64>();
    println!("two metric intervals are {two:.1} s");
    ensure!(asleep.len() == 2, "it is not measured any more");
    // No controller can act on a measurement before it is published. The rest is for a loaded machine.
    let known = asleep[1].second - slept;
    let soon = (INTERVAL + judge.lateness()).as_secs_f64();
    ensure!(reached - slept <= two.max(known) + soon, "that is too late");

    let kept = series.seen.last().context("nothing seen")?.requests[0];
    set_awake(&bench, true).await?;
    let woke = series.second();
    let from = series.seen.len();
    // Of the CPU time of both, the heavy one has what is fair, for five seconds on end.
    let fair = |seen: &[Seen]| {
        seen.len() >= 5
            && seen[seen.len() - 5..].iter().all(|Seen { used, .. }| {
                100 * used[0] >= (100 * FAIR[0] / POOL - 6) * (used[0] + used[1])
            })
    };
    let took = series.watch(&bench, judge, 8 * INTERVAL, fair).await? - Duration::from_secs(5);
    // It looks whether it is to be awake once a second. The second after the one in which it saw that is whole.
    let awake = series.seen[from..].iter().skip_while(|seen| 4 * seen.used[0] < kept);
    let awake: Vec<[u64; 2]> = awake.skip(1).take(5).map(|seen| seen.used).collect();
    let first = awake.first().context("a second")?[0];
    let [heavy, light] = [0, 1].map(|i| awake.iter().map(|used| used[i]).sum::<u64>());
    let percent = 100 * heavy / (heavy + light);
    println!(
        "in its first whole second awake it had {first}m, and in the first five {percent} % of what both had; it holds {kept}m"
    );
    println!("{:.0} s after it woke it had its fair CPU time", took.as_secs_f32());
    series.watch(&bench, judge, Duration::from_secs(20), |_| false).await?;
    let svg = series.draw(&[(slept, "heavy falls asleep"), (woke, "heavy wakes")]);
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/lending.svg"), svg)?;
    match judge {
        Judge::Host(_) => {
            ensure!(first >= kept, "{first}m in its first second, of {kept}m that are never lent");
        }
        // The node's own processes take a part of a guest's only CPU, and of some seconds a large one.
        Judge::Guest(_) => ensure!(
            percent >= (100 * kept / POOL).saturating_sub(6),
            "{percent} % of what both had in its first seconds, with {kept}m of {POOL}m never lent"
        ),
    }
    // On a quiet machine two intervals and 5 s; this one may be shared.
    ensure!(took <= 4 * INTERVAL + judge.lateness(), "it took {took:?}");

    let after = identities(&bench).await?;
    ensure!(after == before, "{before:?} became {after:?}");
    bench.end_with_all().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_measurements_nothing_moves() -> Result<()> {
    if Tier::Nightly.is_left_out() {
        return Ok(());
    }
    let bench = both_busy("outage", &Judge::own()?).await?;
    set_awake(&bench, false).await?;
    let holds = async || -> Result<[u64; 2]> {
        let pods = [pod(&bench, "heavy").await?, pod(&bench, "light").await?];
        Ok([actual(&pods[0], "main"), actual(&pods[1], "main")])
    };
    let lent = eventually(2 * MINUTE, || async {
        let held = holds().await?;
        ensure!(held[1] >= LENT, "light holds {}m", held[1]);
        Ok(held)
    })
    .await?;

    let stopped = [
        Paused::process(&bench.cluster, "metrics-server")?,
        Paused::process(&bench.cluster, "prometheus")?,
    ];
    let says = |status: &WeightedShareStatus, reason: &str| {
        status.conditions.iter().any(|it| it.type_ == "MetricsAvailable" && it.reason == reason)
    };
    // Three intervals, and as long as a call may hang.
    let status =
        eventually(MINUTE, || bench.status("pool", |status| says(status, "Stale"))).await?;
    let said = status.conditions.iter().find(|it| it.type_ == "MetricsAvailable");
    println!("{}", said.context("a condition")?.message);
    // Both sources have said so by then, and so has the pool.
    let quiet_from = eventually(MINUTE, || async {
        let since = Timestamp::now();
        sleep(Duration::from_secs(5)).await;
        ensure!(written_since(&bench, since)?.is_empty(), "it still says what it does not know");
        Ok(Timestamp::now())
    })
    .await?;
    set_awake(&bench, true).await?;
    sleep(MINUTE).await;
    let held = holds().await?;
    ensure!(held == lent, "in the outage {lent:?} became {held:?}");
    let ours = written_since(&bench, quiet_from)?;
    ensure!(ours.is_empty(), "nothing is known, and yet {ours:?}");

    drop(stopped);
    let back = Instant::now();
    heavy_has_its_own(&bench).await?;
    println!(
        "{:.0} s after they were back, heavy holds what it owns",
        back.elapsed().as_secs_f32()
    );
    bench.status("pool", |status| says(status, "Measured")).await?;
    bench.end_with_all().await
}
