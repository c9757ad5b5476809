//! A node: what it can allocate, what its pods are charged, and which pods it takes.

use k8s_openapi::api::core::v1 as core;

use super::{Terms, amount::amount};
use crate::share::PerResource;

/// What is read of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// What its pods can be charged in all, in millicores and bytes.
    pub allocatable: PerResource<u64>,
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
        let quantities = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = |resource| amount(quantities, resource).unwrap_or_default();
        Self { allocatable: PerResource::from_fn(allocatable), terms: Terms::read(node) }
    }
}
