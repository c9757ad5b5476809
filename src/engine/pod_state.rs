//! How far one pod is on the way to its share, and what stands in the way.

use super::{
    View,
    backoff::Failure,
    member_state::{MemberReport, quota_full},
    quotas::QuotaRoom,
    resize::{Outcome, RefusalKind},
    shares::{Divided, PodShare, Shares},
};
use crate::{
    api::{MemberState, Mode},
    cluster::{Pod, Resize},
    share::Resource,
};

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
                return Some(resizing(
                    "Resizing",
                    "it changed in the meantime, and is decided again",
                ));
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
            let message = format!("{resource} would go from {now} to {then} in mode Auto");
            Some(skipped("ModeObserve", message))
        } else if is_under_way(pod, resource) || charge != admitted {
            Some(resizing("Resizing", "the kubelet is carrying out a resize"))
        } else if share > charge {
            Some(self.waits(resource, divided, part, share))
        } else if share < charge {
            let Some(floor) = part.memory_floor.as_ref().filter(|floor| floor.least() > share)
            else {
                // No resize is sent before the pool has its finalizer.
                return Some(resizing("Resizing", format!("{resource} goes from {now} to {then}")));
            };
            let stays = format!("{resource} stays at {now} instead of {then}");
            if floor.is_unknown(share) {
                // The smaller share is from a time when its use was measured.
                let message = format!(
                    "{stays}: its limit would go down with it, and no recent measurement shows what it uses"
                );
                return Some(deferred("NotMeasured", message));
            }
            let safe = resource.quantity(floor.safe);
            let message = format!("{stays} while it is in use: recent use with a margin is {safe}");
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
            let message = format!(
                "{resource} goes to {then} once its node has reported that its containers run"
            );
            return resizing("NotStarted", message);
        }
        if !self.view.may_grow {
            let message = format!(
                "{resource} goes from {now} to {then} within 35 s, once no write of the previous leader can still be in flight"
            );
            return resizing("AwaitingFormerLeader", message);
        }
        let leaves = |it: &PodShare| it.migrates && it.pod.machine == pod.machine;
        if divided.members[self.member].pods.iter().any(leaves) {
            return resizing(
                "Migrating",
                format!(
                    "{resource} goes from {now} to {then} once its virtual machine has left its other pod"
                ),
            );
        }
        if pod.node.is_some() && divided.frees_room {
            return resizing(
                "AwaitingRoom",
                format!(
                    "{resource} goes from {now} to {then} as soon as other pods have released room"
                ),
            );
        }
        let lacks = share - charge;
        let is_full = |it: &&QuotaRoom| it.counts(pod, &part.holding) && it.free < lacks;
        let room = divided.divisible.saturating_sub(divided.charged());
        let full = divided.quotas.iter().find(is_full).map(|quota| {
            let [free, hard, lacks] =
                [quota.free, quota.hard, lacks].map(|amount| resource.quantity(amount));
            let (name, what) = (quota.name(), quota.what(resource));
            format!(
                "ResourceQuota {name} has {free} of {hard} of {what} left, but {lacks} is needed. Raise the quota, or lower the pool's capacity"
            )
        });
        // Or it bounds what the pool divides.
        let full = full.or_else(|| quota_full(resource, divided).filter(|_| room < lacks));
        let (reason, why) = match (&pod.node, full) {
            (None, _) if pod.gated => {
                ("SchedulingGated", "it has no node while it has scheduling gates".to_owned())
            }
            (None, _) => ("Unscheduled", "it has no node yet".to_owned()),
            (Some(node), _) if self.view.cluster.node(node).is_none() => {
                ("NodeNotSeen", format!("node {node} does not exist, or has not been seen yet"))
            }
            (Some(node), _) if self.view.cluster.node(node).is_some_and(|node| node.is_silent) => {
                ("NodeSilent", format!("node {node} has not reported for some time"))
            }
            (Some(_), Some(why)) => ("QuotaFull", why),
            (Some(node), None) => {
                ("NoRoom", format!("there is no more room in the pool or on node {node} now"))
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
        format!("its node cannot carry out the resize, so it keeps what it has: {}", failure.why);
    MemberReport::new(state, reason, message)
}
