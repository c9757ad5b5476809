//! What resizes ask for that are on their way to the API server, or had no answer: it is charged already.

use super::Pod;
use crate::share::Resource;

/// What the containers of one pod may have been resized to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests {
    /// The UID of the pod.
    pub uid: String,
    /// What is asked for, in words.
    pub description: String,
    /// The container (empty for pod-level resources), the resource, and how much of it is asked for, in millicores or bytes.
    pub requests: Vec<(String, Resource, u64)>,
}

impl Requests {
    /// Takes the pod to ask for what it does, or for what it may have been resized to, whichever is more; and to have been
    /// resized by us.
    pub(super) fn charge(&self, pod: &mut Pod) {
        pod.in_flight = true;
        for (name, resource, request) in &self.requests {
            pod.resized_by_us[*resource] = true;
            let parts = pod.containers.iter_mut().chain(pod.pod_level.as_deref_mut());
            if let Some(container) = parts.into_iter().find(|it| it.name == *name) {
                let requested = &mut container.held[*resource].requested;
                *requested = (*requested).max(*request);
            }
        }
    }
}
