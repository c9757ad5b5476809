//! Which pools want to grow on which nodes. Where a node has too little free for all of them, what one gets depends on the
//! others, so they are paced together.

use std::collections::{BTreeMap, BTreeSet};

use super::View;
use crate::{
    cluster::PoolId,
    share::{PerResource, Resource},
};

/// What the pods of one pool want on one node beyond what they are charged, and what of that is promised to them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Growth {
    /// What they want, in units of the resource.
    pub wanted: PerResource<u64>,
    /// What is promised.
    pub promised: PerResource<u64>,
}

/// The growth of all pools, by node.
#[derive(Debug, Default)]
pub struct GrowthByNode {
    nodes: BTreeMap<String, BTreeMap<PoolId, Growth>>,
    pools: BTreeMap<PoolId, BTreeSet<String>>,
    /// The nodes whose free room did not cover all wanted growth at the last check.
    short: BTreeSet<String>,
}

impl GrowthByNode {
    /// Sets what a pool wants on nodes. What it wanted before is forgotten.
    pub fn set(&mut self, pool: &PoolId, growth: BTreeMap<String, Growth>) {
        for node in self.pools.remove(pool).into_iter().flatten() {
            if let Some(pools) = self.nodes.get_mut(&node) {
                pools.remove(pool);
                if pools.is_empty() {
                    self.nodes.remove(&node);
                }
            }
        }
        if !growth.is_empty() {
            self.pools.insert(pool.clone(), growth.keys().cloned().collect());
        }
        for (node, growth) in growth {
            self.nodes.entry(node).or_default().insert(pool.clone(), growth);
        }
    }

    /// The pools that want to grow on a node.
    pub fn wanting(&self, node: &str) -> impl Iterator<Item = &PoolId> {
        self.nodes.get(node).into_iter().flat_map(BTreeMap::keys)
    }

    /// The nodes on which a pool wants to grow.
    pub fn nodes_of(&self, pool: &PoolId) -> impl Iterator<Item = &str> {
        self.pools.get(pool).into_iter().flatten().map(String::as_str)
    }

    /// What is promised on a node to other pools than those that are paced now.
    #[must_use]
    pub fn promised(&self, node: &str, is_paced: impl Fn(&PoolId) -> bool) -> PerResource<u64> {
        let pools = self.nodes.get(node).into_iter().flatten();
        let others = pools.filter(|(pool, _)| !is_paced(pool));
        others.fold(PerResource::default(), |sum, (_, growth)| {
            PerResource::from_fn(|it| u64::saturating_add(sum[it], growth.promised[it]))
        })
    }

    /// The pools that want to grow on those of these nodes whose free room does not cover all wanted growth, or did not at the
    /// last check. There, what one pool gets depends on the others.
    #[must_use]
    pub fn tied<'n>(
        &mut self,
        view: &View,
        nodes: impl Iterator<Item = &'n str>,
    ) -> BTreeSet<PoolId> {
        let mut tied = BTreeSet::new();
        for node in nodes {
            let pools = self.nodes.get(node);
            let free = view.free(node).unwrap_or_default();
            let is_short = Resource::ALL.into_iter().any(|resource| {
                let all = pools.into_iter().flat_map(BTreeMap::values);
                let wanted = all.map(|growth| u128::from(growth.wanted[resource]));
                wanted.sum::<u128>() > u128::from(free[resource])
            });
            let was_short = self.short.remove(node);
            if is_short {
                self.short.insert(node.to_owned());
            }
            if is_short || was_short {
                tied.extend(pools.into_iter().flat_map(BTreeMap::keys).cloned());
            }
        }
        tied
    }
}
