//! Quantities of the API as amounts.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};

use crate::share::{Bytes, MilliCpu, QuantityError, Resource};

/// The largest amount that a request counts for, in millicores or bytes: more than any node has, and small enough to add up.
const MOST: u64 = 1 << 50;

/// The amount of `resource` in `quantities`, rounded up as Kubernetes does. None where it is not named.
pub(super) fn amount(
    quantities: Option<&BTreeMap<String, Quantity>>,
    resource: Resource,
) -> Option<u64> {
    amount_of(quantities, resource.name(), resource)
}

/// The amount that `quantities` has under a name of its own, such as `requests.cpu`, in units of `resource`.
pub(super) fn amount_of(
    quantities: Option<&BTreeMap<String, Quantity>>,
    name: &str,
    resource: Resource,
) -> Option<u64> {
    let amount = read(quantities, name, resource, MilliCpu::rounded_up, Bytes::rounded_up);
    amount.map(|amount| amount.min(MOST))
}

/// An upper bound on `resource` in `quantities`: rounded down. None where it is not named.
pub(super) fn bound(
    quantities: Option<&BTreeMap<String, Quantity>>,
    resource: Resource,
) -> Option<u64> {
    bound_of(quantities, resource.name(), resource)
}

/// As `bound`, under a name of its own, such as `requests.cpu`.
pub(super) fn bound_of(
    quantities: Option<&BTreeMap<String, Quantity>>,
    name: &str,
    resource: Resource,
) -> Option<u64> {
    read(quantities, name, resource, MilliCpu::rounded_down, Bytes::rounded_down)
}

fn read(
    quantities: Option<&BTreeMap<String, Quantity>>,
    name: &str,
    resource: Resource,
    cpu: fn(&str) -> Result<MilliCpu, QuantityError>,
    memory: fn(&str) -> Result<Bytes, QuantityError>,
) -> Option<u64> {
    let quantity = &quantities?.get(name)?.0;
    let amount = match resource {
        Resource::Cpu => cpu(quantity).map(|amount| amount.0),
        Resource::Memory => memory(quantity).map(|amount| amount.0),
    };
    Some(match amount {
        Ok(amount) => amount,
        Err(QuantityError::TooLarge(_)) => u64::MAX,
        // The API server refuses what is no quantity.
        Err(_) => 0,
    })
}

/// The pod-level resources of a pod. An empty block counts as none.
pub(super) fn pod_level(spec: &core::PodSpec) -> Option<&core::ResourceRequirements> {
    let is_some =
        |it: &Option<BTreeMap<String, Quantity>>| it.as_ref().is_some_and(|it| !it.is_empty());
    spec.resources.as_ref().filter(|it| is_some(&it.requests) || is_some(&it.limits))
}

/// The limit of a container.
pub(super) fn limit(container: &core::Container, resource: Resource) -> Option<u64> {
    amount(container.resources.as_ref()?.limits.as_ref(), resource)
}
