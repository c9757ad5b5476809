//! Whose a pod is, and what each member weighs. Pure.

use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};

use crate::{
    api::{Member, TargetRef, WeightPer, WeightedShare},
    observe::{Owner, Pod, Snapshot},
};

/// A pool with the pods that are its own.
#[derive(Debug)]
pub struct Weighed<'a> {
    /// The members, in the order of the spec.
    pub members: Vec<WeighedMember<'a>>,
    /// Pods of the members that are being deleted: they get no share, but hold theirs until they are gone.
    pub leaving: Vec<&'a Pod>,
}

/// A member with its pods and its weight.
#[derive(Debug)]
pub struct WeighedMember<'a> {
    /// What the user wrote.
    pub spec: &'a Member,
    /// Its weight in the division: that of the spec, once or for each pod.
    pub weight: u64,
    /// Its pods, by name, without those that are finished or being deleted.
    pub pods: Vec<&'a Pod>,
    /// The workload that it names is not there.
    pub target_missing: bool,
    /// Pods that it matches and that belong to an older pool, with the name of that pool.
    pub lost: Vec<(&'a Pod, String)>,
    /// Pods of its own that a younger pool matches as well, with the name of that pool.
    pub contested: Vec<(&'a Pod, String)>,
}

/// Finds the pods of `pool` and the weights of its members. A pod belongs to one member of one pool: of the pools
/// that match it to the oldest (then by name), of that pool's members to the first by name.
#[must_use]
pub fn weigh<'a>(snapshot: &'a Snapshot, pool: &'a WeightedShare) -> Weighed<'a> {
    let mut members: Vec<WeighedMember> =
        pool.spec.members.iter().map(WeighedMember::new).collect();
    for member in &mut members {
        let target = member.spec.target_ref.as_ref().map(Owner::from);
        member.target_missing = target.is_some_and(|target| !snapshot.has(&target));
    }

    let mut leaving = Vec::new();
    let ours = pool.name_any();
    let rivals = Claims::of(&snapshot.pools);
    for pod in &snapshot.pods {
        let matching = rivals.matching(snapshot, pod);
        let Some(mine) = matching.iter().find(|(name, _)| *name == ours) else { continue };
        let member = &mut members[mine.1];
        match matching.first() {
            Some((first, _)) if *first != ours => member.lost.push((pod, first.clone())),
            _ if pod.terminating => leaving.push(pod),
            _ => {
                member.pods.push(pod);
                let rivals = matching.iter().filter(|(name, _)| *name != ours);
                member.contested.extend(rivals.map(|(name, _)| (pod, name.clone())));
            }
        }
    }
    for member in &mut members {
        let times = match member.spec.weight_per {
            WeightPer::Member => 1,
            WeightPer::Replica => member.pods.len() as u64,
        };
        member.weight = u64::from(member.spec.weight) * times;
    }
    Weighed { members, leaving }
}

/// The pods that belong to no pool.
pub fn unclaimed(snapshot: &Snapshot) -> impl Iterator<Item = &Pod> {
    let claims = Claims::of(&snapshot.pools);
    snapshot.pods.iter().filter(move |pod| claims.matching(snapshot, pod).is_empty())
}

impl<'a> WeighedMember<'a> {
    fn new(spec: &'a Member) -> Self {
        Self {
            spec,
            weight: 0,
            pods: Vec::new(),
            target_missing: false,
            lost: Vec::new(),
            contested: Vec::new(),
        }
    }
}

impl From<&TargetRef> for Owner {
    fn from(target: &TargetRef) -> Self {
        Self { kind: target.kind.clone(), name: target.name.clone() }
    }
}

/// What each pool of a namespace matches, in the order in which they may claim.
struct Claims(Vec<PoolClaim>);

struct PoolClaim {
    name: String,
    /// By the name of the member, with its place in the spec.
    members: Vec<(usize, Source)>,
}

enum Source {
    Selector(Selector),
    Target(Owner),
    /// Neither, or a selector that cannot be read: the API server refuses such members.
    Nothing,
}

impl Claims {
    fn of(pools: &[WeightedShare]) -> Self {
        let claim = |pool: &WeightedShare| {
            let mut order: Vec<usize> = (0..pool.spec.members.len()).collect();
            order.sort_by_key(|&i| &pool.spec.members[i].name);
            let members =
                order.into_iter().map(|i| (i, Source::of(&pool.spec.members[i]))).collect();
            PoolClaim { name: pool.name_any(), members }
        };
        Self(pools.iter().map(claim).collect())
    }

    /// The pools that match the pod, the one that it belongs to first, each with the place of its member.
    fn matching(&self, snapshot: &Snapshot, pod: &Pod) -> Vec<(String, usize)> {
        let member = |claim: &PoolClaim| {
            let found = claim.members.iter().find(|(_, source)| source.matches(snapshot, pod));
            found.map(|&(member, _)| (claim.name.clone(), member))
        };
        self.0.iter().filter_map(member).collect()
    }
}

impl Source {
    fn of(member: &Member) -> Self {
        match (&member.selector, &member.target_ref) {
            (_, Some(target)) => Self::Target(target.into()),
            (Some(selector), None) => {
                selector.clone().try_into().map_or(Self::Nothing, Self::Selector)
            }
            (None, None) => Self::Nothing,
        }
    }

    fn matches(&self, snapshot: &Snapshot, pod: &Pod) -> bool {
        match self {
            Self::Selector(selector) => selector.matches(&pod.labels),
            Self::Target(target) => snapshot.is_owned_by(pod, target),
            Self::Nothing => false,
        }
    }
}
