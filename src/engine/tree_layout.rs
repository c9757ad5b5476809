//! A tree of pools as the mathematics sees it: what its branches weigh, are promised and may have, and what is in its pools.

use super::{
    View,
    division::{Dividing, Prepared},
    forest::{self, What},
    places::Places,
    tree_division::Pools,
    tree_weight::{Inside, scale, weight},
};
use crate::{
    api::Surplus,
    cluster::PoolId,
    share::{Branch, BranchIndex, Content, Idle, Pool, Resource, Tree, TreeDivision, Turn},
};

/// A tree, laid out to be divided, and its division. It is kept from one decision to the next: only pools that are being divided
/// are laid out anew.
#[derive(Clone, Debug)]
pub struct Laid {
    /// The tree. Its branches are those of the forest.
    pub tree: Tree,
    /// Its division.
    pub division: TreeDivision,
    /// What all weights are multiplied by.
    pub scale: u64,
    /// What its branches own, if nodes set no limit.
    pub(super) owned: TreeDivision,
    /// What each pool was last given of that, by branch.
    pub(super) given: Vec<Option<u64>>,
    pub(super) places: Places,
    /// What is to be done on each node, by its number.
    pub(super) turns: Vec<Turn>,
    /// What is inside the branches.
    inside: Vec<Inside>,
    /// The branches whose bounds or fair share changed since their nodes were shared last.
    pub(super) restless: Vec<bool>,
}

impl Laid {
    /// A tree without pods.
    #[must_use]
    pub fn bare(tree: &forest::Tree) -> Self {
        let branch = |branch: &forest::Branch| Branch {
            parent: branch.parent,
            weight: 1,
            min: 0,
            max: None,
            expandable: false,
            lend: 0,
            content: match branch.what {
                What::Pool(_) => empty(),
                _ => Content::Branches { idle: Idle::default() },
            },
        };
        let branches: Vec<Branch> = tree.branches.iter().map(branch).collect();
        let count = branches.len();
        Self {
            tree: Tree { capacity: 0, idle: Idle::default(), branches },
            division: TreeDivision::default(),
            scale: 1,
            owned: TreeDivision::default(),
            given: vec![None; count],
            places: Places::default(),
            turns: Vec::new(),
            inside: vec![Inside::default(); count],
            restless: vec![false; count],
        }
    }

    /// Begins a decision: each node is left as it is until something changes there.
    pub fn begin(&mut self) {
        self.turns.fill(Turn::Stands);
    }

    /// Gives every pool its part anew, whatever it was given before.
    pub fn give_anew(&mut self) {
        self.given.fill(None);
    }

    /// Lays out the branches, and the `pools` that are being divided: only those in mode Auto, unless it `observes`.
    pub fn lay_out(
        &mut self,
        view: &View,
        tree: &forest::Tree,
        pools: &Pools,
        resource: Resource,
        capacity: u64,
        observes: bool,
    ) {
        for (branch, id) in tree.pools() {
            if let Some(pool) = pools.get(id)
                && let Some(prepared) = pool.prepared(resource)
            {
                let prepared = Some(prepared).filter(|_| observes || !pool.observes());
                self.lay_out_pool(branch, pool, prepared);
                self.bound(branch, of_spec(view, tree, branch, id, prepared));
            }
        }
        Inside::sum_up(tree, &mut self.inside);
        self.scale = scale(view, tree);
        for i in (0..tree.branches.len()).map(BranchIndex) {
            if !matches!(tree.branches[i.0].what, What::Pool(_)) {
                self.bound(i, self.of_member(view, tree, i, resource));
                self.idle(i, idle_in(view, tree, i));
            }
        }
        let tops = tree.branches.iter().zip(&self.inside).filter(|(it, _)| it.parent.is_none());
        let unresizable = tops.map(|(_, it)| it.unresizable).fold(0, u64::saturating_add);
        self.tree.capacity = capacity.saturating_sub(unresizable);
        let idle = idle_of(view, &tree.name);
        if self.tree.idle != idle {
            self.tree.idle = idle;
            self.turns.fill(Turn::Lends);
        }
    }

    /// Lays out a pool. None: it takes no part.
    fn lay_out_pool(&mut self, branch: BranchIndex, pool: &Dividing, prepared: Option<&Prepared>) {
        self.touch(branch);
        self.tree.branches[branch.0].content = prepared.map_or_else(empty, |it| self.content(it));
        self.inside[branch.0] = prepared.map_or_else(Inside::default, |it| Inside::of(pool, it));
        self.owned.forget(branch);
        self.given[branch.0] = None;
        self.touch(branch);
    }

    /// What is in a pool, with its nodes by their numbers.
    fn content(&mut self, prepared: &Prepared) -> Content {
        let floor = prepared.input.default_floors(&prepared.claims);
        let mut pool = prepared.claims.clone();
        for pod in &mut pool.pods {
            let node = pod.node.and_then(|node| prepared.input.nodes.get(node as usize));
            pod.node = node.and_then(|node| self.places.number(node));
        }
        self.turns.resize(self.places.names().len(), Turn::Lends);
        Content::Pool { pool, floor }
    }

    /// Something may have changed on the nodes of a pool.
    pub(super) fn touch(&mut self, pool: BranchIndex) {
        let Content::Pool { pool, .. } = &self.tree.branches[pool.0].content else { return };
        for node in pool.pods.iter().filter_map(|pod| pod.node) {
            self.turns[node as usize] = Turn::Lends;
        }
    }

    /// Touches the nodes of all pools in branches that changed.
    pub(super) fn touch_restless(&mut self) {
        if self.restless.contains(&true) {
            // A parent comes before its children.
            for i in 0..self.restless.len() {
                let parent = self.tree.branches[i].parent;
                self.restless[i] |= parent.is_some_and(|parent| self.restless[parent.0]);
                if self.restless[i] {
                    self.touch(BranchIndex(i));
                }
            }
            self.restless.fill(false);
        }
    }

    /// Sets the bounds of a branch.
    fn bound(&mut self, branch: BranchIndex, bounds: Bounds) {
        let known = &mut self.tree.branches[branch.0];
        let Branch { weight, min, max, expandable, lend, .. } = *known;
        if (Bounds { weight, min, max, expandable, lend }) != bounds {
            let Bounds { weight, min, max, expandable, lend } = bounds;
            (known.weight, known.min, known.max) = (weight, min, max);
            (known.expandable, known.lend) = (expandable, lend);
            self.restless[branch.0] = true;
        }
    }

    /// Sets how what is in a branch shares what is idle.
    fn idle(&mut self, branch: BranchIndex, idle: Idle) {
        let content = Content::Branches { idle };
        let known = &mut self.tree.branches[branch.0].content;
        if *known != content {
            *known = content;
            self.restless[branch.0] = true;
        }
    }

    /// The bounds of a member of a tree, or of a namespace, as its administrator wrote them.
    fn of_member(
        &self,
        view: &View,
        tree: &forest::Tree,
        index: BranchIndex,
        resource: Resource,
    ) -> Bounds {
        let branch = &tree.branches[index.0];
        let plain = plain(view, tree, index);
        match (&branch.what, branch.member(view.cluster)) {
            // Tenants write the minima in pools: these reach beyond their namespace only if the administrator says so.
            (What::Namespace(_), _) => {
                let parent = branch.parent.and_then(|it| tree.branches[it.0].member(view.cluster));
                Bounds { expandable: parent.is_some_and(|it| it.expandable), ..plain }
            }
            (_, None) => plain,
            (what, Some(member)) => {
                let inside = &self.inside[index.0];
                let within = |bound: u64| bound.saturating_sub(inside.unresizable);
                Bounds {
                    weight: weight(member, what, inside, self.scale),
                    min: member.min.get(resource).map_or(0, within),
                    max: member.max.get(resource).map(within),
                    expandable: member.expandable,
                    ..plain
                }
            }
        }
    }
}

/// What a branch weighs, is promised and may have.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Bounds {
    weight: u64,
    min: u64,
    max: Option<u64>,
    expandable: bool,
    lend: u8,
}

/// A branch of which nothing is said.
fn plain(view: &View, tree: &forest::Tree, branch: BranchIndex) -> Bounds {
    let lend = view.lend_in_time(tree.lend_percent(view.cluster, branch));
    Bounds { weight: 1, min: 0, max: None, expandable: false, lend }
}

/// The bounds of a pool, as its spec has them, and as the quotas of its namespace bound it.
fn of_spec(
    view: &View,
    tree: &forest::Tree,
    branch: BranchIndex,
    id: &PoolId,
    prepared: Option<&Prepared>,
) -> Bounds {
    let plain = plain(view, tree, branch);
    let Some(spec) = view.cluster.pool(id).map(|pool| &pool.object.spec) else { return plain };
    let bound = prepared.filter(|it| it.bound.is_some()).map(|it| it.claims.capacity);
    Bounds {
        weight: spec.weight.unwrap_or(forest::WEIGHT).into(),
        max: bound,
        expandable: spec.expandable,
        ..plain
    }
}

/// A pool without pods.
fn empty() -> Content {
    Content::Pool { pool: Pool::default(), floor: 0 }
}

/// How what is in a branch shares what is idle.
fn idle_in(view: &View, tree: &forest::Tree, branch: BranchIndex) -> Idle {
    let part = tree.parts.iter().find(|(_, at)| *at == Some(branch));
    idle_of(view, part.map_or(&*tree.branches[branch.0].tree, |(name, _)| name))
}

/// How the members of a tree share what is idle.
fn idle_of(view: &View, tree: &str) -> Idle {
    let sharing = view.cluster.tree(tree).map(|tree| tree.object.spec.sharing);
    match sharing.unwrap_or_default().surplus {
        Surplus::Release => Idle::Lent,
        Surplus::Spread => Idle::Spread,
    }
}
