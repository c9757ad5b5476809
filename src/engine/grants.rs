//! What pods were granted, as it is remembered from one decision to the next.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{View, clock_watch::shifted, remembered::Granted, shares::PodShare};
use crate::share::{Candidate, Direction, PerResource, Resource};

/// For how long a move is not undone.
const SETTLED: SignedDuration = SignedDuration::from_secs(300);

/// What was decided for a pool. It is lost with the process; then a pool that was settled is taken to hold what it was
/// granted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub(super) generation: Option<i64>,
    /// The versions of what the administrator of its tree wrote, by UID.
    pub(super) edition: Vec<(String, Option<i64>)>,
    /// The weights of the members beside each other.
    pub(super) weights: PerResource<Vec<u64>>,
    /// What there was to divide.
    pub(super) capacity: PerResource<u64>,
    /// The pods that were divided, by UID.
    pub(super) grants: PerResource<Grants>,
    /// Something was decided that the status does not say yet.
    pub(super) unreported: bool,
}

/// Grants of pods, by UID. Shared, because most decisions leave them unchanged.
pub(super) type Grants = Arc<BTreeMap<String, Grant>>;

impl Memory {
    /// What a pod was granted, by its UID, as it counts on its node: in millicores or bytes.
    #[must_use]
    pub fn granted(&self, uid: &str, resource: Resource) -> Option<u64> {
        self.grants[resource].get(uid).map(|grant| grant.counts)
    }

    /// What a pod owns, and what it is to be charged, in millicores or bytes.
    #[must_use]
    pub fn grant(&self, uid: &str, resource: Resource) -> Option<Granted> {
        let grant = self.grants[resource].get(uid)?;
        Some(Granted { fair: grant.fair, share: grant.granted })
    }

    /// Pods that were granted so much CPU, by UID, and own it.
    #[cfg(test)]
    #[must_use]
    pub fn granting(pods: &BTreeMap<String, u64>) -> Self {
        let grant = |(uid, &milli): (&String, &u64)| {
            let grant = Grant { fair: milli, granted: milli, counts: milli, moved: None };
            (uid.clone(), grant)
        };
        let cpu = pods.iter().map(grant).collect();
        Self {
            grants: PerResource { cpu: Arc::new(cpu), memory: Grants::default() },
            ..Self::default()
        }
    }

    /// Whether something was decided that the status does not say yet.
    #[must_use]
    pub fn is_unreported(&self) -> bool {
        self.unreported
    }

    /// The status says now what was decided.
    pub fn set_reported(&mut self) {
        self.unreported = false;
    }

    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        for grants in [&mut self.grants.cpu, &mut self.grants.memory] {
            let moved = Arc::make_mut(grants).values_mut().filter_map(|it| it.moved.as_mut());
            moved.for_each(|(_, at)| *at = shifted(*at, by));
        }
    }

    /// When the next move that demand made may be undone.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let grants = Resource::ALL.into_iter().flat_map(|it| self.grants[it].values());
        let until = grants.filter_map(|grant| grant.moved).map(|(_, at)| at + SETTLED);
        until.filter(|until| *until > now).min()
    }
}

/// What one pod was granted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grant {
    pub fair: u64,
    pub granted: u64,
    /// As much; or what it would be granted, were that worth a move. On a node that is over, what is not taken would else
    /// be lost to all, and with it the next one's part of that.
    pub counts: u64,
    /// Where demand moved it last, and when.
    pub moved: Option<(Direction, Timestamp)>,
}

/// What a pod was granted. After a restart: it was settled, so it was granted what it holds.
pub(super) fn known(pod: &PodShare, before: &BTreeMap<String, Grant>) -> Grant {
    let held = pod.holding.charge();
    let holds = Grant { fair: pod.fair(), granted: held, counts: held, moved: None };
    before.get(&pod.pod.uid).copied().unwrap_or(holds)
}

/// The amount that counts for the pod on its node. A grant to a pod without a node, or on a node that was not seen, was not limited by
/// any node. So the pod's request counts instead, or the pod would bring the grant along to the node that it gets.
pub(super) fn counts(view: &View, pod: &PodShare, granted: u64) -> u64 {
    let node = pod.pod.node.as_deref().and_then(|node| view.cluster.node(node));
    if node.is_some() { granted } else { pod.holding.requested() }
}

impl Grant {
    /// A pod gets just its share, as something else than demand moved it.
    pub fn of(view: &View, pod: &PodShare, before: Option<&Self>) -> Self {
        Self {
            fair: pod.fair(),
            granted: pod.granted(),
            counts: counts(view, pod, pod.granted()),
            moved: before.and_then(|before| before.moved),
        }
    }

    /// The grant after this one, where demand moved the pod to `granted`.
    pub fn moved_to(self, view: &View, pod: &PodShare, granted: u64) -> Self {
        let counts = if granted == self.granted { self.counts } else { counts(view, pod, granted) };
        Self { fair: pod.fair(), counts, ..self.shifted_to(granted, view.now) }
    }

    /// The same, but for what counts on the pod's node, and what the pod owns.
    pub fn shifted_to(self, granted: u64, now: Timestamp) -> Self {
        let moved = match granted.cmp(&self.granted) {
            std::cmp::Ordering::Less => Some((Direction::Down, now)),
            std::cmp::Ordering::Equal => self.moved,
            std::cmp::Ordering::Greater => Some((Direction::Up, now)),
        };
        Self { granted, moved, ..self }
    }

    /// A pod with this grant, before it is decided whether it moves to the `share` that the division gives it.
    pub fn candidate(self, share: u64, fair: u64, node: Option<u32>, now: Timestamp) -> Candidate {
        let recent = self.moved.filter(|(_, at)| now.duration_since(*at) < SETTLED);
        let moved = recent.map(|(direction, _)| direction);
        Candidate { granted: self.granted, share, fair, moved, node }
    }
}
