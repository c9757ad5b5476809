//! Room on nodes for pods that the scheduler finds none for. Pure: the time is passed in.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    claim::floor,
    play::can_move,
    weigh::{Weighed, weigh},
    yielding::holding,
};
use crate::{
    api::Mode,
    observe::{Pod, Snapshot},
    share::{PerResource, Resource},
};

/// For how long room is kept for a pod that stays without a node: then something else is in its way.
const PATIENCE: SignedDuration = SignedDuration::from_secs(300);

/// The pods that room was made for, by UID, as long as they have no node.
#[derive(Debug, Default)]
pub struct Waits(BTreeMap<String, Wait>);

/// Room that was made for a pod.
#[derive(Debug)]
struct Wait {
    node: String,
    since: Timestamp,
}

/// What there is on a node.
#[derive(Debug, Default)]
struct Place {
    /// What is free.
    free: u64,
    /// What the pools' pods there can give back to a pod of their own: all above what they are to have at least.
    to_own: u64,
    /// What they can give back to any other: what they hold above their templates.
    to_others: u64,
}

type Places<'a> = BTreeMap<&'a str, PerResource<Place>>;

impl Waits {
    /// The room that the pools are to make, and to leave free, on each node.
    ///
    /// A pod that waits for CPU or memory gets a node where the least is to be given back for it, in parts of what the
    /// node can allocate. It keeps it as long as it would fit there. After five minutes the room is let go, for good.
    pub fn room(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> BTreeMap<String, PerResource<u64>> {
        let homeless: BTreeSet<&str> = snapshot
            .pods
            .iter()
            .filter(|pod| pod.node.is_none())
            .map(|pod| pod.uid.as_str())
            .collect();
        self.0.retain(|uid, _| homeless.contains(uid.as_str()));
        let mut waiting =
            snapshot.pods.iter().filter(|pod| pod.waits.is_some() && !pod.terminating);
        let mut room: BTreeMap<String, PerResource<u64>> = BTreeMap::new();
        let Some(first) = waiting.next() else { return room };

        let weighed = weigh(snapshot);
        let mut places = places(snapshot, &weighed);
        for pod in std::iter::once(first).chain(waiting) {
            let known = self.0.get(&pod.uid);
            if known.is_some_and(|wait| now.duration_since(wait.since) >= PATIENCE) {
                continue;
            }
            let own = weighed.iter().any(|pool| pool.members.iter().any(|it| it.has(pod)));
            let fits = |node: &&str| lack(pod, &places[*node], own).is_some();
            let kept = known.map(|wait| wait.node.as_str()).filter(|node| {
                places.contains_key(node) && suits(snapshot, pod, node) && fits(node)
            });
            let Some(node) = kept.or_else(|| cheapest(snapshot, pod, own, &places)) else {
                continue;
            };
            let node = node.to_owned();
            if let Some(place) = places.get_mut(node.as_str()) {
                let room = room.entry(node.clone()).or_default();
                for resource in Resource::ALL {
                    let (place, need) = (&mut place[resource], pod.charge(resource));
                    let gives = need.saturating_sub(place.free);
                    place.free = place.free.saturating_sub(need);
                    place.to_own = place.to_own.saturating_sub(gives);
                    place.to_others = place.to_others.saturating_sub(gives);
                    room[resource] = room[resource].saturating_add(need);
                }
            }
            let since = known.map_or(now, |wait| wait.since);
            self.0.insert(pod.uid.clone(), Wait { node, since });
        }
        room
    }
}

/// What is free on each node, and what the pools could give back there.
fn places<'a>(snapshot: &'a Snapshot, weighed: &[Weighed]) -> Places<'a> {
    let free = snapshot.free();
    let mut places: Places = snapshot
        .nodes
        .keys()
        .map(|name| {
            let place = |resource| Place { free: free[name][resource], ..Place::default() };
            (name.as_str(), PerResource::from_fn(place))
        })
        .collect();
    for pool in weighed.iter().filter(|it| it.pool.spec.mode == Mode::Auto) {
        let divided = PerResource::from_fn(|it| pool.pool.spec.capacity.get(it).is_some());
        for (resource, member) in Resource::ALL
            .into_iter()
            .filter(|it| divided[*it])
            .flat_map(|resource| pool.members.iter().map(move |member| (resource, member)))
        {
            let min = member.spec.min.get(resource).unwrap_or_default();
            let min = min.div_ceil(member.pods.len().max(1) as u64);
            for pod in &member.pods {
                let Some(place) = pod.node.as_deref().and_then(|node| places.get_mut(node)) else {
                    continue;
                };
                let (holding, _) = holding(snapshot, pod, member.spec, resource, divided);
                if !can_move(&holding) {
                    continue;
                }
                let charge = holding.charge();
                let least = floor(snapshot, member.spec, pod, &holding, resource).max(min);
                let workload = pod.owner.as_ref().and_then(|owner| snapshot.workloads.get(owner));
                let begun = workload.map_or(0, |workload| workload.charge[resource]);
                let place = &mut place[resource];
                place.to_own += charge.saturating_sub(least);
                place.to_others += charge.saturating_sub(least.max(begun));
            }
        }
    }
    places
}

/// What a pod lacks at a place, of each resource. None where that cannot be given back.
fn lack(pod: &Pod, place: &PerResource<Place>, own: bool) -> Option<PerResource<u64>> {
    let lack = PerResource::from_fn(|it| pod.charge(it).saturating_sub(place[it].free));
    let given = |it: Resource| lack[it] <= if own { place[it].to_own } else { place[it].to_others };
    Resource::ALL.into_iter().all(given).then_some(lack)
}

/// Whether the pod could run on a node, had that room.
fn suits(snapshot: &Snapshot, pod: &Pod, node: &str) -> bool {
    let waits = pod.waits.as_ref();
    let node = snapshot.nodes.get(node).map(|it| (node, it));
    waits.zip(node).is_some_and(|(waits, (name, node))| waits.may_run_on(name, &node.terms))
}

/// The node where the least is to be given back, ties by name.
fn cheapest<'a>(snapshot: &Snapshot, pod: &Pod, own: bool, places: &Places<'a>) -> Option<&'a str> {
    let part = |node: &str, lack: PerResource<u64>| {
        let all = snapshot.nodes.get(node).map(|it| it.allocatable).unwrap_or_default();
        let part = |it| u128::from(lack[it]) * 1_000_000 / u128::from(all[it].max(1));
        part(Resource::Cpu) + part(Resource::Memory)
    };
    let able = places.iter().filter(|(node, _)| suits(snapshot, pod, node));
    able.filter_map(|(node, place)| Some((part(node, lack(pod, place, own)?), *node)))
        .min()
        .map(|(_, node)| node)
}
