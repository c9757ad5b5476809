//! What a pod was charged when it was bound to its node, and when that was.

use k8s_openapi::{api::core::v1 as core, jiff::Timestamp};

use super::{Pod, Template};
use crate::share::{PerResource, Resource};

/// A pod as it was first seen on its node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// When the scheduler bound it, as its conditions say.
    pub at: Option<Timestamp>,
    /// Its charge at that time, in millicores and bytes.
    pub charge: PerResource<u64>,
    /// Its spec was still the one that it was created with: its generation says so, as far as there is one.
    pub is_original: bool,
}

impl Binding {
    /// When a pod was bound, as its conditions say; or else when it was created.
    #[must_use]
    pub(super) fn time(pod: &core::Pod) -> Option<Timestamp> {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let bound = conditions
            .into_iter()
            .flatten()
            .find(|it| it.type_ == "PodScheduled" && it.status == "True")
            .and_then(|it| it.last_transition_time.as_ref());
        bound.or(pod.metadata.creation_timestamp.as_ref()).map(|it| it.0)
    }
}

impl Pod {
    /// Its charge when it was bound to its node, in units of the resource, as far as it is known. Zero if it has no node.
    ///
    /// If it was resized before it was first seen, this is the smaller of its charge at that time and of what its template says,
    /// which its owner may have edited.
    #[must_use]
    pub fn started_with(&self, template: Option<&Template>, resource: Resource) -> u64 {
        let Some(binding) = &self.binding else { return 0 };
        let first_seen = binding.charge[resource];
        if binding.is_original {
            return first_seen;
        }
        template.map_or(0, |template| self.began_with(template, resource).min(first_seen))
    }

    /// Adds its binding, if it has a node. The charge is that of now.
    #[must_use]
    pub(super) fn with_binding(mut self, at: Option<Timestamp>) -> Self {
        self.binding = self.node.is_some().then(|| Binding {
            at,
            charge: PerResource::from_fn(|resource| self.charge(resource)),
            is_original: self.generation <= 1,
        });
        self
    }
}
