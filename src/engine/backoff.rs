//! Resizes that were refused, or that a node could not carry out: they are not tried again before their time. What is
//! remembered is lost with the process: then each is tried once more.

use std::collections::HashMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    clock_watch::shifted,
    resize::{PodResize, Refusal},
};
use crate::{
    cluster::{Pod, Resize},
    share::{PerResource, Resource},
};

/// How long it is waited after a first refusal by the API server, and at most, in seconds: it doubles with each further one.
const REFUSED: (i64, i64) = (10, 600);
/// And after the node said that it can never do it, or tried and failed.
const FAILED: (i64, i64) = (600, 7200);

/// What went wrong of late, by the UID of the pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backoff(HashMap<String, PerResource<Option<Setback>>>);

/// A node's answer to a resize that it did not carry out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// It can never do it; otherwise it tried and failed.
    pub forever: bool,
    /// Its words.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Setback {
    /// How often in a row.
    times: u32,
    /// It is tried again then.
    until: Timestamp,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// The API server refused a resize of the pod's containers to so much, in units of the resource.
    Refused { to: u64, grows: bool, refusal: Refusal },
    /// The node could not carry out what this generation of the pod's spec asks for.
    Failed { failure: Failure, generation: i64 },
}

impl Backoff {
    /// Takes in what the node of a pod says of its resize.
    pub fn observe(&mut self, pod: &Pod, now: Timestamp) {
        for resource in Resource::ALL {
            let Some(failure) = failure(pod, resource) else { continue };
            let known = &mut self.0.entry(pod.uid.clone()).or_default()[resource];
            let before = known.take().and_then(|it| match it.what {
                What::Failed { generation, .. } => Some((it.times, it.until, generation)),
                What::Refused { .. } => None,
            });
            // As long as it is the same answer, it is known already, however often the pod changes.
            let (times, until) = match before {
                Some((times, until, generation)) if generation == pod.generation || until > now => {
                    (times, until)
                }
                before => again(before.map_or(0, |(times, ..)| times), FAILED, now),
            };
            let what = What::Failed { failure, generation: pod.generation };
            *known = Some(Setback { times, until, what });
        }
    }

    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        let all = self.0.values_mut().flat_map(|of_pod| [&mut of_pod.cpu, &mut of_pod.memory]);
        all.flatten().for_each(|it| it.until = shifted(it.until, by));
    }

    /// Keeps only the pods with these UIDs.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| is_there(uid));
    }

    /// Forgets a pod that is gone, by its UID.
    pub fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// What the node of a pod could not carry out of late, and what is not tried now.
    #[must_use]
    pub fn failure(&self, uid: &str, resource: Resource, now: Timestamp) -> Option<&Failure> {
        let setback = self.0.get(uid)?[resource].as_ref().filter(|it| it.until > now)?;
        match &setback.what {
            What::Failed { failure, .. } => Some(failure),
            What::Refused { .. } => None,
        }
    }

    /// Why the API server refused the pod's last shrink, as long as it is not tried again.
    #[must_use]
    pub fn refused_shrink(
        &self,
        uid: &str,
        resource: Resource,
        now: Timestamp,
    ) -> Option<&Refusal> {
        let setback = self.0.get(uid)?[resource].as_ref().filter(|it| it.until > now)?;
        match &setback.what {
            What::Refused { grows: false, refusal, .. } => Some(refusal),
            What::Refused { .. } | What::Failed { .. } => None,
        }
    }

    /// Takes out the resizes that were refused before and whose time has not come, with the refusals.
    #[must_use]
    pub fn hold_back(
        &self,
        resizes: Vec<PodResize>,
        now: Timestamp,
    ) -> (Vec<PodResize>, Vec<Refusal>) {
        let (mut allowed, mut refused) = (resizes, Vec::new());
        allowed.retain(|resize| {
            let refusal = self.refusal(resize, now).cloned();
            let allowed = refusal.is_none();
            refused.extend(refusal);
            allowed
        });
        (allowed, refused)
    }

    /// The answer that this resize would get again.
    fn refusal(&self, resize: &PodResize, now: Timestamp) -> Option<&Refusal> {
        let setback = self.0.get(&resize.uid)?[resize.resource].as_ref()?;
        let What::Refused { to, grows, refusal } = &setback.what else { return None };
        // One that asks for less than was refused may be lucky.
        let same = if *grows { resize.to >= *to } else { resize.to == *to };
        (same && setback.until > now).then_some(refusal)
    }

    /// Takes in what the API server said to the resizes of one pod: those that it took, and why it did not take the next.
    pub fn answered(
        &mut self,
        asked: &[PodResize],
        sent: &[PodResize],
        refused: Option<&Refusal>,
        now: Timestamp,
    ) {
        for resize in asked {
            let is_this = |it: &&Refusal| it.pod == resize.pod && it.resource == resize.resource;
            let refusal = refused.filter(is_this);
            let taken = || {
                let is_this =
                    |it: &PodResize| it.uid == resize.uid && it.resource == resize.resource;
                sent.iter().any(is_this)
            };
            let known = &mut self.0.entry(resize.uid.clone()).or_default()[resize.resource];
            let times = match known.as_ref().map(|it| (&it.what, it.times)) {
                Some((What::Failed { .. }, _)) => continue,
                Some((What::Refused { .. }, times)) => times,
                None => 0,
            };
            match refusal {
                Some(refusal) if refusal.kind.is_final() => {
                    let (times, until) = again(times, REFUSED, now);
                    let grows = resize.grows();
                    let what = What::Refused { to: resize.to, grows, refusal: refusal.clone() };
                    *known = Some(Setback { times, until, what });
                }
                None if taken() => *known = None,
                // It changed meanwhile, or another of the pod was refused before its turn came.
                Some(_) | None => {}
            }
        }
        for resize in asked {
            let is_empty =
                |it: &PerResource<Option<Setback>>| it.cpu.is_none() && it.memory.is_none();
            if self.0.get(&resize.uid).is_some_and(is_empty) {
                self.0.remove(&resize.uid);
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
            let known = self.0.get(&pod.uid)?;
            let until = Resource::ALL.into_iter().filter_map(|it| Some(known[it].as_ref()?.until));
            until.filter(|until| *until > now).min()
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
fn failure(pod: &Pod, resource: Resource) -> Option<Failure> {
    let asks = pod.parts(resource).iter().any(|container| container.is_pending(resource));
    match &pod.resize {
        Resize::Infeasible(why) if asks => Some(Failure { forever: true, why: why.clone() }),
        Resize::Failing(why) if asks => Some(Failure { forever: false, why: why.clone() }),
        _ => None,
    }
}
