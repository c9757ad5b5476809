//! The trees that pools are in, with what is used there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::ClusterWeightedShare,
    cluster::PoolId,
    engine::{PoolMembers, Preview, Used, View},
    share::{PerResource, Resource},
};

/// A ClusterWeightedShare, with what the pods of its members use.
#[derive(Debug)]
pub struct UsedTree<'a> {
    /// Its name.
    pub name: &'a str,
    /// The object.
    pub object: &'a ClusterWeightedShare,
    /// What the pods in pools of each member use, in the order of the spec. None: not all of them were measured.
    pub used: Vec<Used>,
}

/// The ClusterWeightedShares of the trees that these pools are in, the root of each before the others.
#[must_use]
pub fn used<'a>(
    view: &View<'a>,
    preview: &'a Preview,
    pools: impl Iterator<Item = &'a PoolId>,
) -> Vec<UsedTree<'a>> {
    let forest = &preview.forest;
    let indices: BTreeSet<_> =
        pools.filter_map(|id| forest.place(id)).map(|place| place.tree).collect();
    let mut trees = Vec::new();
    for tree in indices.into_iter().filter_map(|index| forest.tree(index)) {
        let mut of_members: BTreeMap<(&str, usize), Used> = BTreeMap::new();
        for (branch, id) in tree.pools() {
            let Some((id, pool)) = view.live_pool(id) else { continue };
            let used = PoolMembers::of(view, &preview.membership, id, &pool.object).used_in_all();
            for member in tree.members_above(branch) {
                let sum = of_members.entry(member).or_insert(PerResource::from_fn(|_| Some(0)));
                *sum = PerResource::from_fn(|it| Some(sum[it]?.saturating_add(used[it]?)));
            }
        }
        for (name, _) in &tree.parts {
            let Some(object) = view.cluster.tree(name).map(|tree| &tree.object) else { continue };
            let members = 0..object.spec.members.len();
            let nothing: Used = PerResource::from_fn(|_: Resource| None);
            let of = |i| of_members.get(&(&**name, i)).copied().unwrap_or(nothing);
            trees.push(UsedTree { name, object, used: members.map(of).collect() });
        }
    }
    trees
}
