//! The division of a tree of pools: what each branch owns, and what its pods hold on each node while others are idle.
//!
//! A tree has a root, branches (members of trees, namespaces) and, at its ends, pools. All amounts are in units of the resource
//! (millicores or bytes).

mod owning;
mod sharing;
#[cfg(test)]
mod tests;

use super::{Division, Filling, Idle, Pool};
use owning::{Inside, Owning};
use sharing::NestedSharing;

/// A tree of pools as the division sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    /// The amount to divide.
    pub capacity: u64,
    /// How the root's children share what is idle.
    pub idle: Idle,
    /// The branches and pools. A parent comes before its children, and siblings come by name: ties go to the earlier.
    pub branches: Vec<Branch>,
}

/// The place of a branch in its tree.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BranchIndex(pub usize);

/// A branch of a tree, or a pool at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Branch {
    /// What it is a child of. None: the root.
    pub parent: Option<BranchIndex>,
    /// Its weight, relative to its siblings.
    pub weight: u64,
    /// The amount that it is promised before weights count. It is never lent.
    pub min: u64,
    /// The most that it may have. None: no limit of its own.
    pub max: Option<u64>,
    /// Whether the minima inside it count like a min of its own. The promised minima and the floors of its siblings come first.
    pub expandable: bool,
    /// The percentage of its idle share above its min that it lends to its siblings (100 at most).
    pub lend: u8,
    /// What is in it.
    pub content: Content,
}

/// What is in a branch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// Other branches.
    Branches {
        /// How they share what is idle.
        idle: Idle,
    },
    /// A pool. The division sets its capacity.
    Pool {
        /// Its members and pods.
        pool: Pool,
        /// The sum of its pods' floors as far as others have to leave room for them: a floor that the pool itself raised above the
        /// default counts as a min inside it.
        floor: u64,
    },
}

/// How a tree was divided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TreeDivision {
    /// The minima of the root's children together exceed its capacity.
    pub overcommitted: bool,
    /// The branches, in the order given.
    pub branches: Vec<BranchDivision>,
}

/// How one branch was divided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BranchDivision {
    /// What it owns.
    pub fair: u64,
    /// It owns less than the floors of its pods need: these hold their floors, and nothing in it grows.
    pub too_small: bool,
    /// The minima of its children together exceed what it owns.
    pub overcommitted: bool,
    /// Of a pool: how that is divided. Its pods have no shares where the pool is too small for their floors.
    pub pool: Division,
    /// Of a pool: what is inside it. None: it is to be worked out, and the pool divided anew.
    inside: Option<Inside>,
}

/// What is to be done on a node of a tree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Turn {
    /// What is idle there is lent.
    #[default]
    Lends,
    /// The node is over, and nothing is lent there ([`Room::kept`](super::Room::kept)).
    Keeps,
    /// Nothing has changed there: what its pods hold stands.
    Stands,
}

/// Divides trees again and again, in buffers that are kept.
#[derive(Debug, Default)]
pub struct TreeDivider {
    filling: Filling,
    owning: Owning,
    sharing: NestedSharing,
}

impl TreeDivider {
    /// What the branches, pools, members and pods of a tree own by weight, min and max, if nodes set no limit. The capacity of each
    /// pool becomes what the tree gives it. Written over `division`: pools that it has, and that were not forgotten
    /// ([`TreeDivision::forget`]), are divided again only if the tree gives them something else than before.
    pub fn own(&mut self, tree: &mut Tree, division: &mut TreeDivision) {
        self.owning.own(&mut self.filling, tree, division);
    }

    /// Lends what is idle, on each node separately, by its turn: the tree's pods never hold more on a node, in total, than they own
    /// there. Returns the pools in which some pod's share changed.
    pub fn share(
        &mut self,
        tree: &mut Tree,
        turns: &[Turn],
        division: &mut TreeDivision,
    ) -> &[BranchIndex] {
        self.sharing.share(&mut self.filling, tree, turns, division)
    }
}

impl TreeDivision {
    /// Forgets what is known of a pool, because it has changed.
    pub fn forget(&mut self, pool: BranchIndex) {
        if let Some(known) = self.branches.get_mut(pool.0) {
            known.inside = None;
        }
    }
}

impl Tree {
    /// Lists the children of the root and of each branch, in order.
    fn children(&self, children: &mut Children) {
        let Children { ends, list } = children;
        ends.clear();
        ends.resize(self.branches.len() + 2, 0);
        let place = |branch: &Branch| branch.parent.map_or(0, |parent| parent.0 + 1);
        for branch in &self.branches {
            ends[place(branch) + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut *ends {
            sum += *start;
            *start = sum;
        }
        list.clear();
        list.resize(self.branches.len(), 0);
        // Until here these are where the children begin; with each child they move on.
        for (i, branch) in self.branches.iter().enumerate() {
            let next = &mut ends[place(branch)];
            list[*next] = i;
            *next += 1;
        }
    }
}

/// The children of the root, and of each branch.
#[derive(Debug, Default)]
struct Children {
    /// Where those of the root end in `list`, and those of each branch after it.
    ends: Vec<usize>,
    list: Vec<usize>,
}

impl Children {
    /// The children of a branch, or of the root, by their places.
    fn of(&self, parent: Option<BranchIndex>) -> &[usize] {
        let place = parent.map_or(0, |parent| parent.0 + 1);
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.list[start..self.ends[place]]
    }
}

impl Branch {
    /// What becomes of the idle shares of what is in it.
    fn idle(&self) -> Idle {
        match &self.content {
            Content::Branches { idle } => *idle,
            Content::Pool { pool, .. } => pool.idle,
        }
    }
}
