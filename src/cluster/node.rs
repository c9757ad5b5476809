//! A node: what it can allocate, what its pods are charged, and which pods it takes.

use k8s_openapi::api::core::v1 as core;

use super::{Terms, amount::bound};
use crate::share::PerResource;

/// What is read of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// What its pods can be charged in all, in millicores and bytes.
    pub allocatable: PerResource<u64>,
    /// Its kubelet has not been heard of for some time.
    pub is_silent: bool,
    /// Which pods it takes.
    pub terms: Terms,
}

/// A node of the model. One that only pods name is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeEntry {
    pub known: Option<Node>,
    /// What all pods on it are charged.
    pub charged: PerResource<u128>,
    /// How many pods name it.
    pub pods: usize,
}

impl Node {
    /// Reads a node.
    #[must_use]
    pub fn read(node: &core::Node) -> Self {
        let status = node.status.as_ref();
        let [allocatable, capacity] = [
            status.and_then(|status| status.allocatable.as_ref()),
            status.and_then(|status| status.capacity.as_ref()),
        ];
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        let silent = |it: &core::NodeCondition| it.type_ == "Ready" && it.status == "Unknown";
        Self {
            // As the scheduler takes it, where a kubelet says nothing of what it keeps for itself.
            allocatable: PerResource::from_fn(|resource| {
                bound(allocatable, resource).or(bound(capacity, resource)).unwrap_or_default()
            }),
            is_silent: conditions.into_iter().any(silent),
            terms: Terms::read(node),
        }
    }
}
