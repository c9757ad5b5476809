//! What the sources have told so far: the last answer, the peaks, and how fresh all of it is. Pure; the time is passed in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{MemberKey, PodReading, Readings, SourceError};
use crate::{
    observe::Pod,
    share::{Peak, PerResource, Resource},
};

/// What is measured after more than so many intervals is not trusted any more.
const STALE_INTERVALS: i32 = 3;
/// The shortest interval that is reckoned with, in seconds: nobody measures more often.
const SHORTEST: i64 = 15;
/// Use that is to be steady is so for five minutes, in milliseconds.
const STEADY: i64 = 300_000;
/// A pod that nobody has measured for so long is forgotten, in milliseconds.
const FORGOTTEN: i64 = 600_000;

/// What is measured, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// What pods use and wait for, by namespace and name.
    pub pods: BTreeMap<(String, String), PodSignals>,
    /// How well members do: the number that their objective's query gives, or why there is none.
    pub objectives: BTreeMap<MemberKey, Result<f64, String>>,
    /// Whether it is known what pods use.
    pub usage: Freshness,
    /// Every how many seconds that is measured.
    pub interval: u64,
    /// Whether somebody answers the objectives' queries.
    pub performance: Freshness,
}

/// What is measured of one pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PodSignals {
    /// What it uses: nanocores, bytes.
    pub used: PerResource<u64>,
    /// The most that it used of late: nanocores, bytes.
    pub peak: PerResource<u64>,
    /// What its use rose to of late, zero where it did not: nanocores, bytes.
    pub risen: PerResource<u64>,
    /// The least CPU that it used in the last five minutes, in nanocores. None: it has not been measured for so long.
    pub throughout: Option<u64>,
    /// The least that it held while it was last measured: millicores, bytes. None: what it holds now.
    pub held: PerResource<Option<u64>>,
    /// The part of the time, in thousandths, in which it waited for CPU. None: nobody says.
    pub waiting: Option<u16>,
    /// The least part of the time, in thousandths, in which it waited for CPU in the last five minutes. None: nobody has
    /// said for so long.
    pub waited_throughout: Option<u16>,
    /// The least part of a virtual machine's memory, in thousandths, that its guest used in the last five minutes. None: it
    /// is none, or nobody has said for so long.
    pub guest_throughout: Option<u16>,
}

/// How far the signals of a kind can be trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// They are up to date.
    Fresh,
    /// They are too old, or have not come yet, and what rests on them stays as it is. Why, in words.
    Stale(String),
    /// There is no source of them. Why, in words.
    Absent(String),
}

impl Default for Freshness {
    fn default() -> Self {
        Self::Absent("nobody measures".to_owned())
    }
}

/// What the sources have told so far.
#[derive(Debug, Default)]
pub struct Measured {
    pods: BTreeMap<(String, String), Measures>,
    nodes: BTreeMap<String, (Timestamp, PerResource<u64>)>,
    objectives: BTreeMap<MemberKey, (Timestamp, Result<f64, String>)>,
    sources: BTreeMap<&'static str, Record>,
}

#[derive(Debug, Default)]
struct Measures {
    peak: PerResource<Peak>,
    /// How it waited, and what its guest used of its memory: in thousandths.
    waiting: Peak,
    guest: Peak,
    /// What it held, from when on (in milliseconds): the newest last.
    held: VecDeque<(i64, PerResource<u64>)>,
}

/// What is known of a source.
#[derive(Debug, Default)]
struct Record {
    /// Sources expected before it come first.
    rank: usize,
    /// What it measures.
    usage: bool,
    performance: bool,
    /// When its newest sample was taken.
    newest: Option<Timestamp>,
    /// How long the last two samples took, in milliseconds.
    gaps: [Option<i128>; 2],
    /// Why it gives nothing, since it does not.
    trouble: Option<SourceError>,
}

impl Measured {
    /// Expects a source, which tells what pods use, how well members do, or both. What pods use is taken from the first
    /// that is fresh: two that measure over different times would contradict each other.
    pub fn expect(&mut self, source: &'static str, usage: bool, performance: bool) {
        let rank = self.sources.len();
        let record = self.sources.entry(source).or_insert(Record { rank, ..Record::default() });
        (record.usage, record.performance) = (usage, performance);
    }

    /// Takes in what a source said. Whether that is news.
    pub fn take(&mut self, source: &'static str, said: Result<Readings, SourceError>) -> bool {
        let first = self.is_first(source, said.as_ref().ok().and_then(Readings::newest));
        let record = self.sources.entry(source).or_default();
        let readings = match said {
            Ok(mut readings) => {
                if !first {
                    readings.nodes.clear();
                    readings.pods.iter_mut().for_each(|pod| pod.used = PerResource::default());
                }
                readings
            }
            Err(trouble) => {
                let news = record.trouble.is_none();
                // The first words stay: the status shows them, and must not move by itself.
                let same = |old: &SourceError| {
                    std::mem::discriminant(old) == std::mem::discriminant(&trouble)
                };
                if !record.trouble.as_ref().is_some_and(same) {
                    record.trouble = Some(trouble);
                }
                return news;
            }
        };
        let recovered = record.trouble.take().is_some();
        let newest = readings.newest();
        let news = newest > record.newest;
        let before = record.newest;
        if news {
            record.newest = newest;
        }
        if readings.pods.is_empty() {
            let pair = newest.zip(before);
            record.note_gap(pair.map(|(newest, before)| newest.duration_since(before).as_millis()));
        } else {
            // Of all pods, as the nodes are not measured at one time.
            let gaps = readings.pods.into_iter().filter_map(|pod| take_pod(&mut self.pods, pod));
            record.note_gap(gaps.min().map(i128::from));
        }
        if let Some(newest) = newest {
            let horizon = newest.as_millisecond() - FORGOTTEN;
            self.pods.retain(|_, pod| pod.newest() >= horizon);
        }
        for node in readings.nodes {
            self.nodes.insert(node.name, (node.at, node.used));
        }
        if record.performance {
            // Who is not asked about any more is forgotten.
            self.objectives =
                readings.objectives.into_iter().map(|it| (it.member, (it.at, it.value))).collect();
        }
        news || recovered
    }

    /// Whether no source that comes before this one is fresh at the time.
    fn is_first(&self, source: &str, at: Option<Timestamp>) -> bool {
        let (Some(this), Some(at)) = (self.sources.get(source), at) else { return true };
        let before = self.sources.values().filter(|it| it.usage && it.rank < this.rank);
        !this.usage || before.into_iter().all(|it| it.freshness(at) != Freshness::Fresh)
    }

    /// Notes what pods hold now, so that their use is held against what they held when it was measured.
    pub fn note_held(&mut self, pods: &[Pod], now: Timestamp) {
        let now = now.as_millisecond();
        for pod in pods {
            // A map of pairs cannot be asked with borrowed ones.
            let name = (pod.namespace.clone(), pod.name.clone());
            let Some(measures) = self.pods.get_mut(&name) else { continue };
            let held = PerResource::from_fn(|resource| pod.charge(resource));
            if measures.held.back().is_none_or(|(_, last)| *last != held) {
                measures.held.push_back((now, held));
            }
            // The second oldest says until when the oldest was so.
            while measures.held.get(1).is_some_and(|(until, _)| *until < now - FORGOTTEN) {
                measures.held.pop_front();
            }
        }
    }

    /// What is known now.
    #[must_use]
    pub fn signals(&self, now: Timestamp) -> Signals {
        let recent = |at: Timestamp| {
            let longest = self.sources.values().map(Record::interval).max().unwrap_or(SHORTEST);
            now.duration_since(at) <= SignedDuration::from_secs(longest) * STALE_INTERVALS
        };
        let usage = self.sources.values().filter(|record| record.usage);
        let interval = usage.map(Record::interval).min().unwrap_or(SHORTEST);
        let window = interval * 1000;
        let pods = self.pods.iter().filter(|(_, pod)| pod.is_used()).map(|(name, pod)| {
            let used = |resource| pod.peak[resource].last().map_or(0, |(_, used)| used);
            let signals = PodSignals {
                used: PerResource::from_fn(used),
                peak: PerResource::from_fn(|resource| pod.peak[resource].highest()),
                risen: PerResource::from_fn(|resource| pod.peak[resource].risen()),
                throughout: pod.peak.cpu.throughout(STEADY),
                held: PerResource::from_fn(|resource| pod.held_while_measured(resource, window)),
                waiting: pod
                    .waiting
                    .last()
                    .filter(|&(at, _)| Timestamp::from_millisecond(at).is_ok_and(recent))
                    .map(|(_, waiting)| thousandths(waiting)),
                waited_throughout: pod.waiting.throughout(STEADY).map(thousandths),
                guest_throughout: pod.guest.throughout(STEADY).map(thousandths),
            };
            (name.clone(), signals)
        });
        let objectives = self.objectives.iter();
        Signals {
            pods: pods.collect(),
            objectives: objectives
                .map(|(name, (_, value))| (name.clone(), value.clone()))
                .collect(),
            interval: interval.unsigned_abs(),
            usage: self.usage(now),
            performance: self.performance(now),
        }
    }

    /// Every how often a source measures, as far as is known.
    #[must_use]
    pub fn interval(&self, source: &str) -> Duration {
        let seconds = self.sources.get(source).map_or(SHORTEST, Record::interval);
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// Whether it is known now what pods use.
    #[must_use]
    pub fn usage(&self, now: Timestamp) -> Freshness {
        freshness(self.sources.values().filter(|record| record.usage), now)
    }

    /// Whether it is known now how well members do.
    #[must_use]
    pub fn performance(&self, now: Timestamp) -> Freshness {
        freshness(self.sources.values().filter(|record| record.performance), now)
    }

    /// What each node uses: nanocores, bytes.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, PerResource<u64>)> {
        self.nodes.iter().map(|(name, (_, used))| (name.as_str(), *used))
    }
}

/// Takes in what a source said of a pod. How long it took to measure it again, in milliseconds, where that is known.
fn take_pod(pods: &mut BTreeMap<(String, String), Measures>, pod: PodReading) -> Option<i64> {
    let measures = pods.entry((pod.namespace, pod.name)).or_default();
    let (at, before) = (pod.at.as_millisecond(), measures.newest());
    if let Some(used) = pod.used.cpu {
        measures.peak.cpu.take_mean(at, used);
    }
    // What was held at one moment may have been let go just before, and be back right after.
    if let Some(used) = pod.used.memory {
        measures.peak.memory.take(at, used);
    }
    if let Some(waiting) = pod.waiting {
        measures.waiting.take(at, waiting.into());
    }
    if let Some(guest) = pod.guest {
        measures.guest.take(at, guest.into());
    }
    (before > 0 && at > before).then_some(at - before)
}

fn thousandths(part: u64) -> u16 {
    u16::try_from(part).unwrap_or(u16::MAX)
}

/// The best that sources of one kind can say. Where all fail, each says why.
fn freshness<'r>(sources: impl Iterator<Item = &'r Record>, now: Timestamp) -> Freshness {
    let mut best = Freshness::default();
    for record in sources {
        let this = record.freshness(now);
        match (&best, &this) {
            (Freshness::Fresh, _) | (Freshness::Stale(_), Freshness::Absent(_)) => {}
            (Freshness::Stale(one), Freshness::Stale(other)) if one != other => {
                best = Freshness::Stale(format!("{one}; {other}"));
            }
            _ => best = this,
        }
    }
    best
}

impl Readings {
    /// When the newest of its samples was taken.
    fn newest(&self) -> Option<Timestamp> {
        let times = self.pods.iter().map(|pod| pod.at);
        times.chain(self.objectives.iter().map(|it| it.at)).max()
    }
}

impl Measures {
    fn newest(&self) -> i64 {
        let last = |resource| self.peak[resource].last().map(|(at, _)| at);
        let waiting = self.waiting.last().map(|(at, _)| at);
        [last(Resource::Cpu), last(Resource::Memory), waiting]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0)
    }

    /// The least that it held in the `window` of milliseconds before its last sample, as far as that is known.
    fn held_while_measured(&self, resource: Resource, window: i64) -> Option<u64> {
        let (at, _) = self.peak[resource].last()?;
        let untils = self.held.iter().skip(1).map(|(from, _)| *from).chain([i64::MAX]);
        let then = self.held.iter().zip(untils);
        let overlaps = then.filter(|((from, _), until)| *from <= at && *until > at - window);
        overlaps.map(|((_, held), _)| held[resource]).min()
    }

    /// Whether anybody said what it uses.
    fn is_used(&self) -> bool {
        self.peak.cpu.last().is_some()
    }
}

impl Record {
    fn note_gap(&mut self, gap: Option<i128>) {
        if let Some(gap) = gap.filter(|&gap| gap > 0) {
            self.gaps = [Some(gap), self.gaps[0]];
        }
    }

    /// Every how many seconds it measures: the shorter of the last two gaps, as an outage makes one of them long.
    fn interval(&self) -> i64 {
        let shortest =
            self.gaps.iter().flatten().min().and_then(|&gap| i64::try_from(gap / 1000).ok());
        // Whole steps of five: what follows from it must not move with every breath.
        (shortest.unwrap_or(SHORTEST).max(SHORTEST) + 2) / 5 * 5
    }

    fn freshness(&self, now: Timestamp) -> Freshness {
        let age = self.newest.map(|newest| now.duration_since(newest));
        let limit = SignedDuration::from_secs(self.interval()) * STALE_INTERVALS;
        match (&self.trouble, age) {
            (Some(SourceError::Absent(why)), None) => Freshness::Absent(why.clone()),
            (_, Some(age)) if age <= limit => Freshness::Fresh,
            // Who had metrics-server a minute ago waits for it, unless it does not come back.
            (Some(SourceError::Absent(why)), Some(age)) if age > SignedDuration::from_mins(10) => {
                Freshness::Absent(why.clone())
            }
            (Some(trouble), _) => Freshness::Stale(trouble.to_string()),
            (None, None) => Freshness::Stale("no measurement has come yet".to_owned()),
            (None, Some(_)) => Freshness::Stale("the newest measurement is too old".to_owned()),
        }
    }
}
