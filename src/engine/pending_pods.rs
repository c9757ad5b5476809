//! Room on nodes for pods that the scheduler finds none for.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    View, clock_watch::shifted, division_input::floor, exclusions::holding,
    pool_members::PoolMembers, ranges::can_move,
};
use crate::{
    api::Mode,
    cluster::{Cluster, Pod},
    share::{PerResource, Resource},
};

/// For how long room is kept for a pod that stays without a node: then something else is in its way.
const PATIENCE: SignedDuration = SignedDuration::from_secs(300);

/// Room that is kept free on nodes, by name, in millicores and bytes.
pub type Reserved = BTreeMap<String, PerResource<u64>>;

/// The pods that room was made for, by UID, as long as they have no node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PendingPods(BTreeMap<String, Reservation>);

/// Room that was made for a pod.
#[derive(Clone, Debug, PartialEq)]
struct Reservation {
    namespace: String,
    name: String,
    node: String,
    since: Timestamp,
}

/// What there is on a node.
#[derive(Debug, Default)]
struct Room {
    /// What is free.
    free: u64,
    /// What the pools' pods there can give back to a pod of their own: all above what they are to have at least.
    to_own: u64,
    /// What they can give back to any other: what they hold above their templates.
    to_others: u64,
}

type Rooms<'a> = BTreeMap<&'a str, PerResource<Room>>;

impl PendingPods {
    /// Whether no pod waits for room, and none did.
    #[must_use]
    pub fn is_idle(&self, cluster: &Cluster) -> bool {
        self.0.is_empty() && cluster.pending().next().is_none()
    }

    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|it| it.since = shifted(it.since, by));
    }

    /// When room is let go next that was kept for a pod in vain.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.0.values().map(|it| it.since + PATIENCE);
        until.filter(|until| *until > now).min()
    }

    /// The room that the pools are to make, and to leave free, on each node.
    ///
    /// A pod that waits for CPU or memory gets a node where the least is to be given back for it, in parts of what the
    /// node can allocate. It keeps it as long as it would fit there. After five minutes the room is let go, for good.
    pub fn reserve(&mut self, view: &View, pools: &[PoolMembers]) -> Reserved {
        self.0.retain(|uid, it| {
            let pod = view.cluster.pod(&it.namespace, &it.name);
            pod.is_some_and(|pod| pod.uid == *uid && pod.node.is_none())
        });
        let mut reserved = Reserved::new();
        let mut rooms = rooms(view, pools);
        for pod in view.cluster.pending() {
            let known = self.0.get(&pod.uid);
            if known.is_some_and(|it| view.now.duration_since(it.since) >= PATIENCE) {
                continue;
            }
            let is_own = |own: &Pod| own.uid == pod.uid;
            let own = pools.iter().any(|pool| pool.pods().any(is_own));
            let fits = |node: &&str| lack(pod, &rooms[*node], own).is_some();
            let kept = known
                .map(|it| it.node.as_str())
                .filter(|node| rooms.contains_key(node) && suits(view, pod, node) && fits(node));
            let Some(node) = kept.or_else(|| cheapest(view, pod, own, &rooms)) else { continue };
            let node = node.to_owned();
            if let Some(room) = rooms.get_mut(node.as_str()) {
                let kept = reserved.entry(node.clone()).or_default();
                for resource in Resource::ALL {
                    let need = pod.charge(resource);
                    room[resource].give(need);
                    kept[resource] = kept[resource].saturating_add(need);
                }
            }
            let reservation = Reservation {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                node,
                since: known.map_or(view.now, |it| it.since),
            };
            self.0.insert(pod.uid.clone(), reservation);
        }
        reserved
    }
}

impl Room {
    /// So much of it is for a pod that is to come.
    fn give(&mut self, need: u64) {
        let gives = need.saturating_sub(self.free);
        self.free = self.free.saturating_sub(need);
        self.to_own = self.to_own.saturating_sub(gives);
        self.to_others = self.to_others.saturating_sub(gives);
    }
}

/// What is free on each node, and what the pools could give back there.
fn rooms<'a>(view: &View<'a>, pools: &[PoolMembers]) -> Rooms<'a> {
    let mut rooms: Rooms = view
        .cluster
        .nodes()
        .map(|(name, _)| {
            let free = view.cluster.free(name).unwrap_or_default();
            (name, PerResource::from_fn(|it| Room { free: free[it], ..Room::default() }))
        })
        .collect();
    for pool in pools.iter().filter(|it| it.object.spec.mode == Mode::Auto) {
        let divided = PerResource::from_fn(|it| pool.object.spec.capacity.get(it).is_some());
        for resource in Resource::ALL.into_iter().filter(|it| divided[*it]) {
            add_what_is_given_back(view, pool, resource, divided, &mut rooms);
        }
    }
    rooms
}

/// Adds what the pods of a pool can give back of a resource.
fn add_what_is_given_back(
    view: &View,
    pool: &PoolMembers,
    resource: Resource,
    divided: PerResource<bool>,
    rooms: &mut Rooms,
) {
    for member in &pool.members {
        let min = member.spec.min.get(resource).unwrap_or_default();
        let min = min.div_ceil(member.pods.len().max(1) as u64);
        for it in &member.pods {
            let pod = it.pod;
            let Some(room) = pod.node.as_deref().and_then(|node| rooms.get_mut(node)) else {
                continue;
            };
            let (holding, _) = holding(view, it, member.spec, resource, divided);
            if !can_move(&holding) {
                continue;
            }
            let charge = holding.charge();
            let least = floor(member.spec, it, &holding, resource).max(min);
            let begun = view.cluster.began_with(pod, resource);
            let room = &mut room[resource];
            room.to_own += charge.saturating_sub(least);
            room.to_others += charge.saturating_sub(least.max(begun));
        }
    }
}

/// What a pod lacks on a node, of each resource. None where that cannot be given back.
fn lack(pod: &Pod, room: &PerResource<Room>, own: bool) -> Option<PerResource<u64>> {
    let lack = PerResource::from_fn(|it| pod.charge(it).saturating_sub(room[it].free));
    let given = |it: Resource| lack[it] <= if own { room[it].to_own } else { room[it].to_others };
    Resource::ALL.into_iter().all(given).then_some(lack)
}

/// Whether the pod could run on a node, had that room.
fn suits(view: &View, pod: &Pod, name: &str) -> bool {
    let pending = pod.pending.as_ref().zip(view.cluster.node(name));
    pending.is_some_and(|(pending, node)| pending.may_run_on(name, &node.terms))
}

/// The node where the least is to be given back, ties by name.
fn cheapest<'a>(view: &View, pod: &Pod, own: bool, rooms: &Rooms<'a>) -> Option<&'a str> {
    let part = |node: &str, lack: PerResource<u64>| {
        let all = view.cluster.node(node).map(|it| it.allocatable).unwrap_or_default();
        let part = |it| u128::from(lack[it]) * 1_000_000 / u128::from(all[it].max(1));
        part(Resource::Cpu) + part(Resource::Memory)
    };
    let able = rooms.iter().filter(|(node, _)| suits(view, pod, node));
    able.filter_map(|(node, room)| Some((part(node, lack(pod, room, own)?), *node)))
        .min()
        .map(|(_, node)| node)
}
