//! Other field managers that keep setting what we set.

use std::collections::HashMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    clock_watch::shifted,
    resize::{ContainerResize, PodResize},
};
use crate::{
    cluster::Pod,
    share::{PerResource, Resource},
};

/// After so many rounds the resource of the pod is left to the other.
const ROUNDS: u32 = 3;
/// For so long; and rounds further apart are no conflict.
const TRUCE: SignedDuration = SignedDuration::from_secs(3600);

/// What we set last in the pods, by UID, and how often another manager set something else after that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldConflicts(HashMap<String, PerResource<Option<Conflict>>>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Conflict {
    /// What we set, until another manager changes it.
    ours: Vec<ContainerResize>,
    rounds: u32,
    /// Who changed it last, and when.
    last: Option<(String, Timestamp)>,
}

impl FieldConflicts {
    /// Notes the resizes that the API server took.
    pub fn sent(&mut self, resizes: &[PodResize]) {
        for resize in resizes {
            let known = &mut self.0.entry(resize.uid.clone()).or_default()[resize.resource];
            known.get_or_insert_default().ours.clone_from(&resize.containers);
        }
    }

    /// Counts what was changed in a pod since.
    pub fn observe(&mut self, pod: &Pod, now: Timestamp) {
        // As long as it is not known what became of a resize of ours, nothing can be said.
        if pod.in_flight {
            return;
        }
        let Some(known) = self.0.get_mut(&pod.uid) else { return };
        for resource in Resource::ALL {
            if let Some(conflict) = &mut known[resource] {
                conflict.count(pod, resource, now);
            }
        }
    }

    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        let all = self.0.values_mut().flat_map(|of_pod| [&mut of_pod.cpu, &mut of_pod.memory]);
        let last = all.flatten().filter_map(|it| it.last.as_mut());
        last.for_each(|(_, at)| *at = shifted(*at, by));
    }

    /// Keeps only the pods with these UIDs.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| is_there(uid));
    }

    /// Forgets a pod that is gone, by its UID.
    pub fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// The manager that a resource of a pod is left to.
    #[must_use]
    pub fn holder(&self, uid: &str, resource: Resource, now: Timestamp) -> Option<&str> {
        let conflict = self.0.get(uid)?[resource].as_ref()?;
        let (by, at) = conflict.last.as_ref()?;
        (conflict.rounds >= ROUNDS && !is_over(*at, now)).then_some(by)
    }

    /// Until when a resource of some of these pods is left to another manager.
    pub fn next<'a>(
        &self,
        pods: impl Iterator<Item = &'a Pod>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let of = |pod: &Pod| {
            let known = self.0.get(&pod.uid)?;
            let left = Resource::ALL.into_iter().filter_map(|it| known[it].as_ref());
            let left = left.filter(|it| it.rounds >= ROUNDS).filter_map(|it| it.last.as_ref());
            left.map(|(_, at)| *at + TRUCE).filter(|until| *until > now).min()
        };
        pods.filter_map(of).min()
    }
}

impl Conflict {
    fn count(&mut self, pod: &Pod, resource: Resource, now: Timestamp) {
        let stands = |ours: &ContainerResize| {
            pod.part(&ours.name, resource).is_some_and(|it| {
                it.held[resource].requested == ours.request
                    && ours.limit.is_none_or(|limit| it.limit[resource] == Some(limit))
            })
        };
        if self.ours.iter().all(stands) {
            return;
        }
        self.ours.clear();
        if let Some(by) = &pod.set_by[resource] {
            let rounds = match &self.last {
                Some((_, at)) if is_over(*at, now) => 0,
                _ => self.rounds,
            };
            (self.rounds, self.last) = (rounds + 1, Some((by.clone(), now)));
        }
    }
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) >= TRUCE
}
