//! Who else keeps setting what we set. Pure: the time is passed in.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::{
    actuate::{ContainerResize, PodResize},
    observe::{Pod, Snapshot},
    share::{PerResource, Resource},
};

/// After so many rounds the resource of the pod is left to the other.
const ROUNDS: u32 = 3;
/// For so long; and rounds further apart are no contest.
const TRUCE: SignedDuration = SignedDuration::from_secs(3600);

/// What we set last in the pods, by UID, and how often somebody else set something else after that.
#[derive(Debug, Default)]
pub struct Contests(BTreeMap<(String, Resource), Contest>);

#[derive(Debug, Default)]
struct Contest {
    /// What we set, until somebody changes it.
    ours: Vec<ContainerResize>,
    rounds: u32,
    /// Who changed it last, and when.
    last: Option<(String, Timestamp)>,
}

impl Contests {
    /// Notes the resizes that the API server took.
    pub fn sent(&mut self, resizes: &[PodResize], snapshot: &Snapshot) {
        for resize in resizes {
            let pods = snapshot.pods_of(&resize.namespace);
            let Some(pod) = pods.iter().find(|pod| pod.name == resize.pod) else { continue };
            let contest = self.0.entry((pod.uid.clone(), resize.resource)).or_default();
            contest.ours.clone_from(&resize.containers);
        }
    }

    /// Counts what was changed since, and says to whom which resource of which pod is left, by the pod's UID.
    pub fn left(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> BTreeMap<String, PerResource<Option<String>>> {
        let mut left: BTreeMap<String, PerResource<Option<String>>> = BTreeMap::new();
        if self.0.is_empty() {
            return left;
        }
        let mut before = std::mem::take(&mut self.0);
        for pod in &snapshot.pods {
            for resource in Resource::ALL {
                let key = (pod.uid.clone(), resource);
                let Some(mut contest) = before.remove(&key) else { continue };
                contest.count(pod, resource, now);
                if let Some((by, _)) = contest.last.as_ref().filter(|_| contest.rounds >= ROUNDS) {
                    left.entry(pod.uid.clone()).or_default()[resource] = Some(by.clone());
                }
                self.0.insert(key, contest);
            }
        }
        left
    }
}

impl Contest {
    fn count(&mut self, pod: &Pod, resource: Resource, now: Timestamp) {
        let long_ago = |at: Timestamp| now.duration_since(at) >= TRUCE;
        if self.last.as_ref().is_some_and(|(_, at)| long_ago(*at)) {
            (self.rounds, self.last) = (0, None);
        }
        let stands = |ours: &ContainerResize| {
            let mut found = pod.containers.iter().filter(|it| it.name == ours.name);
            found.any(|it| {
                it.held[resource].requested == ours.request
                    && ours.limit.is_none_or(|limit| it.limit[resource] == Some(limit))
            })
        };
        if self.ours.iter().all(stands) {
            return;
        }
        self.ours.clear();
        if let Some(by) = &pod.set_by[resource] {
            self.rounds += 1;
            self.last = Some((by.clone(), now));
        }
    }
}
