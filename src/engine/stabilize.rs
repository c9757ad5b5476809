//! Whether what the division says now is worth a change: what demand moves is stabilized, what people move is carried out
//! to the unit.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    View,
    clock_watch::shifted,
    pool_members::PoolMembers,
    remembered::Granted,
    shares::{Divided, PodShare, Shares},
};
use crate::{
    api::{Mode, WeightedShareStatus, condition},
    metrics::Freshness,
    share::{self, Candidate, Direction, LimitRule, PerResource, Resource, stabilize},
};

/// For how long a move is not undone.
const SETTLED: SignedDuration = SignedDuration::from_secs(300);

/// What was decided for a pool. It is lost with the process; then a pool that was settled is taken to hold what it was
/// granted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    generation: Option<i64>,
    /// The weights of the members beside each other.
    weights: PerResource<Vec<u64>>,
    /// The pods that were divided, by UID.
    grants: PerResource<Grants>,
    /// Something was decided that the status does not say yet.
    unreported: bool,
}

/// Grants of pods, by UID. Shared, because most decisions leave them unchanged.
type Grants = Arc<BTreeMap<String, Grant>>;

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
struct Grant {
    fair: u64,
    granted: u64,
    /// As much; or what it would be granted, were that worth a move. On a node that is over, what is not taken would else
    /// be lost to all, and with it the next one's part of that.
    counts: u64,
    /// Where demand moved it last, and when.
    moved: Option<(Direction, Timestamp)>,
}

/// Replaces the shares of a divided pool by what each pod is granted from now on, and remembers that. Whether anything
/// was decided.
pub fn decide(view: &View, pool: &PoolMembers, shares: &mut Shares, memory: &mut Memory) -> bool {
    let generation = pool.object.metadata.generation;
    let fresh_start = memory.generation.is_none();
    let edited = memory.generation != generation && !(fresh_start && is_settled(pool, shares));
    memory.generation = generation;
    let mut decided = edited;
    for resource in Resource::ALL {
        let Some(divided) = &mut shares[resource] else {
            memory.grants[resource] = Grants::default();
            continue;
        };
        let weights: Vec<u64> = divided.members.iter().map(|member| member.claim.weight).collect();
        let before = &memory.grants[resource];
        let (grants, moved) = if edited || changed(divided, &weights, memory, resource, fresh_start)
        {
            (to_the_unit(view, divided, resource, before, edited), true)
        } else {
            // Without fresh measurements the demand is unknown: keep the last grants.
            let frozen = matches!(view.metrics.usage(view.now), Freshness::Stale(_));
            stabilized(view, divided, resource, before, frozen)
        };
        let is_known = |(pod, grant): (&PodShare, &Grant)| before.get(&pod.pod.uid) == Some(grant);
        if before.len() != grants.len() || !pods(divided).zip(&grants).all(is_known) {
            let uids = pods(divided).map(|pod| pod.pod.uid.clone());
            memory.grants[resource] = Arc::new(uids.zip(grants.iter().copied()).collect());
        }
        let shares = divided.members.iter_mut().flat_map(|member| &mut member.pods);
        for (share, grant) in shares.filter_map(|pod| pod.share.as_mut()).zip(grants) {
            share.share = grant.granted;
        }
        divided.set_frees_room();
        memory.weights[resource] = weights;
        decided |= moved;
    }
    memory.unreported |= decided;
    decided
}

/// Grants each pod exactly its share. Returns the grants of the pods with a share, in order.
fn to_the_unit(
    view: &View,
    divided: &Divided,
    resource: Resource,
    before: &BTreeMap<String, Grant>,
    edited: bool,
) -> Vec<Grant> {
    let grant = |pod: &PodShare| match before.get(&pod.pod.uid) {
        Some(old) if !edited && goes_one_way(pod, old, resource) => {
            Grant { fair: pod.fair(), counts: counts(view, pod, pod.granted()), ..*old }
        }
        before => Grant::of(view, pod, before),
    };
    pods(divided).map(grant).collect()
}

/// Whether the pool's status says that this very spec was carried out, for these very pods.
fn is_settled(pool: &PoolMembers, shares: &Shares) -> bool {
    let object = pool.object;
    let ready = |status: &WeightedShareStatus| {
        let mut conditions = status.conditions.iter();
        status.observed_generation == object.metadata.generation
            && conditions.any(|it| it.type_ == condition::READY && it.status == "True")
            && pool.members.iter().enumerate().all(|(i, member)| {
                let applied = PerResource::from_fn(|resource| {
                    Some(shares[resource].as_ref()?.members[i].sum(|pod| pod.holding.charge()))
                });
                let known = status.members.iter().find(|known| known.name == member.spec.name);
                known.is_some_and(|known| {
                    usize::try_from(known.pods) == Ok(member.pods.len())
                        && known.applied == applied.into()
                })
            })
    };
    object.spec.mode == Mode::Auto && object.status.as_ref().is_some_and(ready)
}

/// Whether something else than demand moved the shares: pods came or went, or own more or less although no weight did
/// change.
fn changed(
    divided: &Divided,
    weights: &[u64],
    memory: &Memory,
    resource: Resource,
    fresh_start: bool,
) -> bool {
    let before = &memory.grants[resource];
    if fresh_start {
        return false;
    }
    let same_weights = memory.weights[resource] == weights;
    let known = |pod: &PodShare| {
        before.get(&pod.pod.uid).is_some_and(|old| !same_weights || old.fair == pod.fair())
    };
    before.len() != pods(divided).count() || !pods(divided).all(known)
}

/// Grants after a change of demand alone. Returns the grants of the pods with a share, in order, and whether any has moved.
fn stabilized(
    view: &View,
    divided: &Divided,
    resource: Resource,
    before: &BTreeMap<String, Grant>,
    frozen: bool,
) -> (Vec<Grant>, bool) {
    let now = view.now;
    let mut nodes: Vec<&str> = pods(divided).filter_map(|pod| pod.pod.node.as_deref()).collect();
    nodes.sort_unstable();
    let of_node = |node: &str| u32::try_from(nodes.partition_point(|&it| it < node)).ok();
    let known: Vec<(&PodShare, Grant)> = pods(divided)
        .map(|pod| {
            // After a restart: it was settled, so it was granted what it holds.
            let held = pod.holding.charge();
            let holds = Grant { fair: pod.fair(), granted: held, counts: held, moved: None };
            (pod, before.get(&pod.pod.uid).copied().unwrap_or(holds))
        })
        .collect();
    let candidates: Vec<Candidate> = known
        .iter()
        .map(|(pod, grant)| Candidate {
            granted: grant.granted,
            share: if frozen { grant.granted } else { pod.granted() },
            fair: pod.fair(),
            moved: grant
                .moved
                .filter(|(_, at)| now.duration_since(*at) < SETTLED)
                .map(|(direction, _)| direction),
            node: pod.pod.node.as_deref().and_then(of_node),
        })
        .collect();
    let granted: Vec<u64> = if frozen {
        candidates.iter().map(|candidate| candidate.granted).collect()
    } else {
        stabilize(&candidates, resource)
    };
    let moved =
        candidates.iter().zip(&granted).any(|(candidate, granted)| candidate.granted != *granted);
    let grants = known
        .iter()
        .zip(granted)
        .map(|(&(pod, old), granted)| {
            let moved = match granted.cmp(&old.granted) {
                std::cmp::Ordering::Less => Some((Direction::Down, now)),
                std::cmp::Ordering::Equal => old.moved,
                std::cmp::Ordering::Greater => Some((Direction::Up, now)),
            };
            let counts =
                if granted == old.granted { old.counts } else { counts(view, pod, granted) };
            Grant { fair: pod.fair(), granted, counts, moved }
        })
        .collect();
    (grants, moved)
}

/// Whether a pod is to grow by little, and nothing of it could be taken back, as nobody measures its memory: what it holds
/// is then the least that it owns, which raises what it owns, and so it would go on, by less and less.
fn goes_one_way(pod: &PodShare, before: &Grant, resource: Resource) -> bool {
    let stuck = |container: &share::Container| {
        let held = container.held.requested;
        container.range.is_some_and(|range| range.limit != LimitRule::Keep && range.least >= held)
    };
    let share = pod.granted();
    let candidate = Candidate { granted: before.granted, share, ..Candidate::default() };
    resource == Resource::Memory
        && share > before.granted
        && candidate.is_small(resource)
        && pod.holding.containers.iter().any(stuck)
}

/// The amount that counts for the pod on its node. A grant to a pod without a node, or on a node that was not seen, was not limited by
/// any node. So the pod's request counts instead, or the pod would bring the grant along to the node that it gets.
fn counts(view: &View, pod: &PodShare, granted: u64) -> u64 {
    let node = pod.pod.node.as_deref().and_then(|node| view.cluster.node(node));
    if node.is_some() { granted } else { pod.holding.requested() }
}

/// The pods that have a share.
fn pods<'d, 'a>(divided: &'d Divided<'a>) -> impl Iterator<Item = &'d PodShare<'a>> {
    divided.pods().filter(|pod| pod.share.is_some())
}

impl Grant {
    /// A pod gets just its share, as something else than demand moved it.
    fn of(view: &View, pod: &PodShare, before: Option<&Self>) -> Self {
        Self {
            fair: pod.fair(),
            granted: pod.granted(),
            counts: counts(view, pod, pod.granted()),
            moved: before.and_then(|before| before.moved),
        }
    }
}
