//! What the branches above a pool own, from the root of its tree down to the pool: why it gets what its tree gives it.

use super::{
    View,
    division::Trees,
    forest::{Tree, What},
};
use crate::{
    api::Mode,
    cluster::PoolId,
    share::{BranchIndex, Resource},
};

/// The way from the root of a tree to one of its pools. All amounts are in units of the resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreePath {
    /// The name of the tree.
    pub tree: String,
    /// What it has.
    pub capacity: u64,
    /// What pods that cannot be resized are charged of that. The rest is divided.
    pub unresizable: u64,
    /// The branches, the pool last.
    pub branches: Vec<BranchShare>,
}

/// What a branch owns, if nodes set no limit, and its weight beside its siblings with pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BranchShare {
    /// Which branch it is, in words: "member shop of tree company".
    pub name: String,
    /// Its weight.
    pub weight: u64,
    /// The sum of the weights of all siblings with pods, and its own.
    pub weights: u64,
    /// What it owns.
    pub fair: u64,
    /// Which of its bounds that is. None: it follows from weights, and the bounds of siblings.
    pub bound: Option<BranchBound>,
}

/// A bound of a branch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BranchBound {
    /// It owns its min.
    Min,
    /// It owns its max.
    Max,
    /// The minima of it and its siblings together exceed what there is, so each is cut by weight.
    MinimaTooLarge,
    /// It owns less than its pods need at least.
    TooSmall,
}

/// The way to a pool. None: it is in no tree, or the tree does not divide the resource.
#[must_use]
pub fn tree_path(
    view: &View,
    trees: &Trees,
    pool: &PoolId,
    resource: Resource,
) -> Option<TreePath> {
    let place = view.forest.place(pool)?;
    let tree = view.forest.tree(place.tree)?;
    let division = trees.get(&place.tree)?[resource].as_ref()?;
    let observes = view.cluster.pool(pool)?.object.spec.mode == Mode::Observe;
    let laid = division.seen_by(observes)?;
    let of = |branch: BranchIndex| {
        let (it, owned) = (laid.tree.branches.get(branch.0)?, laid.owned.branches.get(branch.0)?);
        let siblings = laid.tree.branches.iter().zip(&laid.owned.branches);
        let siblings = siblings.filter(|(sibling, of)| sibling.parent == it.parent && of.fair > 0);
        let weights = siblings.map(|(sibling, _)| sibling.weight).fold(0, u64::saturating_add);
        let overcommitted = match it.parent {
            None => laid.owned.overcommitted,
            Some(parent) => laid.owned.branches[parent.0].overcommitted,
        };
        let bound = match owned.fair {
            _ if owned.too_small => Some(BranchBound::TooSmall),
            _ if overcommitted => Some(BranchBound::MinimaTooLarge),
            fair if it.min > 0 && fair == it.min => Some(BranchBound::Min),
            fair if it.max == Some(fair) => Some(BranchBound::Max),
            _ => None,
        };
        Some(BranchShare {
            name: name(view, tree, branch),
            weight: it.weight / laid.scale,
            weights: weights.max(it.weight) / laid.scale,
            fair: owned.fair,
            bound,
        })
    };
    let mut branches: Vec<BranchShare> = tree.path(place.branch).filter_map(of).collect();
    branches.reverse();
    Some(TreePath {
        tree: tree.name.clone(),
        capacity: division.capacity,
        unresizable: division.capacity.saturating_sub(laid.tree.capacity),
        branches,
    })
}

fn name(view: &View, tree: &Tree, branch: BranchIndex) -> String {
    let it = &tree.branches[branch.0];
    let member = it.member(view.cluster).map_or("", |member| &member.name);
    match &it.what {
        What::Member(_) => format!("member {member} of tree {}", it.tree),
        What::EachNamespace(_, namespace, _) => {
            format!("namespace {namespace} (of member {member} of tree {})", it.tree)
        }
        What::Namespace(namespace) => format!("namespace {namespace}"),
        What::Pool(id) => format!("pool {}", id.name),
    }
}
