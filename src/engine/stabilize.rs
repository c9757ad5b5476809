//! Whether what the division says now is worth a change: what demand moves is stabilized, what people move is carried out
//! to the unit.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use super::{
    View,
    grants::{Grant, Grants, Memory, counts, known},
    joint_grants::{Beside, BesidePod, Shift, stabilized},
    pool_members::PoolMembers,
    shares::{Divided, PodShare, Shares, with_share},
};
use crate::{
    api::{Mode, WeightedShareStatus, condition},
    share::{self, Candidate, LimitRule, PerResource, Resource},
};

/// A pool that was divided, and what is remembered of what it was granted.
#[derive(Debug)]
pub struct Granting<'a> {
    /// The pool.
    pub members: Rc<PoolMembers<'a>>,
    /// Its shares.
    pub shares: Shares<'a>,
    /// What its pods were granted before.
    pub memory: Memory,
    /// Whether anything was decided.
    pub decided: bool,
    /// What the division gives its pods that have a share, in order.
    pub by_division: PerResource<Vec<u64>>,
}

/// Pools whose grants together are to stay within what is theirs: those in one branch of a tree that has a max.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// The indices of the pools.
    pub pools: Vec<usize>,
    /// The most that they may be granted, in units of the resource. None: the resource is not bounded.
    pub most: PerResource<Option<u64>>,
}

/// How the shares of a pool become grants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carried {
    /// To the unit, as something else than demand moved them; because the spec was edited, or for another reason.
    ToTheUnit { edited: bool },
    /// Only demand, or what its tree has, moved them.
    Stabilized,
}

impl<'a> Granting<'a> {
    /// A pool whose grants are to be decided.
    #[must_use]
    pub fn new(members: Rc<PoolMembers<'a>>, shares: Shares<'a>, memory: Memory) -> Self {
        let by_division = PerResource::from_fn(|resource| {
            let pods = shares[resource].iter().flat_map(with_share);
            pods.filter_map(|pod| pod.share).map(|share| share.share).collect()
        });
        Self { members, shares, memory, decided: false, by_division }
    }
}

/// Replaces the shares of divided pools by what each pod is granted from now on, and remembers that: of one pool, or of all pools of
/// a tree that something concerns. `edition`: the versions of what the tree's administrator wrote. Returns which pods `beside` them
/// are granted something else.
pub fn decide(
    view: &View,
    pools: &mut [Granting],
    edition: &[(String, Option<i64>)],
    bounded: &[Bounded],
    beside: &Beside,
) -> PerResource<Vec<Shift>> {
    let mut shifts = PerResource::<Vec<Shift>>::default();
    let fresh: Vec<bool> = pools.iter().map(|it| it.memory.generation.is_none()).collect();
    let edited: Vec<bool> =
        pools.iter_mut().zip(&fresh).map(|(it, &fresh)| is_edited(it, edition, fresh)).collect();
    for resource in Resource::ALL {
        let mut carried: Vec<Carried> = (pools.iter().zip(fresh.iter().zip(&edited)))
            .map(|(pool, (&fresh, &edited))| pool.carried(resource, fresh, edited))
            .collect();
        let (mut grants, mut shifted) = grants(view, pools, resource, &carried, &beside[resource]);
        // Where the dead band would take a branch over its max, the shares of its pools are carried out to the unit.
        let exceeds = |it: &&Bounded, grants: &[Vec<Grant>]| {
            let most = it.most[resource]?;
            let granted = it.pools.iter().flat_map(|&i| &grants[i]).map(|it| it.granted);
            Some(u128::from(most) < granted.map(u128::from).sum())
        };
        let is_stabilized = |it: &&Bounded, carried: &[Carried]| {
            it.pools.iter().any(|&i| carried[i] == Carried::Stabilized)
        };
        while let Some(over) = bounded
            .iter()
            .find(|it| exceeds(it, &grants) == Some(true) && is_stabilized(it, &carried))
        {
            let unit = Carried::ToTheUnit { edited: false };
            let stabilized = over.pools.iter().copied();
            for i in stabilized.filter(|&i| carried[i] == Carried::Stabilized).collect::<Vec<_>>() {
                carried[i] = unit;
            }
            (grants, shifted) = self::grants(view, pools, resource, &carried, &beside[resource]);
        }
        for (pool, (carried, grants)) in pools.iter_mut().zip(carried.iter().zip(grants)) {
            pool.grant(resource, *carried, grants);
        }
        shifts[resource] = shifted;
    }
    for (pool, edited) in pools.iter_mut().zip(edited) {
        pool.decided |= edited;
        pool.memory.unreported |= pool.decided;
    }
    shifts
}

/// Grants the pods of a pool what was decided for them with other pools of their tree: those that have a share, in order.
pub fn carry_out(view: &View, pool: &mut Granting, granted: &PerResource<Vec<u64>>) {
    for resource in Resource::ALL {
        let Some(divided) = &pool.shares[resource] else { continue };
        let grant = |(i, pod): (usize, &PodShare)| {
            let granted = granted[resource].get(i).copied().unwrap_or_else(|| pod.granted());
            known(pod, &pool.memory.grants[resource]).moved_to(view, pod, granted)
        };
        let grants = with_share(divided).enumerate().map(grant).collect();
        pool.grant(resource, Carried::Stabilized, grants);
    }
    pool.memory.unreported |= pool.decided;
}

/// Whether the spec of a pool, or of its tree, was edited since the last decision. From now on it was seen.
fn is_edited(pool: &mut Granting, edition: &[(String, Option<i64>)], fresh: bool) -> bool {
    let Granting { members, shares, memory, .. } = pool;
    let generation = members.object.metadata.generation;
    let differs = memory.generation != generation || memory.edition != edition;
    let edited = differs && !(fresh && is_settled(members, shares));
    memory.generation = generation;
    if memory.edition != edition {
        memory.edition = edition.to_vec();
    }
    edited
}

/// What the pods of each pool that have a share are granted, in order, and which pods beside them are granted something else.
fn grants(
    view: &View,
    pools: &[Granting],
    resource: Resource,
    carried: &[Carried],
    beside: &[BesidePod],
) -> (Vec<Vec<Grant>>, Vec<Shift>) {
    let divided = |pool: &'_ Granting<'_>| pool.shares[resource].is_some();
    let mut all: Vec<Vec<Grant>> = pools
        .iter()
        .zip(carried)
        .map(|(pool, carried)| match (&pool.shares[resource], carried) {
            (Some(divided), Carried::ToTheUnit { edited }) => {
                to_the_unit(view, divided, resource, &pool.memory.grants[resource], *edited)
            }
            _ => Vec::new(),
        })
        .collect();
    let is_stabilized = |i: &usize| carried[*i] == Carried::Stabilized && divided(&pools[*i]);
    let mut shifts = Vec::new();
    if !beside.is_empty() || (0..pools.len()).any(|i| is_stabilized(&i)) {
        shifts = stabilized(view, pools, resource, carried, &mut all, beside);
    }
    (all, shifts)
}

impl Granting<'_> {
    /// How the shares of a resource become grants.
    fn carried(&self, resource: Resource, fresh: bool, edited: bool) -> Carried {
        let Some(divided) = &self.shares[resource] else { return Carried::Stabilized };
        match edited || changed(&self.members, divided, &self.memory, resource, fresh) {
            true => Carried::ToTheUnit { edited },
            false => Carried::Stabilized,
        }
    }

    /// Its pods that have a share, in order, before it is decided whether they move. `given`: the grants of a pool that is carried out
    /// to the unit, which stand.
    pub(super) fn candidates(
        &self,
        view: &View,
        resource: Resource,
        carried: Carried,
        given: &[Grant],
        number: impl Fn(&str) -> Option<u32>,
    ) -> Vec<Candidate> {
        let Some(divided) = &self.shares[resource] else { return Vec::new() };
        let of_pod = |(i, pod): (usize, &PodShare)| {
            let node = pod.pod.node.as_deref().and_then(&number);
            if carried != Carried::Stabilized {
                let granted = given[i].granted;
                return Candidate { granted, share: granted, fair: pod.fair(), moved: None, node };
            }
            let grant = known(pod, &self.memory.grants[resource]);
            grant.candidate(pod.granted(), pod.fair(), node, view.now)
        };
        with_share(divided).enumerate().map(of_pod).collect()
    }

    /// Grants each pod that has a share what was decided, in order, and remembers it.
    fn grant(&mut self, resource: Resource, carried: Carried, grants: Vec<Grant>) {
        let Self { shares, memory, decided, .. } = self;
        let Some(divided) = &mut shares[resource] else {
            memory.grants[resource] = Grants::default();
            return;
        };
        let before = &memory.grants[resource];
        let is_known = |(pod, grant): (&PodShare, &Grant)| before.get(&pod.pod.uid) == Some(grant);
        *decided |= carried != Carried::Stabilized
            || with_share(divided)
                .zip(&grants)
                .any(|(pod, grant)| grant.granted != known(pod, before).granted);
        if before.len() != grants.len() || !with_share(divided).zip(&grants).all(is_known) {
            let uids = with_share(divided).map(|pod| pod.pod.uid.clone());
            memory.grants[resource] = Arc::new(uids.zip(grants.iter().copied()).collect());
        }
        let pods = divided.members.iter_mut().flat_map(|member| &mut member.pods);
        for (share, grant) in pods.filter_map(|pod| pod.share.as_mut()).zip(grants) {
            share.share = grant.granted;
        }
        divided.set_frees_room();
        memory.weights[resource] = weights(divided);
        memory.capacity[resource] = divided.capacity;
    }
}

/// The weights of the members beside each other.
fn weights(divided: &Divided) -> Vec<u64> {
    divided.members.iter().map(|member| member.claim.weight).collect()
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
    with_share(divided).map(grant).collect()
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

/// Whether something else than demand moved the shares: pods came or went, or own more or less although neither a weight changed
/// nor what a tree or a quota gives the pool.
fn changed(
    pool: &PoolMembers,
    divided: &Divided,
    memory: &Memory,
    resource: Resource,
    fresh_start: bool,
) -> bool {
    let before = &memory.grants[resource];
    if fresh_start {
        return false;
    }
    let is_given = pool.object.spec.capacity.is_empty();
    let may_drift = memory.weights[resource] != weights(divided)
        || (is_given && memory.capacity[resource] != divided.capacity);
    let known = |pod: &PodShare| {
        before.get(&pod.pod.uid).is_some_and(|old| may_drift || old.fair == pod.fair())
    };
    before.len() != with_share(divided).count() || !with_share(divided).all(known)
}

/// Whether a pod is to grow by little, and nothing of it could be taken back, as its memory is not measured: what it holds
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
