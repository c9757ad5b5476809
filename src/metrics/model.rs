//! What the sources have told so far: the last answer, the peaks, and how fresh all of it is. Pure; the time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{MemberKey, NodeMetrics, PodMetrics, PodReading, Readings, SourceError};
use crate::{
    cluster::Pod,
    share::{Peak, PerResource, Resource},
};

/// What is measured after more than so many intervals is not trusted any more.
const STALE_INTERVALS: i32 = 3;
/// The shortest interval that is reckoned with, in seconds: nobody measures more often.
const SHORTEST: i64 = 15;
/// A source that was there is waited for so long.
const GONE: SignedDuration = SignedDuration::from_mins(10);
/// Use that is to be steady is so for five minutes, in milliseconds.
const STEADY: i64 = 300_000;
/// A pod that nobody has measured for so long is forgotten, in milliseconds.
const FORGOTTEN: i64 = 600_000;

/// What was measured anew.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct News {
    /// Pods, by namespace and name.
    pub pods: BTreeSet<(String, String)>,
    /// Nodes.
    pub nodes: BTreeSet<String>,
    /// Members whose objective was asked for.
    pub objectives: BTreeSet<MemberKey>,
}

/// What is measured of one pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PodMeasures {
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
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By namespace and name.
    pods: BTreeMap<String, BTreeMap<String, Measures>>,
    nodes: BTreeMap<String, (Timestamp, PerResource<u64>)>,
    objectives: BTreeMap<MemberKey, (Timestamp, Result<f64, String>)>,
    sources: BTreeMap<&'static str, Record>,
    news: News,
}

#[derive(Clone, Debug, Default)]
struct Measures {
    peak: PerResource<Peak>,
    /// How it waited, and what its guest used of its memory: in thousandths.
    waiting: Peak,
    guest: Peak,
    /// What it held, from when on (in milliseconds): the newest last.
    held: VecDeque<(i64, PerResource<u64>)>,
}

/// What is known of a source.
#[derive(Clone, Debug, Default)]
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
    /// What it says holds for ever: it was written down.
    timeless: bool,
}

impl Metrics {
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
            let mut gaps = Vec::new();
            for pod in readings.pods {
                self.news.pods.insert((pod.namespace.clone(), pod.name.clone()));
                gaps.extend(take_pod(&mut self.pods, pod));
            }
            record.note_gap(gaps.into_iter().min().map(i128::from));
        }
        if let Some(newest) = newest {
            let horizon = newest.as_millisecond() - FORGOTTEN;
            self.pods.values_mut().for_each(|pods| pods.retain(|_, it| it.newest() >= horizon));
            self.pods.retain(|_, pods| !pods.is_empty());
        }
        for node in readings.nodes {
            self.news.nodes.insert(node.name.clone());
            self.nodes.insert(node.name, (node.at, node.used));
        }
        if record.performance {
            // Members that are not asked about any more are forgotten.
            let before = std::mem::take(&mut self.objectives);
            self.news.objectives.extend(before.into_keys());
            self.objectives =
                readings.objectives.into_iter().map(|it| (it.member, (it.at, it.value))).collect();
            self.news.objectives.extend(self.objectives.keys().cloned());
        }
        news || recovered
    }

    /// Whether no source that comes before this one is fresh at the time.
    fn is_first(&self, source: &str, at: Option<Timestamp>) -> bool {
        let (Some(this), Some(at)) = (self.sources.get(source), at) else { return true };
        let before = self.sources.values().filter(|it| it.usage && it.rank < this.rank);
        !this.usage || before.into_iter().all(|it| it.freshness(at) != Freshness::Fresh)
    }

    /// What was measured anew since this was asked last.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Notes what a pod holds now, so that its use is held against what it held when that was measured.
    pub fn note_held(&mut self, pod: &Pod, now: Timestamp) {
        let measures = self.pods.get_mut(&pod.namespace).and_then(|pods| pods.get_mut(&pod.name));
        let Some(measures) = measures else { return };
        let now = now.as_millisecond();
        let held = PerResource::from_fn(|resource| pod.charge(resource));
        if measures.held.back().is_none_or(|(_, last)| *last != held) {
            measures.held.push_back((now, held));
        }
        // The second oldest says until when the oldest was so.
        while measures.held.get(1).is_some_and(|(until, _)| *until < now - FORGOTTEN) {
            measures.held.pop_front();
        }
    }

    /// Whether it is known what a pod uses.
    #[must_use]
    pub fn measures(&self, namespace: &str, pod: &str) -> bool {
        self.of(namespace, pod).is_some()
    }

    /// What is measured of a pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &str, now: Timestamp) -> Option<PodMeasures> {
        let pod = self.of(namespace, pod)?;
        let window = self.shortest_interval() * 1000;
        let used = |resource| pod.peak[resource].last().map_or(0, |(_, used)| used);
        let recent = |at: i64| at >= now.as_millisecond() - self.longest_trust();
        Some(PodMeasures {
            used: PerResource::from_fn(used),
            peak: PerResource::from_fn(|resource| pod.peak[resource].highest()),
            risen: PerResource::from_fn(|resource| pod.peak[resource].risen()),
            throughout: pod.peak.cpu.throughout(STEADY),
            held: PerResource::from_fn(|resource| pod.held_while_measured(resource, window)),
            waiting: pod
                .waiting
                .last()
                .filter(|&(at, _)| recent(at))
                .map(|(_, waiting)| thousandths(waiting)),
            waited_throughout: pod.waiting.throughout(STEADY).map(thousandths),
            guest_throughout: pod.guest.throughout(STEADY).map(thousandths),
        })
    }

    /// Until when it counts how long a pod waited for CPU. None: nobody has said.
    #[must_use]
    pub fn waiting_until(&self, namespace: &str, pod: &str) -> Option<Timestamp> {
        let (at, _) = self.of(namespace, pod)?.waiting.last()?;
        Timestamp::from_millisecond(at.saturating_add(self.longest_trust()).saturating_add(1)).ok()
    }

    /// How well a member does: the number that its objective's query gives, or why there is none.
    #[must_use]
    pub fn objective(&self, member: &MemberKey) -> Option<&Result<f64, String>> {
        self.objectives.get(member).map(|(_, value)| value)
    }

    /// What a node uses: nanocores, bytes.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<PerResource<u64>> {
        self.nodes.get(name).map(|(_, used)| *used)
    }

    /// Every how many seconds it is measured what pods use.
    #[must_use]
    pub fn interval(&self) -> u64 {
        self.shortest_interval().unsigned_abs()
    }

    fn shortest_interval(&self) -> i64 {
        let usage = self.sources.values().filter(|record| record.usage);
        usage.map(Record::interval).min().unwrap_or(SHORTEST)
    }

    /// For how many milliseconds a sample counts, at the longest.
    fn longest_trust(&self) -> i64 {
        let longest = self.sources.values().map(Record::interval).max().unwrap_or(SHORTEST);
        longest * i64::from(STALE_INTERVALS) * 1000
    }

    /// A pod of which it is known what it uses.
    fn of(&self, namespace: &str, pod: &str) -> Option<&Measures> {
        self.pods.get(namespace)?.get(pod).filter(|pod| pod.is_used())
    }

    /// Every how often a source measures, as far as is known.
    #[must_use]
    pub fn interval_of(&self, source: &str) -> Duration {
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

    /// Every how often each source measures, as far as is known.
    #[must_use]
    pub fn intervals(&self) -> BTreeMap<&'static str, Duration> {
        self.sources.keys().map(|source| (*source, self.interval_of(source))).collect()
    }

    /// What a source is worth now: of those that tell what pods use, what they are worth together.
    #[must_use]
    pub fn freshness_of(&self, source: &str, now: Timestamp) -> Freshness {
        match self.sources.get(source).is_some_and(|record| record.usage) {
            true => self.usage(now),
            false => self.performance(now),
        }
    }

    /// When the newest samples of a source get too old to be trusted, or its absence to be waited out.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.sources.values().flat_map(Record::turns);
        all.filter(|at| *at > now).min()
    }

    /// One sample of each pod and node, taken as it is, however old.
    #[must_use]
    pub fn written_down(pods: &[PodMetrics], nodes: &[NodeMetrics]) -> Self {
        let (mut metrics, source) = (Self::default(), "PodMetrics");
        metrics.expect(source, true, false);
        let said = match pods {
            [] => Err(SourceError::Absent("there are no PodMetrics".to_owned())),
            _ => Ok(Readings::of(pods, nodes, Some(Timestamp::UNIX_EPOCH))),
        };
        metrics.take(source, said);
        metrics.sources.values_mut().for_each(|record| record.timeless = true);
        metrics
    }
}

/// Takes in what a source said of a pod. How long it took to measure it again, in milliseconds, where that is known.
fn take_pod(
    pods: &mut BTreeMap<String, BTreeMap<String, Measures>>,
    pod: PodReading,
) -> Option<i64> {
    let measures = pods.entry(pod.namespace).or_default().entry(pod.name).or_default();
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
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
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

    /// When it may be seen differently, without another word of it: its newest sample gets too old, or was waited for long
    /// enough.
    fn turns(&self) -> impl Iterator<Item = Timestamp> {
        let after = [SignedDuration::from_secs(self.interval()) * STALE_INTERVALS, GONE];
        let newest = self.newest.filter(|_| !self.timeless);
        let moment = SignedDuration::from_nanos(1);
        newest.into_iter().flat_map(move |newest| after.map(|after| newest + after + moment))
    }

    fn freshness(&self, now: Timestamp) -> Freshness {
        if self.timeless && self.trouble.is_none() {
            return Freshness::Fresh;
        }
        let age = self.newest.map(|newest| now.duration_since(newest));
        let limit = SignedDuration::from_secs(self.interval()) * STALE_INTERVALS;
        match (&self.trouble, age) {
            (Some(SourceError::Absent(why)), None) => Freshness::Absent(why.clone()),
            (_, Some(age)) if age <= limit => Freshness::Fresh,
            // Who had metrics-server a minute ago waits for it, unless it does not come back.
            (Some(SourceError::Absent(why)), Some(age)) if age > GONE => {
                Freshness::Absent(why.clone())
            }
            (Some(trouble), _) => Freshness::Stale(trouble.to_string()),
            (None, None) => Freshness::Stale("no measurement has come yet".to_owned()),
            (None, Some(_)) => Freshness::Stale("the newest measurement is too old".to_owned()),
        }
    }
}

#[cfg(test)]
impl Metrics {
    /// What one source said, one time after the other, of what pods use and how members do. It holds for ever.
    pub fn timeless(said: impl IntoIterator<Item = Readings>) -> Self {
        let (mut metrics, source) = (Self::default(), "samples");
        metrics.expect(source, true, true);
        for readings in said {
            metrics.take(source, Ok(readings));
        }
        metrics.sources.values_mut().for_each(|record| record.timeless = true);
        metrics
    }

    /// The source says nothing any more.
    pub fn fail(&mut self, why: &str) {
        self.take("samples", Err(SourceError::Failed(why.to_owned())));
        self.sources.values_mut().for_each(|record| record.newest = None);
    }
}
