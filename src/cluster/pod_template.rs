//! What a pod template asks for, and what the API server makes of that where it creates a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::{
    amount::amount, charges::pod_level_request, limit_range::Limits, read_pod::is_sidecar,
};
use crate::share::{PerResource, Resource, charged};

/// What the pods of a template start with, by the name of the container; pod-level resources have an empty name.
pub type Template = BTreeMap<String, TemplateContainer>;

/// What one container starts with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TemplateContainer {
    /// The requests.
    pub request: PerResource<u64>,
    /// The limits.
    pub limit: PerResource<Option<u64>>,
}

/// A pod template as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    containers: Vec<(String, Asked)>,
    /// The init containers, and whether each is a sidecar.
    init: Vec<(Asked, bool)>,
    /// Its pod-level resources.
    pod_level: Asked,
    /// The RuntimeClass of its pods.
    pub runtime_class: Option<String>,
}

/// What is asked for one container, or at the pod level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Asked {
    request: PerResource<Option<u64>>,
    limit: PerResource<Option<u64>>,
}

impl PodTemplate {
    /// Reads a template.
    #[must_use]
    pub fn read(template: &core::PodTemplateSpec) -> Self {
        let Some(spec) = &template.spec else { return Self::default() };
        let of = |it: &core::Container| Asked::read(it.resources.as_ref());
        let init = spec.init_containers.iter().flatten();
        Self {
            containers: spec.containers.iter().map(|it| (it.name.clone(), of(it))).collect(),
            init: init.map(|it| (of(it), is_sidecar(it))).collect(),
            pod_level: Asked::read(spec.resources.as_ref()),
            runtime_class: spec.runtime_class_name.clone(),
        }
    }

    /// What its pods start with, in a namespace with these LimitRanges.
    #[must_use]
    pub fn starts_with(&self, limits: &Limits) -> Template {
        let of = |(name, asked): &(String, Asked)| (name.clone(), asked.filled_in(limits));
        let pod_level = TemplateContainer {
            request: PerResource::from_fn(|it| self.pod_level(it, limits).unwrap_or_default()),
            limit: self.pod_level.limit,
        };
        let pod_level = (self.pod_level != Asked::default()).then(|| (String::new(), pod_level));
        self.containers.iter().map(of).chain(pod_level).collect()
    }

    /// What a pod of it would be charged, in units of the resource, in a namespace with these LimitRanges; without the overhead of
    /// its RuntimeClass.
    #[must_use]
    pub fn charge(&self, resource: Resource, limits: &Limits) -> u64 {
        self.pod_level(resource, limits).unwrap_or_else(|| self.containers(resource, limits))
    }

    /// The pod-level request, if there is one.
    fn pod_level(&self, resource: Resource, limits: &Limits) -> Option<u64> {
        let Asked { request, limit } = self.pod_level;
        pod_level_request(request[resource], limit[resource], || self.containers(resource, limits))
    }

    /// What its containers request together.
    fn containers(&self, resource: Resource, limits: &Limits) -> u64 {
        let of = |asked: &Asked| asked.filled_in(limits).request[resource];
        let regular = self.containers.iter().map(|(_, asked)| of(asked));
        charged(regular, self.init.iter().map(|(asked, sidecar)| (of(asked), *sidecar)), 0)
    }
}

impl Asked {
    fn read(resources: Option<&core::ResourceRequirements>) -> Self {
        let request = resources.and_then(|it| it.requests.as_ref());
        let limit = resources.and_then(|it| it.limits.as_ref());
        Self {
            request: PerResource::from_fn(|resource| amount(request, resource)),
            limit: PerResource::from_fn(|resource| amount(limit, resource)),
        }
    }

    /// What a container starts with that asks for this: where it has no request, its limit is one; what is missing then, a
    /// LimitRange may fill in.
    fn filled_in(self, limits: &Limits) -> TemplateContainer {
        let Self { request, limit } = self;
        TemplateContainer {
            request: PerResource::from_fn(|it| {
                request[it].or(limit[it]).or(limits.default_request[it]).unwrap_or_default()
            }),
            limit: PerResource::from_fn(|it| limit[it].or(limits.default_limit[it])),
        }
    }
}
