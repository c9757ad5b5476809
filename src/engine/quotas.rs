//! What ResourceQuotas leave for the pools of their namespaces.

use std::{collections::BTreeSet, rc::Rc};

use super::{View, pool_members::PoolMembers};
use crate::{
    cluster::{Bounded, Namespace, Owner, Pod, Qos, Quota},
    share::{AdjustableRange, Claim, Holding, LimitRule, Pool, Resource, fill},
};

/// What tells what a quota leaves from all others: its namespace and name, and whether it is on limits.
pub type QuotaKey = (String, String, bool);

/// What a quota leaves free now, on requests or on limits.
#[derive(Clone, Copy, Debug)]
pub struct QuotaRoom<'a> {
    quota: &'a Quota,
    /// It is on limits.
    limits: bool,
    /// All of it, in units of the resource.
    pub hard: u64,
    /// What is free.
    pub free: u64,
}

/// A quota that leaves less than the capacity of a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaBound<'a> {
    /// Its name.
    pub quota: &'a str,
    /// All of it, in units of the resource.
    pub hard: u64,
    /// What is used of it, as its status says.
    pub used: u64,
    /// What is kept free of it for pods that are to come.
    pub kept: u64,
}

/// A pool as the quotas of its namespace bound it.
#[derive(Debug)]
pub struct BoundPool<'a> {
    /// The pool.
    pub members: Rc<PoolMembers<'a>>,
    /// Its pods that can be resized.
    pub movable: Vec<&'a Pod>,
    /// What is divided: the capacity is lowered.
    pub claims: Pool,
    /// The quota that lowered it.
    pub bound: Option<QuotaBound<'a>>,
}

impl<'a> QuotaRoom<'a> {
    /// The quota's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.quota.name
    }

    /// What it bounds, as the quota names it: `requests.cpu`.
    #[must_use]
    pub fn what(&self, resource: Resource) -> String {
        format!("{}.{resource}", if self.limits { "limits" } else { "requests" })
    }

    /// What tells it from all others.
    #[must_use]
    pub fn key(&self, namespace: &str) -> QuotaKey {
        (namespace.to_owned(), self.quota.name.clone(), self.limits)
    }

    /// Whether a grow of the pod takes of it: limits move with requests in a Guaranteed pod, and where the limitPolicy
    /// says so. (Where it is Ratio they move by more, which the API server refuses.)
    #[must_use]
    pub fn counts(&self, pod: &Pod, holding: &Holding) -> bool {
        let moves =
            |it: Option<AdjustableRange>| it.is_some_and(|range| range.limit != LimitRule::Keep);
        let limits = || holding.containers.iter().any(|container| moves(container.range));
        self.quota.counts(pod) && (!self.limits || pod.qos == Qos::Guaranteed || limits())
    }
}

/// What the quotas of a namespace leave free of a resource: what is used is what their status says, or what we see,
/// whichever is more, as each may lag behind the other.
#[must_use]
pub fn rooms<'a>(view: &View<'a>, namespace: &str, resource: Resource) -> Vec<QuotaRoom<'a>> {
    let mut rooms = Vec::new();
    let Some(namespace) = view.cluster.namespace(namespace) else { return rooms };
    for quota in namespace.quotas() {
        let counted =
            || namespace.pods().filter(|pod| quota.counts(pod) && !pod.is_overdue(view.now));
        if let Some(bounded) = quota.requests[resource] {
            let seen = sum(counted().map(|pod| pod.charge(resource)));
            let free = bounded.hard.saturating_sub(bounded.used.max(seen));
            rooms.push(QuotaRoom { quota, limits: false, hard: bounded.hard, free });
        }
        if let Some(bounded) = quota.limits[resource] {
            let seen = sum(counted().map(|pod| pod.limits(resource)));
            let free = bounded.hard.saturating_sub(bounded.used.max(seen));
            rooms.push(QuotaRoom { quota, limits: true, hard: bounded.hard, free });
        }
    }
    rooms
}

/// Lowers the capacities of the pools of a namespace to what its quotas on requests leave them, and notes which quota does.
///
/// A quota is taken to bound the pools all of whose pods count. What the other pods of its namespace hold is theirs, and
/// room for one more pod of the largest template is kept, as far as the pods hold more than their templates ask for.
/// For pods that a workload could not create as the quota is full, room is made beyond that, of one more pod for each such
/// workload: the rest of its pods come one after the other.
///
/// Nothing is taken from what the members are to have at least. Pools that meet under a quota share what it leaves in
/// proportion to their capacities.
pub fn bound<'a>(
    view: &View<'a>,
    namespace: &'a Namespace,
    resource: Resource,
    pools: &mut [BoundPool<'a>],
) {
    let began = |pod: &Pod| view.cluster.began_with(pod, resource);
    let owners = pools.iter().flat_map(|pool| &pool.movable).filter_map(|pod| pod.owner.as_ref());
    let owners: BTreeSet<&Owner> = owners.collect();
    let one_more = |owner: &Owner| {
        let workload = view.cluster.workload(owner);
        workload.map_or(0, |workload| view.cluster.one_more(owner, workload)[resource])
    };
    let largest = owners.into_iter().map(one_more).max().unwrap_or_default();
    for quota in namespace.quotas_of_others() {
        let Some(bounded) = quota.requests[resource] else { continue };
        let counts = |pool: &&mut BoundPool| {
            !pool.movable.is_empty() && pool.movable.iter().all(|pod| quota.counts(pod))
        };
        let mut within: Vec<&mut BoundPool> = pools.iter_mut().filter(counts).collect();
        let left = Left::of(view, namespace, quota, bounded.hard, resource, &within, began);
        // Room that would be free if the pools used their whole capacity. The room that is free now would not do: once pools have
        // given back enough, it would suggest that nothing is blocked, and they would take it again.
        let held = sum(within.iter().map(|pool| pool.claims.capacity));
        let free = left.whole.saturating_sub(held.min(left.total(largest, |_| 0)));
        let total = left.total(largest, |most| {
            // What does not fit beside the least of all is waited for in vain.
            blocked(view, namespace, quota, resource, free).fold(0, |wanted, charge| {
                let more = u64::saturating_add(wanted, charge);
                if more <= most { more } else { wanted }
            })
        });
        let claim = |pool: &&mut BoundPool| Claim {
            weight: pool.claims.capacity,
            lo: pool.least(),
            hi: pool.claims.capacity,
        };
        let claims: Vec<Claim> = within.iter().map(claim).collect();
        for (pool, part) in within.iter_mut().zip(fill(&claims, total)) {
            if part < pool.claims.capacity {
                pool.claims.capacity = part;
                let kept = left.whole.saturating_sub(total);
                let Bounded { hard, used } = bounded;
                pool.bound = Some(QuotaBound { quota: &quota.name, hard, used, kept });
            }
        }
    }
}

/// What a quota leaves to the pools within it.
struct Left {
    /// All of it, less what the other pods of the namespace hold.
    whole: u64,
    /// What the members of the pools are to have at least, together.
    least: u64,
    /// What the pods of the pools began with, together.
    begun: u64,
    /// What those hold that are about to be gone.
    leaving: u64,
}

impl Left {
    fn of(
        view: &View,
        namespace: &Namespace,
        quota: &Quota,
        hard: u64,
        resource: Resource,
        within: &[&mut BoundPool],
        began: impl Fn(&Pod) -> u64,
    ) -> Self {
        // What moves, or is about to be gone, is in no other pod's way.
        let aside: BTreeSet<*const Pod> = within
            .iter()
            .flat_map(|pool| pool.movable.iter().chain(&pool.members.leaving))
            .map(|pod| std::ptr::from_ref(*pod))
            .collect();
        let others = namespace.pods().filter(|pod| {
            quota.counts(pod)
                && !pod.is_overdue(view.now)
                && !aside.contains(&std::ptr::from_ref(*pod))
        });
        let begun = |pool: &&mut BoundPool| {
            let templates = sum(pool.movable.iter().map(|pod| began(pod)));
            let minima = sum(pool.claims.members.iter().map(|member| member.min));
            // Not what a pod cannot give back: one that grew would have a claim to more.
            templates.max(minima).min(pool.claims.capacity)
        };
        let leaving = within.iter().flat_map(|pool| &pool.members.leaving);
        let leaving = leaving.filter(|pod| quota.counts(pod));
        Self {
            whole: hard.saturating_sub(sum(others.map(|pod| pod.charge(resource)))),
            least: sum(within.iter().map(|pool| pool.least())),
            begun: sum(within.iter().map(begun)),
            leaving: sum(leaving.map(|pod| pod.charge(resource))),
        }
    }

    /// What the pools can have in all. `largest` is the charge of the largest template; `wanted` says how much is wanted
    /// for pods that could not be created, of so much at most.
    fn total(&self, largest: u64, wanted: impl FnOnce(u64) -> u64) -> u64 {
        let wanted = wanted(self.whole.saturating_sub(self.least));
        // What is about to be gone is in the way of those all the same.
        let given = if wanted > 0 { wanted.saturating_add(self.leaving) } else { 0 };
        self.whole
            .saturating_sub(largest)
            .max(self.whole.min(self.begun))
            .min(self.whole.saturating_sub(given))
            .max(self.least)
    }
}

impl BoundPool<'_> {
    /// What its members are to have at least, as far as there is so much.
    fn least(&self) -> u64 {
        self.claims.least().min(self.claims.capacity)
    }
}

/// What one more pod would be charged, of each workload of the namespace that cannot create one as the quota is full. A
/// ReplicaSet says so. Other workloads count as blocked if they lack a pod whose charge exceeds `free`, the room that the pools
/// leave at their whole capacity.
fn blocked(
    view: &View,
    namespace: &Namespace,
    quota: &Quota,
    resource: Resource,
    free: u64,
) -> impl Iterator<Item = u64> {
    namespace.workloads().filter_map(move |(owner, workload)| {
        // The name of a pod of a StatefulSet is free again when the old one is gone.
        let stays = |pod: &&Pod| !pod.terminating || owner.kind == "StatefulSet";
        if namespace.own_pods(owner).filter(stays).count() as u64 >= workload.pods {
            return None;
        }
        let charge = view.cluster.one_more(owner, workload)[resource];
        let refused = match &workload.refused {
            Some(message) => quota.refused(message, resource),
            None => owner.kind != "ReplicaSet" && quota.scopes.is_empty() && charge > free,
        };
        (charge > 0 && refused).then_some(charge)
    })
}

fn sum(amounts: impl Iterator<Item = u64>) -> u64 {
    amounts.fold(0, u64::saturating_add)
}
