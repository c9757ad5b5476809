//! From shares to the resizes that may be sent now: shrink before grow, into confirmed room only.

use std::collections::BTreeMap;

use super::{
    View,
    forest::TreeIndex,
    quotas::{QuotaKey, QuotaRoom},
    resize::PodResize,
    shares::{Divided, PodShare, Shares},
    tree_room::TreeRoom,
};
use crate::{
    cluster::{Pod, PoolId, Resize},
    share::{self, Common, Holding, PerResource, Position, Resource},
};

/// What is free on nodes and under quotas, less what is already promised to pools: one ledger for all of them.
#[derive(Debug)]
pub struct Ledger<'a> {
    view: View<'a>,
    /// All that is promised.
    promised: Promised,
    /// Of that, what was promised to pods since it was asked last.
    latest: Promised,
    /// How much more the pods of trees may be charged, less what is promised.
    trees: BTreeMap<TreeIndex, PerResource<Option<TreeRoom>>>,
}

/// What is promised, in units of the resource.
#[derive(Clone, Debug, Default)]
pub struct Promised {
    /// On nodes.
    pub nodes: BTreeMap<String, PerResource<u64>>,
    /// Under quotas.
    pub quotas: BTreeMap<QuotaKey, PerResource<u64>>,
    /// In their tree.
    pub tree: PerResource<u64>,
}

impl<'a> Ledger<'a> {
    /// Nothing is promised yet.
    #[must_use]
    pub fn new(view: &View<'a>) -> Self {
        Self {
            view: *view,
            promised: Promised::default(),
            latest: Promised::default(),
            trees: BTreeMap::new(),
        }
    }

    /// What is free on a node, in units of the resource.
    #[must_use]
    pub fn free(&self, node: &str, resource: Resource) -> u64 {
        let promised = self.promised.nodes.get(node).map_or(0, |it| it[resource]);
        self.view.free(node).map_or(0, |free| free[resource]).saturating_sub(promised)
    }

    /// Promises room on a node.
    pub fn promise(&mut self, node: &str, resource: Resource, amount: u64) {
        if amount > 0 {
            add(&mut self.promised.nodes, node.to_owned(), resource, amount);
        }
    }

    /// Promises room under a quota.
    pub fn promise_under(&mut self, quota: &QuotaKey, resource: Resource, amount: u64) {
        if amount > 0 {
            add(&mut self.promised.quotas, quota.clone(), resource, amount);
        }
    }

    /// Sets how much more the pods of a tree may be charged.
    pub fn set_tree(&mut self, tree: TreeIndex, rooms: PerResource<Option<TreeRoom>>) {
        self.trees.insert(tree, rooms);
    }

    /// How much more the pods of a pool may be charged, as far as its tree says. None: it is in no tree.
    fn left_in_tree(&self, pool: &PoolId, resource: Resource) -> Option<u64> {
        let place = self.view.forest.place(pool)?;
        let tree = self.view.forest.tree(place.tree)?;
        Some(self.trees.get(&place.tree)?[resource].as_ref()?.left(tree, place.branch))
    }

    /// Promises so much to the pods of a pool, in its tree.
    fn promise_in_tree(&mut self, pool: &PoolId, resource: Resource, amount: u64) {
        if let Some(place) = self.view.forest.place(pool)
            && let Some(tree) = self.view.forest.tree(place.tree)
            && let Some(room) = self.trees.get_mut(&place.tree).and_then(|it| it[resource].as_mut())
        {
            room.promise(tree, place.branch, amount);
            let promised = &mut self.latest.tree[resource];
            *promised = promised.saturating_add(amount);
        }
    }

    /// What was promised to pods since this was asked last.
    pub fn take_promised(&mut self) -> Promised {
        std::mem::take(&mut self.latest)
    }

    fn free_of_quota(&self, namespace: &str, quota: &QuotaRoom, resource: Resource) -> u64 {
        let promised = &self.promised.quotas;
        let promised = promised.get(&quota.key(namespace)).map_or(0, |it| it[resource]);
        quota.free.saturating_sub(promised)
    }

    /// Promises what a pod grows by, on its node and under the quotas that count it.
    pub fn promise_to(
        &mut self,
        pod: &Pod,
        holding: &Holding,
        resource: Resource,
        quotas: &[QuotaRoom],
        amount: u64,
    ) {
        if amount == 0 {
            return;
        }
        if let Some(node) = &pod.node {
            self.promise(node, resource, amount);
            add(&mut self.latest.nodes, node.clone(), resource, amount);
        }
        for quota in quotas.iter().filter(|quota| quota.counts(pod, holding)) {
            let key = quota.key(&pod.namespace);
            self.promise_under(&key, resource, amount);
            add(&mut self.latest.quotas, key, resource, amount);
        }
    }
}

fn add<K: Ord>(
    promised: &mut BTreeMap<K, PerResource<u64>>,
    key: K,
    resource: Resource,
    amount: u64,
) {
    let promised = &mut promised.entry(key).or_default()[resource];
    *promised = promised.saturating_add(amount);
}

/// The resizes that bring the pods of a divided pool nearer to their shares, and those that take back what a node could
/// not carry out. Their room is promised. Pods with a resize on its way get none.
#[must_use]
pub fn towards_shares(pool: &PoolId, divided: &Shares, ledger: &mut Ledger) -> Vec<PodResize> {
    let mut resizes = Vec::new();
    for resource in Resource::ALL {
        let Some(divided) = &divided[resource] else { continue };
        resizes.extend(moves(pool, resource, divided, ledger));
        let failed = |pod: &&PodShare| {
            matches!(pod.pod.resize, Resize::Infeasible(_) | Resize::Failing(_))
                && !pod.pod.in_flight
        };
        let back = divided.pods().filter(failed);
        resizes.extend(back.filter_map(|pod| PodResize::back(pod.pod, resource)));
    }
    resizes
}

fn moves(
    pool: &PoolId,
    resource: Resource,
    divided: &Divided,
    ledger: &mut Ledger,
) -> Vec<PodResize> {
    let pods: Vec<(&PodShare, u64)> =
        divided.pods().filter_map(|pod| Some((pod, pod.reach()?))).collect();
    let room = divided.divisible.saturating_sub(divided.charged());
    let room = ledger.left_in_tree(pool, resource).map_or(room, |left| left.min(room));
    let positions = pods.iter().map(|(pod, target)| (pod.pod, &pod.holding, *target));
    let allowed = steps(positions, resource, room, ledger, &divided.quotas);

    let mut resizes = Vec::new();
    for ((pod, target), allowed) in pods.into_iter().zip(allowed) {
        let now = pod.holding.charge();
        // It waits for room.
        let waits = allowed != target && allowed == now;
        if pod.pod.in_flight || waits || (pod.is_being_given() && allowed <= now) {
            continue;
        }
        if let Some(resize) = resize(pod, resource, allowed) {
            let grows = allowed.saturating_sub(now);
            ledger.promise_to(pod.pod, &pod.holding, resource, &divided.quotas, grows);
            ledger.promise_in_tree(pool, resource, grows);
            resizes.push(resize);
        }
    }
    resizes
}

/// The resize of a pod that is charged `allowed` then. None: it asks for that already.
fn resize(pod: &PodShare, resource: Resource, allowed: u64) -> Option<PodResize> {
    let floor = pod.memory_floor.as_ref();
    let holding = floor.map_or(&pod.holding, |floor| &floor.holding);
    let mut requests = holding.split(allowed);
    if holding.charge_with(&requests) > allowed.max(pod.holding.charge()) {
        // One container gives what another takes: the giving comes first.
        for (request, container) in requests.iter_mut().zip(&holding.containers) {
            *request = (*request).min(container.held.requested);
        }
    }
    // What its node has not spoken of yet is not to hold more than its template says: taken back later, it could not be
    // told whether the node has seen that.
    for (request, container) in requests.iter_mut().zip(pod.pod.parts(resource)) {
        if container.unheard {
            *request = (*request).min(container.held[resource].requested);
        }
    }
    let mut limits = holding.limits(&requests);
    if let Some(floor) = floor {
        limits = floor.limits(limits);
    }
    PodResize::to(pod.pod, resource, &requests, |i| limits[i])
}

/// How far each pod may go now, given the room in the pool and what the ledger has.
pub fn steps<'p>(
    pods: impl Iterator<Item = (&'p Pod, &'p Holding, u64)>,
    resource: Resource,
    room: u64,
    ledger: &Ledger,
    quotas: &[QuotaRoom],
) -> Vec<u64> {
    let pods: Vec<(&Pod, &Holding, u64)> = pods.collect();
    let common = quotas.iter().map(|quota| {
        let counted = (0..pods.len()).filter(|&i| quota.counts(pods[i].0, pods[i].1)).collect();
        let namespace = pods.first().map_or("", |(pod, ..)| &pod.namespace);
        Common { room: ledger.free_of_quota(namespace, quota, resource), pods: counted }
    });
    let mut nodes: Vec<&str> = pods.iter().filter_map(|(pod, ..)| pod.node.as_deref()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    // A pod on a node that was not seen does not grow: nothing is known to be free there.
    let node_room: Vec<u64> = nodes.iter().map(|node| ledger.free(node, resource)).collect();
    let positions: Vec<Position> = pods
        .iter()
        .map(|&(pod, holding, target)| Position {
            charge: holding.charge(),
            admitted: holding.admitted().min(holding.charge()),
            target,
            node: pod.node.as_deref().and_then(|node| nodes.binary_search(&node).ok()),
            unconfirmed: ledger.view.unconfirmed_until(pod).is_some_and(|at| at <= ledger.view.now),
        })
        .collect();
    share::steps(&positions, room, &node_room, common.collect())
}
