//! Pods that departed from their pool and still hold more than they began with. They stay charged to it until they have given that
//! back, are gone, or belong to another pool: otherwise the same room could be given to others as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    View, history::PoolHistory, membership::Membership, pool_members::PoolMembers, restore,
};
use crate::{
    cluster::{Pod, PoolId},
    share::Resource,
};

/// Which pool each such pod, by namespace and name, departed from: when the pod changes, that pool is decided again.
#[derive(Debug, Default)]
pub struct Departed {
    pools: BTreeMap<(String, String), PoolId>,
    pods: BTreeMap<PoolId, Vec<(String, String)>>,
}

impl Departed {
    /// Notes the pods that departed from a pool.
    pub fn set(&mut self, pool: &PoolId, pods: &[&Pod]) {
        for pod in self.pods.remove(pool).into_iter().flatten() {
            self.pools.remove(&pod);
        }
        let keys = pods.iter().map(|pod| (pod.namespace.clone(), pod.name.clone()));
        let keys: Vec<(String, String)> = keys.collect();
        self.pools.extend(keys.iter().map(|key| (key.clone(), pool.clone())));
        if !keys.is_empty() {
            self.pods.insert(pool.clone(), keys);
        }
    }

    /// The pools that have departed pods.
    pub fn pools(&self) -> impl Iterator<Item = &PoolId> {
        self.pods.keys()
    }

    /// The pools that some of these pods departed from.
    pub fn pools_of(&self, pods: &BTreeSet<(String, String)>) -> BTreeSet<PoolId> {
        pods.iter().filter_map(|pod| self.pools.get(pod)).cloned().collect()
    }
}

/// The pods that departed from a pool, by name.
#[must_use]
pub fn departed<'a>(
    view: &View<'a>,
    membership: &Membership,
    id: &PoolId,
    known: &PoolHistory,
) -> Vec<&'a Pod> {
    let Some(namespace) = view.cluster.namespace(&id.namespace) else { return Vec::new() };
    let has_departed = |(uid, name): (&String, &String)| {
        let pod = namespace.pod(name).filter(|pod| pod.uid == *uid)?;
        let more = |it| pod.charge(it) > view.cluster.began_with(pod, it);
        let holds = match pod.terminating {
            true => !view.is_lost(pod),
            false => restore::is_changed(pod) && Resource::ALL.into_iter().any(more),
        };
        (holds && membership.owner(&pod.namespace, name).is_none()).then_some(pod)
    };
    let mut departed: Vec<&Pod> = known.pods.iter().filter_map(has_departed).collect();
    departed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    departed
}

/// Remembers which pods a pool has, to know them when they depart.
pub fn remember(members: &PoolMembers, known: &mut PoolHistory) {
    let all = || members.pods().chain(members.leaving.iter().chain(&members.departed).copied());
    let same =
        known.pods.len() == all().count() && all().all(|it| known.pods.contains_key(&it.uid));
    if !same {
        let pods = all().map(|pod| (pod.uid.clone(), pod.name.clone()));
        known.pods = Arc::new(pods.collect());
    }
}
