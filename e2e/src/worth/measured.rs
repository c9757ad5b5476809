//! What the kernel and the users saw in one run.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::Serialize;
use weightedshare::{cluster, share::Resource};

use super::{
    demand::WINDOW,
    loads::app,
    place::{Counted, Place},
    setting::{LOADS, Run},
    shares,
};

/// The size of one more pod, where it is counted how many of them fit, in millicores.
const ONE_MORE: u64 = 100;

/// What the kernel had counted up to some moment.
#[derive(Debug)]
pub struct Counters {
    /// By load.
    pods: BTreeMap<String, OfPod>,
    /// The time in which a processor had nothing to do, in nanoseconds.
    idle: u64,
}

/// What is known of one pod.
#[derive(Debug)]
struct OfPod {
    uid: String,
    restarts: i32,
    /// Each resize is one more.
    generation: i64,
    counted: Counted,
}

/// What pods requested while it was measured.
#[derive(Debug, Default)]
pub struct Sampled {
    /// In millicores; and how many more pods would have fitted.
    looks: Vec<(u64, u64)>,
}

/// What was done in one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Work {
    /// CPU that the service got, in cores.
    pub service: f64,
    /// CPU that the batch job got, in cores: this is its work.
    pub batch: f64,
    /// CPU that the third got, in cores.
    pub third: f64,
    /// Idle CPU, in cores. The batch job could have used it.
    pub idle: f64,
    /// Within which time 50, 99 and 99.9 of 100 answers came, in milliseconds.
    pub answers: [f64; 3],
    /// How many users gave up, as too many were waiting.
    pub given_up: f64,
    /// Throttled time of all pods, in seconds per second.
    pub throttled: f64,
    /// How often the kernel took the processor from service or batch job, for each second that they had it.
    pub switches: f64,
    /// What the loads requested together, in millicores.
    pub requested: f64,
    /// How many more pods of 100m the node had room for.
    pub fit: f64,
    /// How evenly what is due by weight was met: Jain's index, 1 at best.
    pub jain: f64,
    /// How often pods were resized.
    pub resizes: f64,
    /// How many pods were restarted or replaced.
    pub restarts: f64,
}

impl Counters {
    /// As they are now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn read(place: &Place, pods: &[Pod]) -> Result<Self> {
        let (counted, idle) = place.counted(&pods.iter().collect::<Vec<_>>()).await?;
        let of_pod = |(pod, counted): (&Pod, Counted)| {
            let statuses = pod.status.iter().flat_map(|it| it.container_statuses.iter().flatten());
            let known = OfPod {
                uid: pod.uid().unwrap_or_default(),
                restarts: statuses.map(|it| it.restart_count).sum(),
                generation: pod.metadata.generation.unwrap_or_default(),
                counted,
            };
            (app(pod).to_owned(), known)
        };
        Ok(Self { pods: pods.iter().zip(counted).map(of_pod).collect(), idle })
    }
}

impl OfPod {
    /// What was counted since an earlier reading. A pod that replaced another began at none.
    fn since(&self, before: Option<&Self>, of: fn(&Counted) -> u64) -> f64 {
        let before = before.filter(|it| it.uid == self.uid).map_or(0, |it| of(&it.counted));
        of(&self.counted).saturating_sub(before) as f64
    }
}

impl Sampled {
    /// Looks at what pods request now.
    ///
    /// # Errors
    /// When the API server does not tell.
    pub async fn add(&mut self, client: &Client, place: &Place, pods: &[Pod]) -> Result<()> {
        let charge = |pod: &Pod| cluster::Pod::read(pod).charge(Resource::Cpu);
        let requested = pods.iter().map(charge).sum();
        let there = ListParams::default().fields(&format!("spec.nodeName={}", place.name()));
        let all: Api<Pod> = Api::all(client.clone());
        let all: u64 = all.list(&there).await?.items.iter().map(charge).sum();
        let nodes: Api<Node> = Api::all(client.clone());
        let node = nodes.get(&place.name()).await?;
        let allocatable = cluster::Node::read(&node).allocatable[Resource::Cpu];
        self.looks.push((requested, allocatable.saturating_sub(all) / ONE_MORE));
        Ok(())
    }

    fn mean(&self, of: fn(&(u64, u64)) -> u64) -> f64 {
        self.looks.iter().map(of).sum::<u64>() as f64 / self.looks.len().max(1) as f64
    }
}

impl Work {
    /// The names of the columns that [`fmt::Display`] writes.
    pub const HEAD: &'static str = "                          service batch third  idle |   p50   p99 p99.9 ms, gave up | throttled  switches | requested fit  Jain | resizes restarts";

    /// What was done between two moments, on a node with so many processors. `answers`: within which times they came, and how many users
    /// gave up.
    #[must_use]
    pub fn between(
        before: &Counters,
        after: &Counters,
        sampled: &Sampled,
        answers: ([Duration; 3], u64),
        (run, cores): (Run, usize),
    ) -> Self {
        let seconds = WINDOW.as_secs_f64();
        let delta = |name: &str, of: fn(&Counted) -> u64| {
            after.pods.get(name).map_or(0.0, |pod| pod.since(before.pods.get(name), of))
        };
        let names = LOADS.map(|(name, _)| name);
        let cpu = names.map(|name| delta(name, |it| it.used) / 1e9);
        let throttled: f64 = names.iter().map(|name| delta(name, |it| it.throttled) / 1e9).sum();
        // The third is new tasks each time, and what ended is not counted.
        let switches: f64 = names[..2].iter().map(|name| delta(name, |it| it.switches)).sum();
        let idle = (after.idle - before.idle) as f64 / 1e9 / seconds;
        let [service, batch, third] = cpu.map(|it| it / seconds);
        let got = &[service, batch, third][..run.loads().len()];
        let (took, given_up) = answers;
        Self {
            service,
            batch,
            third,
            idle,
            answers: took.map(|took| took.as_secs_f64() * 1000.0),
            given_up: given_up as f64,
            throttled: throttled / seconds,
            switches: switches / (cpu[0] + cpu[1]).max(1e-9),
            requested: sampled.mean(|it| it.0),
            fit: sampled.mean(|it| it.1),
            jain: shares::jain(got, &shares::due(got, idle, cores)),
            resizes: after.pods.iter().map(|(name, pod)| resizes(before.pods.get(name), pod)).sum(),
            restarts: after
                .pods
                .iter()
                .filter(|(name, pod)| restarted(before.pods.get(*name), pod))
                .count() as f64,
        }
    }

    /// The median of each figure.
    #[must_use]
    pub fn median(of: &[Self]) -> Self {
        let median = |value: &dyn Fn(&Self) -> f64| median(of.iter().map(value));
        Self {
            service: median(&|it| it.service),
            batch: median(&|it| it.batch),
            third: median(&|it| it.third),
            idle: median(&|it| it.idle),
            answers: [0, 1, 2].map(|i| median(&|it| it.answers[i])),
            given_up: median(&|it| it.given_up),
            throttled: median(&|it| it.throttled),
            switches: median(&|it| it.switches),
            requested: median(&|it| it.requested),
            fit: median(&|it| it.fit),
            jain: median(&|it| it.jain),
            resizes: median(&|it| it.resizes),
            restarts: median(&|it| it.restarts),
        }
    }
}

/// The one in the middle.
pub fn median(of: impl Iterator<Item = f64>) -> f64 {
    quantile(of, 0.5)
}

/// The least value that so large a part of all does not exceed.
pub fn quantile(of: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    let last = all.len().saturating_sub(1);
    all.get((last as f64 * part) as usize).copied().unwrap_or_default()
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [p50, p99, p999] = self.answers;
        let Self { service, batch, third, idle, given_up, throttled, switches, .. } = self;
        let Self { requested, fit, jain, resizes, restarts, .. } = self;
        write!(f, "{service:7.2} {batch:5.2} {third:5.2} {idle:5.2} | ")?;
        write!(
            f,
            "{p50:5.0} {p99:5.0} {p999:5.0} {given_up:11.0} | {throttled:9.3} {switches:9.1} | "
        )?;
        write!(f, "{requested:9.0} {fit:3.0} {jain:5.3} | {resizes:7.0} {restarts:8.0}")
    }
}

fn resizes(before: Option<&OfPod>, after: &OfPod) -> f64 {
    let before = before.filter(|it| it.uid == after.uid).map_or(1, |it| it.generation);
    (after.generation - before) as f64
}

fn restarted(before: Option<&OfPod>, after: &OfPod) -> bool {
    before.is_some_and(|before| before.uid != after.uid || before.restarts != after.restarts)
}
