//! What the LimitRanges of a namespace allow.

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};

use super::amount::{amount, bound};
use crate::share::{MilliCpu, PerResource, Resource};

/// The bounds on requests and limits of containers and of pods, and the defaults of containers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Of each container.
    pub container: PerResource<Range>,
    /// Of each pod as a whole.
    pub pod: PerResource<Range>,
    /// The request of a container that has neither a request nor a limit.
    pub default_request: PerResource<Option<u64>>,
    /// The limit of a container that has none of its own.
    pub default_limit: PerResource<Option<u64>>,
}

/// Two amounts that bound a third, in units of the resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The least.
    pub min: u64,
    /// The most, if there is one.
    pub max: Option<u64>,
    /// How many thousandths of its request a limit may be at most, if that is bounded.
    pub ratio: Option<u64>,
}

impl Limits {
    /// Reads a LimitRange.
    #[must_use]
    pub fn read(range: &core::LimitRange) -> Self {
        let mut limits = Self::default();
        for item in range.spec.iter().flat_map(|spec| &spec.limits) {
            let bounds = match item.type_.as_str() {
                "Container" => &mut limits.container,
                "Pod" => &mut limits.pod,
                _ => continue,
            };
            for resource in Resource::ALL {
                let min = amount(item.min.as_ref(), resource).unwrap_or_default();
                let max = bound(item.max.as_ref(), resource);
                let ratio = item.max_limit_request_ratio.as_ref();
                let ratio = ratio.and_then(|it| thousandths(it.get(resource.name())?));
                bounds[resource] = bounds[resource].and(Range { min, max, ratio });
                if item.type_ == "Container" {
                    // The API server fills these in by the same rule; in a file they may be missing.
                    let limit = amount(item.default.as_ref(), resource).or(max);
                    let request = amount(item.default_request.as_ref(), resource);
                    let least = amount(item.min.as_ref(), resource);
                    limits.default_limit[resource] = limits.default_limit[resource].max(limit);
                    limits.default_request[resource] =
                        limits.default_request[resource].max(request.or(limit).or(least));
                }
            }
        }
        limits
    }

    /// Whether they add anything to containers that lack it.
    #[must_use]
    pub fn adds(&self) -> bool {
        let some = |of: PerResource<Option<u64>>| of.cpu.or(of.memory).is_some();
        some(self.default_limit) || some(self.default_request)
    }

    /// What all LimitRanges of a namespace allow together: each of them counts.
    pub(super) fn all<'l>(ranges: impl Iterator<Item = &'l Self>) -> Self {
        ranges.fold(Self::default(), |all, range| {
            let both = |of: fn(&Self) -> &PerResource<Range>| {
                PerResource::from_fn(|resource| of(&all)[resource].and(of(range)[resource]))
            };
            let most = |of: fn(&Self) -> PerResource<Option<u64>>| {
                PerResource::from_fn(|resource| of(&all)[resource].max(of(range)[resource]))
            };
            Self {
                container: both(|it| &it.container),
                pod: both(|it| &it.pod),
                // Which default the API server takes is undefined: the larger keeps more room.
                default_request: most(|it| it.default_request),
                default_limit: most(|it| it.default_limit),
            }
        })
    }
}

fn thousandths(ratio: &Quantity) -> Option<u64> {
    MilliCpu::rounded_up(&ratio.0).ok().map(|it| it.0)
}

impl Range {
    /// What both ranges allow.
    fn and(self, other: Self) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        Self {
            min: self.min.max(other.min),
            max: least(self.max, other.max),
            ratio: least(self.ratio, other.ratio),
        }
    }

    /// The least request that goes with a limit, by the ratio.
    #[must_use]
    pub fn request_with(self, limit: u64) -> u64 {
        let Some(ratio) = self.ratio else { return 0 };
        let least = (u128::from(limit) * 1000).div_ceil(u128::from(ratio.max(1)));
        u64::try_from(least).unwrap_or(u64::MAX)
    }
}
