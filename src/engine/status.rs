//! What the object says of itself: its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    View, conditions, hotplug,
    member_state::{self, MemberReport},
    pool_members::{MemberPods, PoolMembers},
    resize::Outcome,
    shares::{Divided, MemberShare, PodShare, Shares},
    status_size::bounded,
};
use crate::{
    api::{
        DynamicWeightStatus, MemberStatus, Recommendation, Resources, WeightedShare,
        WeightedShareStatus,
    },
    cluster::Excess,
    share::{CpuShares, CpuWeight, MilliCpu, PerResource, Resource},
};

/// The status of a pool after a decision. Where nothing was decided, the amounts of the status before it stand (`stands`), so that
/// a decision that changes nothing gives an equal status.
#[must_use]
pub fn status(
    view: &View,
    pool: &PoolMembers,
    divided: &Shares,
    outcome: &Outcome,
    stands: Option<&WeightedShareStatus>,
) -> WeightedShareStatus {
    let reports: Vec<MemberReport> = (0..pool.members.len())
        .map(|i| member_state::of_member(view, pool, i, divided, outcome))
        .collect();
    let members = pool.members.iter().zip(&reports).enumerate().map(|(i, (member, report))| {
        let recommendations = hotplug::of_member(view, pool, i, divided);
        let now = member_status(member, report, i, divided, recommendations);
        let mut before = stands.iter().flat_map(|status| &status.members);
        // A status of before a restart may say what was never carried out, and was decided otherwise since.
        let agrees = |before: &&MemberStatus| {
            before.name == now.name && before.pods == now.pods && before.share == now.share
        };
        match before.find(agrees) {
            Some(before) => as_decided(before, now),
            None => now,
        }
    });
    bounded(WeightedShareStatus {
        observed_generation: pool.object.metadata.generation,
        member_count: Some(count(pool.members.len())),
        members: members.collect(),
        conditions: conditions::conditions(view, pool, divided, &reports, &Time(view.now)),
        capacity: amounts(divided, |divided| divided.capacity),
        allocated: amounts(divided, |divided| divided.charged()),
        lent: stands.map_or_else(|| amounts(divided, |divided| divided.lent()), |it| it.lent),
    })
}

/// The status of a pool that is not divided, as it is over a bound of its namespace.
#[must_use]
pub fn over_bounds(pool: &WeightedShare, excess: Excess, now: &Time) -> WeightedShareStatus {
    WeightedShareStatus {
        observed_generation: pool.metadata.generation,
        conditions: conditions::over_bounds(pool, excess, now),
        capacity: pool.spec.capacity,
        member_count: Some(count(pool.spec.members.len())),
        ..WeightedShareStatus::default()
    }
}

/// The status of a member for which nothing was decided: the amounts of the last decision, and how it stands now.
fn as_decided(before: &MemberStatus, now: MemberStatus) -> MemberStatus {
    // The sentence about a weight tells what was measured, which moves by itself.
    let message = match now.reason == before.reason && now.dynamic_weight.is_some() {
        true => before.message.clone(),
        false => now.message.clone(),
    };
    // A demand is shown as soon as it is known, whatever was decided.
    let demand = PerResource::from_fn(|resource| {
        let now = now.demand.get(resource)?;
        Some(before.demand.get(resource).unwrap_or(now))
    });
    MemberStatus {
        effective_weight: before.effective_weight,
        dynamic_weight: now.dynamic_weight.as_ref().and(before.dynamic_weight.clone()),
        message,
        demand: demand.into(),
        fair: before.fair,
        ..now
    }
}

fn member_status(
    member: &MemberPods,
    report: &MemberReport,
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
        pods: count(member.pods.len()),
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
        state: Some(report.state),
        reason: report.reason.to_owned(),
        message: report.message.clone(),
    }
}

fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}

/// What `of` says of each resource that is divided.
fn amounts(divided: &Shares, of: impl Fn(&Divided) -> u64) -> Resources {
    PerResource::from_fn(|resource| divided[resource].as_ref().map(&of)).into()
}
