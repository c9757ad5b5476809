//! The quality of service class of a pod.

use k8s_openapi::api::core::v1 as core;

use super::amount::{amount, pod_level};
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
        // Pod-level resources alone decide the class.
        let all: Vec<Option<&core::ResourceRequirements>> = match pod_level(spec) {
            Some(resources) => vec![Some(resources)],
            None => {
                let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
                all.map(|container| container.resources.as_ref()).collect()
            }
        };
        let each = |holds: &dyn Fn(Option<u64>, Option<u64>) -> bool| {
            all.iter().all(|part| {
                Resource::ALL.iter().all(|&resource| {
                    let request = part.and_then(|it| amount(it.requests.as_ref(), resource));
                    holds(request, part.and_then(|it| amount(it.limits.as_ref(), resource)))
                })
            })
        };
        if each(&|request, limit| request.or(limit).unwrap_or_default() == 0) {
            Self::BestEffort
        } else if each(&|request, limit| {
            limit.is_some_and(|limit| limit > 0) && request.or(limit) == limit
        }) {
            Self::Guaranteed
        } else {
            Self::Burstable
        }
    }
}
