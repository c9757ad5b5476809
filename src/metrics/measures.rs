//! What is measured of pods, over the last minutes.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PodReading;
use crate::{
    cluster::CpuLimits,
    share::{Peak, PerResource, Resource},
};

/// Use that is to be steady is so for five minutes, in milliseconds.
const STEADY: i64 = 300_000;
/// A peak that went down by no more than this part of it, or by so little (5m, 8Mi), is taken to be where it was.
const LOWER_PARTS: u64 = 20;
const NEXT_TO_NOTHING: PerResource<u64> = PerResource { cpu: 5_000_000, memory: 8 << 20 };
/// After so many milliseconds without a sample, a pod is forgotten.
pub const FORGOTTEN: i64 = 600_000;

/// What is measured of one pod.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PodMeasures {
    /// Its samples are as recent as those of the other pods, and the source is fresh.
    pub is_fresh: bool,
    /// What it uses: nanocores, bytes.
    pub used: PerResource<u64>,
    /// The most that it used of late: nanocores, bytes. Where that went down by less than a twentieth, as it was: use is never
    /// quite the same, and no decision is made for that.
    pub peak: PerResource<u64>,
    /// What its use rose to of late, zero where it did not: nanocores, bytes.
    pub risen: PerResource<u64>,
    /// The least CPU that it used in the last five minutes, in nanocores. None: it has not been measured for so long.
    pub throughout: Option<u64>,
    /// The least that it held while it was last measured: millicores, bytes. None: what it holds now.
    pub held: PerResource<Option<u64>>,
    /// What limited its CPU while it was last measured. None: what limits it now.
    pub limits: Option<CpuLimits>,
    /// The share of time, in thousandths, that the pod waited for CPU. None: no source has reported it recently.
    pub waiting: Option<u16>,
    /// When `waiting` becomes too old to be used. Another process is not told.
    #[serde(skip)]
    pub waiting_until: Option<Timestamp>,
    /// The least part of the time, in thousandths, in which it waited for CPU in the last five minutes. None: it was not
    /// measured for so long.
    pub waited_throughout: Option<u16>,
    /// The least part of a virtual machine's memory, in thousandths, that its guest used in the last five minutes. None: it
    /// is none, or it was not measured for so long.
    pub guest_throughout: Option<u16>,
}

/// What a pod has from some time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Has {
    /// Millicores, bytes.
    pub held: PerResource<u64>,
    pub limits: CpuLimits,
}

/// The measurements of the pods in one namespace at one time.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredPods<'m> {
    pub(super) pods: Option<&'m BTreeMap<String, Measures>>,
    /// As another process told them.
    pub(super) told: Option<&'m BTreeMap<String, PodMeasures>>,
    /// The interval between measurements, in milliseconds.
    pub(super) window: i64,
    /// Whether what pods use is known now.
    pub(super) is_fresh: bool,
    /// How long a sample of waiting is used, in milliseconds.
    pub(super) trust: i64,
    /// The time, in milliseconds.
    pub(super) now: i64,
}

impl MeasuredPods<'_> {
    /// The measurements of a pod. None: no source has reported its usage.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<PodMeasures> {
        if let Some(told) = self.told.and_then(|told| told.get(name)) {
            return Some(*told);
        }
        let measures = self.pods?.get(name).filter(|measures| measures.is_used())?;
        Some(measures.at(self))
    }
}

/// What was measured of one pod, and what it held meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    /// The UID of the pod.
    uid: Option<String>,
    /// Other pods have newer samples; see [`note_stale`].
    is_stale: bool,
    peak: PerResource<Peak>,
    /// The peaks as decisions read them: never lower than they are.
    steady_peak: PerResource<u64>,
    /// How it waited, and what its guest used of its memory, in thousandths: where anybody says so.
    waiting: Option<Box<Peak>>,
    guest: Option<Box<Peak>>,
    /// What it had, from when on (in milliseconds): the newest last.
    had: VecDeque<(i64, Has)>,
}

/// Forgets the pods that were not measured since a time in milliseconds. Returns their namespaces and names.
pub(super) fn forget_before(
    all: &mut BTreeMap<String, BTreeMap<String, Measures>>,
    horizon: i64,
) -> Vec<(String, String)> {
    let mut forgotten = Vec::new();
    for (namespace, pods) in &mut *all {
        let gone = pods.extract_if(.., |_, measures| measures.newest() < horizon);
        forgotten.extend(gone.map(|(name, _)| (namespace.clone(), name)));
    }
    all.retain(|_, pods| !pods.is_empty());
    forgotten
}

/// Marks the pods without a sample since `horizon` (in milliseconds) as stale, and the others as fresh. Returns those that changed, by
/// namespace and name.
pub(super) fn note_stale(
    all: &mut BTreeMap<String, BTreeMap<String, Measures>>,
    horizon: i64,
) -> Vec<(String, String)> {
    let mut turned = Vec::new();
    for (namespace, pods) in all {
        for (name, measures) in pods {
            let is_stale = measures.newest() < horizon;
            if std::mem::replace(&mut measures.is_stale, is_stale) != is_stale {
                turned.push((namespace.clone(), name.clone()));
            }
        }
    }
    turned
}

/// Takes in what a source said of a pod. How long it took to measure it again, in milliseconds, where that is known.
pub(super) fn take_pod(
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
    measures.steady_peaks();
    if let Some(waiting) = pod.waiting {
        measures.waiting.get_or_insert_default().take(at, waiting.into());
    }
    if let Some(guest) = pod.guest {
        measures.guest.get_or_insert_default().take(at, guest.into());
    }
    (before > 0 && at > before).then_some(at - before)
}

impl Measures {
    /// When it was measured last, in milliseconds; zero where it never was.
    pub fn newest(&self) -> i64 {
        let last = |resource| self.peak[resource].last().map(|(at, _)| at);
        let waiting = self.waited().map(|(at, _)| at);
        [last(Resource::Cpu), last(Resource::Memory), waiting]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0)
    }

    fn steady_peaks(&mut self) {
        for resource in Resource::ALL {
            let (highest, steady) = (self.peak[resource].highest(), self.steady_peak[resource]);
            let lower = steady.saturating_sub(highest);
            let is_lower = lower > steady / LOWER_PARTS && lower > NEXT_TO_NOTHING[resource];
            if highest > steady || is_lower {
                self.steady_peak[resource] = highest;
            }
        }
    }

    /// How it waited when that was measured last, and when that was.
    pub fn waited(&self) -> Option<(i64, u64)> {
        self.waiting.as_ref()?.last()
    }

    /// What it had in the `window` of milliseconds before its last sample. Before the first
    /// note, it is taken to have had the same.
    fn had_while_measured(&self, resource: Resource, window: i64) -> impl Iterator<Item = &Has> {
        let at = self.peak[resource].last().map(|(at, _)| at);
        let froms = [i64::MIN].into_iter().chain(self.had.iter().skip(1).map(|(from, _)| *from));
        let untils = self.had.iter().skip(1).map(|(from, _)| *from).chain([i64::MAX]);
        let then = self.had.iter().zip(froms.zip(untils));
        let overlaps = then.filter(move |(_, (from, until))| {
            at.is_some_and(|at| *from <= at && *until > at.saturating_sub(window))
        });
        overlaps.map(|((_, had), _)| had)
    }

    /// The least that it held while it was measured.
    fn held_while_measured(&self, resource: Resource, window: i64) -> Option<u64> {
        self.had_while_measured(resource, window).map(|had| had.held[resource]).min()
    }

    /// The highest limits that it had while it was measured: under them, it was not limited all the time.
    fn limited_while_measured(&self, window: i64) -> Option<CpuLimits> {
        let limits = self.had_while_measured(Resource::Cpu, window).map(|had| had.limits);
        let higher = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(a, b)| a.max(b));
        limits.reduce(|most, limits| CpuLimits {
            regular: higher(most.regular, limits.regular),
            all: higher(most.all, limits.all),
        })
    }

    /// Whether anybody said what it uses.
    pub fn is_used(&self) -> bool {
        self.peak.cpu.last().is_some()
    }

    /// The measurements of this pod at the time of `all`.
    fn at(&self, all: &MeasuredPods) -> PodMeasures {
        let waited = self.waited().filter(|(at, _)| *at >= all.now - all.trust);
        let until = |(at, _): (i64, u64)| {
            Timestamp::from_millisecond(at.saturating_add(all.trust).saturating_add(1)).ok()
        };
        let used = |resource| self.peak[resource].last().map_or(0, |(_, used)| used);
        let throughout = |of: &Option<Box<Peak>>| of.as_ref()?.throughout(STEADY).map(thousandths);
        PodMeasures {
            is_fresh: all.is_fresh && !self.is_stale,
            used: PerResource::from_fn(used),
            peak: self.steady_peak,
            risen: PerResource::from_fn(|resource| self.peak[resource].risen()),
            throughout: self.peak.cpu.throughout(STEADY),
            held: PerResource::from_fn(|resource| self.held_while_measured(resource, all.window)),
            limits: self.limited_while_measured(all.window),
            waiting: waited.map(|(_, waiting)| thousandths(waiting)),
            waiting_until: waited.and_then(until),
            waited_throughout: throughout(&self.waiting),
            guest_throughout: throughout(&self.guest),
        }
    }

    /// Whether the samples are of the pod with this UID, created at this time (in milliseconds), and not of an earlier pod of the same
    /// name. The first UID is remembered.
    pub fn is_of(&mut self, uid: &str, created: i64) -> bool {
        match &self.uid {
            Some(known) if known != uid => return false,
            Some(_) => {}
            None => self.uid = Some(uid.to_owned()),
        }
        self.newest() >= created
    }

    /// Notes what it has from a time on, in milliseconds.
    pub fn note(&mut self, has: Has, now: i64) {
        if self.had.back().is_none_or(|(_, last)| *last != has) {
            self.had.push_back((now, has));
        }
        // The second oldest says until when the oldest was so.
        while self.had.get(1).is_some_and(|(until, _)| *until < now - FORGOTTEN) {
            self.had.pop_front();
        }
    }
}

fn thousandths(part: u64) -> u16 {
    u16::try_from(part).unwrap_or(u16::MAX)
}
