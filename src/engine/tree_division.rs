//! The division of a tree of pools: from the forest and its pools to what the mathematics divides, and back.

use std::collections::BTreeMap;

use super::{
    View,
    capacity::tree_capacity,
    division::Dividing,
    forest::{self, TreeIndex, What},
    node_rooms::NodeRooms,
    stabilize::Bounded,
    tree_weight::{Inside, scale, weight},
};
use crate::{
    api::Surplus,
    cluster::PoolId,
    share::{
        Branch, BranchIndex, Content, Divider, Idle, PerResource, PodDivision, Pool, Resource,
        Room, Tree, TreeDivider, TreeDivision, Verdict,
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
}

/// A tree as the mathematics sees it.
#[derive(Debug)]
pub struct Laid {
    /// The tree. Its branches are those of the forest.
    pub tree: Tree,
    /// Its division.
    pub division: TreeDivision,
    /// What all weights are multiplied by.
    pub scale: u64,
    /// The nodes of its pods, by name.
    nodes: Vec<String>,
}

/// Works out what the branches of a tree own, if nodes set no limit, and gives each pool its capacity.
pub fn own(
    view: &View,
    index: TreeIndex,
    pools: &mut Pools,
    dividers: &mut Dividers,
) -> DividingTree {
    let Some(tree) = view.forest.tree(index) else { return DividingTree::default() };
    let divides = tree.divides(view.cluster);
    let observes = tree.pools().any(|(_, id)| pools.get(id).is_some_and(Dividing::observes));
    PerResource::from_fn(|resource| {
        if !divides[resource] {
            return None;
        }
        let capacity = tree_capacity(view, tree, pools, resource);
        let mut lay_out = |observes| {
            let mut laid = Laid::out(view, tree, pools, resource, capacity, observes);
            laid.own(tree, pools, resource, observes, dividers);
            laid
        };
        let acting = lay_out(false);
        Some(Division { capacity, acting, observing: observes.then(|| lay_out(true)) })
    })
}

/// Fits what the pools of a tree own to the rooms of their nodes, and lends what lies idle.
pub fn share(
    view: &View,
    index: TreeIndex,
    dividing: &mut DividingTree,
    pools: &mut Pools,
    rooms: &NodeRooms,
    dividers: &mut Dividers,
) {
    let Some(tree) = view.forest.tree(index) else { return };
    for resource in Resource::ALL {
        let Some(division) = &mut dividing[resource] else { continue };
        division.acting.share(tree, pools, resource, false, rooms, dividers);
        if let Some(observing) = &mut division.observing {
            observing.share(tree, pools, resource, true, rooms, dividers);
        }
    }
}

/// The branches of a tree that have a max, with their pools, as indices in `together`, which is in order.
#[must_use]
pub fn bounded(tree: &forest::Tree, dividing: &DividingTree, together: &[PoolId]) -> Vec<Bounded> {
    let most = |branch: usize| {
        PerResource::from_fn(|resource| {
            let laid = &dividing[resource].as_ref()?.acting;
            let max = laid.tree.branches[branch].max?;
            Some(max.max(laid.division.branches[branch].fair))
        })
    };
    let of_branch = |branch: usize| {
        let most = most(branch);
        most.cpu.or(most.memory)?;
        let inside = tree.pools().filter(|(pool, _)| tree.path(*pool).any(|it| it.0 == branch));
        let pools = inside.filter_map(|(_, id)| together.binary_search(id).ok());
        Some(Bounded { pools: pools.collect(), most })
    };
    (0..tree.branches.len()).filter_map(of_branch).collect()
}

impl Laid {
    /// Lays a tree out with its pools in mode Auto, or with all.
    fn out(
        view: &View,
        tree: &forest::Tree,
        pools: &Pools,
        resource: Resource,
        capacity: u64,
        observes: bool,
    ) -> Self {
        let pool = |id: &PoolId| pools.get(id).filter(|it| observes || !it.observes());
        let here = tree.pools().filter_map(|(_, id)| pool(id)?.prepared(resource));
        let mut nodes: Vec<&str> = here.flat_map(|it| it.input.nodes.iter().copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let inside = Inside::of(tree, pools, resource, observes);
        let scale = scale(view, tree);
        let branches = tree.branches.iter().enumerate().map(|(i, branch)| {
            let index = BranchIndex(i);
            let lend = view.lend_in_time(tree.lend_percent(view.cluster, index));
            let idle = idle_in(view, tree, index);
            let (parent, Inside { unresizable, .. }) = (branch.parent, inside[i]);
            let plain = Branch {
                parent,
                weight: 1,
                min: 0,
                max: None,
                expandable: false,
                lend,
                content: Content::Branches { idle },
            };
            match (&branch.what, branch.member(view.cluster)) {
                (What::Pool(id), _) => {
                    let content = of_pool(pool(id), resource, &nodes);
                    of_spec(view, id, pool(id), resource, Branch { content, ..plain })
                }
                // Tenants write the minima in pools: these reach beyond their namespace only if the administrator says so.
                (What::Namespace(_), _) => {
                    let member = parent.and_then(|it| tree.branches[it.0].member(view.cluster));
                    Branch { expandable: member.is_some_and(|it| it.expandable), ..plain }
                }
                (_, None) => plain,
                (what, Some(member)) => Branch {
                    weight: weight(member, what, &inside[i], scale),
                    min: member.min.get(resource).unwrap_or(0).saturating_sub(unresizable),
                    max: member.max.get(resource).map(|max| max.saturating_sub(unresizable)),
                    expandable: member.expandable,
                    ..plain
                },
            }
        });
        let unresizable = tree.branches.iter().zip(&inside).filter(|(it, _)| it.parent.is_none());
        let unresizable = unresizable.map(|(_, it)| it.unresizable).fold(0, u64::saturating_add);
        let idle = root_idle(view, tree);
        let tree = Tree {
            capacity: capacity.saturating_sub(unresizable),
            idle,
            branches: branches.collect(),
        };
        let nodes = nodes.into_iter().map(str::to_owned).collect();
        Self { tree, division: TreeDivision::default(), scale, nodes }
    }

    /// Divides, and gives the pools what the tree gives them.
    fn own(
        &mut self,
        tree: &forest::Tree,
        pools: &mut Pools,
        resource: Resource,
        observes: bool,
        dividers: &mut Dividers,
    ) {
        dividers.trees.own(&mut self.tree, &mut self.division);
        for (branch, id) in tree.pools() {
            let Some(pool) = pools.get_mut(id).filter(|it| it.observes() == observes) else {
                continue;
            };
            let Some(prepared) = pool.prepared_mut(resource) else { continue };
            let divided = &self.division.branches[branch.0];
            prepared.claims.capacity = divided.fair;
            if prepared.bound.is_none() {
                prepared.input.set_divisible(divided.fair);
            }
            match prepared.claims.pods.is_empty() {
                // It has no part in the tree.
                true => dividers.pools.own(&prepared.claims, &mut prepared.division),
                false => prepared.division.clone_from(&divided.pool),
            }
        }
    }

    fn share(
        &mut self,
        tree: &forest::Tree,
        pools: &mut Pools,
        resource: Resource,
        observes: bool,
        rooms: &NodeRooms,
        dividers: &mut Dividers,
    ) {
        let mut here = vec![Room::default(); self.nodes.len()];
        for (branch, id) in tree.pools() {
            let Some(pool) = pools.get_mut(id).filter(|it| it.observes() == observes) else {
                continue;
            };
            let Some(prepared) = pool.prepared_mut(resource) else { continue };
            let of_pool = rooms.rooms(id, resource, &prepared.input.nodes);
            dividers.pools.fit(&prepared.claims, &of_pool, &mut prepared.division);
            if !prepared.claims.pods.is_empty() {
                self.division.branches[branch.0].pool.clone_from(&prepared.division);
            }
            // On a node that is over, nothing in the tree is lent.
            for (node, _) in prepared.input.nodes.iter().zip(&of_pool).filter(|(_, it)| it.kept) {
                let place = self.nodes.binary_search_by(|it| it.as_str().cmp(node));
                place.into_iter().for_each(|place| here[place].kept = true);
            }
        }
        self.sum_up();
        dividers.trees.share(&mut self.tree, &here, &mut self.division);
        for (branch, id) in tree.pools() {
            let Some(pool) = pools.get_mut(id).filter(|it| it.observes() == observes) else {
                continue;
            };
            let Some(prepared) = pool.prepared_mut(resource) else { continue };
            if prepared.claims.pods.is_empty() {
                continue;
            }
            prepared.division.clone_from(&self.division.branches[branch.0].pool);
            if matches!(prepared.division.verdict, Verdict::TooSmall { .. }) {
                // Its pods go down to their floors, and nothing in it grows.
                let least = |pod: &crate::share::PodClaim| pod.floor.min(pod.requested);
                let pods = prepared.claims.pods.iter().map(|pod| PodDivision::whole(least(pod)));
                prepared.division.pods = pods.collect();
            }
        }
    }

    /// What each branch owns, as far as its nodes have room.
    fn sum_up(&mut self) {
        let branches = &mut self.division.branches;
        branches.iter_mut().for_each(|it| it.fair = 0);
        for i in (0..branches.len()).rev() {
            if matches!(self.tree.branches[i].content, Content::Pool { .. }) {
                branches[i].fair = branches[i].pool.pods.iter().map(|pod| pod.fair).sum();
            }
            if let Some(parent) = self.tree.branches[i].parent {
                branches[parent.0].fair += branches[i].fair;
            }
        }
    }
}

/// A pool at the end of a tree, with the places of its nodes among those of the tree.
fn of_pool(pool: Option<&Dividing>, resource: Resource, nodes: &[&str]) -> Content {
    let Some(prepared) = pool.and_then(|pool| pool.prepared(resource)) else {
        return Content::Pool { pool: Pool::default(), floor: 0 };
    };
    let floor = prepared.input.default_floors(&prepared.claims);
    let mut pool = prepared.claims.clone();
    for pod in &mut pool.pods {
        let node = pod.node.and_then(|node| prepared.input.nodes.get(node as usize));
        let place = node.and_then(|node| nodes.binary_search(node).ok());
        pod.node = place.and_then(|place| u32::try_from(place).ok());
    }
    Content::Pool { pool, floor }
}

/// The branch of a pool, as its spec has it, and as the quotas of its namespace bound it.
fn of_spec(
    view: &View,
    id: &PoolId,
    pool: Option<&Dividing>,
    resource: Resource,
    plain: Branch,
) -> Branch {
    let Some(spec) = view.cluster.pool(id).map(|pool| &pool.object.spec) else { return plain };
    let prepared = pool.and_then(|pool| pool.prepared(resource));
    let bound = prepared.filter(|it| it.bound.is_some()).map(|it| it.claims.capacity);
    Branch {
        weight: spec.weight.unwrap_or(forest::WEIGHT).into(),
        max: bound,
        expandable: spec.expandable,
        ..plain
    }
}

/// How the root's children share what is idle.
fn root_idle(view: &View, tree: &forest::Tree) -> Idle {
    idle_of(view, &tree.name)
}

/// How what is in a branch shares what is idle.
fn idle_in(view: &View, tree: &forest::Tree, branch: BranchIndex) -> Idle {
    let part = tree.parts.iter().find(|(_, at)| *at == Some(branch));
    idle_of(view, part.map_or(&*tree.branches[branch.0].tree, |(name, _)| name))
}

fn idle_of(view: &View, tree: &str) -> Idle {
    let sharing = view.cluster.tree(tree).map(|tree| tree.object.spec.sharing);
    match sharing.unwrap_or_default().surplus {
        Surplus::Release => Idle::Lent,
        Surplus::Spread => Idle::Spread,
    }
}
