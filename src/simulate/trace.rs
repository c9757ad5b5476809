//! What pods used over time, as it was recorded: one sample of each pod every so many seconds. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::share::{PerResource, Resource};

/// What pods used, in samples that are evenly spaced.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// When the first step begins, in seconds since 1970.
    pub start: i64,
    /// How long a step is, in seconds.
    pub step: u32,
    /// How many steps there are.
    pub steps: usize,
    /// The pods, by namespace and name.
    pub pods: Vec<TracedPod>,
}

/// One pod of a trace.
#[derive(Clone, Debug, Default)]
pub struct TracedPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the trace says of it besides.
    pub facts: Facts,
    /// The step of its first sample.
    pub from: usize,
    /// What it used in each step from then on.
    pub samples: Vec<Sample>,
}

/// What a trace says of a pod besides what it used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The machine it ran on.
    pub node: Option<String>,
    /// What it requested, in millicores and bytes.
    pub requests: PerResource<Option<u64>>,
    /// What limited it, in millicores and bytes.
    pub limits: PerResource<Option<u64>>,
}

/// What a pod used in one step. Half a word each: there are millions of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Millicores.
    cpu: u32,
    /// KiB.
    memory: u32,
}

/// It is not known.
const UNKNOWN: u32 = u32::MAX;

impl Sample {
    /// A pod that was not measured.
    pub const NONE: Self = Self { cpu: UNKNOWN, memory: UNKNOWN };

    /// Of millicores and bytes; memory is kept to the KiB above.
    #[must_use]
    pub fn new(used: PerResource<Option<u64>>) -> Self {
        let kept = |amount: Option<u64>| {
            amount.map_or(UNKNOWN, |it| u32::try_from(it).unwrap_or(UNKNOWN).min(UNKNOWN - 1))
        };
        Self { cpu: kept(used.cpu), memory: kept(used.memory.map(|bytes| bytes.div_ceil(1024))) }
    }

    /// Millicores. None: it is not known.
    #[must_use]
    pub fn cpu(self) -> Option<u64> {
        (self.cpu != UNKNOWN).then_some(u64::from(self.cpu))
    }

    /// Bytes. None: it is not known.
    #[must_use]
    pub fn memory(self) -> Option<u64> {
        (self.memory != UNKNOWN).then_some(u64::from(self.memory) * 1024)
    }
}

impl TracedPod {
    /// What it used in a step. None: it was not there.
    #[must_use]
    pub fn at(&self, step: usize) -> Option<Sample> {
        self.samples.get(step.checked_sub(self.from)?).copied()
    }
}

/// Takes in samples in whatever order a source has them.
#[derive(Debug, Default)]
pub struct Recorder {
    places: HashMap<String, HashMap<String, usize>>,
    pods: Vec<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    pod: TracedPod,
    /// When, in seconds since 1970, and what.
    raw: Vec<(u32, Sample)>,
}

/// A pod is taken to use what it used last, if no more than so many samples are missing.
const MISSING: usize = 3;
/// Sources have cores and bytes.
pub(super) const UNIT: PerResource<f64> = PerResource { cpu: 1000.0, memory: 1.0 };

/// Whole seconds, where there is room for them.
pub(super) fn within(seconds: f64) -> Option<u32> {
    (0.0..f64::from(u32::MAX)).contains(&seconds).then_some(seconds as u32)
}

/// A whole number, rounded up. None: it is below zero, too large, or no number.
pub(super) fn rounded(number: f64) -> Option<u64> {
    // What floating point adds to a sum is no unit more.
    const NOISE: f64 = 1e-6;
    (-NOISE..9e18).contains(&number).then(|| (number - NOISE).ceil().max(0.0) as u64)
}

/// So many pods tell how far apart samples are.
const ASKED: usize = 1000;

impl Recorder {
    /// Takes in a sample. `at` is in seconds since 1970.
    pub fn record(&mut self, namespace: &str, pod: &str, at: u32, used: PerResource<Option<u64>>) {
        let place = self.place(namespace, pod);
        self.pods[place].raw.push((at, Sample::new(used)));
    }

    /// Takes in an amount of one resource as Prometheus has it: in cores or bytes, at a time in seconds since 1970. An amount that is
    /// no number, or below zero, is left out. None: the time is before 1970 or after 2106.
    pub fn record_amount(
        &mut self,
        namespace: &str,
        pod: &str,
        at: f64,
        resource: Resource,
        amount: f64,
    ) -> Option<()> {
        let at = within(at)?;
        if let Some(amount) = rounded(amount * UNIT[resource]) {
            let mut used = PerResource::default();
            used[resource] = Some(amount);
            self.record(namespace, pod, at, used);
        }
        Some(())
    }

    /// Takes in what is known of a pod besides.
    pub fn describe(&mut self, namespace: &str, pod: &str, facts: Facts) {
        let place = self.place(namespace, pod);
        self.pods[place].pod.facts = facts;
    }

    /// What is known of a pod besides.
    pub fn facts(&mut self, namespace: &str, pod: &str) -> &mut Facts {
        let place = self.place(namespace, pod);
        &mut self.pods[place].pod.facts
    }

    /// What is known of a pod that was named before.
    #[must_use]
    pub fn known(&self, namespace: &str, pod: &str) -> Option<&Facts> {
        let place = *self.places.get(namespace)?.get(pod)?;
        self.pods.get(place).map(|it| &it.pod.facts)
    }

    /// Whether no pod was named yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    fn place(&mut self, namespace: &str, pod: &str) -> usize {
        if let Some(place) = self.places.get(namespace).and_then(|pods| pods.get(pod)) {
            return *place;
        }
        let place = self.pods.len();
        self.places.entry(namespace.to_owned()).or_default().insert(pod.to_owned(), place);
        let pod = TracedPod {
            namespace: namespace.to_owned(),
            name: pod.to_owned(),
            ..TracedPod::default()
        };
        self.pods.push(Recorded { pod, raw: Vec::new() });
        place
    }

    /// The trace, with steps of so many seconds; without a number, of the time that most samples are apart. None: there is no
    /// sample.
    #[must_use]
    pub fn finish(self, step: Option<u32>) -> Option<Trace> {
        let mut pods = self.pods;
        pods.retain(|pod| !pod.raw.is_empty());
        pods.iter_mut().for_each(|pod| pod.raw.sort_by_key(|(at, _)| *at));
        let first = pods.iter().filter_map(|pod| pod.raw.first()).map(|(at, _)| *at).min()?;
        let step = step.or_else(|| usual_gap(&pods)).unwrap_or(60).max(1);
        let start = first - first % step;
        let mut pods: Vec<TracedPod> = pods.into_iter().map(|it| it.even(start, step)).collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let steps = pods.iter().map(|pod| pod.from + pod.samples.len()).max()?;
        Some(Trace { start: i64::from(start), step, steps, pods })
    }
}

/// The time that lies between two samples most often, in seconds.
fn usual_gap(pods: &[Recorded]) -> Option<u32> {
    let mut gaps: BTreeMap<u32, usize> = BTreeMap::new();
    for pod in pods.iter().take(ASKED) {
        for pair in pod.raw.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            if gap > 0 {
                *gaps.entry(gap).or_default() += 1;
            }
        }
    }
    gaps.into_iter().max_by_key(|(_, count)| *count).map(|(gap, _)| gap)
}

impl Recorded {
    /// Its samples, one for each step: the mean of those that fall into it.
    fn even(self, start: u32, step: u32) -> TracedPod {
        let Self { mut pod, raw } = self;
        let place = |at: u32| ((at - start) / step) as usize;
        pod.from = raw.first().map_or(0, |(at, _)| place(*at));
        let (mut last, mut at) = (Sample::NONE, pod.from);
        for step in raw.chunk_by(|a, b| place(a.0) == place(b.0)) {
            let here = place(step[0].0);
            let missing = here - at;
            let between = if missing <= MISSING { last } else { Sample::NONE };
            pod.samples.extend(std::iter::repeat_n(between, missing));
            last = mean(step);
            pod.samples.push(last);
            at = here + 1;
        }
        pod.samples.shrink_to_fit();
        pod
    }
}

fn mean(samples: &[(u32, Sample)]) -> Sample {
    let of = |amount: fn(Sample) -> Option<u64>| {
        let known = samples.iter().filter_map(|(_, sample)| amount(*sample));
        let (count, sum) = known.fold((0u64, 0u64), |(count, sum), it| (count + 1, sum + it));
        sum.checked_div(count)
    };
    Sample::new(PerResource { cpu: of(Sample::cpu), memory: of(Sample::memory) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(milli: u64) -> PerResource<Option<u64>> {
        PerResource { cpu: Some(milli), memory: None }
    }

    fn of(trace: &Trace) -> Vec<(usize, Vec<Option<u64>>)> {
        let pods = trace.pods.iter();
        pods.map(|pod| (pod.from, pod.samples.iter().map(|it| it.cpu()).collect())).collect()
    }

    #[test]
    fn samples_come_in_any_order_and_are_evenly_spaced_then() {
        let mut recorder = Recorder::default();
        for (pod, at, milli) in [
            ("b", 120, 4),
            ("a", 180, 3),
            ("a", 61, 1),
            ("a", 125, 2),
            ("a", 130, 4),
            ("b", 180, 5),
        ] {
            recorder.record("shop", pod, at, cpu(milli));
        }
        let trace = recorder.finish(Some(60)).unwrap();
        assert_eq!((trace.start, trace.step, trace.steps), (60, 60, 3));
        let a = (0, vec![Some(1), Some(3), Some(3)]);
        assert_eq!(of(&trace), [a, (1, vec![Some(4), Some(5)])]);
        assert_eq!(trace.pods[1].at(0), None);
    }

    #[test]
    fn a_short_gap_is_bridged_and_a_long_one_is_not() {
        let mut recorder = Recorder::default();
        for at in [0, 15, 30, 75, 150] {
            recorder.record("shop", "a", at, cpu(u64::from(at)));
        }
        let trace = recorder.finish(None).unwrap();
        assert_eq!(trace.step, 15);
        let bridged = [Some(0), Some(15), Some(30), Some(30), Some(30), Some(75)];
        let (_, samples) = of(&trace).remove(0);
        assert_eq!(samples[..6], bridged);
        assert_eq!(samples[6..], [None, None, None, None, Some(150)]);
        assert!(Recorder::default().finish(None).is_none());
    }

    #[test]
    fn both_resources_may_come_one_after_the_other() {
        let mut recorder = Recorder::default();
        recorder.record("shop", "a", 0, cpu(250));
        let memory = PerResource { cpu: None, memory: Some(5 << 40) };
        recorder.record("shop", "a", 0, memory);
        let trace = recorder.finish(None).unwrap();
        let sample = trace.pods[0].at(0).unwrap();
        // More than 4 TiB is kept as the most that there is room for.
        assert_eq!(
            (sample.cpu(), sample.memory()),
            (Some(250), Some(u64::from(UNKNOWN - 1) * 1024))
        );
    }
}
