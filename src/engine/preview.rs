//! The division of all pools at once, from nothing: what a plan of files shows, and what tests look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use k8s_openapi::jiff::Timestamp;

use super::{
    View,
    backoff::Backoff,
    division::{self, Dividing, Trees},
    field_conflicts::FieldConflicts,
    forest::Forest,
    grants::Memory,
    membership::Membership,
    node_rooms::NodeRooms,
    pending_pods::Reserved,
    pool_members::PoolMembers,
    remembered::Remembered,
    shares::Shares,
    tree_division::{self, Dividers, DividingTree, Pools},
    tree_room::{self, Sums, TreeSums},
    tree_status::{self, DividedTree, Part},
};
use crate::{
    api::{ClusterWeightedShareStatus, Mode},
    cluster::{Changes, Cluster, PoolId},
    metrics::Metrics,
    share::PerResource,
};

/// What a division of all pools takes beside the cluster and what is measured: nothing is remembered, but for what a leader told.
#[derive(Debug, Default)]
pub struct Preview {
    /// The trees of pools.
    pub forest: Forest,
    /// Whose pods are.
    pub membership: Membership,
    /// Room that is kept free on nodes.
    pub reserved: Reserved,
    /// Resizes that went wrong.
    pub backoff: Backoff,
    /// Managers that keep setting what we set.
    pub conflicts: FieldConflicts,
    /// What pods were granted last.
    pub grants: Memory,
    /// What the leader remembers. Its shares are taken as they are.
    pub remembered: Remembered,
}

/// A pool with its members, and its division.
pub type DividedPool<'a> = (Rc<PoolMembers<'a>>, Shares<'a>);

/// All that was divided.
#[derive(Debug)]
pub struct Divisions<'a> {
    /// The pools, the oldest first.
    pub pools: Vec<DividedPool<'a>>,
    /// The ClusterWeightedShares: of each tree the root first, then those that are not divided, by name.
    pub trees: Vec<TreePreview>,
    /// What the branches of each tree own.
    pub branches: Trees,
}

/// What one ClusterWeightedShare divides.
#[derive(Debug)]
pub struct TreePreview {
    /// Its name.
    pub name: String,
    /// The ClusterWeightedShare that has it as a member.
    pub parent: Option<String>,
    /// What its status would say.
    pub status: ClusterWeightedShareStatus,
    /// The resources of which its members' minima together exceed what it has.
    pub overcommitted: PerResource<bool>,
}

impl Preview {
    /// Finds out whose the pods of a cluster are.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut preview = Self { forest: Forest::of(cluster), ..Self::default() };
        preview.membership.update(cluster, &Changes::all(cluster));
        preview
    }

    /// What the division rests on.
    #[must_use]
    pub fn view<'a>(
        &'a self,
        cluster: &'a Cluster,
        metrics: &'a Metrics,
        now: Timestamp,
    ) -> View<'a> {
        let Self { forest, reserved, backoff, conflicts, .. } = self;
        View { cluster, forest, metrics, reserved, backoff, conflicts, may_grow: true, now }
    }

    /// What the members and pods of all pools own, if nodes set no limit, and what they have on nodes.
    #[must_use]
    pub fn own<'a>(
        &'a self,
        view: &View<'a>,
        dividers: &mut Dividers,
    ) -> (Pools<'a>, Trees, NodeRooms) {
        let live = view.cluster.pools().filter(|(_, pool)| pool.is_live());
        let mut pools: Pools = live
            .map(|(id, pool)| {
                let members = PoolMembers::of(view, &self.membership, id, &pool.object);
                (id.clone(), Dividing::new(view, members, &self.grants))
            })
            .collect();
        let all: BTreeSet<PoolId> = pools.keys().cloned().collect();
        let (mut trees, mut rooms) = (Trees::new(), NodeRooms::default());
        division::own(view, &mut pools, &mut trees, &all, &mut rooms, dividers);
        for (index, _) in view.forest.trees().filter(|(_, tree)| tree.pools().next().is_none()) {
            let tree = trees.entry(index).or_default();
            tree_division::own(view, index, tree, &mut pools, dividers);
        }
        (pools, trees, rooms)
    }

    /// Divides all pools and trees.
    #[must_use]
    pub fn divide<'a>(&'a self, view: &View<'a>) -> Divisions<'a> {
        let mut dividers = Dividers::default();
        let (mut pools, mut trees, mut rooms) = self.own(view, &mut dividers);
        rooms.settle(view, &mut dividers.pools);
        let all: BTreeSet<PoolId> = pools.keys().cloned().collect();
        let mut divided: BTreeMap<PoolId, DividedPool> = BTreeMap::new();
        let together = view.forest.together(all);
        division::lend_in_trees(view, &together, &mut pools, &mut trees, &rooms, &mut dividers);
        for together in together {
            let shares = division::share(view, &together, &mut pools, &rooms, &mut dividers);
            for (id, mut shares) in together.into_iter().zip(shares) {
                self.remembered.grant(&mut shares);
                if let Some(pool) = pools.get(&id) {
                    divided.insert(id, (pool.members.clone(), shares));
                }
            }
        }
        let previews = preview_trees(view, &trees, &divided);
        Divisions { pools: divided.into_values().collect(), trees: previews, branches: trees }
    }
}

/// A pool, and after it the others in mode Auto that share a tree with it: what their pods on a node lend and borrow, they lend to
/// and borrow from each other.
#[must_use]
pub fn together<'d, 'a>(
    view: &View,
    all: &'d [DividedPool<'a>],
    pool: &'d DividedPool<'a>,
) -> Vec<&'d DividedPool<'a>> {
    let tree = |(pool, _): &DividedPool| view.forest.place(pool.id).map(|place| place.tree);
    let of_pool = tree(pool);
    let others = all.iter().filter(|it| {
        of_pool.is_some()
            && tree(it) == of_pool
            && it.0.id != pool.0.id
            && it.0.object.spec.mode == Mode::Auto
    });
    std::iter::once(pool).chain(others).collect()
}

/// What all ClusterWeightedShares divide.
fn preview_trees(
    view: &View,
    trees: &Trees,
    divided: &BTreeMap<PoolId, DividedPool>,
) -> Vec<TreePreview> {
    let acting = divided.iter().filter(|(_, (pool, _))| pool.object.spec.mode == Mode::Auto);
    let acting: BTreeMap<&PoolId, PerResource<Option<Sums>>> =
        acting.map(|(id, (_, shares))| (id, tree_room::sums(shares))).collect();
    let mut previews = Vec::new();
    for (index, tree) in view.forest.trees() {
        let nothing = DividingTree::default();
        let dividing = trees.get(&index).unwrap_or(&nothing);
        let sums = TreeSums::by_resource(tree, dividing, |id| acting.get(id).copied());
        let divided = DividedTree { tree, dividing, sums: &sums };
        for (name, at) in &tree.parts {
            let Some(object) = view.cluster.tree(name).map(|tree| &tree.object) else { continue };
            let part = Part { object, name, at: *at };
            previews.push(TreePreview {
                name: name.clone(),
                parent: at.map(|branch| tree.branches[branch.0].tree.clone()),
                status: tree_status::status(view, divided, part),
                overcommitted: divided.overcommitted(part),
            });
        }
    }
    let faulty = view.forest.faulty().filter_map(|name| {
        let (tree, fault) = (view.cluster.tree(name)?, view.forest.tree_fault(name)?);
        Some(TreePreview {
            name: name.to_owned(),
            parent: None,
            status: tree_status::faulty(view, &tree.object, fault),
            overcommitted: PerResource::default(),
        })
    });
    previews.extend(faulty);
    previews
}
