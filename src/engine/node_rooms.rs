//! What pools have on nodes, and what each node holds for each of them. A change on a node reaches the pools that have pods
//! there, and no further.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;

use super::View;
use crate::{
    cluster::PoolId,
    share::{Divider, Node, PerResource, Presence, Resource, Room},
};

/// The nodes on which pools have pods.
#[derive(Debug, Default)]
pub struct NodeRooms {
    nodes: BTreeMap<String, PerResource<Shared>>,
    /// What each pool has, by node.
    pools: BTreeMap<PoolId, PerResource<OnNodes>>,
    touched: BTreeSet<(String, Resource)>,
}

/// What one pool has of a resource, by node.
type OnNodes = Vec<OnNode>;

/// What one pool has of a resource on one node, and what the node holds for it.
#[derive(Debug)]
struct OnNode {
    node: String,
    part: Arc<Part>,
    room: Room,
}

/// What one pool has of a resource on one node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// The pool only observes: the others take no notice of it.
    pub observes: bool,
    /// The name of the tree that the pool is in.
    pub tree: Option<String>,
    /// What its pods would own there, if nodes set no limit. None: the pool is too small to be divided.
    pub presence: Option<Presence>,
    /// The stake of each of its pods there.
    pub stakes: Vec<Stake>,
    /// The sum of the stakes of its pods there, or of their floors where these are larger. If the pool is too small to be divided,
    /// their charges.
    pub least: u64,
    /// What its pods that can be resized are charged there.
    pub charged: u64,
    /// What those are charged there that are being deleted.
    pub leaving: u64,
}

/// What other pools cannot take from a pod: its charge when it was bound, or what it owns without node limits if that is less.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stake {
    /// When the pod was bound to the node. None: not known.
    pub bound_at: Option<Timestamp>,
    /// In units of the resource.
    pub amount: u64,
}

/// One resource of a node that pools share.
#[derive(Clone, Debug, Default)]
struct Shared {
    parts: BTreeMap<PoolId, Arc<Part>>,
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
    /// The sum of `Part::least`.
    least: u128,
}

impl NodeRooms {
    /// Sets what a pool has of a resource on nodes, in the order of their names.
    pub fn set(&mut self, pool: &PoolId, resource: Resource, parts: Vec<(&str, Part)>) {
        let known = &mut self.pools.entry(pool.clone()).or_default()[resource];
        let before = known.iter().map(|it| (&*it.node, &*it.part));
        if before.eq(parts.iter().map(|(node, part)| (*node, part))) {
            return;
        }
        let parts: Vec<(String, Arc<Part>)> =
            parts.into_iter().map(|(node, part)| (node.to_owned(), Arc::new(part))).collect();
        let on_nodes = parts.iter().map(|(node, part)| OnNode {
            node: node.clone(),
            part: part.clone(),
            room: room_on(known, node),
        });
        let on_nodes = on_nodes.collect();
        let before = std::mem::replace(known, on_nodes);
        let stays = |node: &String| parts.binary_search_by_key(&node, |(node, _)| node).is_ok();
        for OnNode { node, .. } in before.iter().filter(|it| !stays(&it.node)) {
            self.remove_part(pool, node, resource);
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
            known[resource].iter().for_each(|it| self.remove_part(pool, &it.node, resource));
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
                node[resource].settle(
                    view,
                    &name,
                    resource,
                    divider,
                    &mut self.pools,
                    &mut changed,
                );
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
        let known = self.pools.get(pool).map(|known| known[resource].as_slice());
        let known = known.unwrap_or_default();
        nodes.iter().map(|node| room_on(known, node)).collect()
    }

    /// What a node holds for a pool.
    #[must_use]
    pub fn room(&self, pool: &PoolId, resource: Resource, node: &str) -> Room {
        let known = self.pools.get(pool).map(|known| known[resource].as_slice());
        room_on(known.unwrap_or_default(), node)
    }

    /// The room on a node that pending pods can have, in millicores and bytes: what it can allocate, less the charges of pods that
    /// cannot be resized, less the stakes and floors of the others. None: the node was not seen.
    #[must_use]
    pub fn above_stakes(&self, view: &View, node: &str) -> Option<PerResource<u64>> {
        let allocatable = view.cluster.node(node)?.allocatable;
        let charged = view.cluster.charged(node);
        let shared = self.nodes.get(node);
        Some(PerResource::from_fn(|resource| {
            let own = shared.map(|it| it[resource].acting).unwrap_or_default();
            let kept = charged[resource].saturating_sub(own.charged) + own.least;
            allocatable[resource].saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX))
        }))
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
    fn put(&mut self, pool: &PoolId, part: Arc<Part>) -> bool {
        let before = self.parts.get(pool);
        if before == Some(&part) {
            return false;
        }
        let owns = |it: &Arc<Part>| {
            it.observes == part.observes && it.tree == part.tree && it.presence == part.presence
        };
        if !before.is_some_and(|it| owns(it) && it.stakes == part.stakes) {
            self.seen = None;
        }
        self.charges(&part).add(&part);
        let before = self.parts.insert(pool.clone(), part);
        before.iter().for_each(|part| self.charges(part).remove(part));
        true
    }

    fn remove(&mut self, pool: &PoolId) {
        if let Some(part) = self.parts.remove(pool) {
            self.charges(&part).remove(&part);
            self.seen = None;
        }
    }

    /// Whether there are pods of pools of several namespaces, as pools in mode Auto see it, or with those in mode Observe.
    fn is_of_several_tenants(&self, observes: bool) -> bool {
        let seen = self.parts.iter().filter(|(_, part)| observes || !part.observes);
        let mut namespaces = seen.map(|(pool, _)| &pool.namespace);
        namespaces.next().is_some_and(|first| namespaces.any(|it| it != first))
    }

    fn charges(&mut self, part: &Part) -> &mut Charges {
        if part.observes { &mut self.observing } else { &mut self.acting }
    }

    /// The node as pools in mode Auto see it, who ignore the others, and as pools in mode Observe see it, who count all.
    ///
    /// Memory in use above the stakes could not be taken back for others, so where there are pods of others its growth is bounded.
    fn nodes(&self, view: &View, name: &str, resource: Resource) -> [Node; 2] {
        let Self { acting, observing, .. } = *self;
        let all = Charges {
            charged: acting.charged + observing.charged,
            leaving: acting.leaving + observing.leaving,
            least: acting.least + observing.least,
        };
        let grows = view.cluster.bounds().node_memory_grow_percent;
        [(acting, false), (all, true)].map(|(own, observes)| Node {
            above_stakes: Some(grows)
                .filter(|_| resource == Resource::Memory && self.is_of_several_tenants(observes)),
            ..node(view, name, resource, own)
        })
    }

    /// Recomputes the rooms of its pools if the node or a part has changed.
    fn settle(
        &mut self,
        view: &View,
        name: &str,
        resource: Resource,
        divider: &mut Divider,
        pools: &mut BTreeMap<PoolId, PerResource<OnNodes>>,
        changed: &mut BTreeSet<PoolId>,
    ) {
        let nodes = self.nodes(view, name, resource);
        if self.seen.replace(nodes) == Some(nodes) {
            return;
        }
        let mut rooms: BTreeMap<&PoolId, Room> = BTreeMap::new();
        for (observes, node) in [false, true].into_iter().zip(nodes) {
            // Pools that observe are worked out as if they were carried out; the others take no notice of them.
            let there: Vec<(&PoolId, &Part)> = self
                .parts
                .iter()
                .map(|(pool, part)| (pool, &**part))
                .filter(|(_, part)| observes || !part.observes)
                .collect();
            if observes && there.iter().all(|(_, part)| !part.observes) {
                continue;
            }
            let is_divided = |(_, part): &(&PoolId, &Part)| part.presence.is_some();
            let present: Vec<(&PoolId, &Part)> = there.into_iter().filter(is_divided).collect();
            let mut presences = presences(&present);
            fit_stakes(&node, &present, &mut presences);
            let mut split = Vec::new();
            divider.rooms(&node, &presences, &mut split);
            for ((id, part), room) in present.into_iter().zip(split) {
                if part.observes == observes {
                    rooms.insert(id, room);
                }
            }
        }
        for pool in self.parts.keys() {
            let room = rooms.get(pool).copied().unwrap_or_default();
            let known = pools.get_mut(pool).map(|it| it[resource].as_mut_slice());
            let known = known.unwrap_or_default();
            if let Ok(index) = index_of(known, name)
                && known[index].room != room
            {
                known[index].room = room;
                changed.insert(pool.clone());
            }
        }
    }
}

/// Where a node is among those of a pool.
fn index_of(known: &[OnNode], node: &str) -> Result<usize, usize> {
    known.binary_search_by(|it| it.node.as_str().cmp(node))
}

fn room_on(known: &[OnNode], node: &str) -> Room {
    index_of(known, node).map(|index| known[index].room).unwrap_or_default()
}

impl Charges {
    fn add(&mut self, part: &Part) {
        self.charged += u128::from(part.charged);
        self.leaving += u128::from(part.leaving);
        self.least += u128::from(part.least);
    }

    fn remove(&mut self, part: &Part) {
        self.charged -= u128::from(part.charged);
        self.leaving -= u128::from(part.leaving);
        self.least -= u128::from(part.least);
    }
}

/// What pools have on the node, with their trees by number.
fn presences(parts: &[(&PoolId, &Part)]) -> Vec<Presence> {
    let trees: BTreeSet<&str> = parts.iter().filter_map(|(_, part)| part.tree.as_deref()).collect();
    let number = |tree: &str| u32::try_from(trees.range(..tree).count()).unwrap_or(u32::MAX);
    let with_tree = |(_, part): &(&PoolId, &Part)| {
        let tree = part.tree.as_deref().map(number);
        Some(Presence { tree, ..part.presence? })
    };
    parts.iter().filter_map(with_tree).collect()
}

/// Cuts stakes that exceed the node: the pods that were bound first keep theirs. A pod that fitted only because others had given up
/// room has none.
fn fit_stakes(node: &Node, parts: &[(&PoolId, &Part)], presences: &mut [Presence]) {
    let mut left = node.whole();
    if presences.iter().map(|it| it.stake).fold(0, u64::saturating_add) <= left {
        return;
    }
    let of_pool = |(pool, (_, part))| {
        let part: &Part = part;
        part.stakes.iter().map(move |stake| (stake.bound_at, pool, stake.amount))
    };
    let mut stakes: Vec<(Option<Timestamp>, usize, u64)> =
        parts.iter().copied().enumerate().flat_map(of_pool).collect();
    // Of pods that were bound within the same second those of the oldest pool come first.
    stakes.sort_by_key(|&(bound_at, pool, _)| (bound_at, pool));
    presences.iter_mut().for_each(|it| it.stake = 0);
    for (_, pool, amount) in stakes {
        let fits = amount.min(left);
        left -= fits;
        presences[pool].stake += fits;
    }
}

/// The node as seen by pools whose own pods are charged `own` there.
fn node(view: &View, name: &str, resource: Resource, own: Charges) -> Node {
    let reserved = view.reserved.get(name).map_or(0, |it| it[resource]);
    // What moves, or is about to be gone, is in the way only of pods that wait for room there.
    let leaving = if view.reserved.contains_key(name) { 0 } else { own.leaving };
    let own = own.charged + leaving;
    let others = view.cluster.charged(name)[resource].saturating_sub(own);
    Node {
        allocatable: view.cluster.node(name).map(|node| node.allocatable[resource]),
        others: u64::try_from(others).unwrap_or(u64::MAX),
        reserved,
        above_stakes: None,
    }
}
