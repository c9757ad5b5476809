//! The replay: step after step pods come and go, the engine decides on what was measured before, and the kernel gives CPU. Each step
//! is run twice on the model of the kernel: with the requests and limits that the pods had, and with those that pools give them.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    kernel::{Task, schedule},
    report::{NodeOutcome, Outcome, Step, Tally, When},
    trace::Trace,
    world::{Limited, ReplayedPod, World},
};
use crate::{
    cluster::{Changes, Cluster},
    engine::{Engine, History, Membership, Now, Plan},
    metrics::{MemberKey, Metrics, NodeReading, PodReading, Readings},
    share::PerResource,
};

/// The source that measures.
const SOURCE: &str = "metrics.k8s.io";
/// Who shrinks is sent before who grows, so one change takes some decisions. After so many the rest waits for the next step.
const ROUNDS: u64 = 8;
/// In a cluster it is measured that often, however far apart the samples of the trace are.
const INTERVAL: u32 = 15;
/// A pod that used that much of its limit, in percent, could have used more.
const AT_ITS_LIMIT: u64 = 95;
const NANOS: f64 = 1e6;

/// How a trace is replayed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The members, by name, whose pods take all the CPU that they get: batch jobs.
    pub batch: Vec<String>,
}

/// Replays a trace on the objects of a cluster, pools among them. `each` is told after each step how many are done, and says whether to
/// go on.
#[must_use]
pub fn replay(
    objects: Cluster,
    trace: &Trace,
    options: &Options,
    each: &mut dyn FnMut(usize) -> bool,
) -> Outcome {
    let mut replay = Replay::new(objects, trace, options);
    let mut done = 0;
    while done < trace.steps {
        replay.step(done);
        done += 1;
        if !each(done) {
            break;
        }
    }
    replay.outcome(done)
}

struct Replay<'t> {
    trace: &'t Trace,
    options: &'t Options,
    world: World,
    metrics: Metrics,
    engine: Engine,
    history: History,
    membership: Membership,
    /// The first tally is of the pods of no pool.
    tallies: Vec<Tally>,
    by_member: BTreeMap<MemberKey, usize>,
    /// The tally of each pod.
    of: Vec<usize>,
    nodes: Vec<NodeOutcome>,
    /// What was used in the step before.
    measured: Readings,
}

impl<'t> Replay<'t> {
    fn new(objects: Cluster, trace: &'t Trace, options: &'t Options) -> Self {
        let world = World::new(objects, trace);
        let mut metrics = Metrics::default();
        metrics.expect(SOURCE, true, false);
        metrics.take_to_measure_every(SOURCE, INTERVAL);
        let node = |name: &String| {
            let allocatable = world.cluster.node(name).map(|it| it.allocatable).unwrap_or_default();
            NodeOutcome {
                name: name.clone(),
                cpu: allocatable.cpu as f64 / 1000.0,
                memory: allocatable.memory as f64,
                ..NodeOutcome::default()
            }
        };
        Self {
            trace,
            options,
            nodes: world.nodes.iter().map(node).collect(),
            of: vec![0; world.pods.len()],
            world,
            metrics,
            engine: Engine::default(),
            history: History::default(),
            membership: Membership::default(),
            tallies: vec![Tally::default()],
            by_member: BTreeMap::new(),
            measured: Readings::default(),
        }
    }

    fn step(&mut self, step: usize) {
        let Trace { start, step: seconds, steps, .. } = *self.trace;
        let when = When::of(step, steps, start, seconds);
        let at = Timestamp::from_second(when.at).unwrap_or_default();
        self.world.come_and_go(step, at);
        let measured = std::mem::take(&mut self.measured);
        if !measured.pods.is_empty() {
            self.metrics.take(SOURCE, Ok(measured));
        }
        self.decide(at, Duration::from_secs(step as u64 * u64::from(seconds)));
        self.tallies.iter_mut().for_each(|tally| tally.begin(when));
        self.run(step, when);
        self.tallies.iter_mut().for_each(Tally::end);
    }

    /// Decides and carries out, until nothing is left to do now.
    fn decide(&mut self, at: Timestamp, elapsed: Duration) {
        for round in 0..ROUNDS {
            let now = Now {
                wall: at + SignedDuration::from_secs(round.cast_signed()),
                steady: elapsed + Duration::from_secs(round),
            };
            let plan = self.decide_once(now);
            let resizes = plan.pools.values().flat_map(|planned| &planned.resizes);
            let resizes = resizes.chain(plan.restores.values().flatten());
            let resized = self.world.carry_out(resizes);
            if resized.is_empty() {
                return;
            }
            let traced = resized.into_iter().flatten();
            traced.for_each(|place| self.tallies[self.of[place]].resizes += 1);
        }
    }

    fn decide_once(&mut self, now: Now) -> Plan {
        let changes = self.world.cluster.take_changes();
        self.follow(&changes);
        let news = self.metrics.take_news();
        let cluster = &self.world.cluster;
        for (namespace, name) in changes.pods.iter().chain(&news.pods) {
            if let Some(pod) = cluster.pod(namespace, name) {
                self.metrics.note_held(pod, now.wall);
            }
        }
        let (metrics, history) = (&self.metrics, &mut self.history);
        self.engine.decide(cluster, metrics, &changes, &news, history, now)
    }

    /// Finds out whose the pods are that changed.
    fn follow(&mut self, changes: &Changes) {
        let cluster = &self.world.cluster;
        for (namespace, name) in self.membership.update(cluster, changes).pods {
            let uid = cluster.pod(&namespace, &name).map(|pod| &pod.uid);
            let Some(place) = uid.and_then(|uid| self.world.place(uid)) else { continue };
            let owner = self.membership.owner(&namespace, &name);
            let member = owner.and_then(|(id, member)| {
                let spec = &cluster.pool(id)?.object.spec;
                Some(MemberKey {
                    namespace,
                    pool: id.name.clone(),
                    member: spec.members.get(member)?.name.clone(),
                })
            });
            self.of[place] =
                member.map_or(0, |member| tally_of(&mut self.tallies, &mut self.by_member, member));
        }
    }

    /// Runs all pods for one step.
    fn run(&mut self, step: usize, when: When) {
        let end = SignedDuration::from_secs(i64::from(self.trace.step));
        let at = Timestamp::from_second(when.at).unwrap_or_default() + end;
        let mut measured = Readings::default();
        for (node, there) in self.world.there.iter().enumerate() {
            let cores = self.nodes[node].cpu * 1000.0;
            let pods: Vec<(usize, Wanted)> =
                there.iter().map(|&place| (place, self.wanted(place, step))).collect();
            let before = run_node(&self.world, &pods, cores, |pod| &pod.before);
            let after = run_node(&self.world, &pods, cores, |pod| &pod.now);
            let (mut cpu, mut memory) = (0.0, 0);
            for (((place, wanted), before), after) in pods.into_iter().zip(before).zip(after) {
                let pod = &self.world.pods[place];
                let step = Step { wanted: wanted.cpu, memory: wanted.memory, before, after };
                self.tallies[self.of[place]].add(when, step, &pod.before, &pod.now);
                self.nodes[node].add(&pod.before, &pod.now);
                cpu += after;
                memory += wanted.memory.unwrap_or_default();
                if wanted.is_known {
                    measured.pods.push(reading(pod, at, after, wanted.memory));
                }
            }
            measured.nodes.push(NodeReading {
                name: self.world.nodes[node].clone(),
                at,
                used: PerResource { cpu: (cpu * NANOS) as u64, memory },
            });
        }
        self.measured = measured;
    }

    /// What a pod would use in a step if it were alone.
    fn wanted(&self, place: usize, step: usize) -> Wanted {
        let Some(sample) = self.trace.pods[place].at(step) else { return Wanted::default() };
        let used = sample.cpu().unwrap_or_default();
        let limit = self.world.pods[place].before.limit.cpu;
        let at_its_limit = limit.is_some_and(|limit| used * 100 >= limit * AT_ITS_LIMIT);
        let takes_all = self.tallies[self.of[place]]
            .key
            .as_ref()
            .is_some_and(|key| self.options.batch.contains(&key.member));
        Wanted {
            cpu: if at_its_limit || takes_all { f64::INFINITY } else { used as f64 },
            memory: sample.memory(),
            is_known: sample.cpu().is_some() || sample.memory().is_some(),
        }
    }

    fn outcome(self, done: usize) -> Outcome {
        let Trace { start, step, steps, .. } = *self.trace;
        let seconds = done as u64 * u64::from(step);
        let mut tallies = self.tallies;
        // Those of no pool come last.
        tallies.rotate_left(1);
        let mut members: Vec<_> =
            tallies.into_iter().map(|tally| tally.outcome(seconds as f64)).collect();
        let named = members.len() - 1;
        members[..named].sort_by(|a, b| {
            (&a.namespace, &a.pool, &a.member).cmp(&(&b.namespace, &b.pool, &b.member))
        });
        Outcome {
            start,
            seconds,
            complete: done == steps,
            members,
            nodes: self.nodes.into_iter().map(|node| node.averaged(done)).collect(),
        }
    }
}

/// What a pod would use if it were alone: millicores, bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    cpu: f64,
    memory: Option<u64>,
    /// It was measured.
    is_known: bool,
}

/// The CPU that the kernel gives to each of the pods of a node, in millicores.
fn run_node(
    world: &World,
    pods: &[(usize, Wanted)],
    cores: f64,
    has: impl Fn(&ReplayedPod) -> &Limited,
) -> Vec<f64> {
    let task = |&(place, wanted): &(usize, Wanted)| {
        let pod = &world.pods[place];
        let Limited { charge, limit } = has(pod);
        Task {
            qos: pod.pod.qos,
            request: charge.cpu as f64,
            wants: wanted.cpu.min(cores),
            limit: limit.cpu.map(|limit| limit as f64),
        }
    };
    let tasks: Vec<Task> = pods.iter().map(task).collect();
    let burstable = tasks.iter().filter(|task| task.qos == crate::cluster::Qos::Burstable);
    let burstable = burstable.map(|task| task.request).sum();
    schedule(&tasks, cores, burstable)
}

fn reading(pod: &ReplayedPod, at: Timestamp, milli: f64, memory: Option<u64>) -> PodReading {
    PodReading {
        namespace: pod.pod.namespace.clone(),
        name: pod.pod.name.clone(),
        at,
        used: PerResource { cpu: Some((milli * NANOS) as u64), memory },
        ..PodReading::default()
    }
}

fn tally_of(
    tallies: &mut Vec<Tally>,
    by_member: &mut BTreeMap<MemberKey, usize>,
    member: MemberKey,
) -> usize {
    *by_member.entry(member).or_insert_with_key(|member| {
        tallies.push(Tally::of(member.clone()));
        tallies.len() - 1
    })
}
