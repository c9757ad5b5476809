//! How far each pod and member is on the way to its share, and what stands in the way. Pure.

use super::{
    shares::{PodShare, Shares},
    weigh::{Unseen, WeighedMember},
};
use crate::{
    actuate::{PodResize, Refusal, RefusalKind},
    api::{MemberState, Mode},
    observe::{Barred, MACHINE_SETS, Owner, Pod, Resize},
    share::Resource,
};

/// The workload that the member names is not there.
pub const NOT_FOUND: &str = "TargetNotFound";
/// It is not known yet whether some pod is the member's.
pub const NOT_SEEN: &str = "ControllerNotSeen";

/// A state with its reason and a sentence, as the status shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The state.
    pub state: MemberState,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, with the remedy where there is one.
    pub message: String,
}

impl Standing {
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

/// What became of one turn: the resizes that the API server took and those that it refused.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Taken.
    pub sent: Vec<PodResize>,
    /// Refused.
    pub refused: Vec<Refusal>,
}

/// Where a member stands: `index` is its place in the spec.
#[must_use]
pub fn of_member(
    mode: Mode,
    member: &WeighedMember,
    index: usize,
    divided: &Shares,
    outcome: &Outcome,
) -> Standing {
    if let Some(Unseen { pod, controller: Owner { kind, name, .. } }) = member.unseen.first() {
        let message = format!(
            "Pod {} may be of it, but the {kind} {name} that it belongs to has not been seen yet, so the pool stands \
             still. If that does not pass, check that the controller may list objects of kind {kind}.",
            pod.name
        );
        return Standing::new(MemberState::Skipped, NOT_SEEN, message);
    }
    if member.target_missing {
        let target = member.spec.target_ref.as_ref();
        let what =
            target.map(|target| format!("{} {}", target.kind, target.name)).unwrap_or_default();
        let message = match target.is_some_and(|target| MACHINE_SETS.contains(&&*target.kind)) {
            true => {
                format!(
                    "No virtual machine in this namespace belongs to a {what}: check targetRef, or give it a machine."
                )
            }
            false => {
                format!("There is no {what} in this namespace: check targetRef, or create it.")
            }
        };
        return Standing::new(MemberState::Skipped, NOT_FOUND, message);
    }
    if let Some((pod, pool)) = member.lost.first() {
        return Standing::new(
            MemberState::Skipped,
            "ClaimedByOlderPool",
            format!(
                "{} to the older pool {pool}, {} among them: take them out of one of the two.",
                count(
                    member.lost.len(),
                    "pod that it matches belongs",
                    "pods that it matches belong"
                ),
                pod.name,
            ),
        );
    }
    if member.pods.is_empty() {
        return Standing::new(
            MemberState::Settled,
            "NoPods",
            "It has no pods now, so the others share its part.",
        );
    }

    if Resource::ALL.iter().any(|&it| divided[it].as_ref().is_some_and(|it| it.too_small.is_some()))
    {
        return Standing::new(
            MemberState::Skipped,
            "PoolTooSmall",
            "The pool is too small for the least that its pods need, so nothing is changed.",
        );
    }

    let standings: Vec<(&Pod, Standing)> = member
        .pods
        .iter()
        .enumerate()
        .map(|(i, &pod)| (pod, of_pod(mode, pod, index, i, divided, outcome)))
        .collect();
    let worst = standings.iter().map(|(_, standing)| standing.urgency()).max().unwrap_or_default();
    let alike: Vec<&(&Pod, Standing)> =
        standings.iter().filter(|(_, standing)| standing.urgency() == worst).collect();
    let Some((pod, standing)) = alike.first() else {
        return Standing::new(MemberState::Settled, "Settled", "");
    };
    let mut standing = standing.clone();
    if worst > 0 {
        let more = alike.len() - 1;
        let others = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        standing.message = format!("Pod {}{others}: {}.", pod.name, standing.message);
    } else if let Some(trouble) = &member.trouble {
        standing.reason = trouble.reason;
        standing.message = format!("{}.", trouble.message);
    } else if let Some((what, node)) = unplaceable(index, divided) {
        standing.reason = "NodeFull";
        standing.message = format!(
            "It owns {what} more than its nodes have room for: to give it that, free node {node}, or move pods elsewhere."
        );
    } else if let Some((quota, message)) = quota_full(divided) {
        standing.reason = "QuotaFull";
        standing.message = format!("ResourceQuota {quota} {message}");
    } else if let Some((pod, pool)) = member.contested.first() {
        standing.message = format!(
            "{} matched by the younger pool {pool} as well, {} among them; this pool keeps them.",
            count(member.contested.len(), "pod is", "pods are"),
            pod.name
        );
    } else if let Some(pod) = member.pods.iter().find(|pod| pod.owner.is_none()) {
        standing.message = format!(
            "Pod {} has no controller: once it is resized, the API server refuses its own manifest.",
            pod.name
        );
    }
    standing
}

/// What a member's nodes keep it from owning, with the node that would have to be freed.
fn unplaceable<'a>(member: usize, divided: &Shares<'a>) -> Option<(String, &'a str)> {
    Resource::ALL.into_iter().find_map(|resource| {
        let share = &divided[resource].as_ref()?.members[member];
        let amount = resource.quantity(share.unplaceable);
        Some((format!("{amount} of {resource}"), share.full_node?))
    })
}

/// The quota that keeps the pool from dividing all of its capacity, with what it leaves.
fn quota_full<'a>(divided: &Shares<'a>) -> Option<(&'a str, String)> {
    Resource::ALL.into_iter().find_map(|resource| {
        let divided = divided[resource].as_ref()?;
        let bound = divided.quota?;
        let [all, left, kept] = [divided.capacity, divided.divisible, bound.kept]
            .map(|amount| resource.quantity(amount));
        let kept = match bound.kept {
            0 => String::new(),
            _ => format!(" and {kept} for pods to come"),
        };
        Some((
            bound.quota,
            format!(
                "leaves the pool {left} of its {all} of {resource}{kept}: raise the quota, or lower capacity.{resource}."
            ),
        ))
    })
}

fn of_pod(
    mode: Mode,
    pod: &Pod,
    member: usize,
    index: usize,
    divided: &Shares,
    outcome: &Outcome,
) -> Standing {
    if let Some(obstacle) = pod.obstacle {
        return Standing::new(MemberState::Skipped, obstacle.reason(), obstacle.remedy());
    }
    if let Some(refusal) = outcome.refused.iter().find(|refusal| refusal.pod == pod.name) {
        if refusal.kind != RefusalKind::Outdated {
            return Standing::new(
                MemberState::Deferred,
                refusal.kind.reason(),
                refusal.message.clone(),
            );
        }
        return Standing::new(
            MemberState::Resizing,
            "Resizing",
            "it changed meanwhile, the next turn looks again",
        );
    }
    match &pod.resize {
        Resize::Infeasible(why) => return of_barred(&Barred { forever: true, why: why.clone() }),
        Resize::Failing(why) => return of_barred(&Barred { forever: false, why: why.clone() }),
        Resize::Deferred(message) => {
            return Standing::new(MemberState::Deferred, "Deferred", message.clone());
        }
        Resize::Done | Resize::InProgress => {}
    }
    if let Some(resize) = outcome.sent.iter().find(|resize| resize.pod == pod.name) {
        return Standing::new(MemberState::Resizing, "Resizing", describe(resize));
    }
    for resource in Resource::ALL {
        let Some(divided) = &divided[resource] else { continue };
        let part = &divided.members[member].pods[index];
        let (charge, admitted) = (part.holding.charge(), part.holding.admitted());
        match part.share.map(|share| share.share) {
            None if let Some(to) = &part.left_to => {
                return Standing::new(MemberState::Skipped, to.reason, to.message.clone());
            }
            None if let Some(barred) = &pod.barred[resource] => return of_barred(barred),
            None => {
                let (reason, why) = match part.left_alone {
                    Some(left_alone) => (left_alone.reason(), left_alone.remedy()),
                    None => ("LeftAlone", "it keeps what it has"),
                };
                let message = format!("{resource} is left alone: {why}");
                return Standing::new(MemberState::Skipped, reason, message);
            }
            Some(share) if share != charge && mode == Mode::Observe => {
                let (now, then) = (resource.quantity(charge), resource.quantity(share));
                return Standing::new(
                    MemberState::Skipped,
                    "ModeObserve",
                    format!("{resource} would go from {now} to {then}, were the mode Auto"),
                );
            }
            Some(_) if is_under_way(pod, resource) || charge != admitted => {
                return Standing::new(
                    MemberState::Resizing,
                    "Resizing",
                    "the kubelet is carrying a resize out",
                );
            }
            Some(share) if share > charge && pod.containers.iter().any(|it| it.unheard) => {
                return Standing::new(
                    MemberState::Resizing,
                    "NotStarted",
                    format!(
                        "{resource} goes to {} once its node has said that its containers run",
                        resource.quantity(share)
                    ),
                );
            }
            Some(share) if share > charge => {
                let (now, then) = (resource.quantity(charge), resource.quantity(share));
                let copy = |it: &PodShare| it.surge && it.pod.machine == pod.machine;
                if divided.members[member].pods.iter().any(copy) {
                    return Standing::new(
                        MemberState::Resizing,
                        "Migrating",
                        format!(
                            "{resource} goes from {now} to {then} when its virtual machine has left its other pod"
                        ),
                    );
                }
                if pod.node.is_some() && divided.frees_room {
                    return Standing::new(
                        MemberState::Resizing,
                        "AwaitingRoom",
                        format!(
                            "{resource} goes from {now} to {then} as soon as others have given back what they hold"
                        ),
                    );
                }
                let full = divided
                    .quotas
                    .iter()
                    .find(|quota| quota.counts(pod, &part.holding) && quota.free < share - charge);
                let (reason, why) = match &pod.node {
                    Some(_) if let Some(quota) = full => (
                        "QuotaFull",
                        format!(
                            "ResourceQuota {} has no more room: raise it, or lower the pool's capacity",
                            quota.name()
                        ),
                    ),
                    None => ("Unscheduled", "it has no node yet".to_owned()),
                    Some(node) => {
                        ("NoRoom", format!("neither the pool nor node {node} has more room now"))
                    }
                };
                return Standing::new(
                    MemberState::Deferred,
                    reason,
                    format!("{resource} stays at {now} instead of {then}: {why}"),
                );
            }
            Some(share) if share < charge => {
                let (now, then) = (resource.quantity(charge), resource.quantity(share));
                let safe = part.in_use.as_ref().map_or(charge, |in_use| in_use.safe);
                let margin = part.in_use.as_ref().is_some_and(|in_use| in_use.is_margin(share));
                return Standing::new(
                    if margin { MemberState::Settled } else { MemberState::Deferred },
                    "MemoryInUse",
                    format!(
                        "{resource} stays at {now} instead of {then} while it is in use: with a margin, {} of late",
                        resource.quantity(safe)
                    ),
                );
            }
            Some(_) => {}
        }
    }
    Standing::new(MemberState::Settled, "Settled", "")
}

/// Whether the kubelet has not said yet that what the spec asks for is in force, limits too: a container that was killed
/// meanwhile may have started with less.
fn is_under_way(pod: &Pod, resource: Resource) -> bool {
    let enforced = pod.containers.iter().all(|container| container.is_enforced(resource));
    pod.resize == Resize::InProgress || !enforced
}

/// What a node could not carry out is taken back, and tried again later.
fn of_barred(barred: &Barred) -> Standing {
    let (state, reason) = match barred.forever {
        true => (MemberState::Infeasible, "Infeasible"),
        false => (MemberState::Deferred, "ResizeFailing"),
    };
    let message =
        format!("its node does not carry the resize out, so it keeps what it has: {}", barred.why);
    Standing::new(state, reason, message)
}

/// A resize in words: `cpu 200m -> 1`.
#[must_use]
pub fn describe(resize: &PodResize) -> String {
    let quantity = |amount| resize.resource.quantity(amount);
    format!("{} {} -> {}", resize.resource, quantity(resize.from), quantity(resize.to))
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
