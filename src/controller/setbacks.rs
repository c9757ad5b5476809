//! Resizes that were refused, or that a node could not carry out: they are not tried again before their time. Pure; the
//! time is passed in. What is remembered is lost with the process: then each is tried once more.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::standing::Outcome;
use crate::{
    actuate::{PodResize, Refusal, RefusalKind},
    observe::{Barred, Pod, Resize},
    share::Resource,
};

/// How long it is waited after a first refusal by the API server, and at most: it doubles with each further one.
const REFUSED: (i64, i64) = (10, 600);
/// And after the node said that it can never do it, or tried and failed.
const FAILED: (i64, i64) = (600, 7200);

/// What went wrong of late, by the UID of the pod.
#[derive(Debug, Default)]
pub struct Setbacks(BTreeMap<(String, Resource), Setback>);

#[derive(Debug)]
struct Setback {
    /// How often in a row.
    times: u32,
    /// It is tried again then.
    until: Timestamp,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The API server refused a resize of the pod's containers to so much, in units of the resource.
    Refused { to: u64, grows: bool, refusal: Refusal },
    /// The node could not carry it out.
    Failed(Barred),
}

impl Setbacks {
    /// Takes in what the nodes say of all pods; those that are gone are forgotten.
    pub fn see(&mut self, pods: &[Pod], now: Timestamp) {
        let mut known = std::mem::take(&mut self.0);
        for pod in pods {
            for resource in Resource::ALL {
                let key = (pod.uid.clone(), resource);
                let before = known.remove(&key);
                let seen = barred(pod, resource).map(|barred| {
                    let before = before.as_ref().filter(|it| matches!(it.what, What::Failed(_)));
                    let (times, until) = match before {
                        Some(old) if old.until > now => (old.times, old.until),
                        old => again(old.map_or(0, |old| old.times), FAILED, now),
                    };
                    Setback { times, until, what: What::Failed(barred) }
                });
                if let Some(setback) = seen.or(before) {
                    self.0.insert(key, setback);
                }
            }
        }
    }

    /// Notes on the pods what their nodes could not carry out, as long as it is not tried again.
    pub fn mark(&self, pods: &mut [Pod], now: Timestamp) {
        for pod in pods {
            for resource in Resource::ALL {
                if let Some(setback) = self.0.get(&(pod.uid.clone(), resource))
                    && let What::Failed(barred) = &setback.what
                    && setback.until > now
                {
                    pod.barred[resource] = Some(barred.clone());
                }
            }
        }
    }

    /// Takes out the resizes that were refused before and whose time has not come, with the refusals.
    #[must_use]
    pub fn hold_back(
        &self,
        resizes: Vec<PodResize>,
        now: Timestamp,
    ) -> (Vec<PodResize>, Vec<Refusal>) {
        let mut refused = Vec::new();
        let mut allowed = resizes;
        allowed.retain(|resize| {
            let refusal = self.0.get(&(resize.uid.clone(), resize.resource)).and_then(|setback| {
                let What::Refused { to, grows, refusal } = &setback.what else { return None };
                // Who asks for less than was refused may be lucky.
                let same = if *grows { resize.to >= *to } else { resize.to == *to };
                (same && setback.until > now).then(|| refusal.clone())
            });
            let allowed = refusal.is_none();
            refused.extend(refusal);
            allowed
        });
        (allowed, refused)
    }

    /// Takes in what the API server said to resizes.
    pub fn note(&mut self, asked: &[PodResize], outcome: &Outcome, now: Timestamp) {
        for resize in asked {
            let key = (resize.uid.clone(), resize.resource);
            let is_this = |refusal: &&Refusal| {
                refusal.pod == resize.pod && refusal.resource == resize.resource
            };
            let refusal = outcome.refused.iter().find(is_this);
            let before = self.0.get(&key);
            let times = match before.map(|before| (&before.what, before.times)) {
                Some((What::Failed(_), _)) => continue,
                Some((What::Refused { .. }, times)) => times,
                None => 0,
            };
            match refusal {
                Some(refusal) if refusal.kind.is_final() => {
                    let (times, until) = again(times, REFUSED, now);
                    let grows = resize.to > resize.from;
                    let what = What::Refused { to: resize.to, grows, refusal: refusal.clone() };
                    self.0.insert(key, Setback { times, until, what });
                }
                Some(_) => {}
                None if outcome
                    .sent
                    .iter()
                    .any(|sent| sent.uid == resize.uid && sent.resource == resize.resource) =>
                {
                    self.0.remove(&key);
                }
                // Another of the pod was refused before its turn came.
                None => {}
            }
        }
    }

    /// When the next of these pods may be tried again. None: none of them waits for its time.
    pub fn next<'a>(
        &self,
        pods: impl Iterator<Item = &'a Pod>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let of = |pod: &Pod| {
            let of = |resource| self.0.get(&(pod.uid.clone(), resource)).map(|it| it.until);
            Resource::ALL.into_iter().filter_map(of).filter(|until| *until > now).min()
        };
        pods.filter_map(of).min()
    }
}

/// The next wait: how often by now, and until when.
fn again(times: u32, (first, longest): (i64, i64), now: Timestamp) -> (u32, Timestamp) {
    let seconds = first.saturating_mul(1 << times.min(20)).min(longest);
    (times + 1, now + SignedDuration::from_secs(seconds))
}

/// What the node says of a resize that it does not carry out.
fn barred(pod: &Pod, resource: Resource) -> Option<Barred> {
    let asks = pod.containers.iter().any(|container| container.is_pending(resource));
    match &pod.resize {
        Resize::Infeasible(why) if asks => Some(Barred { forever: true, why: why.clone() }),
        Resize::Failing(why) if asks => Some(Barred { forever: false, why: why.clone() }),
        _ => None,
    }
}

impl RefusalKind {
    /// Whether the same question would get the same answer.
    fn is_final(self) -> bool {
        !matches!(self, Self::Outdated | Self::Unreachable)
    }
}
