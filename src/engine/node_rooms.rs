//! What pools have on nodes, and what each node holds for each of them. A change on a node reaches the pools that have pods
//! there, and no further.

use std::collections::{BTreeMap, BTreeSet};

use super::View;
use crate::{
    cluster::PoolId,
    share::{Divider, Node, PerResource, Presence, Resource, Room},
};

/// The nodes on which pools have pods.
#[derive(Debug, Default)]
pub struct NodeRooms {
    nodes: BTreeMap<String, PerResource<Shared>>,
    /// The nodes of each pool.
    pools: BTreeMap<PoolId, PerResource<Vec<String>>>,
    touched: BTreeSet<(String, Resource)>,
}

/// What one pool has of a resource on one node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// The pool only observes: the others take no notice of it.
    pub observes: bool,
    /// What its pods would own there, if nodes set no limit. None: the pool is too small to be divided.
    pub presence: Option<Presence>,
    /// What its pods that can be resized are charged there.
    pub charged: u64,
    /// What those are charged there that are being deleted.
    pub leaving: u64,
}

/// One resource of a node that pools share.
#[derive(Clone, Debug, Default)]
struct Shared {
    parts: BTreeMap<PoolId, Part>,
    rooms: BTreeMap<PoolId, Room>,
    /// The charges of all pools in mode Auto, and of all in mode Observe.
    acting: Charges,
    observing: Charges,
    /// The node at the last `settle`, as pools in mode Auto and as pools in mode Observe see it. None: what some pool owns there
    /// has changed since.
    seen: Option<[Node; 2]>,
}

/// The charges of pools' pods on a node, in units of the resource.
#[derive(Clone, Copy, Debug, Default)]
struct Charges {
    /// Of pods that can be resized.
    charged: u128,
    /// Of pods that are being deleted.
    leaving: u128,
}

impl NodeRooms {
    /// Sets what a pool has of a resource on nodes, by name.
    pub fn set(&mut self, pool: &PoolId, resource: Resource, parts: BTreeMap<String, Part>) {
        let known = self.pools.entry(pool.clone()).or_default();
        let before = std::mem::take(&mut known[resource]);
        known[resource] = parts.keys().cloned().collect();
        for node in before.into_iter().filter(|node| !parts.contains_key(node)) {
            self.remove_part(pool, &node, resource);
        }
        for (node, part) in parts {
            let shared = &mut self.nodes.entry(node.clone()).or_default()[resource];
            if shared.put(pool, part) {
                self.touched.insert((node, resource));
            }
        }
    }

    /// Forgets a pool.
    pub fn remove(&mut self, pool: &PoolId) {
        let Some(known) = self.pools.remove(pool) else { return };
        for resource in Resource::ALL {
            known[resource].iter().for_each(|node| self.remove_part(pool, node, resource));
        }
    }

    /// Something may have changed on a node: what it can allocate, what is charged there, or what is reserved.
    pub fn touch(&mut self, node: &str) {
        if self.nodes.contains_key(node) {
            self.touched.extend(Resource::ALL.map(|resource| (node.to_owned(), resource)));
        }
    }

    /// Works out anew what the nodes hold that were touched. Returns the pools for which that changed.
    pub fn settle(&mut self, view: &View, divider: &mut Divider) -> BTreeSet<PoolId> {
        let mut changed = BTreeSet::new();
        for (name, resource) in std::mem::take(&mut self.touched) {
            if let Some(node) = self.nodes.get_mut(&name) {
                node[resource].settle(view, &name, resource, divider, &mut changed);
            }
            if self
                .nodes
                .get(&name)
                .is_some_and(|it| Resource::ALL.iter().all(|&r| it[r].parts.is_empty()))
            {
                self.nodes.remove(&name);
            }
        }
        changed
    }

    /// What each of these nodes holds for a pool.
    #[must_use]
    pub fn rooms(&self, pool: &PoolId, resource: Resource, nodes: &[&str]) -> Vec<Room> {
        let room = |node: &&str| self.nodes.get(*node)?[resource].rooms.get(pool).copied();
        nodes.iter().map(|node| room(node).unwrap_or_default()).collect()
    }

    /// The pools that have pods on a node.
    pub fn pools_on(&self, node: &str) -> impl Iterator<Item = &PoolId> {
        let of = move |resource| self.nodes.get(node).map(|it| it[resource].parts.keys());
        Resource::ALL.into_iter().filter_map(of).flatten()
    }

    fn remove_part(&mut self, pool: &PoolId, node: &str, resource: Resource) {
        if let Some(shared) = self.nodes.get_mut(node) {
            shared[resource].remove(pool);
            self.touched.insert((node.to_owned(), resource));
        }
    }
}

impl Shared {
    /// Sets the part of a pool. Returns whether it differs from before.
    fn put(&mut self, pool: &PoolId, part: Part) -> bool {
        let before = self.parts.insert(pool.clone(), part);
        if before == Some(part) {
            return false;
        }
        let owns = |part: Part| (part.observes, part.presence);
        if before.map(owns) != Some(owns(part)) {
            self.seen = None;
        }
        before.iter().for_each(|part| self.charges(part).remove(part));
        self.charges(&part).add(&part);
        true
    }

    fn remove(&mut self, pool: &PoolId) {
        if let Some(part) = self.parts.remove(pool) {
            self.charges(&part).remove(&part);
            self.seen = None;
        }
        self.rooms.remove(pool);
    }

    fn charges(&mut self, part: &Part) -> &mut Charges {
        if part.observes { &mut self.observing } else { &mut self.acting }
    }

    /// The node as pools in mode Auto see it, who ignore the others, and as pools in mode Observe see it, who count all.
    fn nodes(&self, view: &View, name: &str, resource: Resource) -> [Node; 2] {
        let Self { acting, observing, .. } = *self;
        let all = Charges {
            charged: acting.charged + observing.charged,
            leaving: acting.leaving + observing.leaving,
        };
        [acting, all].map(|own| node(view, name, resource, own))
    }

    /// Recomputes the rooms of its pools if the node or a part has changed.
    fn settle(
        &mut self,
        view: &View,
        name: &str,
        resource: Resource,
        divider: &mut Divider,
        changed: &mut BTreeSet<PoolId>,
    ) {
        let nodes = self.nodes(view, name, resource);
        if self.seen.replace(nodes) == Some(nodes) {
            return;
        }
        let mut rooms = BTreeMap::new();
        for (observes, node) in [false, true].into_iter().zip(nodes) {
            // Pools that observe are worked out as if they were carried out; the others take no notice of them.
            let there: Vec<(&PoolId, &Part)> =
                self.parts.iter().filter(|(_, part)| observes || !part.observes).collect();
            if observes && there.iter().all(|(_, part)| !part.observes) {
                continue;
            }
            let present = there.iter().filter_map(|(id, part)| Some((*id, *part, part.presence?)));
            let present: Vec<(&PoolId, &Part, Presence)> = present.collect();
            let presences: Vec<Presence> = present.iter().map(|(.., it)| *it).collect();
            let mut split = Vec::new();
            divider.rooms(&node, &presences, &mut split);
            for ((id, part, _), room) in present.into_iter().zip(split) {
                if part.observes == observes {
                    rooms.insert(id.clone(), room);
                }
            }
        }
        let before = std::mem::replace(&mut self.rooms, rooms);
        let pools = before.keys().chain(self.rooms.keys());
        let differs = |pool: &&PoolId| before.get(*pool) != self.rooms.get(*pool);
        changed.extend(pools.filter(differs).cloned());
    }
}

impl Charges {
    fn add(&mut self, part: &Part) {
        self.charged += u128::from(part.charged);
        self.leaving += u128::from(part.leaving);
    }

    fn remove(&mut self, part: &Part) {
        self.charged -= u128::from(part.charged);
        self.leaving -= u128::from(part.leaving);
    }
}

/// The node as seen by pools whose own pods are charged `own` there.
fn node(view: &View, name: &str, resource: Resource, own: Charges) -> Node {
    let reserved = view.reserved.get(name).map_or(0, |it| it[resource]);
    // What moves, or is about to be gone, is in nobody's way; but in that of pods that wait for room there.
    let leaving = if view.reserved.contains_key(name) { 0 } else { own.leaving };
    let own = own.charged + leaving;
    let others = view.cluster.charged(name)[resource].saturating_sub(own);
    Node {
        allocatable: view.cluster.node(name).map(|node| node.allocatable[resource]),
        others: u64::try_from(others).unwrap_or(u64::MAX),
        reserved,
    }
}
