//! What a pod is charged, worked out anew, so that a mistake of the program is not made twice.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus},
    apimachinery::pkg::api::resource::Quantity,
};

/// CPU in millicores and memory in bytes.
pub const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// A value for each of [`RESOURCES`].
pub type Amounts = [u64; 2];

/// The largest of what is asked for, what is allocated and what is enforced, of all containers together. Init containers
/// run before the others, those that go on beside them.
pub fn charge(pod: &Pod) -> Result<Amounts> {
    let (spec, status) =
        (pod.spec.clone().unwrap_or_default(), pod.status.clone().unwrap_or_default());
    let mut amounts = [0; 2];
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Ok(amounts);
    }
    for (amount, resource) in amounts.iter_mut().zip(RESOURCES) {
        *amount =
            of(&spec, &status, resource).with_context(|| format!("{:?}", pod.metadata.name))?;
    }
    Ok(amounts)
}

fn of(spec: &PodSpec, status: &PodStatus, resource: &str) -> Result<u64> {
    let conditions = status.conditions.iter().flatten();
    let mut pending = conditions.filter(|it| it.type_ == "PodResizePending" && it.status == "True");
    let never = pending.any(|it| it.reason.as_deref() == Some("Infeasible"));
    let mut regular = 0;
    for container in &spec.containers {
        regular += holds(container, status.container_statuses.as_deref(), never, resource)?;
    }
    let (mut beside, mut most) = (0, 0);
    for container in spec.init_containers.iter().flatten() {
        let held = holds(container, status.init_container_statuses.as_deref(), never, resource)?;
        most = most.max(beside + held);
        if container.restart_policy.as_deref() == Some("Always") {
            beside += held;
        }
    }
    let overhead = spec.overhead.as_ref().and_then(|overhead| overhead.get(resource));
    Ok((regular + beside).max(most)
        + overhead.map(|it| amount(it, resource)).transpose()?.unwrap_or(0))
}

fn holds(
    container: &Container,
    statuses: Option<&[ContainerStatus]>,
    never: bool,
    resource: &str,
) -> Result<u64> {
    let of = |map: Option<&BTreeMap<String, Quantity>>| match map.and_then(|map| map.get(resource))
    {
        Some(quantity) => amount(quantity, resource).map(Some),
        None => Ok(None),
    };
    let resources = container.resources.as_ref();
    let asked = match of(resources.and_then(|it| it.requests.as_ref()))? {
        None => of(resources.and_then(|it| it.limits.as_ref()))?,
        asked => asked,
    };
    let mut statuses = statuses.into_iter().flatten();
    let status = statuses.find(|status| status.name == container.name);
    let allocated = of(status.and_then(|status| status.allocated_resources.as_ref()))?;
    let enforced = of(status.and_then(|it| it.resources.as_ref()?.requests.as_ref()))?;
    let given = allocated.max(enforced);
    Ok(if never && given.is_some() { given } else { given.max(asked) }.unwrap_or(0))
}

fn amount(quantity: &Quantity, resource: &str) -> Result<u64> {
    let (number, factor) = match quantity.0.find(|it: char| it.is_ascii_alphabetic()) {
        None => (quantity.0.as_str(), if resource == "cpu" { 1000 } else { 1 }),
        Some(unit) => {
            let (number, unit) = quantity.0.split_at(unit);
            let factor = match unit {
                "m" if resource == "cpu" => 1,
                "Ki" => 1 << 10,
                "Mi" => 1 << 20,
                "Gi" => 1 << 30,
                "k" => 1_000,
                "M" => 1_000_000,
                "G" => 1_000_000_000,
                _ => anyhow::bail!("{} of {resource}", quantity.0),
            };
            (number, factor)
        }
    };
    Ok(number.parse::<u64>().with_context(|| quantity.0.clone())? * factor)
}
