//! Whose a pod is. Pure.

use std::collections::BTreeMap;

use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};

use super::weight::Trouble;
use crate::{
    api::{DynamicWeightStatus, Member, TargetRef, WeightedShare},
    observe::{Owner, Pod, Snapshot},
    share::{PerResource, Resource},
};

/// A pool with the pods that are its own.
#[derive(Debug)]
pub struct Weighed<'a> {
    /// The pool.
    pub pool: &'a WeightedShare,
    /// The members, in the order of the spec.
    pub members: Vec<WeighedMember<'a>>,
    /// Pods of the members that are being deleted: they get no share, but hold theirs until they are gone.
    pub leaving: Vec<&'a Pod>,
}

/// A member with its pods.
#[derive(Debug)]
pub struct WeighedMember<'a> {
    /// What the user wrote.
    pub spec: &'a Member,
    /// Its weight: the one that the user wrote, or the one that its dynamicWeight worked out to last.
    pub weight: u32,
    /// The signals that moved a dynamic weight, in words.
    pub signals: String,
    /// Why a dynamic weight could not be worked out.
    pub trouble: Option<Trouble>,
    /// Its pods, by name, without those that are finished or being deleted.
    pub pods: Vec<&'a Pod>,
    /// The workload that it names is not there.
    pub target_missing: bool,
    /// Pods that may be its own: their controllers are not in the cache yet.
    pub unseen: Vec<Unseen<'a>>,
    /// Pods that it matches and that belong to an older pool, with the name of that pool.
    pub lost: Vec<(&'a Pod, String)>,
    /// Pods of its own that a younger pool matches as well, with the name of that pool.
    pub contested: Vec<(&'a Pod, String)>,
}

/// A pod that may belong to a member: its controller is not in the cache yet.
#[derive(Clone, Copy, Debug)]
pub struct Unseen<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The controller that is missing: the pod's own, or one further up.
    pub controller: &'a Owner,
}

/// Finds the pods of all pools, in the order of the snapshot's pools. A pod belongs to one member of one pool: of the
/// pools that match it to the oldest (then by name), of that pool's members to the first by name.
#[must_use]
pub fn weigh(snapshot: &Snapshot) -> Vec<Weighed<'_>> {
    let mut pools: Vec<Weighed> =
        snapshot.pools.iter().map(|pool| Weighed::new(snapshot, pool)).collect();
    let claims = Claims::of(snapshot);
    for pod in &snapshot.pods {
        let matching = claims.matching(snapshot, pod);
        let Some((&(owner, member), others)) = matching.split_first() else {
            for (pool, member, unseen) in claims.possible(snapshot, pod) {
                pools[pool].members[member].unseen.push(unseen);
            }
            continue;
        };
        let rivals = others.iter().map(|&(rival, _)| (pod, snapshot.pools[rival].name_any()));
        if pod.terminating {
            pools[owner].leaving.push(pod);
        } else {
            pools[owner].members[member].pods.push(pod);
            pools[owner].members[member].contested.extend(rivals);
        }
        for &(rival, member) in others {
            let lost = (pod, snapshot.pools[owner].name_any());
            pools[rival].members[member].lost.push(lost);
        }
    }
    pools
}

/// The pods of a namespace that belong to no pool.
pub fn unclaimed<'a>(snapshot: &'a Snapshot, namespace: &'a str) -> impl Iterator<Item = &'a Pod> {
    let claims = Claims::of(snapshot);
    let there = snapshot.pods.iter().filter(move |pod| pod.namespace == namespace);
    there.filter(move |pod| claims.matching(snapshot, pod).is_empty())
}

impl WeighedMember<'_> {
    /// Whether the pod is its own.
    #[must_use]
    pub fn has(&self, pod: &Pod) -> bool {
        self.pods.iter().any(|own| std::ptr::eq(*own, pod))
    }

    /// What its pods use, in millicores and bytes; none where nobody has measured all of them.
    #[must_use]
    pub fn used(&self, snapshot: &Snapshot) -> PerResource<Option<u64>> {
        PerResource::from_fn(|resource| {
            let of_pod = |pod: &&Pod| {
                let name = (pod.namespace.clone(), pod.name.clone());
                Some(snapshot.signals.pods.get(&name)?.used[resource])
            };
            let used: Option<u64> = self.pods.iter().map(of_pod).sum();
            // Of CPU nanocores are measured.
            let unit = match resource {
                Resource::Cpu => 1_000_000,
                Resource::Memory => 1,
            };
            used.filter(|_| !self.pods.is_empty()).map(|used| used.div_ceil(unit))
        })
    }
}

impl<'a> Weighed<'a> {
    /// Whether some pod may or may not belong to the pool. Until that is known, a division could give away what the pod holds.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.members.iter().any(|member| !member.unseen.is_empty())
    }

    fn new(snapshot: &Snapshot, pool: &'a WeightedShare) -> Self {
        let member = |spec: &'a Member| {
            let target = spec.target_ref.as_ref().map(|target| owner(target, pool));
            let last = last_weight(spec, pool);
            WeighedMember {
                spec,
                weight: last.map_or(spec.weight, |last| last.weight),
                signals: last.map(|last| last.signals.clone()).unwrap_or_default(),
                trouble: None,
                pods: Vec::new(),
                target_missing: target.is_some_and(|target| !snapshot.has(&target)),
                unseen: Vec::new(),
                lost: Vec::new(),
                contested: Vec::new(),
            }
        };
        Self { pool, members: pool.spec.members.iter().map(member).collect(), leaving: Vec::new() }
    }
}

/// What a dynamic weight worked out to last, as the status says.
fn last_weight<'a>(member: &Member, pool: &'a WeightedShare) -> Option<&'a DynamicWeightStatus> {
    member.dynamic_weight.as_ref()?;
    let members = &pool.status.as_ref()?.members;
    members.iter().find(|known| known.name == member.name)?.dynamic_weight.as_ref()
}

/// The workload that a target of a pool is.
fn owner(target: &TargetRef, pool: &WeightedShare) -> Owner {
    Owner {
        namespace: pool.namespace().unwrap_or_default(),
        kind: target.kind.clone(),
        name: target.name.clone(),
    }
}

/// What the pools match, by namespace: their places in the snapshot, in the order in which they may claim.
struct Claims(BTreeMap<String, Vec<(usize, PoolClaim)>>);

/// The members of a pool by name, each with its place in the spec.
struct PoolClaim(Vec<(usize, Source)>);

enum Source {
    Selector(Selector),
    Target(Owner),
    /// Neither, or a selector that cannot be read: the API server refuses such members.
    Nothing,
}

impl Claims {
    fn of(snapshot: &Snapshot) -> Self {
        let mut claims: BTreeMap<String, Vec<(usize, PoolClaim)>> = BTreeMap::new();
        for (i, pool) in snapshot.pools.iter().enumerate() {
            let members = &pool.spec.members;
            let mut order: Vec<usize> = (0..members.len()).collect();
            order.sort_by_key(|&i| &members[i].name);
            let sources = order.into_iter().map(|i| (i, Source::of(&members[i], pool))).collect();
            let namespace = pool.namespace().unwrap_or_default();
            claims.entry(namespace).or_default().push((i, PoolClaim(sources)));
        }
        Self(claims)
    }

    /// The pools that match the pod, the one that it belongs to first: their places and those of their members.
    fn matching(&self, snapshot: &Snapshot, pod: &Pod) -> Vec<(usize, usize)> {
        let pools = self.0.get(&pod.namespace).into_iter().flatten();
        let member = |(pool, PoolClaim(members)): &(usize, PoolClaim)| {
            let found = members.iter().find(|(_, source)| source.matches(snapshot, pod));
            found.map(|&(member, _)| (*pool, member))
        };
        pools.filter_map(member).collect()
    }

    /// The members that the pod may turn out to belong to: their pools' places, and their own.
    fn possible<'a>(
        &self,
        snapshot: &'a Snapshot,
        pod: &'a Pod,
    ) -> impl Iterator<Item = (usize, usize, Unseen<'a>)> {
        let unseen = snapshot.unseen_controller(pod).filter(|_| !pod.terminating);
        let pools = self.0.get(&pod.namespace).into_iter().flatten();
        let members = pools.flat_map(|(pool, PoolClaim(members))| {
            members.iter().map(move |(member, source)| (*pool, *member, source))
        });
        unseen.into_iter().flat_map(move |controller| {
            members.clone().filter_map(move |(pool, member, source)| {
                let Source::Target(target) = source else { return None };
                let unseen = Unseen { pod, controller };
                controller.may_belong_to(&target.kind).then_some((pool, member, unseen))
            })
        })
    }
}

impl Source {
    fn of(member: &Member, pool: &WeightedShare) -> Self {
        match (&member.selector, &member.target_ref) {
            (_, Some(target)) => Self::Target(owner(target, pool)),
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
