//! Whether what the division says now is worth a change: what demand moves is calmed, what people move is carried out to
//! the unit. Pure: what was decided before is passed in, and so is the time.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    shares::{Divided, PodShare, Shares},
    weigh::Weighed,
};
use crate::{
    api::{Mode, condition},
    observe::signals::Freshness,
    share::{self, Course, Direction, LimitRule, PerResource, Resource, calm},
};

/// For how long a move is not undone.
const SETTLED: SignedDuration = SignedDuration::from_secs(300);

/// What was decided for a pool. It is lost with the process; then a pool that was settled is taken to hold what it was
/// granted.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    generation: Option<i64>,
    /// The weights of the members beside each other.
    weights: PerResource<Vec<u64>>,
    /// The pods that were divided, by UID.
    grants: PerResource<BTreeMap<String, Grant>>,
    /// Something was decided that the status does not say yet.
    untold: bool,
}

impl Memory {
    /// What pods were granted, by UID, as it counts on their nodes.
    pub fn granted(&self) -> impl Iterator<Item = (&str, Resource, u64)> {
        Resource::ALL.into_iter().flat_map(|resource| {
            self.grants[resource].iter().map(move |(uid, it)| (uid.as_str(), resource, it.counts))
        })
    }

    /// The status says now what was decided.
    pub fn told(&mut self) {
        self.untold = false;
    }
}

/// What one pod was granted.
#[derive(Clone, Copy, Debug)]
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
/// was decided that is not told yet: if not, the pool's status still holds.
pub fn decide(
    weighed: &Weighed,
    shares: &mut Shares,
    usage: &Freshness,
    memory: &mut Memory,
    now: Timestamp,
) -> bool {
    let generation = weighed.pool.metadata.generation;
    let fresh_start = memory.generation.is_none();
    let edited = memory.generation != generation && !(fresh_start && is_settled(weighed, shares));
    memory.generation = generation;
    let mut decided = edited;
    for resource in Resource::ALL {
        let Some(divided) = &mut shares[resource] else {
            memory.grants[resource].clear();
            continue;
        };
        let weights: Vec<u64> = divided.members.iter().map(|member| member.claim.weight).collect();
        let before = &memory.grants[resource];
        let grants = if edited || changed(divided, &weights, memory, resource, fresh_start) {
            decided = true;
            let known = |pod: &PodShare| before.get(&pod.pod.uid).filter(|_| !edited);
            let held = |pod: &PodShare| known(pod).filter(|old| goes_one_way(pod, old, resource));
            let grant = |pod| match held(pod) {
                Some(old) => Grant { fair: pod.fair(), counts: pod.granted(), ..*old },
                None => Grant::of(pod, before.get(&pod.pod.uid)),
            };
            pods(divided).map(|pod| (pod.pod.uid.clone(), grant(pod))).collect()
        } else {
            // Where nobody knows what is wanted, everything stays as it was decided.
            let frozen = matches!(usage, Freshness::Stale(_));
            let (grants, moved) = calmed(divided, resource, before, frozen, now);
            decided |= moved;
            grants
        };
        for pod in divided.members.iter_mut().flat_map(|member| &mut member.pods) {
            if let (Some(share), Some(grant)) = (&mut pod.share, grants.get(&pod.pod.uid)) {
                share.share = grant.granted;
            }
        }
        memory.weights[resource] = weights;
        memory.grants[resource] = grants;
    }
    memory.untold |= decided;
    memory.untold
}

/// Whether the pool's status says that this very spec was carried out, for these very pods.
fn is_settled(weighed: &Weighed, shares: &Shares) -> bool {
    let pool = weighed.pool;
    let ready = |status: &crate::api::WeightedShareStatus| {
        status.observed_generation == pool.metadata.generation
            && status
                .conditions
                .iter()
                .any(|it| it.type_ == condition::READY && it.status == "True")
            && weighed.members.iter().enumerate().all(|(i, member)| {
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
    pool.spec.mode == Mode::Auto && pool.status.as_ref().is_some_and(ready)
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

/// The grants that demand may move now, and whether it moves any.
fn calmed(
    divided: &Divided,
    resource: Resource,
    before: &BTreeMap<String, Grant>,
    frozen: bool,
    now: Timestamp,
) -> (BTreeMap<String, Grant>, bool) {
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
    let courses: Vec<Course> = known
        .iter()
        .map(|(pod, grant)| Course {
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
        courses.iter().map(|course| course.granted).collect()
    } else {
        calm(&courses, resource)
    };
    let moved = courses.iter().zip(&granted).any(|(course, granted)| course.granted != *granted);
    let grants = known
        .iter()
        .zip(granted)
        .map(|((pod, old), granted)| {
            let moved = match granted.cmp(&old.granted) {
                std::cmp::Ordering::Less => Some((Direction::Down, now)),
                std::cmp::Ordering::Equal => old.moved,
                std::cmp::Ordering::Greater => Some((Direction::Up, now)),
            };
            let counts = if granted == old.granted { old.counts } else { granted };
            (pod.pod.uid.clone(), Grant { fair: pod.fair(), granted, counts, moved })
        })
        .collect();
    (grants, moved)
}

/// Whether a pod is to grow by little, and nothing of it could be taken back, as nobody measures its memory: what it holds
/// is then the least that it owns, which raises what it owns, and so it would go on, by less and less.
fn goes_one_way(pod: &PodShare, before: &Grant, resource: Resource) -> bool {
    let stuck = |container: &share::Container| {
        let held = container.held.requested;
        container.play.is_some_and(|play| play.limit != LimitRule::Keep && play.least >= held)
    };
    let share = pod.granted();
    let course = Course { granted: before.granted, share, ..Course::default() };
    resource == Resource::Memory
        && share > before.granted
        && course.is_small(resource)
        && pod.holding.containers.iter().any(stuck)
}

/// The pods that have a share.
fn pods<'d, 'a>(divided: &'d Divided<'a>) -> impl Iterator<Item = &'d PodShare<'a>> {
    divided.pods().filter(|pod| pod.share.is_some())
}

impl Grant {
    /// A pod gets just its share, as something else than demand moved it.
    fn of(pod: &PodShare, before: Option<&Self>) -> Self {
        Self {
            fair: pod.fair(),
            granted: pod.granted(),
            counts: pod.granted(),
            moved: before.and_then(|before| before.moved),
        }
    }
}
