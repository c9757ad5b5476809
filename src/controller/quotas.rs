//! What ResourceQuotas leave for the pools of their namespaces. Pure.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::weigh::Weighed;
use crate::{
    observe::{Pod, Qos, Quota, Snapshot},
    share::{Claim, Holding, LimitRule, Play, Pool, Resource, fill},
};

/// What a quota leaves free now, on requests or on limits.
#[derive(Clone, Copy, Debug)]
pub struct QuotaRoom<'a> {
    quota: &'a Quota,
    /// It is on limits.
    limits: bool,
    /// What is free, in units of the resource.
    pub free: u64,
}

/// A quota that leaves less than the capacity of a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaBound<'a> {
    /// Its name.
    pub quota: &'a str,
    /// What is kept free of it for pods that are to come.
    pub kept: u64,
}

impl<'a> QuotaRoom<'a> {
    /// The quota's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.quota.name
    }

    /// Whether a grow of the pod takes of it: limits move with requests in a Guaranteed pod, and where the limitPolicy
    /// says so. (Where it is Ratio they move by more, which the API server refuses.)
    #[must_use]
    pub fn counts(&self, pod: &Pod, holding: &Holding) -> bool {
        let moves = |play: Option<Play>| play.is_some_and(|play| play.limit != LimitRule::Keep);
        let limits = || holding.containers.iter().any(|container| moves(container.play));
        self.quota.counts(pod) && (!self.limits || pod.qos == Qos::Guaranteed || limits())
    }
}

/// What the quotas of a namespace leave free of a resource: what is used is what their status says, or what we see,
/// whichever is more, as each may lag behind the other.
#[must_use]
pub fn rooms<'a>(
    snapshot: &'a Snapshot,
    namespace: &str,
    resource: Resource,
) -> Vec<QuotaRoom<'a>> {
    let mut rooms = Vec::new();
    let pods = snapshot.pods_of(namespace);
    for quota in snapshot.quotas.get(namespace).into_iter().flatten() {
        let counted = || pods.iter().filter(|pod| quota.counts(pod));
        if let Some(bounded) = quota.requests[resource] {
            let seen = sum(counted().map(|pod| pod.charge(resource)));
            let free = bounded.hard.saturating_sub(bounded.used.max(seen));
            rooms.push(QuotaRoom { quota, limits: false, free });
        }
        if let Some(bounded) = quota.limits[resource] {
            let limits = |pod: &Pod| sum(pod.containers.iter().filter_map(|it| it.limit[resource]));
            let seen = sum(counted().map(limits));
            let free = bounded.hard.saturating_sub(bounded.used.max(seen));
            rooms.push(QuotaRoom { quota, limits: true, free });
        }
    }
    rooms
}

/// Lowers the capacities of `pools` to what the quotas on requests leave them, and says which quota does.
///
/// A quota is taken to bound the pools all of whose pods count. What the other pods of its namespace hold is theirs, and
/// room for one more pod of the largest template is kept, as far as the pods hold more than their templates ask for.
/// For pods that a workload could not create as the quota is full, room is made beyond that, of one more pod for each such
/// workload: the rest of its pods come one after the other.
///
/// Nothing is taken from what the members are to have at least. Pools that meet under a quota share what it leaves in
/// proportion to their capacities.
pub fn bound<'a>(
    snapshot: &'a Snapshot,
    weighed: &[&Weighed],
    resource: Resource,
    movable: &[Vec<&Pod>],
    pools: &mut [Pool],
) -> Vec<Option<QuotaBound<'a>>> {
    let mut bounds = vec![None; pools.len()];
    let namespace = |k: usize| weighed[k].pool.namespace().unwrap_or_default();
    let namespaces: BTreeSet<String> =
        (0..pools.len()).map(namespace).filter(|it| snapshot.quotas.contains_key(it)).collect();
    for name in namespaces {
        let there: Vec<usize> =
            (0..pools.len()).filter(|&k| namespace(k) == name && !movable[k].is_empty()).collect();
        let template = |pod: &&&Pod| {
            let workload = pod.owner.as_ref().and_then(|owner| snapshot.workloads.get(owner));
            workload.map_or(0, |workload| workload.charge[resource])
        };
        let largest = there.iter().flat_map(|&k| &movable[k]).map(|pod| template(&pod)).max();
        let largest = largest.unwrap_or_default();
        for quota in snapshot.quotas.get(&name).into_iter().flatten() {
            let Some(bounded) = quota.requests[resource] else { continue };
            let mut within = there.clone();
            within.retain(|&k| movable[k].iter().all(|pod| quota.counts(pod)));
            // What moves, or is about to be gone, is in nobody's way.
            let aside: BTreeSet<*const Pod> = within
                .iter()
                .flat_map(|&k| movable[k].iter().chain(&weighed[k].leaving))
                .map(|pod| std::ptr::from_ref(*pod))
                .collect();
            let others = snapshot
                .pods_of(&name)
                .iter()
                .filter(|pod| quota.counts(pod) && !aside.contains(&std::ptr::from_ref(*pod)));
            let whole = bounded.hard.saturating_sub(sum(others.map(|pod| pod.charge(resource))));
            let least = |k: usize| pools[k].least().min(pools[k].capacity);
            let begun = |k: usize| {
                let templates = sum(movable[k].iter().map(|pod| template(&pod)));
                let minima = sum(pools[k].members.iter().map(|member| member.min));
                // Not what a pod cannot give back: who grew would have a claim to more.
                templates.max(minima).min(pools[k].capacity)
            };
            let least_of_all = sum(within.iter().map(|&k| least(k)));
            let begun = sum(within.iter().map(|&k| begun(k)));
            // What does not fit beside that is waited for in vain.
            let wanted = blocked(snapshot, &name, quota, resource).fold(0, |wanted, charge| {
                let more = u64::saturating_add(wanted, charge);
                if more <= whole.saturating_sub(least_of_all) { more } else { wanted }
            });
            // What is about to be gone is in the way of those all the same.
            let leaving = within.iter().flat_map(|&k| &weighed[k].leaving);
            let leaving = sum(leaving.filter(|it| quota.counts(it)).map(|it| it.charge(resource)));
            let given = if wanted > 0 { wanted.saturating_add(leaving) } else { 0 };
            let total = whole
                .saturating_sub(largest)
                .max(whole.min(begun))
                .min(whole.saturating_sub(given))
                .max(least_of_all);
            let claims: Vec<Claim> = within
                .iter()
                .map(|&k| Claim { weight: pools[k].capacity, lo: least(k), hi: pools[k].capacity })
                .collect();
            for (&k, part) in within.iter().zip(fill(&claims, total)) {
                if part < pools[k].capacity {
                    pools[k].capacity = part;
                    let kept = whole.saturating_sub(total);
                    bounds[k] = Some(QuotaBound { quota: &quota.name, kept });
                }
            }
        }
    }
    bounds
}

/// What one more pod would be charged, of each workload of the namespace that cannot create one as the quota is full. A
/// ReplicaSet says so; of the others, it is known where they have fewer pods than they are to have, and the quota has no
/// room for one more.
fn blocked(
    snapshot: &Snapshot,
    namespace: &str,
    quota: &Quota,
    resource: Resource,
) -> impl Iterator<Item = u64> {
    let full = quota.requests[resource].map_or(u64::MAX, |bounded| {
        let counted = snapshot.pods_of(namespace).iter().filter(|pod| quota.counts(pod));
        let seen = sum(counted.map(|pod| pod.charge(resource)));
        bounded.hard.saturating_sub(bounded.used.max(seen))
    });
    snapshot.workloads_of(namespace).filter_map(move |(owner, workload)| {
        let charge = workload.charge[resource];
        let refused = match &workload.refused {
            Some(message) => quota.refused(message, resource),
            None => owner.kind != "ReplicaSet" && quota.scopes.is_empty() && charge > full,
        };
        let lacks = || {
            let is_own = |pod: &&Pod| {
                // The name of a pod of a StatefulSet is free again when the old one is gone.
                let stays = !pod.terminating || owner.kind == "StatefulSet";
                stays && pod.owner.as_ref() == Some(owner)
            };
            let own = snapshot.pods_of(namespace).iter().filter(is_own).count();
            (own as u64) < workload.pods
        };
        (charge > 0 && refused && lacks()).then_some(charge)
    })
}

fn sum(amounts: impl Iterator<Item = u64>) -> u64 {
    amounts.fold(0, u64::saturating_add)
}
