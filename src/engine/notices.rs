//! What is worth an event: resizes, and what became worse.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{pool_members::PoolMembers, resize::PodResize};
use crate::{
    api::{MemberState, WeightedShareStatus},
    share::Resource,
};

/// How many members one event names: a note holds 1024 characters, and a name up to 63.
const TOLD_OF: usize = 8;

/// Something worth an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Whether a person should look.
    pub warning: bool,
    /// One word for programs.
    pub reason: String,
    /// What happened, to what, why.
    pub note: String,
}

/// What a decision has to tell: the resizes that the API server took, summed up for each member, and members and conditions
/// that became worse since the status `before`. A decision that changes nothing tells nothing.
#[must_use]
pub fn notices(
    before: Option<&WeightedShareStatus>,
    after: &WeightedShareStatus,
    pool: &PoolMembers,
    resized: &[PodResize],
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = of_resizes(pool, resized).into_iter().collect();
    for member in &after.members {
        let known =
            before.and_then(|before| before.members.iter().find(|old| old.name == member.name));
        let told = known.is_some_and(|old| old.reason == member.reason);
        let trouble =
            !matches!(member.state, None | Some(MemberState::Settled | MemberState::Resizing));
        // Of the pool as a whole, its conditions tell.
        let own = !["ModeObserve", "PoolTooSmall"].contains(&&*member.reason);
        if trouble && !told && own {
            notices.push(Notice {
                warning: true,
                reason: member.reason.clone(),
                note: format!("Member {}: {}", member.name, member.message),
            });
        }
    }
    let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    notices.extend(of_conditions(known, &after.conditions));
    notices
}

/// The resizes, summed up for each member: one event, however many members and pods there are.
fn of_resizes(pool: &PoolMembers, resized: &[PodResize]) -> Option<Notice> {
    let mut sums: BTreeMap<(&str, Resource), (usize, u64, u64)> = BTreeMap::new();
    for member in &pool.members {
        for resize in resized {
            if member.pods.iter().any(|it| it.pod.name == resize.pod) {
                let sum = sums.entry((&member.spec.name, resize.resource)).or_default();
                *sum = (sum.0 + 1, sum.1 + resize.from, sum.2 + resize.to);
            }
        }
    }
    let of_member = |(&(member, resource), &(pods, from, to)): (&(&str, Resource), &_)| {
        let (from, to) = (resource.quantity(from), resource.quantity(to));
        let pods = if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") };
        format!("{member} ({pods}) {resource} {from} -> {to}")
    };
    let mut told: Vec<String> = sums.iter().take(TOLD_OF).map(of_member).collect();
    if sums.len() > TOLD_OF {
        told.push(format!("{} more", sums.len() - TOLD_OF));
    }
    (!told.is_empty()).then(|| Notice {
        warning: false,
        reason: "Resized".into(),
        note: format!("Requests: {}", told.join("; ")),
    })
}

/// The conditions that became worse since they were as `before`.
#[must_use]
pub fn of_conditions(before: &[Condition], after: &[Condition]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for condition in after {
        let bad = ["Stalled", "Overcommitted"].contains(&condition.type_.as_str());
        let known = before.iter().find(|old| old.type_ == condition.type_);
        if bad && condition.status == "True" && known.is_none_or(|old| old.status != "True") {
            notices.push(Notice {
                warning: true,
                reason: condition.reason.clone(),
                note: condition.message.clone(),
            });
        }
    }
    notices
}
