//! How far each pod and member is on the way to its share, and what stands in the way.

use super::{
    View,
    backoff::Failure,
    member_pod::MemberPod,
    pool_members::{MemberPods, Unseen},
    quotas::QuotaRoom,
    resize::{Outcome, RefusalKind},
    shares::{Divided, PodShare, Shares},
};
use crate::{
    api::{MemberState, Mode},
    cluster::{MACHINE_SETS, Owner, Pod, Resize},
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
    fn new(state: MemberState, reason: &'static str, message: impl Into<String>) -> Self {
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
    mode: Mode,
    member: &MemberPods,
    index: usize,
    divided: &Shares,
    outcome: &Outcome,
) -> MemberReport {
    if let Some(report) = without_share(member, divided) {
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

/// The state of one pod: `member` is the place of its member in the spec, `index` its own place in the member.
#[must_use]
pub fn of_pod(
    view: &View,
    mode: Mode,
    pod: &Pod,
    (member, index): (usize, usize),
    divided: &Shares,
    outcome: &Outcome,
) -> MemberReport {
    PodProgress { view, mode, pod, member, index, divided, outcome }.report()
}

fn and_more(more: usize) -> String {
    if more > 0 { format!(" (and {more} more)") } else { String::new() }
}

/// Why a member has no share, if it has none.
fn without_share(member: &MemberPods, divided: &Shares) -> Option<MemberReport> {
    let skipped =
        |reason, message: String| Some(MemberReport::new(MemberState::Skipped, reason, message));
    let is_too_small =
        |it: &Resource| divided[*it].as_ref().is_some_and(|it| it.too_small.is_some());
    if let Some(Unseen { pod, controller: Owner { kind, name, .. } }) = member.unseen.first() {
        skipped(
            NOT_SEEN,
            format!(
                "Pod {} may be of it, but the {kind} {name} that it belongs to has not been seen yet, so the pool stands \
             still. If that does not pass, check that the controller may list objects of kind {kind}.",
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
                "{} to the older pool {pool}, {} among them: take them out of one of the two.",
                count(member.lost.len(), one, many),
                pod.name,
            ),
        )
    } else if member.pods.is_empty() {
        let message = "It has no pods now, so the others share its part.";
        Some(MemberReport::new(MemberState::Settled, "NoPods", message))
    } else if Resource::ALL.iter().any(is_too_small) {
        let message =
            "The pool is too small for the least that its pods need, so nothing is changed.";
        skipped("PoolTooSmall", message.to_owned())
    } else {
        None
    }
}

fn target_missing(member: &MemberPods) -> String {
    let target = member.spec.target_ref.as_ref();
    let what = target.map(|it| format!("{} {}", it.kind, it.name)).unwrap_or_default();
    match target.is_some_and(|target| MACHINE_SETS.contains(&&*target.kind)) {
        true => format!(
            "No virtual machine in this namespace belongs to a {what}: check targetRef, or give it a machine."
        ),
        false => format!("There is no {what} in this namespace: check targetRef, or create it."),
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
                "{} matched by the younger pool {pool} as well, {} among them; this pool keeps them.",
                count(member.contested.len(), "pod is", "pods are"),
                pod.name
            ),
        )
    } else if let Some(pod) = member.pods.iter().map(|it| it.pod).find(|pod| pod.owner.is_none()) {
        report(
            "Settled",
            format!(
                "Pod {} has no controller: once it is resized, the API server refuses its own manifest.",
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
            "It owns {amount} of {resource} more than its nodes can give it: {remedy}, or move pods elsewhere."
        ))
    })
}

/// Names the quota that keeps the pool from dividing its full capacity, and says how much it leaves.
fn quota_full(resource: Resource, divided: &Divided) -> Option<String> {
    let bound = divided.quota?;
    let [all, left, kept] =
        [divided.capacity, divided.divisible, bound.kept].map(|amount| resource.quantity(amount));
    let kept = match bound.kept {
        0 => String::new(),
        _ => format!(" and {kept} for pods to come"),
    };
    let quota = bound.quota;
    Some(format!(
        "ResourceQuota {quota} leaves the pool {left} of its {all} of {resource}{kept}: raise the quota, or lower capacity.{resource}"
    ))
}

/// One pod on the way to its shares.
struct PodProgress<'p, 'a> {
    view: &'p View<'a>,
    mode: Mode,
    pod: &'p Pod,
    /// The place of its member in the spec, and its own place in the member.
    member: usize,
    index: usize,
    divided: &'p Shares<'a>,
    outcome: &'p Outcome,
}

impl PodProgress<'_, '_> {
    fn report(&self) -> MemberReport {
        if let Some(obstacle) = self.pod.obstacle {
            return skipped(obstacle.reason(), obstacle.remedy());
        }
        if let Some(report) = self.of_resizes() {
            return report;
        }
        for resource in Resource::ALL {
            if let Some(divided) = &self.divided[resource]
                && let Some(report) = self.of_resource(resource, divided)
            {
                return report;
            }
        }
        MemberReport::new(MemberState::Settled, "Settled", "")
    }

    /// What the API server or the node says of its resizes.
    fn of_resizes(&self) -> Option<MemberReport> {
        let pod = self.pod;
        let refusal = self.outcome.refused.iter().find(|refusal| refusal.pod == pod.name);
        match (refusal, &pod.resize) {
            (Some(refusal), _) if refusal.kind == RefusalKind::Outdated => {
                return Some(resizing("Resizing", "it changed meanwhile, and is looked at again"));
            }
            (Some(refusal), _) => {
                return Some(deferred(refusal.kind.reason(), refusal.message.clone()));
            }
            (None, Resize::Infeasible(why)) => {
                return Some(failed(&Failure { forever: true, why: why.clone() }));
            }
            (None, Resize::Failing(why)) => {
                return Some(failed(&Failure { forever: false, why: why.clone() }));
            }
            (None, Resize::Deferred(message)) => {
                return Some(deferred("Deferred", message.clone()));
            }
            (None, Resize::Done | Resize::InProgress) => {}
        }
        let sent = self.outcome.sent.iter().find(|resize| resize.pod == pod.name);
        let sent = sent.map(ToString::to_string);
        let on_its_way = || Some(self.view.cluster.in_flight(pod)?.description.clone());
        Some(resizing("Resizing", sent.or_else(on_its_way)?))
    }

    /// How one resource of it is on its way. None: it has its share.
    fn of_resource(&self, resource: Resource, divided: &Divided) -> Option<MemberReport> {
        let (pod, part) = (self.pod, &divided.members[self.member].pods[self.index]);
        let (charge, admitted) = (part.holding.charge(), part.holding.admitted());
        let Some(share) = part.share.map(|share| share.share) else {
            return Some(self.left_alone(resource, part));
        };
        let [now, then] = [charge, share].map(|amount| resource.quantity(amount));
        if share != charge && self.mode == Mode::Observe {
            let message = format!("{resource} would go from {now} to {then}, were the mode Auto");
            Some(skipped("ModeObserve", message))
        } else if is_under_way(pod, resource) || charge != admitted {
            Some(resizing("Resizing", "the kubelet is carrying a resize out"))
        } else if share > charge {
            Some(self.waits(resource, divided, part, share))
        } else if share < charge {
            let Some(floor) = part.memory_floor.as_ref().filter(|floor| floor.least() > share)
            else {
                // No resize is sent before the pool has its finalizer.
                return Some(resizing("Resizing", format!("{resource} goes from {now} to {then}")));
            };
            let message = format!(
                "{resource} stays at {now} instead of {then} while it is in use: with a margin, {} of late",
                resource.quantity(floor.safe)
            );
            let margin = floor.is_margin(share);
            let state = if margin { MemberState::Settled } else { MemberState::Deferred };
            Some(MemberReport::new(state, "MemoryInUse", message))
        } else {
            None
        }
    }

    /// Why a pod without a share keeps what it has.
    fn left_alone(&self, resource: Resource, part: &PodShare) -> MemberReport {
        if let Some(to) = &part.left_to {
            return skipped(to.reason, to.message.clone());
        }
        if let Some(failure) = self.view.backoff.failure(&self.pod.uid, resource, self.view.now) {
            return failed(failure);
        }
        let refused = self.view.backoff.refused_shrink(&self.pod.uid, resource, self.view.now);
        if let Some(refusal) = refused {
            return deferred(refusal.kind.reason(), refusal.message.clone());
        }
        let (reason, why) = match part.left_alone {
            Some(left_alone) => (left_alone.reason(), left_alone.remedy()),
            None => ("LeftAlone", "it keeps what it has"),
        };
        skipped(reason, format!("{resource} is left alone: {why}"))
    }

    /// What a pod waits for that is to grow to its share.
    fn waits(
        &self,
        resource: Resource,
        divided: &Divided,
        part: &PodShare,
        share: u64,
    ) -> MemberReport {
        let (pod, charge) = (self.pod, part.holding.charge());
        let [now, then] = [charge, share].map(|amount| resource.quantity(amount));
        if pod.parts(resource).iter().any(|container| container.unheard) {
            let message =
                format!("{resource} goes to {then} once its node has said that its containers run");
            return resizing("NotStarted", message);
        }
        if !self.view.may_grow {
            let message = format!(
                "{resource} goes from {now} to {then} as soon as no write of the process that led before can be on its way: within 35 s"
            );
            return resizing("AwaitingFormerLeader", message);
        }
        let leaves = |it: &PodShare| it.migrates && it.pod.machine == pod.machine;
        if divided.members[self.member].pods.iter().any(leaves) {
            return resizing(
                "Migrating",
                format!(
                    "{resource} goes from {now} to {then} when its virtual machine has left its other pod"
                ),
            );
        }
        if pod.node.is_some() && divided.frees_room {
            return resizing(
                "AwaitingRoom",
                format!(
                    "{resource} goes from {now} to {then} as soon as others have given back what they hold"
                ),
            );
        }
        let lacks = share - charge;
        let is_full = |it: &&QuotaRoom| it.counts(pod, &part.holding) && it.free < lacks;
        let room = divided.divisible.saturating_sub(divided.charged());
        let full = divided.quotas.iter().find(is_full).map(|quota| {
            let quota = quota.name();
            format!(
                "ResourceQuota {quota} has no more room: raise it, or lower the pool's capacity"
            )
        });
        // Or it bounds what the pool divides.
        let full = full.or_else(|| quota_full(resource, divided).filter(|_| room < lacks));
        let (reason, why) = match (&pod.node, full) {
            (None, _) => ("Unscheduled", "it has no node yet".to_owned()),
            (Some(node), _) if self.view.cluster.node(node).is_none() => {
                ("NodeNotSeen", format!("there is no node {node}, or it has not been seen yet"))
            }
            (Some(node), _) if self.view.cluster.node(node).is_some_and(|node| node.is_silent) => {
                ("NodeSilent", format!("nothing has been heard of node {node} for some time"))
            }
            (Some(_), Some(why)) => ("QuotaFull", why),
            (Some(node), None) => {
                ("NoRoom", format!("neither the pool nor node {node} has more room now"))
            }
        };
        deferred(reason, format!("{resource} stays at {now} instead of {then}: {why}"))
    }
}

fn skipped(reason: &'static str, message: impl Into<String>) -> MemberReport {
    MemberReport::new(MemberState::Skipped, reason, message)
}

fn resizing(reason: &'static str, message: impl Into<String>) -> MemberReport {
    MemberReport::new(MemberState::Resizing, reason, message)
}

fn deferred(reason: &'static str, message: impl Into<String>) -> MemberReport {
    MemberReport::new(MemberState::Deferred, reason, message)
}

/// Whether the kubelet has not said yet that what the spec asks for is in force, limits too: a container that was killed
/// meanwhile may have started with less.
fn is_under_way(pod: &Pod, resource: Resource) -> bool {
    let enforced = pod.parts(resource).iter().all(|container| container.is_enforced(resource));
    pod.resize == Resize::InProgress || !enforced
}

/// What a node could not carry out is taken back, and tried again later.
fn failed(failure: &Failure) -> MemberReport {
    let (state, reason) = match failure.forever {
        true => (MemberState::Infeasible, "Infeasible"),
        false => (MemberState::Deferred, "ResizeFailing"),
    };
    let message =
        format!("its node does not carry the resize out, so it keeps what it has: {}", failure.why);
    MemberReport::new(state, reason, message)
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
