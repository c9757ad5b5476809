//! What gives a pool its capacity: its own spec, a quota of its namespace, or a tree.

use std::collections::BTreeSet;

use super::{View, forest::PoolFault};
use crate::{
    api::{QuotaRef, WeightedShare},
    cluster::{Pod, PoolId},
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
    let quota = namespace.quotas().find(|it| it.name == quota.name).ok_or_else(not_found)?;
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
