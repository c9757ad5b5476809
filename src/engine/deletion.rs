//! Pods that left all pools, and pools that are being deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Now, View,
    history::PoolHistory,
    membership::Membership,
    notices::Notice,
    pacing::Ledger,
    plan::{Deletion, Plan, PoolRef},
    pool_plan::has_finalizer,
    restore::{Restore, is_changed, restore},
};
use crate::cluster::{Cluster, Pod, Pool, PoolId};

/// How long a deleted pool waits for pods to be restored.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits besides for the API server to take the event that says which were not.
const TELLING: Duration = Duration::from_secs(60);
/// How soon it is decided again while a pool is being deleted.
pub const SOON: Duration = Duration::from_secs(1);

/// What is to be restored: the pods that we changed and that no pool claims, and the pools that are being deleted.
#[derive(Debug, Default)]
pub struct Orphans {
    /// By namespace.
    pods: BTreeMap<String, BTreeSet<String>>,
    deleted: BTreeSet<PoolId>,
}

impl Orphans {
    /// Takes in pools that changed, came or went.
    pub fn update_pools<'p>(&mut self, cluster: &Cluster, pools: impl Iterator<Item = &'p PoolId>) {
        for id in pools {
            match cluster.pool(id).is_some_and(is_deleted) {
                true => drop(self.deleted.insert(id.clone())),
                false => drop(self.deleted.remove(id)),
            }
        }
    }

    /// Takes in pods that changed, came or went, or belong to another pool.
    pub fn update<'p>(
        &mut self,
        cluster: &Cluster,
        membership: &Membership,
        pods: impl Iterator<Item = &'p (String, String)>,
    ) {
        pods.for_each(|(namespace, pod)| self.look_at(cluster, membership, namespace, pod));
    }

    fn look_at(&mut self, cluster: &Cluster, membership: &Membership, namespace: &str, pod: &str) {
        let is_orphan = cluster.pod(namespace, pod).is_some_and(is_changed)
            && membership.owner(namespace, pod).is_none();
        if is_orphan {
            self.pods.entry(namespace.to_owned()).or_default().insert(pod.to_owned());
        } else if let Some(pods) = self.pods.get_mut(namespace) {
            pods.remove(pod);
            if pods.is_empty() {
                self.pods.remove(namespace);
            }
        }
    }

    /// The nodes of the pods to restore.
    pub fn nodes<'c>(&'c self, cluster: &'c Cluster) -> impl Iterator<Item = &'c str> {
        let pods = self.pods.iter().flat_map(|(namespace, names)| {
            names.iter().filter_map(|name| cluster.pod(namespace, name))
        });
        pods.filter_map(|pod| pod.node.as_deref())
    }

    /// Restores the orphans of namespaces that have pools, and lets the pools go that are being deleted.
    pub fn restore(
        &self,
        view: &View,
        histories: &mut BTreeMap<PoolId, PoolHistory>,
        ledger: &mut Ledger,
        now: Now,
        plan: &mut Plan,
    ) {
        let mut restores: BTreeMap<&str, Restore> = BTreeMap::new();
        for (namespace, names) in &self.pods {
            let Some(there) = view.cluster.namespace(namespace) else { continue };
            if !there.pools().values().any(is_here) {
                continue;
            }
            // An orphan may belong to a pool that cannot be read. Only the pods of deleted pools certainly do not.
            let is_sure = !there.pools().values().any(|pool| pool.unreadable.is_some());
            let of_deleted = |pod: &&Pod| {
                let mut pools = there.pools().iter().filter(|(_, pool)| is_deleted(pool));
                let had = |id| histories.get(id).is_some_and(|it| it.pods.contains_key(&pod.uid));
                is_sure || pools.any(|(id, _)| had(id))
            };
            let pods = names.iter().filter_map(|name| there.pod(name)).filter(of_deleted);
            let pods: Vec<&Pod> = pods.collect();
            let mut restore = restore(view, namespace, &pods, ledger);
            let mut resizes = std::mem::take(&mut restore.resizes);
            resizes.retain(|resize| view.may_grow || !resize.grows());
            let (resizes, _) = view.backoff.hold_back(resizes, view.now);
            plan.restores.insert(namespace.clone(), resizes);
            restores.insert(namespace, restore);
        }
        for id in &self.deleted {
            let Some(pool) = view.cluster.pool(id) else { continue };
            let uid = pool.object.metadata.uid.clone().unwrap_or_default();
            let known = histories.entry(id.clone()).or_default();
            if known.uid != uid {
                *known = PoolHistory { uid, ..PoolHistory::default() };
            }
            let restore = restores.get(&*id.namespace);
            let mut deletion = deletion(pool, known, restore, now);
            // The former leader may still have a write on its way. Once the pool is gone, it would not be undone.
            deletion.done &= view.may_grow;
            plan.deletions.insert(id.clone(), deletion);
        }
    }
}

/// Whether the pool can be read, or waits for its pods to be restored.
fn is_here(pool: &Pool) -> bool {
    pool.is_live() || is_deleted(pool)
}

fn is_deleted(pool: &Pool) -> bool {
    pool.is_deleted() && has_finalizer(&pool.object)
}

/// What is to be written for a pool that is being deleted.
fn deletion(pool: &Pool, known: &mut PoolHistory, restore: Option<&Restore>, now: Now) -> Deletion {
    let since = *known.restoring.get_or_insert(now.steady);
    let elapsed = now.steady.saturating_sub(since);
    let waits = restore.is_some_and(|restore| !restore.waiting.is_empty());
    let left = restore.into_iter().flat_map(|it| it.stuck.iter().chain(&it.waiting));
    let left: Vec<String> = left.map(|(pod, why)| format!("{pod} ({why})")).collect();
    let is_patient = waits && elapsed < PATIENCE;
    let notice = (!is_patient && !left.is_empty() && !known.farewell).then(|| Notice {
        warning: true,
        reason: "NotReleased".into(),
        note: format!("These pods are not restored, and keep what they have: {}", left.join(", ")),
    });
    // Nothing else says so, once the pool is gone.
    let is_told = notice.is_none() || elapsed >= PATIENCE + TELLING;
    Deletion { pool: PoolRef::of(&pool.object), notice, done: !is_patient && is_told }
}
