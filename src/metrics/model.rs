//! What the sources have told so far: the last answer, the peaks, and how fresh all of it is. Pure; the time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;

use super::{
    MemberKey, NodeMetrics, ObjectiveReading, PodMetrics, Readings, SourceError,
    measures::{
        FORGOTTEN, Has, MeasuredPods, Measures, PodMeasures, forget_before, note_stale, take_pod,
    },
    record::{Freshness, Record, SHORTEST, STALE_INTERVALS, freshness},
};
use crate::{cluster::Pod, share::PerResource};

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

/// What the sources have told so far.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By namespace and name.
    pods: BTreeMap<String, BTreeMap<String, Measures>>,
    nodes: BTreeMap<String, (Timestamp, PerResource<u64>)>,
    objectives: BTreeMap<MemberKey, (Timestamp, Result<f64, String>)>,
    sources: BTreeMap<&'static str, Record>,
    news: News,
    /// The measurements of pods as another process told them, by namespace and name.
    told: BTreeMap<String, BTreeMap<String, PodMeasures>>,
}

impl Metrics {
    /// Expects a source, which tells what pods use, how well members do, or both. What pods use is taken from the first
    /// that is fresh: two that measure over different times would contradict each other.
    pub fn expect(&mut self, source: &'static str, usage: bool, performance: bool) {
        let rank = self.sources.len();
        let record = self.sources.entry(source).or_insert_with(|| Record::of_rank(rank));
        (record.usage, record.performance) = (usage, performance);
    }

    /// Fixes the interval of a source, in seconds, whatever the gaps between its samples: a trace has fewer samples than the source took.
    pub fn take_to_measure_every(&mut self, source: &'static str, seconds: u32) {
        self.sources.entry(source).or_default().fixed = Some(i64::from(seconds));
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
        let performance = record.performance;
        if let Some(newest) = newest {
            let newest = newest.as_millisecond();
            self.news.pods.extend(forget_before(&mut self.pods, newest - FORGOTTEN));
            let trust = self.longest_trust();
            self.news.pods.extend(note_stale(&mut self.pods, newest.saturating_sub(trust)));
        }
        let newest = readings.nodes.iter().map(|node| node.at).max();
        for node in readings.nodes {
            self.news.nodes.insert(node.name.clone());
            self.nodes.insert(node.name, (node.at, node.used));
        }
        if let Some(newest) = newest {
            self.forget_nodes_before(newest.as_millisecond().saturating_sub(self.longest_trust()));
        }
        if performance {
            // Members that are not asked about any more are forgotten.
            // A recent value stays if the question fails this time.
            let before = std::mem::take(&mut self.objectives);
            self.news.objectives.extend(before.keys().cloned());
            let trust = self.longest_trust();
            let kept = |new: &ObjectiveReading| {
                let (at, value) = before.get(&new.member)?;
                let age = new.at.as_millisecond() - at.as_millisecond();
                (new.value.is_err() && value.is_ok() && age <= trust).then(|| (*at, value.clone()))
            };
            let known = readings.objectives.into_iter().map(|new| {
                let known = kept(&new).unwrap_or((new.at, new.value));
                (new.member, known)
            });
            self.objectives = known.collect();
            self.news.objectives.extend(self.objectives.keys().cloned());
        }
        news || recovered
    }

    /// Forgets the nodes that are gone, or that were not measured since a time in milliseconds.
    fn forget_nodes_before(&mut self, horizon: i64) {
        let gone = self.nodes.extract_if(.., |_, (at, _)| at.as_millisecond() < horizon);
        self.news.nodes.extend(gone.map(|(name, _)| name));
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

    /// Notes what a pod holds now, and what limits it, so that its use is held against what it had when that was measured. What was
    /// measured of an earlier pod of that name is forgotten.
    pub fn note_held(&mut self, pod: &Pod, now: Timestamp) {
        let Some(pods) = self.pods.get_mut(&pod.namespace) else { return };
        let created = pod.created.filter(|_| !self.sources.values().any(|it| it.timeless));
        let created = created.map_or(i64::MIN, Timestamp::as_millisecond);
        if pods.get_mut(&pod.name).is_some_and(|it| !it.is_of(&pod.uid, created)) {
            pods.remove(&pod.name);
        }
        if let Some(measures) = pods.get_mut(&pod.name) {
            let held = PerResource::from_fn(|resource| pod.charge(resource));
            measures.note(Has { held, limits: pod.cpu_limits() }, now.as_millisecond());
        }
    }

    /// What is measured of a pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &str, now: Timestamp) -> Option<PodMeasures> {
        self.pods_in(namespace, now).pod(pod)
    }

    /// The measurements of the pods in a namespace.
    #[must_use]
    pub fn pods_in(&self, namespace: &str, now: Timestamp) -> MeasuredPods<'_> {
        MeasuredPods {
            pods: self.pods.get(namespace),
            told: self.told.get(namespace),
            window: self.shortest_interval() * 1000,
            is_fresh: self.usage(now) == Freshness::Fresh,
            trust: self.longest_trust(),
            now: now.as_millisecond(),
        }
    }

    /// How well a member does: the number that its objective's query gives, or why there is none.
    #[must_use]
    pub fn objective(&self, member: &MemberKey) -> Option<&Result<f64, String>> {
        self.objectives.get(member).map(|(_, value)| value)
    }

    /// What a node used when it was last measured: nanocores, bytes.
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
            _ => {
                let time = Some(Timestamp::UNIX_EPOCH);
                let pods = pods.iter().filter_map(|pod| pod.reading(time)).collect();
                let nodes = nodes.iter().filter_map(|node| node.reading(time)).collect();
                Ok(Readings { pods, nodes, objectives: Vec::new() })
            }
        };
        metrics.take(source, said);
        metrics.sources.values_mut().for_each(|record| record.timeless = true);
        metrics
    }

    /// Takes the measurements of pods from another process, which has looked at them for longer.
    pub fn take_told(&mut self, namespace: &str, pod: &str, measures: PodMeasures) {
        let told = self.told.entry(namespace.to_owned()).or_default();
        told.insert(pod.to_owned(), measures);
    }
}

impl Readings {
    /// When the newest of its samples was taken.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let times = self.pods.iter().map(|pod| pod.at);
        times.chain(self.objectives.iter().map(|it| it.at)).max()
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
