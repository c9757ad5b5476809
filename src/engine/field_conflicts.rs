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

/// What we set last in the pods, and how often another manager set something else after that. By UID.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldConflicts {
    /// What we set, until another manager changes it.
    ours: HashMap<String, PerResource<Vec<ContainerResize>>>,
    /// Of few pods, as nearly all are left alone by others.
    conflicts: HashMap<String, PerResource<Option<Conflict>>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Conflict {
    rounds: u32,
    /// Who changed it last, and when.
    by: String,
    at: Timestamp,
}

impl FieldConflicts {
    /// Notes the resizes that the API server took.
    pub fn sent(&mut self, resizes: &[PodResize]) {
        for resize in resizes {
            let known = &mut self.ours.entry(resize.uid.clone()).or_default()[resize.resource];
            known.clone_from(&resize.containers);
        }
    }

    /// Counts what was changed in a pod since.
    pub fn observe(&mut self, pod: &Pod, now: Timestamp) {
        // As long as it is not known what became of a resize of ours, nothing can be said.
        if pod.in_flight {
            return;
        }
        let Some(ours) = self.ours.get_mut(&pod.uid) else { return };
        for resource in Resource::ALL {
            if ours[resource].iter().all(|ours| stands(ours, pod, resource)) {
                continue;
            }
            ours[resource].clear();
            if let Some(by) = &pod.set_by[resource] {
                let conflict = &mut self.conflicts.entry(pod.uid.clone()).or_default()[resource];
                let before = conflict.as_ref().filter(|it| !is_over(it.at, now));
                let rounds = before.map_or(0, |it| it.rounds) + 1;
                *conflict = Some(Conflict { rounds, by: by.clone(), at: now });
            }
        }
    }

    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        let all = self.conflicts.values_mut();
        let all = all.flat_map(|of_pod| [&mut of_pod.cpu, &mut of_pod.memory]).flatten();
        all.for_each(|conflict| conflict.at = shifted(conflict.at, by));
    }

    /// Keeps only the pods with these UIDs.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.ours.retain(|uid, _| is_there(uid));
        self.conflicts.retain(|uid, _| is_there(uid));
    }

    /// Forgets a pod that is gone, by its UID.
    pub fn forget(&mut self, uid: &str) {
        self.ours.remove(uid);
        self.conflicts.remove(uid);
    }

    /// The manager that a resource of a pod is left to.
    #[must_use]
    pub fn holder(&self, uid: &str, resource: Resource, now: Timestamp) -> Option<&str> {
        let conflict = self.conflicts.get(uid)?[resource].as_ref()?;
        (conflict.rounds >= ROUNDS && !is_over(conflict.at, now)).then_some(&*conflict.by)
    }

    /// Until when a resource of some of these pods is left to another manager.
    pub fn next<'a>(
        &self,
        pods: impl Iterator<Item = &'a Pod>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.conflicts.is_empty() {
            return None;
        }
        let of = |pod: &Pod| {
            let known = self.conflicts.get(&pod.uid)?;
            let left = Resource::ALL.into_iter().filter_map(|it| known[it].as_ref());
            let left = left.filter(|it| it.rounds >= ROUNDS);
            left.map(|it| it.at + TRUCE).filter(|until| *until > now).min()
        };
        pods.filter_map(of).min()
    }
}

/// Whether a part of a pod asks for what we set.
fn stands(ours: &ContainerResize, pod: &Pod, resource: Resource) -> bool {
    pod.part(&ours.name, resource).is_some_and(|it| {
        it.held[resource].requested == ours.request
            && ours.limit.is_none_or(|limit| it.limit[resource] == Some(limit))
    })
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) >= TRUCE
}
