//! What each container of a pod gets of the pod's share. Pure.

use std::fmt;

use serde::Serialize;

use crate::{engine::PodShare, share::Resource};

/// What one container gets of its pod's share, in units of the resource.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ContainerShare {
    /// Its name. Empty: the pod-level resources.
    pub name: String,
    /// Its request.
    pub request: Change<u64>,
    /// Its limit. None: it has none.
    pub limit: Change<Option<u64>>,
    /// The resource.
    #[serde(skip)]
    pub resource: Resource,
}

/// A value as it is, and as it will be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Change<T> {
    /// The value now.
    pub from: T,
    /// The value after the resize.
    pub to: T,
}

/// How a pod that holds its share divides it among its containers. Empty if the pod is left alone.
#[must_use]
pub fn container_shares(pod: &PodShare, resource: Resource) -> Vec<ContainerShare> {
    let Some(share) = pod.share else { return Vec::new() };
    let requests = pod.holding.split(share.share);
    let limits = pod.holding.limits(&requests);
    let parts = pod.pod.parts(resource).iter().zip(requests).zip(limits);
    parts
        .map(|((container, request), limit)| {
            let now = container.limit[resource];
            ContainerShare {
                name: container.name.clone(),
                request: Change { from: container.held[resource].requested, to: request },
                limit: Change { from: now, to: limit.or(now) },
                resource,
            }
        })
        .collect()
}

/// As a sentence: `Container main: request 250m -> 1680m, limit 2.`
impl fmt::Display for ContainerShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |amount| self.resource.readable(amount);
        let change = |from: String, to: String| match from == to {
            true => to,
            false => format!("{from} -> {to}"),
        };
        match self.name.as_str() {
            "" => f.write_str("The pod as a whole")?,
            name => write!(f, "Container {name}")?,
        }
        let Self { request, limit, .. } = self;
        write!(f, ": request {}, ", change(amount(request.from), amount(request.to)))?;
        match (limit.from, limit.to) {
            (_, None) => f.write_str("no limit."),
            (None, Some(to)) => write!(f, "limit none -> {}.", amount(to)),
            (Some(from), Some(to)) => write!(f, "limit {}.", change(amount(from), amount(to))),
        }
    }
}
