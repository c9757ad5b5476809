//! For which pools a decision is to be made: those for which something may have changed since the last one.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::{
    cluster::{Changes, Cluster, PoolId},
    engine::{
        View,
        forest::{Place, Tree, TreeIndex},
        history::PoolHistory,
        membership::Membership,
        plan::Used,
        pool_members::PoolMembers,
        standing::Standing,
    },
    metrics::News,
    share::{BranchIndex, PerResource},
};

impl Engine {
    /// Adds the pools of which something was measured that changes what a decision reads. Returns what the members use of all
    /// pools that were measured.
    pub(super) fn add_measured<'a>(
        &self,
        view: &View<'a>,
        membership: &'a Membership,
        news: &News,
        dirty: &mut BTreeSet<PoolId>,
    ) -> BTreeMap<PoolId, Vec<Used>> {
        let measured = news.pods.iter();
        let measured = measured.filter_map(|(namespace, name)| membership.owner(namespace, name));
        let mut used = BTreeMap::new();
        for id in measured.map(|(pool, _)| pool).collect::<BTreeSet<_>>() {
            let Some((id, pool)) = view.live_pool(id) else { continue };
            let members = PoolMembers::of(view, membership, id, &pool.object);
            if self.readings.differ(view, &members) {
                dirty.insert(id.clone());
            }
            used.insert(id.clone(), members.used());
        }
        used
    }

    /// Adds the pools for which something may have changed beside their pods, and what is measured of them.
    pub(super) fn add_dirty(
        &mut self,
        view: &View,
        membership: &Membership,
        changes: &Changes,
        news: &News,
        noted: &mut BTreeSet<PoolId>,
        dirty: &mut BTreeSet<PoolId>,
    ) {
        dirty.extend(changes.pools.iter().cloned());
        dirty.append(noted);
        dirty.append(&mut self.unsettled);
        let named = changes.workloads.iter().flat_map(|workload| membership.naming(workload));
        dirty.extend(named.cloned());
        dirty.extend(news.objectives.iter().filter_map(|key| view.pool_of(key)).cloned());
        for node in news.nodes.iter().chain(&changes.nodes) {
            let busy = PerResource::from_fn(|resource| view.is_busy(node, resource));
            let before = match busy.cpu || busy.memory {
                true => self.busy.insert(node.clone(), busy),
                false => self.busy.remove(node),
            };
            if before.unwrap_or_default() != busy {
                dirty.extend(self.rooms.pools_on(node).cloned());
            }
        }
        for node in &changes.nodes {
            dirty.extend(self.rooms.pools_on(node).cloned());
        }
        if !changes.nodes.is_empty() {
            // A departed pod is charged to its pool until it is gone, or lost with its node.
            dirty.extend(self.departed.pools().cloned());
        }
        dirty.extend(self.deadlines.due(view.now).chain(&self.short).cloned());
        let measuring = (
            view.metrics.interval(),
            view.metrics.usage(view.now),
            view.metrics.performance(view.now),
            view.may_grow,
        );
        let is_new = self.measuring.as_ref() != Some(&measuring);
        self.measuring = Some(measuring);
        if is_new || changes.everything {
            dirty.extend(view.cluster.pools().map(|(id, _)| id.clone()));
        }
        if !changes.nodes.is_empty() || !changes.charged.is_empty() {
            // What a tree has may follow its nodes, and what is charged there.
            let follows = |tree: &&Tree| tree.follows_nodes(view.cluster);
            let trees = view.forest.trees().map(|(_, tree)| tree).filter(follows);
            dirty.extend(trees.filter_map(|tree| Some(tree.pools().next()?.1.clone())));
        }
        // What an administrator edits is carried out to the unit, in all pools.
        let trees = view.forest.trees().map(|(_, tree)| tree);
        let touched =
            trees.filter(|tree| tree.parts.iter().any(|(it, _)| changes.trees.contains(it)));
        dirty.extend(touched.flat_map(|tree| tree.pools().map(|(_, id)| id.clone())));
        let namespaces: BTreeSet<&String> = changes.namespaces.iter().collect();
        add_namespaces(view.cluster, namespaces, dirty);
        // All pools of a namespace share what its quotas leave.
        let pods = changes.pods.iter().map(|(namespace, _)| namespace);
        let workloads = changes.workloads.iter().map(|workload| &workload.namespace);
        add_namespaces(view.cluster, with_quotas(view.cluster, pods.chain(workloads)), dirty);
    }

    /// Forgets the pools that are gone, or being deleted, and adds those that may have had less because of them. Returns
    /// those that are gone.
    pub(super) fn forget(
        &mut self,
        cluster: &Cluster,
        changes: &Changes,
        histories: &mut BTreeMap<PoolId, PoolHistory>,
        dirty: &mut BTreeSet<PoolId>,
    ) -> Vec<PoolId> {
        let mut gone = Vec::new();
        if changes.everything {
            histories.retain(|id, _| cluster.pool(id).is_some());
        }
        for id in &changes.pools {
            let pool = cluster.pool(id);
            if pool.is_none() {
                histories.remove(id);
                gone.push(id.clone());
            }
            if !pool.is_some_and(|pool| pool.is_live()) {
                self.plans.remove(id);
                self.hotplugs.remove(id);
                self.short.remove(id);
                self.readings.forget(id);
                self.departed.set(id, &[]);
                self.deadlines.set(id, None);
                self.rooms.remove(id);
                // What was promised to it, others may have.
                let nodes = self.growth.nodes_of(id);
                dirty.extend(nodes.flat_map(|node| self.growth.wanting(node)).cloned());
                self.growth.set(id, BTreeMap::new());
                self.under_quotas.remove(id);
            }
        }
        gone
    }
}

/// These pools, and all that have to be decided with them, directly or by way of others: pools under the same quota, or in the same
/// branch with a max of a tree. A tree that was not divided yet, or in which a quota binds a pool, is decided as a whole.
pub(super) fn with_who_shares(
    view: &View,
    standing: &BTreeMap<TreeIndex, Standing>,
    mut pools: BTreeSet<PoolId>,
) -> BTreeSet<PoolId> {
    let mut whole: BTreeMap<TreeIndex, bool> = BTreeMap::new();
    let mut seen: BTreeSet<(TreeIndex, Option<BranchIndex>)> = BTreeSet::new();
    loop {
        let before = pools.len();
        let namespaces: Vec<String> = pools.iter().map(|id| id.namespace.clone()).collect();
        add_namespaces(view.cluster, with_quotas(view.cluster, namespaces.iter()), &mut pools);
        for Place { tree: index, branch } in
            pools.iter().filter_map(|id| view.forest.place(id)).collect::<Vec<_>>()
        {
            let Some(tree) = view.forest.tree(index) else { continue };
            let is_whole = *whole
                .entry(index)
                .or_insert_with(|| standing.get(&index).is_none_or(Standing::is_bound));
            let top = tree.bounded_above(view.cluster, branch).filter(|_| !is_whole);
            if (is_whole || top.is_some()) && seen.insert((index, top)) {
                let inside = tree.pools().filter(|(branch, _)| {
                    top.is_none_or(|top| tree.path(*branch).any(|it| it == top))
                });
                pools.extend(inside.map(|(_, id)| id.clone()));
            }
        }
        if pools.len() == before {
            return pools;
        }
    }
}

/// Those of these namespaces that have quotas.
fn with_quotas<'n>(
    cluster: &Cluster,
    names: impl Iterator<Item = &'n String>,
) -> BTreeSet<&'n String> {
    let has_quotas = |name: &&String| {
        cluster
            .namespace(name)
            .is_some_and(|namespace| namespace.quotas_of_others().next().is_some())
    };
    names.collect::<BTreeSet<_>>().into_iter().filter(has_quotas).collect()
}

/// Adds all pools of these namespaces.
fn add_namespaces(cluster: &Cluster, names: BTreeSet<&String>, pools: &mut BTreeSet<PoolId>) {
    let there = names.into_iter().filter_map(|name| cluster.namespace(name));
    let found: Vec<PoolId> = there.flat_map(|it| it.pools().keys().cloned()).collect();
    pools.extend(found);
}
