//! What a pod was charged when it was bound to its node, and when that was.

use k8s_openapi::{
    api::core::v1 as core, apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp,
};

use super::{Pod, Template};
use crate::share::{Bytes, MilliCpu, PerResource, Resource};

/// A pod as it was first seen on its node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// When the scheduler bound it, as its conditions say.
    pub at: Option<Timestamp>,
    /// Its charge at that time, in millicores and bytes.
    pub charge: PerResource<u64>,
    /// Its spec was still the one that it was created with: its generation says so, as far as there is one.
    pub is_original: bool,
    /// Its charge when it was created, in millicores and bytes, as the chart's admission policy wrote it on the pod.
    pub written: Option<PerResource<u64>>,
}

/// The annotation of a member's pod with its charge when it was created, as `cpu=250m,memory=67108864`.
const STARTED: &str = "weightedshare.dev/started";

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

/// What a pod's annotation says that it started with. None where it names not both resources, once each, as the policy does.
pub(super) fn written(meta: &ObjectMeta) -> Option<PerResource<u64>> {
    let (cpu, memory) = meta.annotations.as_ref()?.get(STARTED)?.split_once(',')?;
    let cpu: MilliCpu = cpu.strip_prefix("cpu=")?.parse().ok()?;
    let memory: Bytes = memory.strip_prefix("memory=")?.parse().ok()?;
    Some(PerResource { cpu: cpu.0, memory: memory.0 })
}

impl Pod {
    /// Its charge when it was bound to its node, in units of the resource, as far as it is known. Zero if it has no node.
    ///
    /// If it was resized before it was first seen, what the admission policy wrote on it counts. Without that, it is the smaller
    /// of its charge at that time and of what its template says, which its owner may have edited.
    #[must_use]
    pub fn started_with(&self, template: Option<&Template>, resource: Resource) -> u64 {
        let Some(binding) = &self.binding else { return 0 };
        let first_seen = binding.charge[resource];
        if binding.is_original {
            return first_seen;
        }
        if let Some(written) = &binding.written {
            return written[resource];
        }
        template.map_or(0, |template| self.began_with(template, resource).min(first_seen))
    }

    /// Adds its binding, if it has a node. The charge is that of now.
    #[must_use]
    pub(super) fn with_binding(
        mut self,
        at: Option<Timestamp>,
        written: Option<PerResource<u64>>,
    ) -> Self {
        self.binding = self.node.is_some().then(|| Binding {
            at,
            charge: PerResource::from_fn(|resource| self.charge(resource)),
            is_original: self.generation <= 1,
            written,
        });
        self
    }
}
