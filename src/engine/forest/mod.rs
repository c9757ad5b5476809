//! The trees of pools: what each of them consists of, and what is wrong with those that cannot be divided. It follows from the
//! ClusterWeightedShares, the labels of namespaces and the pools, and is kept until one of these changes.

mod build;
mod fault;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use fault::{PoolFault, TreeFault};

use crate::{
    api::{LEND_PERCENT, TreeMember},
    cluster::{Changes, Cluster, PoolId},
    share::{BranchIndex, PerResource, Resource},
};

/// The weight of a pool beside the others of its namespace, where it has none.
pub const WEIGHT: u32 = 100;

/// All trees of pools.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Forest {
    /// The trees that can be divided, by the names of their roots.
    trees: Vec<Tree>,
    /// Where each pool is.
    places: BTreeMap<PoolId, Place>,
    /// Why pools that name a tree have no place in it.
    homeless: BTreeMap<PoolId, PoolFault>,
    /// What is wrong with ClusterWeightedShares, by name.
    faults: BTreeMap<String, TreeFault>,
    /// Namespaces that several members have: each with these, as tree and member.
    contested: BTreeMap<String, Vec<(String, String)>>,
}

/// The index of a tree in its forest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TreeIndex(usize);

/// Where a pool is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Its tree.
    pub tree: TreeIndex,
    /// Its branch there.
    pub branch: BranchIndex,
}

/// A tree that can be divided: it has a capacity, and each part of it has one parent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tree {
    /// The name of its root.
    pub name: String,
    /// The ClusterWeightedShares that it consists of, with the branch that each of them is in. None: the root itself.
    pub parts: Vec<(String, Option<BranchIndex>)>,
    /// Its branches. A parent comes before its children, and siblings come by name.
    pub branches: Vec<Branch>,
}

/// A branch of a tree, or a pool at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Branch {
    /// What it is a child of. None: the root.
    pub parent: Option<BranchIndex>,
    /// The ClusterWeightedShare that says what it may have. Of a pool, the one that it names.
    pub tree: String,
    /// What it is.
    pub what: What,
}

/// What a branch is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// A member of a tree, by its index.
    Member(usize),
    /// A namespace of a member.
    Namespace(String),
    /// A namespace that is a member by itself, as the weight of its member, by its index, counts for each namespace; with the number
    /// of such namespaces.
    EachNamespace(usize, String, u64),
    /// A pool.
    Pool(PoolId),
}

impl Forest {
    /// The trees of a cluster.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        build::forest(cluster)
    }

    /// The trees as they are now, and the pools that name a tree, or named one before. None of these: nothing of that changed.
    #[must_use]
    pub fn follow(self, cluster: &Cluster, changes: &Changes) -> (Self, Option<BTreeSet<PoolId>>) {
        if !changes.forest {
            return (self, None);
        }
        let now = Self::of(cluster);
        let pools = || self.pools().chain(now.pools()).cloned().collect();
        let replanted = (self != now).then(pools);
        (now, replanted)
    }

    /// The trees that can be divided.
    pub fn trees(&self) -> impl Iterator<Item = (TreeIndex, &Tree)> {
        self.trees.iter().enumerate().map(|(i, tree)| (TreeIndex(i), tree))
    }

    /// A tree.
    #[must_use]
    pub fn tree(&self, index: TreeIndex) -> Option<&Tree> {
        self.trees.get(index.0)
    }

    /// Where a pool is. None: in no tree, or in none that can be divided.
    #[must_use]
    pub fn place(&self, pool: &PoolId) -> Option<Place> {
        self.places.get(pool).copied()
    }

    /// Why a pool that names a tree has no place in it.
    #[must_use]
    pub fn pool_fault(&self, pool: &PoolId) -> Option<&PoolFault> {
        self.homeless.get(pool)
    }

    /// What is wrong with a ClusterWeightedShare.
    #[must_use]
    pub fn tree_fault(&self, tree: &str) -> Option<&TreeFault> {
        self.faults.get(tree)
    }

    /// The ClusterWeightedShares that are not divided, by name.
    pub fn faulty(&self) -> impl Iterator<Item = &str> {
        self.faults.keys().map(String::as_str)
    }

    /// The versions of what the administrator of a tree wrote: the UID and generation of each of its parts.
    #[must_use]
    pub fn edition(&self, cluster: &Cluster, tree: TreeIndex) -> Vec<(String, Option<i64>)> {
        let parts = self.tree(tree).into_iter().flat_map(|tree| &tree.parts);
        let version = |(name, _): &(String, _)| {
            let meta = &cluster.tree(name)?.object.metadata;
            Some((meta.uid.clone().unwrap_or_default(), meta.generation))
        };
        parts.filter_map(version).collect()
    }

    /// The namespaces that a tree has and another member, too: each with all members that have it, as tree and member.
    pub fn contested<'f>(
        &'f self,
        tree: &'f str,
    ) -> impl Iterator<Item = (&'f str, &'f [(String, String)])> {
        let here = move |(_, members): &(&String, &Vec<(String, String)>)| {
            members.iter().any(|(name, _)| name == tree)
        };
        self.contested.iter().filter(here).map(|(name, members)| (&**name, &**members))
    }

    /// These pools, in groups that are divided together: all of one tree, or one pool by itself.
    #[must_use]
    pub fn together(&self, pools: BTreeSet<PoolId>) -> Vec<Vec<PoolId>> {
        let mut trees: BTreeMap<TreeIndex, Vec<PoolId>> = BTreeMap::new();
        let mut groups = Vec::new();
        for id in pools {
            match self.place(&id) {
                Some(place) => trees.entry(place.tree).or_default().push(id),
                None => groups.push(vec![id]),
            }
        }
        groups.extend(trees.into_values());
        groups
    }

    /// The pools that name a tree, with a place in it or without.
    pub fn pools(&self) -> impl Iterator<Item = &PoolId> {
        self.places.keys().chain(self.homeless.keys())
    }
}

impl Tree {
    /// The pools of the tree, with their branches, in order.
    pub fn pools(&self) -> impl Iterator<Item = (BranchIndex, &PoolId)> {
        self.branches.iter().enumerate().filter_map(|(i, branch)| match &branch.what {
            What::Pool(id) => Some((BranchIndex(i), id)),
            _ => None,
        })
    }

    /// The members that a branch is in: each by the name of its ClusterWeightedShare and its index there.
    pub fn members_above(&self, branch: BranchIndex) -> impl Iterator<Item = (&str, usize)> {
        self.path(branch).filter_map(|it| {
            let Branch { tree, what, .. } = &self.branches[it.0];
            let (What::Member(i) | What::EachNamespace(i, ..)) = what else { return None };
            Some((&**tree, *i))
        })
    }

    /// A branch, the one that it is in, and so on.
    pub fn path(&self, branch: BranchIndex) -> impl Iterator<Item = BranchIndex> {
        std::iter::successors(Some(branch), |it| self.branches[it.0].parent)
    }

    /// How much of its idle share a branch lends to its siblings, in percent: what it says itself, or else the branch that it is in.
    #[must_use]
    pub fn lend_percent(&self, cluster: &Cluster, branch: BranchIndex) -> u8 {
        let said = |branch: BranchIndex| {
            let branch = &self.branches[branch.0];
            if let What::Pool(id) = &branch.what {
                return cluster.pool(id)?.object.spec.sharing.lend_percent;
            }
            let of_member = branch.member(cluster)?.lend_percent;
            of_member.or(cluster.tree(&branch.tree)?.object.spec.sharing.lend_percent)
        };
        self.path(branch).find_map(said).unwrap_or(LEND_PERCENT)
    }

    /// Whether the tree has what its nodes can allocate, and no fixed capacity.
    #[must_use]
    pub fn follows_nodes(&self, cluster: &Cluster) -> bool {
        cluster.tree(&self.name).is_some_and(|root| root.object.spec.nodes.is_some())
    }

    /// The highest branch above a pool that has a max. None: no branch has.
    #[must_use]
    pub fn bounded_above(&self, cluster: &Cluster, pool: BranchIndex) -> Option<BranchIndex> {
        let is_bounded = |branch: &BranchIndex| {
            let member = self.branches[branch.0].member(cluster);
            member.is_some_and(|member| !member.max.is_empty())
        };
        self.path(pool).filter(is_bounded).last()
    }

    /// Which resources the tree divides.
    #[must_use]
    pub fn divides(&self, cluster: &Cluster) -> PerResource<bool> {
        let Some(root) = cluster.tree(&self.name) else { return PerResource::default() };
        let spec = &root.object.spec;
        PerResource::from_fn(|resource: Resource| {
            spec.nodes.is_some() || spec.capacity.get(resource).is_some()
        })
    }
}

impl Branch {
    /// The member of a tree that says what the branch may have. None: a pool, or a namespace, which may have all of its member's.
    #[must_use]
    pub fn member<'c>(&self, cluster: &'c Cluster) -> Option<&'c TreeMember> {
        let (What::Member(member) | What::EachNamespace(member, ..)) = &self.what else {
            return None;
        };
        cluster.tree(&self.tree)?.object.spec.members.get(*member)
    }
}
