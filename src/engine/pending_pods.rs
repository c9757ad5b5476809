//! Room on nodes for pods that the scheduler finds none for.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{View, clock_watch::shifted};
use crate::{
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

/// The room on a node, in millicores and bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// What is free now.
    free: PerResource<u64>,
    /// What is left beside the stakes of the pods there.
    above_stakes: PerResource<u64>,
}

type Rooms<'a> = BTreeMap<&'a str, Room>;

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
    /// A pod that waits for CPU or memory gets a node that has enough room for it beside the stakes of the pods there
    /// (`above_stakes`). Of several it gets the one on which the least must be given back, relative to what the node can allocate.
    /// It keeps that node while it fits there. After five minutes the room is released for good.
    pub fn reserve(
        &mut self,
        view: &View,
        above_stakes: impl Fn(&str) -> Option<PerResource<u64>>,
    ) -> Reserved {
        self.0.retain(|uid, it| {
            let pod = view.cluster.pod(&it.namespace, &it.name);
            pod.is_some_and(|pod| pod.uid == *uid && pod.node.is_none())
        });
        let mut reserved = Reserved::new();
        let room = |name| {
            let free = view.cluster.free(name).unwrap_or_default();
            let above_stakes = above_stakes(name).unwrap_or_default();
            (name, Room { free, above_stakes })
        };
        let mut rooms: Rooms = view.cluster.nodes().map(|(name, _)| room(name)).collect();
        for pod in view.cluster.pending() {
            let known = self.0.get(&pod.uid);
            if known.is_some_and(|it| view.now.duration_since(it.since) >= PATIENCE) {
                continue;
            }
            let fits = |node: &&str| rooms.get(node).is_some_and(|room| room.holds(pod));
            let kept = known
                .map(|it| it.node.as_str())
                .filter(|node| suits(view, pod, node) && fits(node));
            let Some(node) = kept.or_else(|| cheapest(view, pod, &rooms)) else { continue };
            let node = node.to_owned();
            if let Some(room) = rooms.get_mut(node.as_str()) {
                let kept = reserved.entry(node.clone()).or_default();
                for resource in Resource::ALL {
                    let need = pod.charge(resource);
                    room.give(resource, need);
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
    /// Whether the pod fits beside the stakes.
    fn holds(&self, pod: &Pod) -> bool {
        Resource::ALL.into_iter().all(|it| pod.charge(it) <= self.above_stakes[it])
    }

    /// So much of it is for a pod that is to come.
    fn give(&mut self, resource: Resource, need: u64) {
        for room in [&mut self.free, &mut self.above_stakes] {
            room[resource] = room[resource].saturating_sub(need);
        }
    }
}

/// Whether the pod could run on a node, had that room.
fn suits(view: &View, pod: &Pod, name: &str) -> bool {
    let pending = pod.pending.as_ref().zip(view.cluster.node(name));
    pending.is_some_and(|(pending, node)| pending.may_run_on(name, &node.terms))
}

/// The node where the least is to be given back, ties by name.
fn cheapest<'a>(view: &View, pod: &Pod, rooms: &Rooms<'a>) -> Option<&'a str> {
    let part = |node: &str, room: &Room| {
        let all = view.cluster.node(node).map(|it| it.allocatable).unwrap_or_default();
        let part = |it| {
            let lack = pod.charge(it).saturating_sub(room.free[it]);
            u128::from(lack) * 1_000_000 / u128::from(all[it].max(1))
        };
        part(Resource::Cpu) + part(Resource::Memory)
    };
    let able = rooms.iter().filter(|(node, room)| room.holds(pod) && suits(view, pod, node));
    able.map(|(node, room)| (part(node, room), *node)).min().map(|(_, node)| node)
}
