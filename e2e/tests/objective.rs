//! A service that is to answer in time, beside a batch job that takes all it gets: the weight follows the objective, on
//! the real node, with real requests.

mod support;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    chart::{self, Line},
    cpu_time::{self, Reading},
    image, operator,
    requests::{self, Requests},
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use support::{Bench, MINUTE, actual, deployment, identity, of, pod_spec, spinning};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// What 99 of 100 requests are to be answered within.
const TARGET: Duration = Duration::from_millis(250);
/// What users send in peace and in the rush, in cores that the answers take.
const PEACE: f64 = 0.1;
const RUSH: f64 = 0.6;
/// What the clients see of the last so many seconds, they judge by.
const WINDOW: Duration = Duration::from_secs(20);

/// In peace it weighs so little. The status says the weight of the last decision: what is not worth a move is not there.
const CALM: u64 = 150;

/// What was seen at some second.
struct Seen {
    second: f64,
    /// What the clients see, in milliseconds.
    p99: f64,
    weight: u64,
    /// What service and batch hold, and the CPU time that they have, in millicores.
    requests: [u64; 2],
    used: [u64; 2],
}

struct Rush {
    bench: Bench,
    requests: Requests,
    /// The CPU time that an answer takes, in cores and seconds.
    cost: f64,
    began: Instant,
    seen: Vec<Seen>,
    last: Option<[Reading; 2]>,
    marks: Vec<(f64, &'static str)>,
}

impl Rush {
    /// Users send from now on what takes so many cores.
    fn send(&mut self, cores: f64, word: &'static str) {
        self.requests.set_rate(cores / self.cost);
        self.marks.push((self.began.elapsed().as_secs_f64(), word));
    }

    /// The pods of service and batch.
    async fn pods(&self) -> Result<Vec<Pod>> {
        let (service, batch) = (self.bench.running("service", 1), self.bench.running("batch", 1));
        Ok([service.await?, batch.await?].concat())
    }

    /// Looks once a second for so long, or until `done`: how long it took.
    async fn watch(&mut self, limit: Duration, done: impl Fn(&[Seen]) -> bool) -> Result<Duration> {
        let (began, from) = (Instant::now(), self.seen.len());
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < limit && !done(&self.seen[from..]) {
            ticks.tick().await;
            let status = self.bench.pools().get("pool").await?.status.unwrap_or_default();
            let service = status.members.iter().find(|member| member.name == "service");
            let weight = service.map_or(100, |member| match &member.dynamic_weight {
                Some(dynamic) => u64::from(dynamic.weight),
                None => member.effective_weight,
            });
            let pods = self.pods().await?;
            let readings = cpu_time::read(&self.bench.cluster, &self.bench.client, &pods).await?;
            let reading = |pod: &Pod| readings.get(&pod.uid().unwrap_or_default()).copied();
            let now =
                [reading(&pods[0]).context("a reading")?, reading(&pods[1]).context("a reading")?];
            let last = self.last.replace(now).unwrap_or(now);
            let seen = Seen {
                second: self.began.elapsed().as_secs_f64(),
                p99: self.requests.p99(WINDOW).unwrap_or_default().as_secs_f64() * 1000.0,
                weight,
                requests: [actual(&pods[0], "main"), actual(&pods[1], "main")],
                used: [0, 1].map(|i| now[i].millicores_since(&last[i]).unwrap_or_default()),
            };
            if self.seen.len().is_multiple_of(15) {
                println!(
                    "{:4.0} s: {:5.0} ms, weight {:4}, service and batch hold {:?}m and use {:?}m",
                    seen.second, seen.p99, seen.weight, seen.requests, seen.used
                );
            }
            self.seen.push(seen);
        }
        Ok(began.elapsed())
    }

    /// Watches for so long while the batch job runs: how much it has of the CPU that the service leaves, in percent.
    async fn batch_percent(&mut self, time: Duration) -> Result<u64> {
        let cgroup = cpu_time::cgroup(&self.pods().await?[1])?;
        let (used, idle) = (cgroup.cpu_time()?, idle()?);
        self.watch(time, |_| false).await?;
        let (used, idle) = (cgroup.cpu_time()? - used, self::idle()? - idle);
        Ok(100 * used / (used + idle).max(1))
    }

    fn draw(&self) -> String {
        let line = |name, colour, dashed, of: fn(&Seen) -> f64| Line {
            name,
            colour,
            dashed,
            points: self.seen.iter().map(|seen| (seen.second, of(seen))).collect(),
        };
        let lines = [
            line("99 of 100 answers came within (ms)", "#1f6fb2", false, |seen| seen.p99),
            line("objective (ms)", "#1f6fb2", true, |_| TARGET.as_secs_f64() * 1000.0),
            line("weight of the service", "#c25b12", false, |seen| seen.weight as f64),
        ];
        let title =
            "A weight that follows an objective: a real service beside a batch job of weight 300";
        chart::draw(title, "", &lines, &self.marks)
    }
}

/// The time in which a core of this machine had nothing to do, in nanoseconds.
fn idle() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: u64 =
        all.split_whitespace().nth(4).context("/proc/stat has no idle time")?.parse()?;
    // USER_HZ is 100 on every Linux.
    Ok(ticks * 10_000_000)
}

/// The pool of both. With an objective, the weight of the service follows it.
fn pool(with_objective: bool) -> Value {
    let mut service = support::member("service", 100);
    if with_objective {
        let query = "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[30s])))";
        let target = TARGET.as_secs_f64().to_string();
        service["objective"] = json!({"query": query, "target": target, "better": "Lower"});
        let expression = "current * clamp(1.0 / performance, 0.8, 2.0)";
        service["dynamicWeight"] =
            json!({"expression": expression, "min": 100, "max": 2000, "halfLifeSeconds": 15});
    }
    let members = json!([service, support::member("batch", 300)]);
    let mut pool = support::pool("pool", json!({"cpu": "1200m"}), members);
    pool["spec"]["sharing"] = json!({"nodeReservePercent": 0});
    pool
}

async fn begin(namespace: &str) -> Result<Rush> {
    let bench = Bench::new(namespace).await?;
    bench.cluster.import(&image::service(&operator::binary())?).await?;
    let container = json!({
        "name": "main",
        "image": image::SERVICE,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
    });
    let mut service = deployment("service", 1, pod_spec(json!([container])));
    service["spec"]["template"]["metadata"]["annotations"] =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"});
    bench.apply(service).await?;
    let service = bench.running("service", 1).await?.remove(0);
    let address = service.status.as_ref().and_then(|status| status.pod_ip.as_ref());
    let address = SocketAddr::new(address.context("no address")?.parse()?, 8080);

    // Machines differ.
    let cgroup = cpu_time::cgroup(&service)?;
    let before = cgroup.cpu_time()?;
    for _ in 0..50 {
        requests::ask(address).await?;
    }
    let cost = (cgroup.cpu_time()? - before) as f64 / 50e9;
    println!("an answer takes {:.1} ms of CPU time", cost * 1000.0);

    bench.apply(deployment("batch", 1, pod_spec(json!([spinning("100m")])))).await?;
    bench.running("batch", 1).await?;
    bench.apply(pool(false)).await?;
    let (requests, began) = (Requests::begin(address), Instant::now());
    Ok(Rush { bench, requests, cost, began, seen: Vec::new(), last: None, marks: Vec::new() })
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_weight_rises_until_the_objective_is_met() -> Result<()> {
    let mut rush = begin("objective").await?;
    let before = identity(&rush.pods().await?);
    let target = TARGET.as_secs_f64() * 1000.0;
    let last = |seen: &[Seen]| seen.last().map_or(0.0, |seen| seen.p99);

    rush.send(PEACE, "peace");
    rush.watch(MINUTE, |_| false).await?;
    rush.send(RUSH, "rush");
    rush.watch(MINUTE, |_| false).await?;
    let left = rush.batch_percent(MINUTE / 2).await?;
    let without = last(&rush.seen);
    println!("without an objective {without:.0} ms; batch has {left} % of what the service leaves");
    ensure!(without > 1.5 * target, "{without:.0} ms: this is no rush");
    ensure!(left >= 80, "batch has {left} % of what the service leaves");

    rush.send(PEACE, "with the objective: peace");
    rush.bench.apply(pool(true)).await?;
    // What Prometheus looks back on still has the rush in it.
    let peace = |seen: &[Seen]| seen.len() > 45 && seen.last().is_some_and(|it| it.weight <= CALM);
    rush.watch(6 * MINUTE, peace).await?;
    let weight = rush.seen.last().context("nothing seen")?.weight;
    ensure!(weight <= CALM, "in peace it weighs {weight}");
    rush.send(RUSH, "rush");
    let from = rush.seen.len();
    rush.watch(WINDOW, |_| false).await?;
    let met = |seen: &[Seen]| last(seen) <= target && seen.len() > 20;
    let took = rush.watch(6 * MINUTE, met).await? + WINDOW;
    let left = rush.batch_percent(MINUTE).await?;
    // Once it is met, the weight falls again until it hardly is.
    let rose = rush.seen[from..].iter().map(|seen| seen.weight).max().unwrap_or_default();
    let with = last(&rush.seen);
    println!(
        "with it, the objective was met after {:.0} s; a minute later {with:.0} ms; the weight rose to {rose}; \
         batch has {left} % of what the service leaves",
        took.as_secs_f32()
    );
    let status = rush.bench.pools().get("pool").await?.status.unwrap_or_default();
    let moved = of(&status, "service").dynamic_weight.clone().unwrap_or_default();
    println!("its status says {moved:?}");

    rush.send(PEACE, "peace");
    let took = rush.watch(6 * MINUTE, peace).await?;
    println!("{:.0} s after the rush it was back", took.as_secs_f32());
    let svg = rush.draw();
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/objective.svg"), svg)?;

    ensure!(with <= 1.2 * target, "{with:.0} ms a minute after the objective was met");
    ensure!(rose > CALM, "the objective is met, and the weight rose to {rose} only");
    ensure!(moved.signals.contains("performance"), "{moved:?}");
    ensure!(left >= 80, "batch has {left} % of what the service leaves");
    let weight = rush.seen.last().context("nothing seen")?.weight;
    ensure!(weight <= CALM, "after the rush it weighs {weight}");
    let after = identity(&rush.pods().await?);
    ensure!(after == before, "{before:?} became {after:?}");
    rush.bench.end().await
}
