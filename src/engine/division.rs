//! The division of the pools for which something may have changed, and of those that a node ties to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    View,
    division_input::DivisionInput,
    node_rooms::{NodeRooms, Part, Stake},
    pool_members::PoolMembers,
    quotas::{self, BoundPool, QuotaBound},
    shares::Shares,
    stabilize,
};
use crate::{
    api::Mode,
    cluster::{Pod, PoolId},
    share::{Divider, Division, PerResource, PodClaim, Pool, Resource},
};

/// One resource of a pool that is being divided.
#[derive(Debug)]
pub struct Prepared<'a> {
    input: DivisionInput<'a>,
    claims: Pool,
    division: Division,
    bound: Option<QuotaBound<'a>>,
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
    pub fn new(view: &View<'a>, members: PoolMembers<'a>, grants: &stabilize::Memory) -> Self {
        let members = Rc::new(members);
        let resources = PerResource::from_fn(|resource| {
            members.object.spec.capacity.get(resource)?;
            let (input, claims) = DivisionInput::new(view, &members, resource, grants);
            Some(Prepared { input, claims, division: Division::default(), bound: None })
        });
        Self { members, resources }
    }

    fn observes(&self) -> bool {
        self.members.object.spec.mode == Mode::Observe
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

    /// What the pool has of a resource on nodes.
    fn parts(&self, resource: Resource) -> Vec<(&'a str, Part)> {
        let Some(prepared) = &self.resources[resource] else { return Vec::new() };
        let observes = self.observes();
        let mut presences = Vec::new();
        let nodes = &prepared.input.nodes;
        prepared.claims.presences(nodes.len(), &prepared.division, &mut presences);
        let part = |presence| Part { observes, presence, ..Part::default() };
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

/// Works out what the members and pods of these pools own, if nodes set no limit, and notes what they have on nodes.
pub fn own<'a>(
    view: &View<'a>,
    pools: &mut BTreeMap<PoolId, Dividing<'a>>,
    wave: &BTreeSet<PoolId>,
    rooms: &mut NodeRooms,
    divider: &mut Divider,
) {
    for resource in Resource::ALL {
        bind(view, pools, wave, resource);
    }
    for id in wave {
        let Some(pool) = pools.get_mut(id) else { continue };
        for resource in Resource::ALL {
            if let Some(prepared) = &mut pool.resources[resource] {
                divider.own(&prepared.claims, &mut prepared.division);
            }
            rooms.set(id, resource, pool.parts(resource));
        }
    }
}

/// Lowers the capacities of pools to what the quotas of their namespaces leave them. Where there are quotas, all pools of a
/// namespace come in one wave.
fn bind<'a>(
    view: &View<'a>,
    pools: &mut BTreeMap<PoolId, Dividing<'a>>,
    wave: &BTreeSet<PoolId>,
    resource: Resource,
) {
    let namespaces: BTreeSet<&str> = wave.iter().map(|id| &*id.namespace).collect();
    for name in namespaces {
        let Some(namespace) = view.cluster.namespace(name) else { continue };
        if namespace.quotas().next().is_none() {
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

/// Fits what a pool owns to the rooms of its nodes, and lends what lies idle.
pub fn share<'a>(
    view: &View<'a>,
    id: &PoolId,
    pool: &mut Dividing<'a>,
    rooms: &NodeRooms,
    divider: &mut Divider,
) -> Shares<'a> {
    PerResource::from_fn(|resource| {
        let Prepared { input, claims, mut division, bound } = pool.resources[resource].take()?;
        let rooms = rooms.rooms(id, resource, &input.nodes);
        divider.fit(&claims, &rooms, &mut division);
        divider.share(&claims, &rooms, &mut division);
        let quotas = quotas::rooms(view, &id.namespace, resource);
        Some(input.finish(&claims, &division, bound, quotas))
    })
}
