//! Events: what happened, on the object that it happened to, for `kubectl describe`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use tracing::warn;

use super::{standing::Outcome, weigh::Weighed};
use crate::{
    api::{MemberState, WeightedShare, WeightedShareStatus},
    observe::{Clock, FIELD_MANAGER},
    share::Resource as Shared,
};

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

/// What one turn has to tell: resizes, summed up for each member, and members and conditions that became worse.
/// A turn that changes nothing tells nothing. Pure.
#[must_use]
pub fn notices(
    before: Option<&WeightedShareStatus>,
    after: &WeightedShareStatus,
    weighed: &Weighed,
    outcome: &Outcome,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut resized: BTreeMap<(&str, Shared), (usize, u64, u64)> = BTreeMap::new();
    for member in &weighed.members {
        for resize in &outcome.sent {
            if member.pods.iter().any(|pod| pod.name == resize.pod) {
                let sum = resized.entry((&member.spec.name, resize.resource)).or_default();
                *sum = (sum.0 + 1, sum.1 + resize.from, sum.2 + resize.to);
            }
        }
    }
    for ((member, resource), (pods, from, to)) in resized {
        let (from, to) = (resource.quantity(from), resource.quantity(to));
        let pods = if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") };
        notices.push(Notice {
            warning: false,
            reason: "Resized".into(),
            note: format!("Member {member}: requests of {pods}, {resource} {from} -> {to}"),
        });
    }

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
    for condition in &after.conditions {
        let bad = ["Stalled", "Overcommitted"].contains(&condition.type_.as_str());
        let known = before
            .and_then(|before| before.conditions.iter().find(|old| old.type_ == condition.type_));
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

/// Publishes notices on a pool. An event that cannot be written is logged: it must not hold up the division. False where
/// trying again may help.
pub async fn publish(
    client: &Client,
    clock: &Clock,
    pool: &WeightedShare,
    notices: Vec<Notice>,
) -> bool {
    let mut done = true;
    let api: Api<Event> = Api::namespaced(client.clone(), &pool.namespace().unwrap_or_default());
    for notice in notices {
        let event = event(pool, notice, clock.now());
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            warn!(pool = %pool.name_any(), %error, "an event could not be written");
            // A conflict (of a quota that counts events, as a name is never the same twice) passes.
            done &= matches!(error, kube::Error::Api(status) if status.code < 500 && ![409, 429].contains(&status.code));
        }
    }
    done
}

fn event(pool: &WeightedShare, notice: Notice, now: Timestamp) -> Event {
    // As long as the API server takes.
    let note: String = notice.note.chars().take(1000).collect();
    Event {
        metadata: ObjectMeta {
            namespace: pool.namespace(),
            name: Some(format!("{}.{:x}", pool.name_any(), now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        regarding: Some(ObjectReference { namespace: pool.namespace(), ..pool.object_ref(&()) }),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        action: Some("Reconcile".to_owned()),
        reason: Some(notice.reason),
        note: Some(note),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}
