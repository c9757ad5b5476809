//! The quality of service class of a pod.

use k8s_openapi::api::core::v1 as core;

use super::amount::{amount, limit};
use crate::share::Resource;

/// The quality of service class, which no resize may change.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Qos {
    /// Requests equal limits, everywhere.
    Guaranteed,
    /// Some request or limit is set.
    #[default]
    Burstable,
    /// No request and no limit is set.
    BestEffort,
}

impl Qos {
    /// The class that the status says; of a pod that no API server has seen, the class that it will have.
    #[must_use]
    pub fn of(pod: &core::Pod) -> Self {
        match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
            Some("Guaranteed") => return Self::Guaranteed,
            Some("BestEffort") => return Self::BestEffort,
            Some(_) => return Self::Burstable,
            None => {}
        }
        let Some(spec) = &pod.spec else { return Self::Burstable };
        let all: Vec<&core::Container> =
            spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
        let request = |container: &core::Container, resource| {
            let resources = container.resources.as_ref()?;
            amount(resources.requests.as_ref(), resource)
        };
        let each = |holds: &dyn Fn(&core::Container, Resource) -> bool| {
            all.iter()
                .all(|container| Resource::ALL.iter().all(|&resource| holds(container, resource)))
        };
        if each(&|container, resource| {
            request(container, resource).or(limit(container, resource)).unwrap_or_default() == 0
        }) {
            Self::BestEffort
        } else if each(&|container, resource| {
            let limit = limit(container, resource);
            limit.is_some_and(|limit| limit > 0) && request(container, resource).or(limit) == limit
        }) {
            Self::Guaranteed
        } else {
            Self::Burstable
        }
    }
}
