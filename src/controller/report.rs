//! What the object says of itself: its status, its conditions, its events. Pure; the time is passed in.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    claim::TIMELY,
    coarse_weights::{CoarseWeight, coarse_weights},
    recommend,
    shares::{Divided, MemberShare, PodShare, Shares},
    standing::{self, NOT_FOUND, NOT_SEEN, Outcome, Standing},
    weigh::{Weighed, WeighedMember},
};
use crate::{
    api::{
        DynamicWeightStatus, MemberState, MemberStatus, Mode, Recommendation, Resources,
        WeightedShareStatus, condition,
    },
    observe::{
        Qos, Snapshot,
        signals::{Freshness, Signals},
    },
    share::{CpuShares, CpuWeight, MilliCpu, PerResource, Resource},
};

/// The status of a pool after one turn. A condition keeps the time of its last transition while its status stays, and
/// members keep the amounts of the last decision while there is none, so that a turn that changes nothing gives an equal
/// status.
#[must_use]
pub fn status(
    weighed: &Weighed,
    divided: &Shares,
    outcome: &Outcome,
    snapshot: &Snapshot,
    decided: bool,
    now: Time,
) -> WeightedShareStatus {
    let pool = weighed.pool;
    let mode = pool.spec.mode;
    let standings: Vec<Standing> = weighed
        .members
        .iter()
        .enumerate()
        .map(|(i, member)| standing::of_member(mode, member, i, divided, outcome))
        .collect();
    let known = pool.status.as_ref().filter(|_| !decided);
    let members: Vec<MemberStatus> = weighed
        .members
        .iter()
        .zip(&standings)
        .enumerate()
        .map(|(i, (member, standing))| {
            let recommendations = recommend::of_member(snapshot, weighed, i, divided, now.0);
            let now = member_status(member, standing, i, divided, recommendations);
            let before = known.iter().flat_map(|known| &known.members);
            match before.into_iter().find(|before| before.name == now.name) {
                Some(before) => as_decided(before, now),
                None => now,
            }
        })
        .collect();

    let generation = pool.metadata.generation;
    let before =
        pool.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let conditions = conditions(mode, divided, weighed, &standings)
        .into_iter()
        .chain([coarse(divided, snapshot), metrics_available(&snapshot.signals)])
        .map(|(type_, holds, reason, message)| {
            let status = if holds { "True" } else { "False" };
            let same = before.iter().find(|old| old.type_ == type_ && old.status == status);
            Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                observed_generation: generation,
                last_transition_time: same
                    .map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
            }
        })
        .collect();
    WeightedShareStatus {
        observed_generation: generation,
        conditions,
        capacity: pool.spec.capacity,
        allocated: amounts(divided, |divided| divided.charged()),
        lent: known.map_or_else(|| amounts(divided, |divided| divided.lent()), |known| known.lent),
        members,
    }
}

/// The status of a member for which nothing was decided: the amounts of the last decision, and how it stands now.
fn as_decided(before: &MemberStatus, now: MemberStatus) -> MemberStatus {
    // The sentence about a weight tells what was measured, which moves by itself.
    let message = match now.reason == before.reason && now.dynamic_weight.is_some() {
        true => before.message.clone(),
        false => now.message.clone(),
    };
    MemberStatus {
        effective_weight: before.effective_weight,
        dynamic_weight: now.dynamic_weight.as_ref().and(before.dynamic_weight.clone()),
        message,
        demand: before.demand,
        fair: before.fair,
        share: before.share,
        unplaceable: before.unplaceable,
        ..now
    }
}

/// Whether it is known what pods use, and what follows.
fn metrics_available(signals: &Signals) -> Verdict {
    let (holds, reason, message) = match &signals.usage {
        Freshness::Fresh if signals.interval > TIMELY => {
            let interval = signals.interval;
            let message = format!(
                "What the pods use is measured every {interval} s only, so {TIMELY}/{interval} of what may be lent is lent."
            );
            (true, "MeasuredLate", message)
        }
        Freshness::Fresh => (true, "Measured", "It is known what the pods use.".to_owned()),
        Freshness::Stale(why) => (
            false,
            "Stale",
            format!("Nothing is moved by demand, and what is lent stays lent: {why}."),
        ),
        Freshness::Absent(why) => (
            false,
            "NoMetrics",
            format!("Nothing is lent, every member holds what it owns: {why}."),
        ),
    };
    (condition::METRICS_AVAILABLE, holds, reason, message)
}

/// Whether the steps of `cpu.weight` move pods away from their shares by more than 2 % of a node. The API does not say which
/// version of cgroups a node uses.
fn coarse(divided: &Shares, snapshot: &Snapshot) -> Verdict {
    let found =
        divided.cpu.as_ref().and_then(|cpu| CoarseWeight::summary(&coarse_weights(cpu, snapshot)));
    let (holds, reason, message) = match found {
        Some(message) => (true, "SmallShares", message),
        None => (
            false,
            "WithinTolerance",
            "On each node that is known, cpu.weight (cgroup v2) splits the CPU as the shares do, to within 2 % of the node."
                .to_owned(),
        ),
    };
    (condition::COARSE_WEIGHTS, holds, reason, message)
}

fn member_status(
    member: &WeighedMember,
    standing: &Standing,
    index: usize,
    divided: &Shares,
    recommendations: Vec<Recommendation>,
) -> MemberStatus {
    let charges: Vec<u64> = divided
        .cpu
        .iter()
        .flat_map(|divided| &divided.members[index].pods)
        .map(|pod| pod.holding.charge())
        .collect();
    let kernel = |of: fn(u64) -> u64| {
        (!charges.is_empty()).then(|| charges.iter().map(|&milli| of(milli)).sum())
    };
    let of = |resource| divided[resource].as_ref().map(|divided| &divided.members[index]);
    let sums = |amount: fn(&PodShare) -> u64| {
        let sum = |member: &MemberShare| member.sum(amount);
        PerResource::from_fn(|resource| of(resource).map(sum)).into()
    };
    MemberStatus {
        name: member.spec.name.clone(),
        weight: member.spec.weight,
        effective_weight: Resource::ALL
            .into_iter()
            .find_map(|resource| Some(divided[resource].as_ref()?.members[index].claim.weight))
            .unwrap_or_default(),
        dynamic_weight: member.spec.dynamic_weight.as_ref().map(|_| DynamicWeightStatus {
            weight: member.weight,
            signals: member.signals.clone(),
        }),
        pods: u32::try_from(member.pods.len()).unwrap_or(u32::MAX),
        demand: PerResource::from_fn(|resource| of(resource)?.demand()).into(),
        fair: sums(|pod| pod.fair()),
        share: sums(|pod| pod.granted()),
        applied: sums(|pod| pod.holding.charge()),
        unplaceable: PerResource::from_fn(|resource| {
            of(resource).map(|member| member.unplaceable).filter(|&amount| amount > 0)
        })
        .into(),
        cpu_shares: kernel(|milli| CpuShares::of(MilliCpu(milli)).0),
        cpu_weight: kernel(|milli| CpuWeight::of(MilliCpu(milli)).0),
        recommendations,
        state: Some(standing.state),
        reason: standing.reason.to_owned(),
        message: standing.message.clone(),
    }
}

/// What `of` says of each resource that is divided.
fn amounts(divided: &Shares, of: impl Fn(&Divided) -> u64) -> Resources {
    PerResource::from_fn(|resource| divided[resource].as_ref().map(&of)).into()
}

type Verdict = (&'static str, bool, &'static str, String);

fn conditions(
    mode: Mode,
    divided: &Shares,
    weighed: &Weighed,
    standings: &[Standing],
) -> Vec<Verdict> {
    let of = |found: &dyn Fn(Resource, &Divided) -> Option<String>| {
        Resource::ALL.into_iter().find_map(|resource| found(resource, divided[resource].as_ref()?))
    };
    let too_small = of(&|resource, divided| {
        let needed = u64::try_from(divided.too_small?).unwrap_or(u64::MAX);
        let (needed, capacity) = (resource.quantity(needed), resource.quantity(divided.capacity));
        Some(format!(
            "The pods need at least {needed} of {resource}, but the pool has {capacity}, so nothing is changed: \
             raise capacity.{resource}, or run fewer pods."
        ))
    });
    let overcommitted = of(&|resource, divided| {
        let capacity = resource.quantity(divided.capacity);
        divided.overcommitted.then(|| {
            format!(
                "What the members are to have at least is more than the pool's {capacity} of {resource}, \
                 so they share it by weight: lower some min, or raise capacity.{resource}."
            )
        })
    });
    let first = |is: &dyn Fn(&Standing) -> bool| {
        let found = standings.iter().zip(&weighed.members).find(|(standing, _)| is(standing));
        found.map(|(standing, member)| {
            (standing.reason, format!("{}: {}", member.spec.name, standing.message))
        })
    };
    let member_with = |states: &[MemberState]| first(&|it| states.contains(&it.state));
    let skipped_for = |why: &str| first(&|it| it.reason == why);
    let waiting = member_with(&[MemberState::Infeasible, MemberState::Deferred]);
    let resizing = member_with(&[MemberState::Resizing]);
    let skipped = member_with(&[MemberState::Skipped]);

    let moving = if too_small.is_some() { None } else { resizing.or(waiting) };
    let ready = if let Some(message) = &too_small {
        (false, "PoolTooSmall", message.clone())
    } else if let Some((reason, message)) = skipped_for(NOT_SEEN) {
        // Nothing moves meanwhile, whatever the members say of it.
        (false, reason, message)
    } else if let Some((reason, message)) = &moving {
        (false, *reason, message.clone())
    } else if let Some((reason, message)) = skipped_for(NOT_FOUND) {
        (false, reason, message)
    } else if mode == Mode::Observe {
        (
            true,
            "Observing",
            "The mode is Observe: everything is worked out, nothing is changed.".to_owned(),
        )
    } else if let Some((reason, message)) = skipped {
        (true, reason, message)
    } else if weighed.members.is_empty() {
        (true, "NoMembers", "The pool has no members.".to_owned())
    } else {
        (true, "Divided", "Every member holds its share.".to_owned())
    };
    let no = |reason, message: &str| (false, reason, message.to_owned());
    let stalled = too_small.map_or(no("NotStalled", "Nothing stands still."), |message| {
        (true, "PoolTooSmall", message)
    });
    let reconciling = moving
        .map_or(no("Settled", "Nothing is on its way."), |(reason, message)| {
            (true, reason, message)
        });
    let overcommitted = overcommitted
        .map_or(no("Fits", "What the members are to have at least fits the pool."), |message| {
            (true, "MinAboveCapacity", message)
        });
    [
        (condition::READY, ready),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
        (condition::OVERCOMMITTED, overcommitted),
        (condition::MIXED_CLASSES, mixed_classes(divided)),
    ]
    .map(|(type_, (holds, reason, message))| (type_, holds, reason, message))
    .into()
}

/// Whether pods of different classes share the CPUs of a node. Guaranteed pods stand beside one cgroup in which all
/// Burstable pods of the node are, and which weighs all that those request: so weights hold inside a class only.
fn mixed_classes(divided: &Shares) -> (bool, &'static str, String) {
    let mut nodes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for pod in divided.cpu.iter().flat_map(Divided::pods) {
        let Some(node) = &pod.pod.node else { continue };
        let (guaranteed, burstable) = nodes.entry(node).or_default();
        match pod.pod.qos {
            Qos::Guaranteed => *guaranteed += pod.granted(),
            Qos::Burstable => *burstable += pod.granted(),
            Qos::BestEffort => {}
        }
    }
    let mixed = nodes.iter().find(|(_, (guaranteed, burstable))| *guaranteed > 0 && *burstable > 0);
    let Some((node, (guaranteed, burstable))) = mixed else {
        let message = "On each node, its pods are of one QoS class, so the kernel weighs them against each other.";
        return (false, "OneClass", message.to_owned());
    };
    let [guaranteed, burstable] = [*guaranteed, *burstable].map(|it| Resource::Cpu.quantity(it));
    let message = format!(
        "On node {node}, its Guaranteed pods have {guaranteed} of cpu and its Burstable ones {burstable}: weights hold \
         inside a class only, as the kernel weighs a Guaranteed pod against all Burstable pods of the node together. \
         Make all of them one class."
    );
    (true, "GuaranteedBesideBurstable", message)
}
