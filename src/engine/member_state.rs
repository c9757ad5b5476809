//! How far each member is on the way to its share, and what stands in the way.

use super::{
    View,
    capacity::Capacity,
    member_pod::MemberPod,
    pod_state::of_pod,
    pool_members::{MemberPods, PoolMembers, Unseen},
    resize::Outcome,
    shares::{Divided, Shares},
};
use crate::{
    api::MemberState,
    cluster::{MACHINE_SETS, Owner, Pod},
    share::Resource,
};

/// The workload that the member names is not there.
pub const NOT_FOUND: &str = "TargetNotFound";
/// It is not known yet whether some pod is the member's.
pub const NOT_SEEN: &str = "ControllerNotSeen";

/// A state with its reason and a sentence, as the status shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberReport {
    /// The state.
    pub state: MemberState,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, with the remedy where there is one.
    pub message: String,
}

impl MemberReport {
    /// A report.
    pub(super) fn new(
        state: MemberState,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { state, reason, message: message.into() }
    }

    /// How much it calls for attention: the member shows the most urgent of its pods.
    fn urgency(&self) -> u8 {
        match self.state {
            MemberState::Infeasible => 5,
            MemberState::Deferred => 4,
            MemberState::Resizing => 3,
            MemberState::Skipped => 2,
            MemberState::Settled => u8::from(!self.message.is_empty()),
        }
    }
}

/// How a member is on its way: `index` is its place in the spec.
#[must_use]
pub fn of_member(
    view: &View,
    pool: &PoolMembers,
    index: usize,
    divided: &Shares,
    outcome: &Outcome,
) -> MemberReport {
    let (mode, member) = (pool.object.spec.mode, &pool.members[index]);
    if let Some(report) = without_share(pool, member, divided) {
        return report;
    }
    let reports = member.pods.iter().enumerate().map(|(i, MemberPod { pod, .. })| {
        (*pod, of_pod(view, mode, pod, (index, i), divided, outcome))
    });
    let reports: Vec<(&Pod, MemberReport)> = reports.collect();
    let worst = reports.iter().map(|(_, report)| report.urgency()).max().unwrap_or_default();
    let alike: Vec<&(&Pod, MemberReport)> =
        reports.iter().filter(|(_, report)| report.urgency() == worst).collect();
    let Some((pod, report)) = alike.first() else {
        return MemberReport::new(MemberState::Settled, "Settled", "");
    };
    if worst == 0 {
        return settled(member, index, divided);
    }
    let others = and_more(alike.len() - 1);
    let mut message = format!("Pod {}{others}: {}.", pod.name, report.message);
    // A pod that cannot be resized is named beside the others.
    let left: Vec<&(&Pod, MemberReport)> = reports
        .iter()
        .filter(|(_, it)| it.state == MemberState::Skipped && it.urgency() < worst)
        .collect();
    if let Some((pod, report)) = left.first() {
        let others = and_more(left.len() - 1);
        message += &format!(
            " Pod {}{others} keeps what it has ({}): {}.",
            pod.name, report.reason, report.message
        );
    }
    MemberReport { message, ..report.clone() }
}

fn and_more(more: usize) -> String {
    if more > 0 { format!(" (and {more} more)") } else { String::new() }
}

/// Why a member has no share, if it has none.
fn without_share(
    pool: &PoolMembers,
    member: &MemberPods,
    divided: &Shares,
) -> Option<MemberReport> {
    let skipped =
        |reason, message: String| Some(MemberReport::new(MemberState::Skipped, reason, message));
    let is_too_small =
        |it: &Resource| divided[*it].as_ref().is_some_and(|it| it.too_small.is_some());
    if let Some(Unseen { pod, controller: Owner { kind, name, .. } }) = member.unseen.first() {
        skipped(
            NOT_SEEN,
            format!(
                "Pod {} may belong to this member, but its owner, {kind} {name}, has not been seen yet, so nothing in the pool \
                 is changed. If this lasts, check that WeightedShare may list objects of kind {kind}.",
                pod.name
            ),
        )
    } else if member.target_missing {
        skipped(NOT_FOUND, target_missing(member))
    } else if let Some((pod, pool)) = member.lost.first() {
        let (one, many) = ("pod that it matches belongs", "pods that it matches belong");
        skipped(
            "ClaimedByOlderPool",
            format!(
                "{} to the older pool {pool} (for example {}). Exclude them from one of the two pools.",
                count(member.lost.len(), one, many),
                pod.name,
            ),
        )
    } else if member.pods.is_empty() {
        let message = "It has no pods now, so the other members share its part.";
        Some(MemberReport::new(MemberState::Settled, "NoPods", message))
    } else if let Some(fault) = &pool.fault {
        skipped(fault.reason(), fault.message())
    } else if let Some(resource) = Resource::ALL.iter().find(|it| is_too_small(it)) {
        let what = match pool.capacity[*resource] {
            Some(Capacity::OfTree) => "they go down to that, and nothing grows",
            _ => "nothing is changed",
        };
        skipped(
            "PoolTooSmall",
            format!("The pool is too small for the least that its pods need, so {what}."),
        )
    } else {
        None
    }
}

fn target_missing(member: &MemberPods) -> String {
    let target = member.spec.target_ref.as_ref();
    let what = target.map(|it| format!("{} {}", it.kind, it.name)).unwrap_or_default();
    match target.is_some_and(|target| MACHINE_SETS.contains(&&*target.kind)) {
        true => format!(
            "No virtual machine in this namespace belongs to {what}. Check targetRef, or create one."
        ),
        false => format!("There is no {what} in this namespace. Check targetRef, or create it."),
    }
}

/// What there is to say of a member whose pods have what they are granted.
fn settled(member: &MemberPods, index: usize, divided: &Shares) -> MemberReport {
    let report = |reason, message| MemberReport::new(MemberState::Settled, reason, message);
    if let Some(trouble) = &member.trouble {
        report(trouble.reason, format!("{}.", trouble.message))
    } else if let Some(message) = unplaceable(index, divided) {
        report("NodeFull", message)
    } else if let Some(why) =
        Resource::ALL.into_iter().find_map(|it| quota_full(it, divided[it].as_ref()?))
    {
        report("QuotaFull", format!("{why}."))
    } else if let Some((pod, pool)) = member.contested.first() {
        report(
            "Settled",
            format!(
                "{} also matched by the younger pool {pool} (for example {}). This pool keeps them.",
                count(member.contested.len(), "pod is", "pods are"),
                pod.name
            ),
        )
    } else if let Some(pod) = member.pods.iter().map(|it| it.pod).find(|pod| pod.owner.is_none()) {
        report(
            "Settled",
            format!(
                "Pod {} has no controller. Once it is resized, the API server refuses to apply its original manifest again.",
                pod.name
            ),
        )
    } else {
        report("Settled", String::new())
    }
}

/// What a member's nodes keep it from owning, and which node would have to be freed.
fn unplaceable(member: usize, divided: &Shares) -> Option<String> {
    Resource::ALL.into_iter().find_map(|resource| {
        let share = &divided[resource].as_ref()?.members[member];
        let (amount, remedy) = (resource.quantity(share.unplaceable), share.makes_room()?);
        Some(format!(
            "It owns {amount} more {resource} than its nodes have room for: {remedy}, or move its pods to other nodes."
        ))
    })
}

/// Names the quota that keeps the pool from dividing its full capacity, and says how much it leaves.
pub(super) fn quota_full(resource: Resource, divided: &Divided) -> Option<String> {
    let bound = divided.quota?;
    let [all, left, kept, hard, used] =
        [divided.capacity, divided.divisible, bound.kept, bound.hard, bound.used]
            .map(|amount| resource.quantity(amount));
    let kept = match bound.kept {
        0 => String::new(),
        _ => format!(" (and {kept} for new pods)"),
    };
    let quota = bound.quota;
    Some(format!(
        "ResourceQuota {quota} ({used} of {hard} used) leaves the pool {left} of its {all} of {resource}{kept}. Raise the quota, or \
         lower capacity.{resource}"
    ))
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
