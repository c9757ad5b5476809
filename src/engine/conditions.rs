//! The conditions of a pool: what holds of it as a whole, with a reason for programs and a sentence for people.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{
    View,
    capacity::Capacity,
    coarse_weights::{CoarseWeight, coarse_weights},
    member_state::{MemberReport, NOT_FOUND, NOT_SEEN},
    pool_members::PoolMembers,
    shares::{Divided, Shares},
    view::TIMELY,
};
use crate::{
    api::{MemberState, Mode, WeightedShare, condition},
    cluster::{Excess, Qos},
    metrics::Freshness,
    share::Resource,
};

/// Whether a condition holds, why in one word, and in a sentence.
#[derive(Clone, Debug)]
pub struct Verdict {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// Whether a pool is ready, and why. The first of these that is so is told.
enum Readiness {
    /// Nothing gives it its capacity.
    Faulty(&'static str, String),
    /// Not even the least that each pod needs fits.
    TooSmall(String),
    /// It is not known whether some pod belongs to the pool: nothing moves meanwhile, whatever the members say of it.
    NotSeen(Named),
    /// A member is on its way, or waits.
    Moving(Named),
    /// A member names a workload that is not there.
    NotFound(Named),
    /// Everything is worked out, nothing is changed.
    Observing,
    /// A member is left alone.
    Skipped(Named),
    /// There are no members.
    NoMembers,
    /// Every member holds its share.
    Divided,
}

/// The first member of which something is so: the reason, and the sentence with its name.
struct Named {
    reason: &'static str,
    message: String,
}

/// What is judged.
struct Judged<'j, 'a> {
    view: &'j View<'a>,
    pool: &'j PoolMembers<'a>,
    divided: &'j Shares<'a>,
    reports: &'j [MemberReport],
}

/// The conditions of a pool. A condition keeps the time of its last transition while its status stays.
#[must_use]
pub fn conditions(
    view: &View,
    pool: &PoolMembers,
    divided: &Shares,
    reports: &[MemberReport],
    now: &Time,
) -> Vec<Condition> {
    let judged = Judged { view, pool, divided, reports };
    of_pool(pool.object, judged.verdicts(), now)
}

/// The conditions of a pool that is not divided, as it is over a bound of its namespace.
#[must_use]
pub fn over_bounds(pool: &WeightedShare, excess: Excess, now: &Time) -> Vec<Condition> {
    let verdict = |type_, holds| Verdict::new(type_, holds, excess.reason(), excess.message());
    let verdicts = [
        verdict(condition::READY, false),
        verdict(condition::RECONCILING, false),
        verdict(condition::STALLED, true),
    ];
    of_pool(pool, verdicts, now)
}

fn of_pool(
    pool: &WeightedShare,
    verdicts: impl IntoIterator<Item = Verdict>,
    now: &Time,
) -> Vec<Condition> {
    let before = pool.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    as_conditions(pool.metadata.generation, before, verdicts, now)
}

/// The conditions of an object of this generation, by what was judged. `before`: those that it shows.
#[must_use]
pub fn as_conditions(
    generation: Option<i64>,
    before: &[Condition],
    verdicts: impl IntoIterator<Item = Verdict>,
    now: &Time,
) -> Vec<Condition> {
    let condition = |verdict: Verdict| {
        let status = if verdict.holds { "True" } else { "False" };
        let same = before.iter().find(|old| old.type_ == verdict.type_ && old.status == status);
        Condition {
            type_: verdict.type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message,
            observed_generation: generation,
            last_transition_time: same
                .map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
        }
    };
    verdicts.into_iter().map(condition).collect()
}

/// Conditions that the object does not show yet keep the time at which they were decided first: else a status that was not
/// written would differ at each decision.
pub fn keep_times(conditions: &mut [Condition], before: &[Condition], now: Timestamp) {
    for condition in conditions.iter_mut().filter(|it| it.last_transition_time.0 == now) {
        let same = |it: &&Condition| it.type_ == condition.type_ && it.status == condition.status;
        if let Some(same) = before.iter().find(same) {
            condition.last_transition_time = same.last_transition_time.clone();
        }
    }
}

impl Judged<'_, '_> {
    fn verdicts(&self) -> [Verdict; 7] {
        [
            self.readiness().verdict(),
            self.reconciling(),
            self.stalled(),
            self.overcommitted(),
            mixed_classes(self.divided),
            coarse(self.divided, self.view),
            metrics_available(self.view),
        ]
    }

    fn readiness(&self) -> Readiness {
        let with = |states: &[MemberState]| self.first(&|it| states.contains(&it.state));
        let for_reason = |reason: &str| self.first(&|it| it.reason == reason);
        if let Some(fault) = &self.pool.fault {
            Readiness::Faulty(fault.reason(), fault.message())
        } else if let Some(message) = self.too_small() {
            Readiness::TooSmall(message)
        } else if let Some(named) = for_reason(NOT_SEEN) {
            Readiness::NotSeen(named)
        } else if let Some(named) = self.moving() {
            Readiness::Moving(named)
        } else if let Some(named) = for_reason(NOT_FOUND) {
            Readiness::NotFound(named)
        } else if self.pool.object.spec.mode == Mode::Observe {
            Readiness::Observing
        } else if let Some(named) = with(&[MemberState::Skipped]) {
            Readiness::Skipped(named)
        } else if self.pool.members.is_empty() {
            Readiness::NoMembers
        } else {
            Readiness::Divided
        }
    }

    /// The first member that is on its way, or else that waits. None, where nothing is changed as the pool is too small.
    fn moving(&self) -> Option<Named> {
        if self.too_small().is_some() {
            return None;
        }
        let waits =
            |it: &MemberReport| matches!(it.state, MemberState::Infeasible | MemberState::Deferred);
        let resizing = self.first(&|it| it.state == MemberState::Resizing);
        resizing.or_else(|| self.first(&waits))
    }

    fn reconciling(&self) -> Verdict {
        match self.moving() {
            Some(Named { reason, message }) => {
                Verdict::new(condition::RECONCILING, true, reason, message)
            }
            None => Verdict::new(condition::RECONCILING, false, "Settled", "No resize is pending."),
        }
    }

    fn stalled(&self) -> Verdict {
        if let Some(fault) = &self.pool.fault {
            return Verdict::new(condition::STALLED, true, fault.reason(), fault.message());
        }
        match self.too_small() {
            Some(message) => Verdict::new(condition::STALLED, true, "PoolTooSmall", message),
            None => {
                let message = "The pool is large enough for its pods.";
                Verdict::new(condition::STALLED, false, "NotStalled", message)
            }
        }
    }

    /// The first member of which something is so.
    fn first(&self, is: &dyn Fn(&MemberReport) -> bool) -> Option<Named> {
        let (report, member) =
            self.reports.iter().zip(&self.pool.members).find(|(report, _)| is(report))?;
        let message = format!("{}: {}", member.spec.name, report.message);
        Some(Named { reason: report.reason, message })
    }

    fn too_small(&self) -> Option<String> {
        Resource::ALL.into_iter().find_map(|resource| {
            let divided = self.divided[resource].as_ref()?;
            let needed = u64::try_from(divided.too_small?).unwrap_or(u64::MAX);
            let [needed, capacity] = [needed, divided.capacity].map(|it| resource.quantity(it));
            if self.pool.capacity[resource] == Some(Capacity::OfTree) {
                return Some(format!(
                    "The pods need at least {needed} of {resource}, but the tree gives the pool {capacity}, so they go down to the \
                     least that each needs, and nothing grows. Raise the pool's weight, or run fewer pods."
                ));
            }
            Some(format!(
                "The pods need at least {needed} of {resource}, but the pool has {capacity}, so nothing is changed. \
                 Raise capacity.{resource}, or run fewer pods."
            ))
        })
    }

    fn overcommitted(&self) -> Verdict {
        let found = Resource::ALL.into_iter().find_map(|resource| {
            let divided = self.divided[resource].as_ref().filter(|it| it.overcommitted)?;
            let capacity = resource.quantity(divided.capacity);
            if self.pool.capacity[resource] == Some(Capacity::OfTree) {
                return Some(format!(
                    "The members' minima exceed the {capacity} of {resource} that the tree gives the pool, so each is cut by weight. \
                     Lower some min, or raise the pool's weight."
                ));
            }
            Some(format!(
                "The members' minima exceed the pool's {capacity} of {resource}, so each is cut by weight. \
                 Lower some min, or raise capacity.{resource}."
            ))
        });
        match found {
            Some(message) => {
                Verdict::new(condition::OVERCOMMITTED, true, "MinAboveCapacity", message)
            }
            None => {
                let message = "The members' minima fit the pool.";
                Verdict::new(condition::OVERCOMMITTED, false, "Fits", message)
            }
        }
    }
}

impl Readiness {
    fn verdict(&self) -> Verdict {
        let (holds, reason) = match self {
            Self::Faulty(reason, _) => (false, *reason),
            Self::TooSmall(_) => (false, "PoolTooSmall"),
            Self::NotSeen(it) | Self::Moving(it) | Self::NotFound(it) => (false, it.reason),
            Self::Observing => (true, "Observing"),
            Self::Skipped(it) => (true, it.reason),
            Self::NoMembers => (true, "NoMembers"),
            Self::Divided => (true, "Divided"),
        };
        Verdict::new(condition::READY, holds, reason, self.to_string())
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faulty(_, message) | Self::TooSmall(message) => message,
            Self::NotSeen(it) | Self::Moving(it) | Self::NotFound(it) | Self::Skipped(it) => {
                &it.message
            }
            Self::Observing => {
                "The mode is Observe: all shares are computed, and nothing is changed."
            }
            Self::NoMembers => "The pool has no members.",
            Self::Divided => "Every member holds its share.",
        })
    }
}

impl Verdict {
    /// What is judged of a condition.
    #[must_use]
    pub fn new(
        type_: &'static str,
        holds: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, holds, reason, message: message.into() }
    }
}

/// Whether pods of different classes share the CPUs of a node. Guaranteed pods stand beside one cgroup in which all
/// Burstable pods of the node are, and which weighs all that those request: so weights hold inside a class only.
fn mixed_classes(divided: &Shares) -> Verdict {
    let mut nodes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for pod in divided.cpu.iter().flat_map(Divided::pods) {
        let Some(node) = &pod.pod.node else { continue };
        let (guaranteed, burstable) = nodes.entry(node).or_default();
        let of_its_class = match pod.pod.qos {
            Qos::Guaranteed => guaranteed,
            Qos::Burstable => burstable,
            Qos::BestEffort => continue,
        };
        *of_its_class = of_its_class.saturating_add(pod.granted());
    }
    let mixed = nodes.iter().find(|(_, (guaranteed, burstable))| *guaranteed > 0 && *burstable > 0);
    let Some((node, (guaranteed, burstable))) = mixed else {
        let message = "On each node, the pool's pods are of one QoS class, so the kernel compares their weights.";
        return Verdict::new(condition::MIXED_CLASSES, false, "OneClass", message);
    };
    let [guaranteed, burstable] = [*guaranteed, *burstable].map(|it| Resource::Cpu.quantity(it));
    let message = format!(
        "On node {node}, the pool's Guaranteed pods have {guaranteed} of cpu and its Burstable pods {burstable}, but weights \
         hold inside one QoS class only: the kernel weighs a Guaranteed pod against all Burstable pods of the node together. \
         Give all of them one QoS class."
    );
    Verdict::new(condition::MIXED_CLASSES, true, "GuaranteedBesideBurstable", message)
}

/// Whether it is known what pods use, and what follows.
fn metrics_available(view: &View) -> Verdict {
    let interval = view.metrics.interval();
    let (holds, reason, message) = match view.metrics.usage(view.now) {
        Freshness::Fresh if interval > TIMELY => {
            let message = format!(
                "The pods' usage is measured only every {interval} s, so {TIMELY}/{interval} of what could be lent is lent."
            );
            (true, "MeasuredLate", message)
        }
        Freshness::Fresh => (true, "Measured", "The pods' usage is measured.".to_owned()),
        Freshness::Stale(why) => (
            false,
            "Stale",
            format!("Changes of demand are not followed, and what is lent stays lent: {why}."),
        ),
        Freshness::Absent(why) => (
            false,
            "NoMetrics",
            format!("Nothing is lent, and every member holds what it owns: {why}."),
        ),
    };
    Verdict::new(condition::METRICS_AVAILABLE, holds, reason, message)
}

/// Whether the steps of `cpu.weight` move pods away from their shares by more than 2 % of a node. The API does not say which
/// version of cgroups a node uses.
fn coarse(divided: &Shares, view: &View) -> Verdict {
    let found =
        divided.cpu.as_ref().and_then(|cpu| CoarseWeight::summary(&coarse_weights(cpu, view)));
    let (holds, reason, message) = match found {
        Some(message) => (true, "SmallShares", message),
        None => (
            false,
            "WithinTolerance",
            "On each known node, cpu.weight (cgroup v2) splits the CPU like the shares, to within 2 % of the node."
                .to_owned(),
        ),
    };
    Verdict::new(condition::COARSE_WEIGHTS, holds, reason, message)
}
