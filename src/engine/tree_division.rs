//! The division of a tree of pools: what its branches own, and what their pods hold while others are idle. It is kept from one
//! decision to the next, so that one costs as much as what changed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    View,
    capacity::{Charges, charges, tree_capacity},
    division::Dividing,
    forest::{self, TreeIndex, What},
    node_rooms::NodeRooms,
    stabilize::Bounded,
    tree_layout::Laid,
};
use crate::{
    api::Mode,
    cluster::PoolId,
    share::{
        BranchIndex, Content, Divider, PerResource, PodClaim, PodDivision, Resource, TreeDivider,
        Turn, Verdict,
    },
};

/// The pools that are being divided.
pub type Pools<'a> = BTreeMap<PoolId, Dividing<'a>>;

/// What divides pools and trees, in buffers that are kept.
#[derive(Debug, Default)]
pub struct Dividers {
    /// Divides pools.
    pub pools: Divider,
    /// Divides trees.
    pub trees: TreeDivider,
}

/// A tree that is being divided, each resource by itself. None: the tree does not touch it.
pub type DividingTree = PerResource<Option<Division>>;

/// One resource of a tree that is being divided.
#[derive(Debug)]
pub struct Division {
    /// What there is to divide, in units of the resource.
    pub capacity: u64,
    /// The division among the pools in mode Auto.
    pub acting: Laid,
    /// The same with pools in mode Observe, as if they were carried out: the others take no notice of them.
    observing: Option<Laid>,
    /// What the pods of pools in mode Auto are charged on nodes, if the tree follows nodes.
    charges: BTreeMap<PoolId, Charges>,
}

/// Begins a decision for a tree. The last division stands where nothing changes.
pub fn begin(dividing: &mut DividingTree) {
    for resource in Resource::ALL {
        if let Some(division) = &mut dividing[resource] {
            division.acting.begin();
            division.observing.iter_mut().for_each(Laid::begin);
        }
    }
}

/// How many nodes a tree has numbered, including those that are gone.
#[must_use]
pub fn numbered(dividing: &DividingTree) -> usize {
    let divisions = Resource::ALL.into_iter().filter_map(|it| dividing[it].as_ref());
    let laid = divisions.flat_map(|it| std::iter::once(&it.acting).chain(&it.observing));
    laid.map(|it| it.places.names().len()).max().unwrap_or(0)
}

/// Works out what the branches of a tree own, if nodes set no limit, and gives the pools that are being divided their capacity.
pub fn own(
    view: &View,
    index: TreeIndex,
    dividing: &mut DividingTree,
    pools: &mut Pools,
    dividers: &mut Dividers,
) {
    let Some(tree) = view.forest.tree(index) else { return };
    let divides = tree.divides(view.cluster);
    let some_observe = tree.pools().any(|(_, id)| observes(view, id));
    for resource in Resource::ALL {
        if !divides[resource] {
            dividing[resource] = None;
            continue;
        }
        let Division { capacity, acting, observing, charges } = dividing[resource]
            .get_or_insert_with(|| Division {
                capacity: 0,
                acting: Laid::bare(tree),
                observing: None,
                charges: BTreeMap::new(),
            });
        note_charges(view, tree, pools, resource, charges);
        *capacity = tree_capacity(view, tree, charges, resource);
        if !some_observe {
            *observing = None;
        } else if observing.is_none() {
            let mut all = acting.clone();
            all.give_anew();
            *observing = Some(all);
        }
        for (laid, observes) in [(Some(acting), false), (observing.as_mut(), true)] {
            let Some(laid) = laid else { continue };
            laid.lay_out(view, tree, pools, resource, *capacity, observes);
            laid.own(&Seen { view, index, tree, resource, observes }, pools, dividers);
        }
    }
}

/// The pools that are not being divided although their tree gives them a different amount than before.
#[must_use]
pub fn moved(
    view: &View,
    index: TreeIndex,
    dividing: &DividingTree,
    pools: &Pools,
) -> BTreeSet<PoolId> {
    let Some(tree) = view.forest.tree(index) else { return BTreeSet::new() };
    let is_moved = |(branch, id): &(BranchIndex, &PoolId)| {
        Resource::ALL.into_iter().any(|resource| {
            let laid = dividing[resource].as_ref().and_then(|it| it.seen_by(observes(view, id)));
            laid.is_some_and(|it| it.given[branch.0] != Some(it.owned.branches[branch.0].fair))
        })
    };
    let others = tree.pools().filter(|(_, id)| !pools.contains_key(*id));
    others.filter(is_moved).map(|(_, id)| id.clone()).collect()
}

/// Fits what the pools own that are being divided to the rooms of their nodes, and lends what lies idle in the tree. Returns the
/// other pools in which some pod gets a different share.
pub fn lend(
    view: &View,
    index: TreeIndex,
    dividing: &mut DividingTree,
    pools: &mut Pools,
    rooms: &NodeRooms,
    dividers: &mut Dividers,
) -> BTreeSet<PoolId> {
    let mut changed = BTreeSet::new();
    let Some(tree) = view.forest.tree(index) else { return changed };
    for resource in Resource::ALL {
        let Some(Division { acting, observing, .. }) = &mut dividing[resource] else { continue };
        for (laid, observes) in [(Some(acting), false), (observing.as_mut(), true)] {
            let Some(laid) = laid else { continue };
            let seen = Seen { view, index, tree, resource, observes };
            changed.extend(laid.lend(&seen, pools, rooms, dividers));
        }
    }
    changed
}

/// The branches of a tree that have a max, with their pools, as indices in `together`.
#[must_use]
pub fn bounded(tree: &forest::Tree, dividing: &DividingTree, together: &[PoolId]) -> Vec<Bounded> {
    let branch_of: BTreeMap<&PoolId, BranchIndex> =
        tree.pools().map(|(branch, id)| (id, branch)).collect();
    let mut inside: BTreeMap<BranchIndex, Vec<usize>> = BTreeMap::new();
    for (i, id) in together.iter().enumerate() {
        for branch in branch_of.get(id).into_iter().flat_map(|&branch| tree.path(branch)) {
            inside.entry(branch).or_default().push(i);
        }
    }
    let most = |branch: BranchIndex| {
        PerResource::from_fn(|resource| {
            let laid = &dividing[resource].as_ref()?.acting;
            let max = laid.tree.branches[branch.0].max?;
            Some(max.max(laid.division.branches[branch.0].fair))
        })
    };
    let of_branch = |(branch, pools): (BranchIndex, Vec<usize>)| {
        let most = most(branch);
        most.cpu.or(most.memory)?;
        Some(Bounded { pools, most })
    };
    inside.into_iter().filter_map(of_branch).collect()
}

/// Whether a pool is in mode Observe.
#[must_use]
pub fn observes(view: &View, pool: &PoolId) -> bool {
    view.cluster.pool(pool).is_some_and(|pool| pool.object.spec.mode == Mode::Observe)
}

/// Notes what the pods of the pools are charged that are being divided, if the tree follows nodes.
fn note_charges(
    view: &View,
    tree: &forest::Tree,
    pools: &Pools,
    resource: Resource,
    noted: &mut BTreeMap<PoolId, Charges>,
) {
    if !tree.follows_nodes(view.cluster) {
        noted.clear();
        return;
    }
    for (_, id) in tree.pools() {
        if let Some(pool) = pools.get(id) {
            match pool.observes() {
                true => noted.remove(id),
                false => noted.insert(id.clone(), charges(&pool.members, resource)),
            };
        }
    }
}

impl Division {
    /// The tree as pools in mode Auto see it, or those in mode Observe.
    pub(super) fn seen_by(&self, observes: bool) -> Option<&Laid> {
        if observes { self.observing.as_ref() } else { Some(&self.acting) }
    }
}

/// One resource of a tree, as pools in mode Auto see it, or those in mode Observe.
struct Seen<'s, 'a> {
    view: &'s View<'a>,
    index: TreeIndex,
    tree: &'s forest::Tree,
    resource: Resource,
    observes: bool,
}

impl Seen<'_, '_> {
    /// Whether a pool is divided as it is seen here.
    fn is_for(&self, pool: &PoolId) -> bool {
        observes(self.view, pool) == self.observes
    }
}

impl Laid {
    /// Divides, and gives the pools what the tree gives them.
    fn own(&mut self, seen: &Seen, pools: &mut Pools, dividers: &mut Dividers) {
        dividers.trees.own(&mut self.tree, &mut self.owned);
        self.division.branches.resize_with(self.tree.branches.len(), Default::default);
        self.division.overcommitted = self.owned.overcommitted;
        for (known, owned) in self.division.branches.iter_mut().zip(&self.owned.branches) {
            (known.too_small, known.overcommitted) = (owned.too_small, owned.overcommitted);
        }
        for (branch, id) in seen.tree.pools() {
            if !seen.is_for(id) {
                // Here it takes no part, or is divided without regard to nodes.
                self.give(branch);
                continue;
            }
            let pool = pools.get_mut(id).and_then(|pool| pool.prepared_mut(seen.resource));
            let Some(prepared) = pool else { continue };
            let owned = &self.owned.branches[branch.0];
            prepared.claims.capacity = owned.fair;
            if prepared.bound.is_none() {
                prepared.input.set_divisible(owned.fair);
            }
            match prepared.claims.pods.is_empty() {
                // It has no part in the tree.
                true => dividers.pools.own(&prepared.claims, &mut prepared.division),
                false => prepared.division.clone_from(&owned.pool),
            }
            self.give(branch);
        }
    }

    /// Gives a pool what it owns, unless it has that already.
    fn give(&mut self, pool: BranchIndex) {
        let owned = &self.owned.branches[pool.0];
        if self.given[pool.0] != Some(owned.fair) {
            self.given[pool.0] = Some(owned.fair);
            self.division.branches[pool.0].pool.clone_from(&owned.pool);
            self.has_new_pods(pool);
        }
    }

    /// Notes that the pods of a pool own different amounts.
    fn has_new_pods(&mut self, pool: BranchIndex) {
        let divided = &mut self.division.branches[pool.0];
        divided.fair = divided.pool.pods.iter().map(|pod| pod.fair).sum();
        self.touch(pool);
    }

    /// Fits what the pools own that are being divided, and lends what is idle. Returns the other pools in which some pod gets a
    /// different share.
    fn lend(
        &mut self,
        seen: &Seen,
        pools: &mut Pools,
        rooms: &NodeRooms,
        dividers: &mut Dividers,
    ) -> BTreeSet<PoolId> {
        for (branch, id) in seen.tree.pools().filter(|(_, id)| seen.is_for(id)) {
            let pool = pools.get_mut(id).and_then(|pool| pool.prepared_mut(seen.resource));
            let Some(prepared) = pool.filter(|it| !it.claims.pods.is_empty()) else { continue };
            prepared.division.clone_from(&self.owned.branches[branch.0].pool);
            let of_pool = rooms.rooms(id, seen.resource, &prepared.input.nodes);
            dividers.pools.fit(&prepared.claims, &of_pool, &mut prepared.division);
            self.division.branches[branch.0].pool.clone_from(&prepared.division);
            self.has_new_pods(branch);
        }
        self.sum_up();
        self.touch_restless();
        self.take_turns(seen, rooms);
        let changed = dividers.trees.share(&mut self.tree, &self.turns, &mut self.division);
        let changed =
            changed.iter().filter_map(|branch| match &seen.tree.branches[branch.0].what {
                What::Pool(id) => Some(id),
                _ => None,
            });
        let others = changed.filter(|id| seen.is_for(id) && !pools.contains_key(*id));
        let others = others.cloned().collect();
        for (branch, id) in seen.tree.pools().filter(|(_, id)| seen.is_for(id)) {
            let pool = pools.get_mut(id).and_then(|pool| pool.prepared_mut(seen.resource));
            let Some(prepared) = pool.filter(|it| !it.claims.pods.is_empty()) else { continue };
            prepared.division.clone_from(&self.division.branches[branch.0].pool);
            if matches!(prepared.division.verdict, Verdict::TooSmall { .. }) {
                // Its pods go down to their floors, and nothing in it grows.
                let least = |pod: &PodClaim| pod.floor.min(pod.requested);
                let pods = prepared.claims.pods.iter().map(|pod| PodDivision::whole(least(pod)));
                prepared.division.pods = pods.collect();
            }
        }
        others
    }

    /// What each branch owns, as far as its nodes have room.
    fn sum_up(&mut self) {
        let branches = &mut self.division.branches;
        let before: Vec<u64> = branches.iter().map(|it| it.fair).collect();
        for (i, branch) in self.tree.branches.iter().enumerate() {
            if matches!(branch.content, Content::Branches { .. }) {
                branches[i].fair = 0;
            }
        }
        for i in (0..branches.len()).rev() {
            if let Some(parent) = self.tree.branches[i].parent {
                branches[parent.0].fair += branches[i].fair;
            }
        }
        for (i, before) in before.into_iter().enumerate() {
            self.restless[i] |= branches[i].fair != before;
        }
    }

    /// Works out what is to be done on the nodes where something may have changed. On a node that is over, nothing in the tree is
    /// lent.
    fn take_turns(&mut self, seen: &Seen, rooms: &NodeRooms) {
        for (node, turn) in self.places.names().iter().zip(&mut self.turns) {
            if *turn == Turn::Stands {
                continue;
            }
            let is_in_tree = |id: &&PoolId| {
                seen.view.forest.place(id).is_some_and(|place| place.tree == seen.index)
            };
            let mut there = rooms.pools_on(node).filter(is_in_tree).filter(|id| seen.is_for(id));
            let is_kept = there.any(|id| rooms.room(id, seen.resource, node).kept);
            *turn = if is_kept { Turn::Keeps } else { Turn::Lends };
        }
    }
}
