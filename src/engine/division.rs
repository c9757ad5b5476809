//! The division of the pools for which something may have changed, and of those that a node ties to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    View,
    capacity::Capacity,
    division_input::DivisionInput,
    forest::TreeIndex,
    grants::Memory,
    node_rooms::{NodeRooms, Part, Stake},
    pool_members::PoolMembers,
    quotas::{self, BoundPool, QuotaBound},
    shares::Shares,
    tree_division::{self, Dividers, DividingTree, Pools},
};
use crate::{
    api::Mode,
    cluster::{Pod, PoolId},
    share::{Division, PerResource, PodClaim, Pool, Resource},
};

/// One resource of a pool that is being divided.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// What it is made from.
    pub input: DivisionInput<'a>,
    /// What the mathematics divides.
    pub claims: Pool,
    /// The division of it.
    pub division: Division,
    /// The quota that lowered its capacity.
    pub bound: Option<QuotaBound<'a>>,
}

/// A pool that is being divided.
#[derive(Debug)]
pub struct Dividing<'a> {
    /// Its members and their pods.
    pub members: Rc<PoolMembers<'a>>,
    resources: PerResource<Option<Prepared<'a>>>,
}

impl<'a> Dividing<'a> {
    /// Lays out what is divided.
    #[must_use]
    pub fn new(view: &View<'a>, members: PoolMembers<'a>, grants: &Memory) -> Self {
        let members = Rc::new(members);
        let resources = PerResource::from_fn(|resource| {
            let capacity = match members.capacity[resource]? {
                Capacity::Fixed(amount) => amount,
                // It is set once the tree is divided.
                Capacity::OfTree => 0,
            };
            let (input, claims) = DivisionInput::new(view, &members, resource, capacity, grants);
            Some(Prepared { input, claims, division: Division::default(), bound: None })
        });
        Self { members, resources }
    }

    /// Whether everything is worked out for it, and nothing changed.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.members.object.spec.mode == Mode::Observe
    }

    /// One resource of it.
    #[must_use]
    pub fn prepared(&self, resource: Resource) -> Option<&Prepared<'a>> {
        self.resources[resource].as_ref()
    }

    /// One resource of it, to be divided.
    pub fn prepared_mut(&mut self, resource: Resource) -> Option<&mut Prepared<'a>> {
        self.resources[resource].as_mut()
    }

    /// The pool as quotas bound it.
    fn to_be_bound(&self, resource: Resource) -> Option<BoundPool<'a>> {
        let prepared = self.resources[resource].as_ref()?;
        Some(BoundPool {
            members: self.members.clone(),
            movable: prepared.input.movable().collect(),
            claims: prepared.claims.clone(),
            bound: None,
        })
    }

    /// What the pool has of a resource on nodes. `tree` is the name of the tree that it is in.
    fn parts(&self, resource: Resource, tree: Option<&str>) -> Vec<(&'a str, Part)> {
        let Some(prepared) = &self.resources[resource] else { return Vec::new() };
        let observes = self.observes();
        let mut presences = Vec::new();
        let nodes = &prepared.input.nodes;
        prepared.claims.presences(nodes.len(), &prepared.division, &mut presences);
        let tree = || tree.map(str::to_owned);
        let part = |presence| Part { observes, tree: tree(), presence, ..Part::default() };
        let mut parts: Vec<(&str, Part)> =
            nodes.iter().copied().zip(presences.into_iter().map(part)).collect();
        let mut shares = prepared.division.pods.iter();
        for (pod, claim) in prepared.input.movable().zip(&prepared.claims.pods) {
            // There are none where the pool is too small.
            let fair = shares.next().map(|share| share.fair);
            if let Some((_, part)) = claim.node.and_then(|node| parts.get_mut(node as usize)) {
                part.add(pod, claim, fair, resource);
            }
        }
        for (node, pod) in
            self.members.leaving.iter().filter_map(|it| Some((&**it.node.as_ref()?, it)))
        {
            let place =
                parts.binary_search_by_key(&node, |(node, _)| node).unwrap_or_else(|place| {
                    parts.insert(place, (node, part(None)));
                    place
                });
            let (_, part) = &mut parts[place];
            part.leaving = part.leaving.saturating_add(pod.charge(resource));
        }
        parts
    }
}

impl Part {
    /// Adds a pod that can be resized, which owns `fair` if nodes set no limit.
    fn add(&mut self, pod: &Pod, claim: &PodClaim, fair: Option<u64>, resource: Resource) {
        let charge = pod.charge(resource);
        self.charged = self.charged.saturating_add(charge);
        let stake = fair.map(|fair| claim.stake(fair));
        let least = stake.map_or(charge, |stake| stake.max(claim.floor));
        self.least = self.least.saturating_add(least);
        let bound_at = pod.binding.and_then(|binding| binding.at);
        self.stakes.extend(stake.map(|amount| Stake { bound_at, amount }));
    }
}

/// The trees that are being divided.
pub type Trees = BTreeMap<TreeIndex, DividingTree>;

/// Works out what the members and pods of these pools own, if nodes set no limit, and notes what they have on nodes. Returns the
/// other pools to which their tree now gives a different amount. A tree that is not among `trees` is divided as a whole, and so is one in
/// which a quota binds a pool: all its pools come in one wave.
pub fn own<'a>(
    view: &View<'a>,
    pools: &mut Pools<'a>,
    trees: &mut Trees,
    wave: &BTreeSet<PoolId>,
    rooms: &mut NodeRooms,
    dividers: &mut Dividers,
) -> BTreeSet<PoolId> {
    let in_wave: BTreeSet<TreeIndex> =
        wave.iter().filter_map(|id| Some(view.forest.place(id)?.tree)).collect();
    for &tree in &in_wave {
        tree_division::own(view, tree, trees.entry(tree).or_default(), pools, dividers);
    }
    for resource in Resource::ALL {
        bind(view, pools, wave, resource);
    }
    let mut moved = BTreeSet::new();
    for &tree in &in_wave {
        let dividing = trees.entry(tree).or_default();
        // What a quota keeps from a pool, the others of its tree can have.
        if view.forest.tree(tree).is_some_and(|it| it.pools().any(|(_, id)| is_bound(pools, id))) {
            tree_division::own(view, tree, dividing, pools, dividers);
        }
        moved.extend(tree_division::moved(view, tree, dividing, pools));
    }
    for id in wave {
        let Some(pool) = pools.get_mut(id) else { continue };
        let place = view.forest.place(id);
        let tree = place.and_then(|place| view.forest.tree(place.tree)).map(|tree| &*tree.name);
        for resource in Resource::ALL {
            if let Some(prepared) = &mut pool.resources[resource]
                && place.is_none()
            {
                dividers.pools.own(&prepared.claims, &mut prepared.division);
            }
            rooms.set(id, resource, pool.parts(resource, tree));
        }
    }
    moved
}

/// Whether a quota lowered the capacity of a pool.
fn is_bound(pools: &Pools, id: &PoolId) -> bool {
    let bound = |it: &Prepared| it.bound.is_some();
    pools.get(id).is_some_and(|pool| {
        Resource::ALL.iter().any(|&resource| pool.prepared(resource).is_some_and(bound))
    })
}

/// Lowers the capacities of pools to what the quotas of their namespaces leave them. Where there are quotas, all pools of a
/// namespace come in one wave.
fn bind<'a>(view: &View<'a>, pools: &mut Pools<'a>, wave: &BTreeSet<PoolId>, resource: Resource) {
    let namespaces: BTreeSet<&str> = wave.iter().map(|id| &*id.namespace).collect();
    for name in namespaces {
        let Some(namespace) = view.cluster.namespace(name) else { continue };
        if namespace.quotas_of_others().next().is_none() {
            continue;
        }
        let there: Vec<&PoolId> = wave.iter().filter(|id| id.namespace == name).collect();
        // Pools that observe are worked out as if they were carried out; the others take no notice of them.
        let mut bound = Vec::new();
        for observes in [false, true] {
            let among = |pool: &&Dividing| observes || !pool.observes();
            let pools = there.iter().filter_map(|id| pools.get(id)).filter(among);
            let mut together: Vec<BoundPool> =
                pools.filter_map(|pool| pool.to_be_bound(resource)).collect();
            quotas::bound(view, namespace, resource, &mut together);
            let is_one =
                |it: &BoundPool| (it.members.object.spec.mode == Mode::Observe) == observes;
            bound.extend(together.into_iter().filter(is_one));
        }
        for BoundPool { members, claims, bound, .. } in bound {
            let pool = pools.get_mut(members.id).and_then(|pool| pool.resources[resource].as_mut());
            if let Some(prepared) = pool {
                (prepared.claims, prepared.bound) = (claims, bound);
            }
        }
    }
}

/// Fits what the pools of trees own to the rooms of their nodes, and lends what lies idle in each tree. `together`: pools that are
/// divided, in groups ([`Forest::together`](super::forest::Forest::together)). Returns the other pools of these trees in which
/// some pod gets a different share.
pub fn lend_in_trees<'a>(
    view: &View<'a>,
    together: &[Vec<PoolId>],
    pools: &mut Pools<'a>,
    trees: &mut Trees,
    rooms: &NodeRooms,
    dividers: &mut Dividers,
) -> BTreeSet<PoolId> {
    let mut others = BTreeSet::new();
    for place in together.iter().filter_map(|group| view.forest.place(group.first()?)) {
        if let Some(dividing) = trees.get_mut(&place.tree) {
            let changed = tree_division::lend(view, place.tree, dividing, pools, rooms, dividers);
            others.extend(changed);
        }
    }
    others
}

/// Fits what pools own to the rooms of their nodes, and lends what lies idle, where no tree has done so
/// ([`lend_in_trees`]). Returns what that comes to, in the order of `together`.
pub fn share<'a>(
    view: &View<'a>,
    together: &[PoolId],
    pools: &mut Pools<'a>,
    rooms: &NodeRooms,
    dividers: &mut Dividers,
) -> Vec<Shares<'a>> {
    let of_pool = |id: &PoolId| {
        let Some(pool) = pools.get_mut(id) else { return Shares::default() };
        PerResource::from_fn(|resource| {
            let Prepared { input, claims, mut division, bound } =
                pool.resources[resource].take()?;
            if view.forest.place(id).is_none() {
                let rooms = rooms.rooms(id, resource, &input.nodes);
                dividers.pools.fit(&claims, &rooms, &mut division);
                dividers.pools.share(&claims, &rooms, &mut division);
            }
            let quotas = quotas::rooms(view, &id.namespace, resource);
            Some(input.finish(&claims, &division, bound, quotas))
        })
    };
    together.iter().map(of_pool).collect()
}
