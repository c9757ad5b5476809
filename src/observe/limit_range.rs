//! What the LimitRanges of a namespace allow.

use k8s_openapi::api::core::v1 as core;

use super::amount::amount;
use crate::share::{PerResource, Resource};

/// Between which amounts the requests and limits of a container and of a pod must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Of each container.
    pub container: PerResource<Range>,
    /// Of each pod as a whole.
    pub pod: PerResource<Range>,
    /// Limits are to keep to a ratio of the requests.
    pub ratio: PerResource<bool>,
}

/// Two amounts that bound a third, in units of the resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The least.
    pub min: u64,
    /// The most, if there is one.
    pub max: Option<u64>,
}

impl Limits {
    /// Adds what another LimitRange of the namespace says: all of them count.
    pub fn add(&mut self, range: &core::LimitRange) {
        for item in range.spec.iter().flat_map(|spec| &spec.limits) {
            let bounds = match item.type_.as_str() {
                "Container" => &mut self.container,
                "Pod" => &mut self.pod,
                _ => continue,
            };
            for resource in Resource::ALL {
                let bound = &mut bounds[resource];
                let min = amount(item.min.as_ref(), resource).unwrap_or_default();
                let max = amount(item.max.as_ref(), resource);
                bound.min = bound.min.max(min);
                bound.max = bound.max.into_iter().chain(max).min();
                let ratio = amount(item.max_limit_request_ratio.as_ref(), resource);
                self.ratio[resource] |= ratio.is_some();
            }
        }
    }
}
