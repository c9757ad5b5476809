//! How much more the pods of a tree's pools may be charged: at the root no more than the tree has, and in each branch no more than
//! it is granted, or owns if that is more.

use std::collections::BTreeMap;

use super::{
    forest::{self, What},
    shares::{Divided, Shares},
    tree_division::DividingTree,
};
use crate::{
    cluster::PoolId,
    share::{BranchIndex, PerResource, Resource},
};

/// What the branches of a tree own, are granted and are charged, in units of the resource: with all that their pods hold, whether
/// these can be resized or not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// What its pods own.
    pub fair: u64,
    /// What they are granted.
    pub granted: u64,
    /// What they are charged, those that leave too.
    pub charged: u64,
    /// How many pools there are, and how many pods.
    pub pools: u32,
    /// How many pods these have.
    pub pods: u32,
}

/// The sums of the root, and of each branch.
#[derive(Clone, Debug, Default)]
pub struct TreeSums {
    /// Of the root.
    pub root: Sums,
    /// Of each branch.
    pub branches: Vec<Sums>,
}

/// How much more the pods may be charged at the root, and in each branch: what is promised is taken off.
#[derive(Clone, Debug, Default)]
pub struct TreeRoom {
    root: u64,
    branches: Vec<u64>,
}

impl TreeSums {
    /// The sums of each resource that a tree divides, over the pools in mode Auto.
    #[must_use]
    pub fn by_resource(
        tree: &forest::Tree,
        dividing: &DividingTree,
        acting: &BTreeMap<&PoolId, &Shares>,
    ) -> PerResource<Option<Self>> {
        PerResource::from_fn(|resource| {
            dividing[resource].as_ref()?;
            Some(Self::of(tree, resource, acting))
        })
    }

    /// The sums of one resource, over the pools in mode Auto.
    #[must_use]
    pub fn of(
        tree: &forest::Tree,
        resource: Resource,
        acting: &BTreeMap<&PoolId, &Shares>,
    ) -> Self {
        let mut sums = Self { root: Sums::default(), branches: Vec::new() };
        sums.branches.resize(tree.branches.len(), Sums::default());
        for (i, branch) in tree.branches.iter().enumerate().rev() {
            if let What::Pool(id) = &branch.what
                && let Some(divided) = acting.get(id).and_then(|shares| shares[resource].as_ref())
            {
                sums.branches[i] = Sums::of(divided);
            }
            let inside = sums.branches[i];
            match branch.parent {
                Some(parent) => sums.branches[parent.0].add(&inside),
                None => sums.root.add(&inside),
            }
        }
        sums
    }
}

impl Sums {
    fn of(divided: &Divided) -> Self {
        Self {
            fair: divided.sum(|pod| pod.fair()),
            granted: divided.sum(|pod| pod.granted()),
            charged: divided.charged(),
            pools: 1,
            pods: u32::try_from(divided.pods().count()).unwrap_or(u32::MAX),
        }
    }

    fn add(&mut self, more: &Self) {
        self.fair = self.fair.saturating_add(more.fair);
        self.granted = self.granted.saturating_add(more.granted);
        self.charged = self.charged.saturating_add(more.charged);
        self.pools = self.pools.saturating_add(more.pools);
        self.pods = self.pods.saturating_add(more.pods);
    }

    /// How much more may be charged, within what is granted or owned.
    fn room(&self) -> u64 {
        self.granted.max(self.fair).saturating_sub(self.charged)
    }
}

impl TreeRoom {
    /// Of a tree with this capacity.
    #[must_use]
    pub fn of(capacity: u64, sums: &TreeSums) -> Self {
        Self {
            root: capacity.saturating_sub(sums.root.charged),
            branches: sums.branches.iter().map(Sums::room).collect(),
        }
    }

    /// How much more the pods of a pool may be charged.
    #[must_use]
    pub fn left(&self, tree: &forest::Tree, pool: BranchIndex) -> u64 {
        let path = tree.path(pool).map(|branch| self.branches[branch.0]);
        path.fold(self.root, u64::min)
    }

    /// Promises so much to the pods of a pool.
    pub fn promise(&mut self, tree: &forest::Tree, pool: BranchIndex, amount: u64) {
        self.root = self.root.saturating_sub(amount);
        for branch in tree.path(pool) {
            let left = &mut self.branches[branch.0];
            *left = left.saturating_sub(amount);
        }
    }
}

/// The rooms of a tree, by resource.
#[must_use]
pub fn rooms(
    dividing: &DividingTree,
    sums: &PerResource<Option<TreeSums>>,
) -> PerResource<Option<TreeRoom>> {
    PerResource::from_fn(|resource| {
        let capacity = dividing[resource].as_ref()?.capacity;
        Some(TreeRoom::of(capacity, sums[resource].as_ref()?))
    })
}
