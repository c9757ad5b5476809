//! What gives a pool its capacity: its own spec, a quota of its namespace, or a tree; and what a tree has.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::Selector;

use super::{
    View,
    forest::{PoolFault, Tree},
    pool_members::PoolMembers,
};
use crate::{
    api::{QuotaRef, WeightedShare},
    cluster::{Node, Pod, PoolId},
    share::{PerResource, Resource},
};

/// What a pool has to divide of one resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capacity {
    /// So much, in units of the resource.
    Fixed(u64),
    /// What its tree gives it.
    OfTree,
}

/// What a pool with these pods has to divide. None: it does not touch the resource.
///
/// # Errors
/// When what is to give the pool its capacity gives it nothing.
pub fn capacity<'a>(
    view: &View<'a>,
    id: &PoolId,
    pool: &WeightedShare,
    own: impl Iterator<Item = &'a Pod>,
) -> Result<PerResource<Option<Capacity>>, PoolFault> {
    if let Some(fault) = view.forest.pool_fault(id) {
        return Err(fault.clone());
    }
    if let Some(place) = view.forest.place(id) {
        let tree = view.forest.tree(place.tree);
        let divides = tree.map(|tree| tree.divides(view.cluster)).unwrap_or_default();
        return Ok(PerResource::from_fn(|it| divides[it].then_some(Capacity::OfTree)));
    }
    let from = pool.spec.capacity_from.as_ref();
    match from.and_then(|from| from.resource_quota.as_ref()) {
        Some(quota) => of_quota(view, id, quota, own),
        None => {
            let fixed = |resource| pool.spec.capacity.get(resource).map(Capacity::Fixed);
            Ok(PerResource::from_fn(fixed))
        }
    }
}

/// What a quota bounds for requests, less what pods outside the pool are charged that it counts.
fn of_quota<'a>(
    view: &View<'a>,
    id: &PoolId,
    quota: &QuotaRef,
    own: impl Iterator<Item = &'a Pod>,
) -> Result<PerResource<Option<Capacity>>, PoolFault> {
    let not_found = || PoolFault::QuotaNotFound(quota.name.clone());
    let namespace = view.cluster.namespace(&id.namespace).ok_or_else(not_found)?;
    let quota =
        namespace.quotas_of_others().find(|it| it.name == quota.name).ok_or_else(not_found)?;
    let own: BTreeSet<&str> = own.map(|pod| &*pod.name).collect();
    let others = namespace
        .pods()
        .filter(|pod| quota.counts(pod) && !pod.is_overdue(view.now) && !own.contains(&*pod.name));
    let others: Vec<&Pod> = others.collect();
    let amount = |resource: Resource| {
        let charged = others.iter().map(|pod| pod.charge(resource)).fold(0, u64::saturating_add);
        Some(Capacity::Fixed(quota.requests[resource]?.hard.saturating_sub(charged)))
    };
    let capacity = PerResource::from_fn(amount);
    if Resource::ALL.iter().all(|&it| capacity[it].is_none()) {
        Err(not_found())
    } else {
        Ok(capacity)
    }
}

/// The sum of pods' charges on each node, in units of the resource.
pub type Charges = BTreeMap<String, u64>;

/// The charges of a pool's pods on each node. Pods that leave the pool count, too.
#[must_use]
pub fn charges(members: &PoolMembers, resource: Resource) -> Charges {
    let mut charges = Charges::new();
    let leaving = members.leaving.iter().chain(&members.departed).copied();
    for pod in members.pods().chain(leaving) {
        if let Some(node) = &pod.node {
            let charged = charges.entry(node.clone()).or_default();
            *charged = charged.saturating_add(pod.charge(resource));
        }
    }
    charges
}

/// What a tree has to divide, in units of the resource: its capacity, or what its nodes can allocate, less what pods outside the
/// tree are charged there. `own`: the charges of its own pools.
#[must_use]
pub fn tree_capacity(
    view: &View,
    tree: &Tree,
    own: &BTreeMap<PoolId, Charges>,
    resource: Resource,
) -> u64 {
    let Some(root) = view.cluster.tree(&tree.name) else { return 0 };
    let spec = &root.object.spec;
    let Some(nodes) = &spec.nodes else { return spec.capacity.get(resource).unwrap_or(0) };
    // What the API server took can be read.
    let Ok(selector) = Selector::try_from(nodes.selector.clone()) else { return 0 };
    let mut on_node: BTreeMap<&str, u128> = BTreeMap::new();
    for (node, &charged) in own.values().flatten() {
        *on_node.entry(node).or_default() += u128::from(charged);
    }
    let of_node = |(name, node): (&str, &Node)| {
        let all = u128::from(node.allocatable[resource]) * u128::from(nodes.percent.min(100)) / 100;
        let charged = view.cluster.charged(name)[resource];
        let others = charged.saturating_sub(on_node.get(name).copied().unwrap_or(0));
        u64::try_from(all.saturating_sub(others)).unwrap_or(u64::MAX)
    };
    let nodes = view.cluster.nodes().filter(|(_, node)| node.terms.match_labels(&selector));
    nodes.map(of_node).fold(0, u64::saturating_add)
}
