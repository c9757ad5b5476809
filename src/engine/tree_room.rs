//! How much more the pods of a tree's pools may be charged: at the root no more than the tree has, and in each branch no more than
//! it is granted, or owns if that is more.

use super::{
    forest::{self, What},
    shares::{Divided, Shares},
    tree_division::DividingTree,
};
use crate::{
    cluster::PoolId,
    share::{BranchIndex, PerResource},
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
    /// The sums of each resource that a tree divides. `of_pool`: those of a pool. None: it takes no part, as it is in mode Observe.
    #[must_use]
    pub fn by_resource(
        tree: &forest::Tree,
        dividing: &DividingTree,
        of_pool: impl Fn(&PoolId) -> Option<PerResource<Option<Sums>>>,
    ) -> PerResource<Option<Self>> {
        PerResource::from_fn(|resource| {
            dividing[resource].as_ref()?;
            Some(Self::of(tree, |id| of_pool(id)?[resource]))
        })
    }

    /// The sums of one resource.
    fn of(tree: &forest::Tree, of_pool: impl Fn(&PoolId) -> Option<Sums>) -> Self {
        let mut sums = Self { root: Sums::default(), branches: Vec::new() };
        sums.branches.resize(tree.branches.len(), Sums::default());
        for (i, branch) in tree.branches.iter().enumerate().rev() {
            if let What::Pool(id) = &branch.what
                && let Some(of_pool) = of_pool(id)
            {
                sums.branches[i] = of_pool;
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

/// The sums of a pool, by resource. None: the pool does not touch it.
#[must_use]
pub fn sums(shares: &Shares) -> PerResource<Option<Sums>> {
    PerResource::from_fn(|resource| shares[resource].as_ref().map(Sums::of))
}

impl Sums {
    /// Of a pool.
    #[must_use]
    pub fn of(divided: &Divided) -> Self {
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

    /// Whether the root, or a branch, has less room than all pods in it want, and which branches have. `wanted`: what those of a pool
    /// want.
    #[must_use]
    pub fn short(&self, tree: &forest::Tree, wanted: impl Fn(&PoolId) -> u64) -> Short {
        let mut inside = vec![0u64; tree.branches.len()];
        let mut all = 0u64;
        for (i, branch) in tree.branches.iter().enumerate().rev() {
            if let What::Pool(id) = &branch.what {
                inside[i] = wanted(id);
            }
            let wanted = inside[i];
            let above = branch.parent.map_or(&mut all, |parent| &mut inside[parent.0]);
            *above = above.saturating_add(wanted);
        }
        let branches = inside.iter().zip(&self.branches).map(|(wanted, room)| wanted > room);
        Short { root: all > self.root, branches: branches.collect() }
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

/// Where a tree has less room than the pods in it want.
#[derive(Clone, Debug, Default)]
pub struct Short {
    root: bool,
    branches: Vec<bool>,
}

impl Short {
    /// Whether the pods of a pool are in want of room in the tree, or may be once others have theirs.
    #[must_use]
    pub fn concerns(&self, tree: &forest::Tree, pool: BranchIndex) -> bool {
        let is_short = |branch: BranchIndex| self.branches.get(branch.0) == Some(&true);
        self.root || tree.path(pool).any(is_short)
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
