//! What came of a replay: for each member and each node, as it was and as it would have been.

use serde::Serialize;

use super::world::Limited;
use crate::{metrics::MemberKey, share::PerResource};

/// So many moments are kept of each member, for a chart.
const MOMENTS: usize = 240;

/// What came of a replay.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// How long it was, in seconds.
    pub seconds: u64,
    /// Whether it came to the end of the trace.
    pub complete: bool,
    /// The members of all pools; last, without a name, all pods of no pool together.
    pub members: Vec<MemberOutcome>,
    /// The nodes.
    pub nodes: Vec<NodeOutcome>,
}

/// What came of one member.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberOutcome {
    /// The namespace of its pool. Empty: these are the pods of no pool.
    pub namespace: String,
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub member: String,
    /// The most pods that it had at one time.
    pub pods: usize,
    /// For how long these ran together, in seconds.
    pub pod_seconds: u64,
    /// With the requests and limits that they had.
    pub before: Totals,
    /// In pools.
    pub after: Totals,
    /// How often pods were resized.
    pub resizes: u64,
    /// What it was like over time.
    pub moments: Vec<Moment>,
}

/// What the pods of a member had together, over all the time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// CPU time that they got, in core seconds.
    pub cpu: f64,
    /// CPU time that they could have used, and did not get, in core seconds.
    pub unmet_cpu: f64,
    /// For how long a limit kept pods from CPU that they could have used, in seconds.
    pub throttled: f64,
    /// What they requested on average: cores.
    pub requested_cpu: f64,
    /// What they requested on average: bytes.
    pub requested_memory: f64,
    /// For how long pods used more memory than their limit, in seconds.
    pub over_memory: f64,
}

/// What a member's pods had together for a while, on average, in cores.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When it begins, in seconds since 1970.
    pub at: i64,
    /// What they could have used.
    pub wanted: f64,
    /// What they got, with the requests and limits that they had.
    pub before: f64,
    /// What they got in pools.
    pub after: f64,
    /// What they requested, in pools.
    pub requested: f64,
}

/// What came of one node.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeOutcome {
    /// Its name.
    pub name: String,
    /// What it can allocate: cores.
    pub cpu: f64,
    /// What it can allocate: bytes.
    pub memory: f64,
    /// What pods requested there on average, as they were: cores, bytes.
    pub requested_before: (f64, f64),
    /// What they requested in pools.
    pub requested_after: (f64, f64),
}

/// What is summed up of a member while it is replayed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub key: Option<MemberKey>,
    pods: usize,
    most_pods: usize,
    pod_seconds: f64,
    before: Totals,
    after: Totals,
    pub resizes: u64,
    moments: Vec<Moment>,
}

/// What one pod wanted and got in one step, in millicores.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub wanted: f64,
    pub memory: Option<u64>,
    pub before: f64,
    pub after: f64,
}

/// When a step is, and for how long, in seconds; and the same of the moment that it is part of, the latter in steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub at: i64,
    pub seconds: f64,
    pub begins: i64,
    pub of: f64,
}

impl When {
    pub fn of(step: usize, steps: usize, start: i64, seconds: u32) -> Self {
        let each = steps.div_ceil(MOMENTS).max(1);
        let moment = step / each;
        let of = each.min(steps - moment * each);
        let seconds_from =
            |step: usize| i64::try_from(step).unwrap_or(i64::MAX) * i64::from(seconds);
        Self {
            at: start + seconds_from(step),
            seconds: f64::from(seconds),
            begins: start + seconds_from(moment * each),
            of: of as f64,
        }
    }
}

/// What a pod could have used and did not get is not counted where it is less than that: rounding.
const NOISE: f64 = 0.5;

impl Tally {
    /// Of a member.
    pub fn of(key: MemberKey) -> Self {
        Self { key: Some(key), ..Self::default() }
    }

    /// Takes in one pod for one step.
    pub fn add(&mut self, when: When, step: Step, before: &Limited, after: &Limited) {
        self.pods += 1;
        self.pod_seconds += when.seconds;
        self.before.add(when, step, step.before, before);
        self.after.add(when, step, step.after, after);
        let Some(moment) = self.moments.last_mut() else { return };
        let cores = |milli: f64| milli / 1000.0 / when.of;
        // Without bound, it could have used all: it is not drawn higher than what it got.
        let wanted =
            if step.wanted.is_finite() { step.wanted } else { step.after.max(step.before) };
        moment.wanted += cores(wanted);
        moment.before += cores(step.before);
        moment.after += cores(step.after);
        moment.requested += cores(after.charge.cpu as f64);
    }

    /// A step begins.
    pub fn begin(&mut self, when: When) {
        self.pods = 0;
        // One that comes later had nothing before.
        if self.moments.last().is_none_or(|last| last.at != when.begins) {
            self.moments.push(Moment { at: when.begins, ..Moment::default() });
        }
    }

    /// A step ends.
    pub fn end(&mut self) {
        self.most_pods = self.most_pods.max(self.pods);
    }

    /// All of it, of so many seconds.
    pub fn outcome(self, seconds: f64) -> MemberOutcome {
        let MemberKey { namespace, pool, member } = self.key.unwrap_or_default();
        let average = |totals: Totals| Totals {
            requested_cpu: totals.requested_cpu / seconds.max(1.0),
            requested_memory: totals.requested_memory / seconds.max(1.0),
            ..totals
        };
        MemberOutcome {
            namespace,
            pool,
            member,
            pods: self.most_pods,
            pod_seconds: self.pod_seconds as u64,
            before: average(self.before),
            after: average(self.after),
            resizes: self.resizes,
            moments: self.moments,
        }
    }
}

impl Totals {
    fn add(&mut self, when: When, step: Step, got: f64, has: &Limited) {
        let cores = |milli: f64| milli / 1000.0 * when.seconds;
        self.cpu += cores(got);
        let lacks = step.wanted - got;
        if lacks > NOISE && step.wanted.is_finite() {
            self.unmet_cpu += cores(lacks);
        }
        if lacks > NOISE && has.limit.cpu.is_some_and(|limit| got + NOISE >= limit as f64) {
            self.throttled += when.seconds;
        }
        self.requested_cpu += cores(has.charge.cpu as f64);
        self.requested_memory += has.charge.memory as f64 * when.seconds;
        let over = step.memory.zip(has.limit.memory).is_some_and(|(used, limit)| used > limit);
        self.over_memory += if over { when.seconds } else { 0.0 };
    }
}

impl NodeOutcome {
    /// Takes in what a pod requests there for a step.
    pub(super) fn add(&mut self, before: &Limited, after: &Limited) {
        let add = |sum: &mut (f64, f64), charge: PerResource<u64>| {
            sum.0 += charge.cpu as f64 / 1000.0;
            sum.1 += charge.memory as f64;
        };
        add(&mut self.requested_before, before.charge);
        add(&mut self.requested_after, after.charge);
    }

    /// The averages of so many steps.
    pub(super) fn averaged(mut self, steps: usize) -> Self {
        let steps = steps.max(1) as f64;
        for (cpu, memory) in [&mut self.requested_before, &mut self.requested_after] {
            *cpu /= steps;
            *memory /= steps;
        }
        self
    }
}
