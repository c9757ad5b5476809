//! The nodes, numbered, and what they hold. Pure.

use std::collections::BTreeMap;

use crate::{
    observe::{Pod, Snapshot},
    share::{Node, Resource},
};

/// The nodes, by name, those too that only pods name.
pub struct Nodes<'a> {
    names: Vec<&'a str>,
    places: BTreeMap<&'a str, u32>,
}

impl<'a> Nodes<'a> {
    /// The nodes of a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let known = snapshot.nodes.keys().map(String::as_str);
        let named = snapshot.pods.iter().filter_map(|pod| pod.node.as_deref());
        let mut places: BTreeMap<&str, u32> = known.chain(named).map(|name| (name, 0)).collect();
        places.values_mut().zip(0..).for_each(|(place, i)| *place = i);
        Self { names: places.keys().copied().collect(), places }
    }

    /// The place of the node that a pod is on.
    #[must_use]
    pub fn place(&self, pod: &Pod) -> Option<u32> {
        self.places.get(pod.node.as_deref()?).copied()
    }

    /// The name of the node at a place.
    #[must_use]
    pub fn name(&self, place: u32) -> Option<&'a str> {
        self.names.get(place as usize).copied()
    }

    /// What each node can allocate of a resource, and what pods are charged there, without those `aside`.
    pub fn rooms<'p>(
        &self,
        snapshot: &Snapshot,
        resource: Resource,
        aside: impl Iterator<Item = &'p Pod>,
    ) -> Vec<Node> {
        let room = |name: &&str| Node {
            allocatable: snapshot.nodes.get(*name).map(|node| node.allocatable[resource]),
            others: 0,
            wanted: snapshot.wanted.get(*name).map_or(0, |wanted| wanted[resource]),
        };
        let mut rooms: Vec<Node> = self.names.iter().map(room).collect();
        for pod in &snapshot.pods {
            if let Some(place) = self.place(pod) {
                let others = &mut rooms[place as usize].others;
                *others = others.saturating_add(pod.charge(resource));
            }
        }
        for pod in aside {
            if let Some(place) = self.place(pod) {
                let others = &mut rooms[place as usize].others;
                *others = others.saturating_sub(pod.charge(resource));
            }
        }
        rooms
    }
}
