//! From a pool and its pods to what the mathematics divides, and back. Pure.

use kube::ResourceExt;

use super::{
    in_use::InUse,
    nodes::Nodes,
    play::{can_move, left_alone},
    quotas,
    shares::{Divided, MemberShare, PodShare},
    weigh::{Weighed, WeighedMember},
    yielding::holding,
};
use crate::{
    api::{Member, Strategy, Surplus, WeightPer},
    observe::{Pod, Snapshot},
    share::{
        Demand, Divider, Division, Holding, Idle, MemberClaim, Newcomer, PerResource, PodClaim,
        Pool, Resource, Sample, Verdict,
    },
};

/// The least that a pod is given where its member says nothing else.
const MIN_PER_POD: PerResource<u64> = PerResource { cpu: 10, memory: 16 << 20 };

/// As long as measurements come every so many seconds, all is lent that may be.
pub const TIMELY: u64 = 30;

/// One resource of one pool on its way to its shares.
pub struct Draft<'w, 'a> {
    snapshot: &'a Snapshot,
    weighed: &'w Weighed<'a>,
    resource: Resource,
    /// The members by name, as their places in the spec.
    order: Vec<usize>,
    /// The pods of each member, in the order of the spec.
    members: Vec<Vec<PodShare<'a>>>,
}

impl<'w, 'a> Draft<'w, 'a> {
    /// Lays out what is divided: a pod that cannot be resized is left out, and what it is charged leaves the pool.
    #[must_use]
    pub fn new(
        snapshot: &'a Snapshot,
        weighed: &'w Weighed<'a>,
        resource: Resource,
        nodes: &Nodes,
    ) -> (Self, Pool) {
        let capacity = &weighed.pool.spec.capacity;
        let divided = PerResource::from_fn(|it| capacity.get(it).is_some());
        let pod = |member: &WeighedMember, pod| {
            let (holding, left_to) = holding(snapshot, pod, member.spec, resource, divided);
            let in_use = (resource == Resource::Memory).then(|| InUse::of(snapshot, pod, &holding));
            PodShare {
                pod,
                left_alone: left_alone(snapshot, pod, member.spec, resource),
                surge: snapshot.copies.contains_key(&pod.uid),
                in_use: in_use.flatten(),
                left_to,
                holding,
                claim: None,
                share: None,
            }
        };
        let members = weighed
            .members
            .iter()
            .map(|member| member.pods.iter().map(|it| pod(member, it)).collect());
        let mut order: Vec<usize> = (0..weighed.members.len()).collect();
        order.sort_by_key(|&i| &weighed.members[i].spec.name);
        let draft = Self { snapshot, weighed, resource, order, members: members.collect() };
        let pool = draft.pool(nodes);
        (draft, pool)
    }

    /// The pods that can be resized.
    pub fn movable(&self) -> impl Iterator<Item = &'a Pod> {
        self.members.iter().flat_map(|pods| movable(pods)).map(|pod| pod.pod)
    }

    fn pool(&self, nodes: &Nodes) -> Pool {
        let sharing = self.weighed.pool.spec.sharing;
        let idle = match (sharing.strategy, sharing.surplus) {
            (Strategy::Isolated, _) => Idle::Kept,
            (Strategy::Weighted, Surplus::Release) => Idle::Lent,
            (Strategy::Weighted, Surplus::Spread) => Idle::Spread,
        };
        let (mut members, mut pods) = (Vec::new(), Vec::new());
        for &i in &self.order {
            let (member, before) = (&self.weighed.members[i], pods.len());
            let claims = movable(&self.members[i]).map(|pod| self.claim(member, pod, nodes));
            pods.extend(claims);
            let aside = aside(&self.members[i]);
            let within = |bound: u64| bound.saturating_sub(aside);
            members.push(MemberClaim {
                weight: self.weight(i),
                min: member.spec.min.get(self.resource).map_or(0, within),
                max: member.spec.max.get(self.resource).map(within),
                lend: self.lend(member.spec.lend_percent.unwrap_or(sharing.lend_percent)),
                pods: pods.len() - before,
            });
        }
        let aside = self.members.iter().map(|pods| aside(pods)).sum();
        Pool {
            capacity: self.capacity().saturating_sub(aside),
            idle,
            node_reserve: sharing.node_reserve_percent,
            members,
            pods,
        }
    }

    fn claim(&self, member: &WeighedMember, pod: &PodShare, nodes: &Nodes) -> PodClaim {
        let (floor, cap) = bounds(
            self.snapshot,
            &pod.pod.namespace,
            member.spec,
            pod.holding.most(),
            self.resource,
        );
        PodClaim {
            weight: self.beside_siblings(member, pod.pod),
            floor: floor.max(pod.holding.fixed()),
            cap,
            node: nodes.place(pod.pod),
            demand: demand(
                self.snapshot,
                pod.pod,
                pod.holding.charge(),
                self.resource,
                self.weighed.pool.spec.sharing.headroom_percent,
            ),
            requested: self.granted(pod),
        }
    }

    /// What the pod asks for, or will once what it was granted is sent: who shrinks is sent before who grows, and in
    /// between nothing may seem to be given up.
    fn granted(&self, pod: &PodShare) -> u64 {
        let granted = self.snapshot.granted.get(&pod.pod.uid).and_then(|it| it[self.resource]);
        granted.unwrap_or_else(|| pod.holding.requested())
    }

    /// What one more pod of each member would own, in the order of the spec. None: the pool is too small for it.
    ///
    /// Nobody knows yet how many virtual CPUs it has: as many as the least of its siblings.
    #[must_use]
    pub fn one_more(&self, pool: &Pool, divider: &mut Divider) -> Vec<Option<u64>> {
        let namespace = self.weighed.pool.metadata.namespace.as_deref().unwrap_or_default();
        let mut owned = vec![None; self.order.len()];
        for (place, &i) in self.order.iter().enumerate() {
            let member = &self.weighed.members[i];
            let siblings = movable(&self.members[i]);
            let beside =
                siblings.map(|pod| self.beside_siblings(member, pod.pod)).min().unwrap_or(1);
            let times = match member.spec.weight_per {
                WeightPer::Member => 0,
                WeightPer::Replica | WeightPer::Vcpu => beside,
            };
            let brings = u64::from(member.weight).saturating_mul(times);
            let (floor, cap) = bounds(self.snapshot, namespace, member.spec, None, self.resource);
            let pod = PodClaim { weight: beside, floor, cap, ..PodClaim::default() };
            let weight = pool.members[place].weight.saturating_add(brings);
            owned[i] = divider.one_more(pool, &Newcomer { member: place, weight, pod });
        }
        owned
    }

    /// How much is lent of what lies idle, in percent: who sees late that an owner is back lends less.
    fn lend(&self, percent: u8) -> u8 {
        match self.snapshot.signals.interval {
            0..=TIMELY => percent,
            interval => u8::try_from(u64::from(percent) * TIMELY / interval).unwrap_or(percent),
        }
    }

    /// The weight of a member: its own, once, for each pod or for each virtual CPU.
    fn weight(&self, i: usize) -> u64 {
        let member = &self.weighed.members[i];
        let times = match member.spec.weight_per {
            WeightPer::Member => 1,
            WeightPer::Replica | WeightPer::Vcpu => movable(&self.members[i])
                .map(|pod| self.beside_siblings(member, pod.pod))
                .fold(0, u64::saturating_add),
        };
        u64::from(member.weight).saturating_mul(times)
    }

    /// The weight of a pod beside the others of its member.
    fn beside_siblings(&self, member: &WeighedMember, pod: &Pod) -> u64 {
        match member.spec.weight_per {
            WeightPer::Member | WeightPer::Replica => 1,
            WeightPer::Vcpu => self.snapshot.machine(pod).map_or(1, |machine| machine.vcpus),
        }
    }

    /// What the spec says that there is to divide.
    fn capacity(&self) -> u64 {
        self.weighed.pool.spec.capacity.get(self.resource).unwrap_or_default()
    }

    /// Gives members and pods what the division of `pool` says.
    #[must_use]
    pub fn finish(mut self, pool: &Pool, division: &Division, nodes: &Nodes<'a>) -> Divided<'a> {
        let (capacity, resource) = (self.capacity(), self.resource);
        let aside: u64 = self.members.iter().map(|pods| aside(pods)).sum();
        let (mut claims, mut shares) = (pool.pods.iter(), division.pods.iter());
        let mut members: Vec<Option<MemberShare>> = self.members.iter().map(|_| None).collect();
        for (&i, (claim, member)) in
            self.order.iter().zip(pool.members.iter().zip(&division.members))
        {
            let mut pods = std::mem::take(&mut self.members[i]);
            let moving = pods.iter_mut().filter(|pod| can_move(&pod.holding));
            for (pod, claim) in moving.zip(claims.by_ref().take(claim.pods)) {
                pod.claim = Some(*claim);
                // There are none where the pool is too small.
                pod.share = shares.next().copied();
            }
            members[i] = Some(MemberShare {
                claim: *claim,
                unplaceable: member.by_weight.saturating_sub(member.fair),
                full_node: member.full_node.and_then(|node| nodes.name(node)),
                pods,
            });
        }
        let members: Vec<MemberShare> = members.into_iter().flatten().collect();
        let leaving = self.weighed.leaving.iter().map(|pod| pod.charge(resource)).sum();
        let gives = |pod: &PodShare| {
            let to = if pod.is_being_given() { Some(pod.granted()) } else { pod.reach() };
            to.is_some_and(|to| to < pod.holding.charge())
        };
        Divided {
            capacity,
            overcommitted: division.verdict == Verdict::Overcommitted,
            too_small: match division.verdict {
                Verdict::TooSmall { needed } => Some(needed + u128::from(aside)),
                _ => None,
            },
            leaving,
            divisible: pool.capacity.saturating_add(aside),
            quota: None,
            quotas: quotas::rooms(
                self.snapshot,
                &self.weighed.pool.namespace().unwrap_or_default(),
                resource,
            ),
            frees_room: leaving > 0 || members.iter().flat_map(|member| &member.pods).any(gives),
            members,
        }
    }
}

/// The least that a pod can be given.
#[must_use]
pub fn floor(
    snapshot: &Snapshot,
    member: &Member,
    pod: &Pod,
    holding: &Holding,
    resource: Resource,
) -> u64 {
    bounds(snapshot, &pod.namespace, member, holding.most(), resource).0.max(holding.fixed())
}

/// The least and the most that a pod of a member is given, where it can take `most`, whatever of it is fixed.
fn bounds(
    snapshot: &Snapshot,
    namespace: &str,
    member: &Member,
    most: Option<u64>,
    resource: Resource,
) -> (u64, Option<u64>) {
    let range = snapshot.limits.get(namespace).copied().unwrap_or_default().pod[resource];
    let cap = most.into_iter().chain(range.max).min();
    let min = member.min_per_pod.get(resource).unwrap_or(MIN_PER_POD[resource]).max(range.min);
    (min.min(cap.unwrap_or(u64::MAX)), cap)
}

/// What a pod that holds so much was measured to have a use for, with so many percent of headroom.
#[must_use]
pub fn demand(
    snapshot: &Snapshot,
    pod: &Pod,
    holds: u64,
    resource: Resource,
    headroom: u8,
) -> Demand {
    let name = (pod.namespace.clone(), pod.name.clone());
    let Some(signals) = snapshot.signals.pods.get(&name) else { return Demand::Unknown };
    let limits = pod.containers.iter().map(|container| container.limit[resource]);
    let node = pod.node.as_ref().and_then(|node| snapshot.nodes.get(node));
    let sample = Sample {
        used: signals.used[resource],
        peak: signals.peak[resource],
        limit: limits.sum::<Option<u64>>().filter(|&limit| limit > 0),
        held: signals.held[resource].unwrap_or(holds),
        risen: signals.risen[resource],
        node_busy: node.is_some_and(|node| node.busy[resource]),
        waiting: signals.waiting,
    };
    sample.demand(resource, headroom)
}

fn movable<'p, 'a>(pods: &'p [PodShare<'a>]) -> impl Iterator<Item = &'p PodShare<'a>> {
    pods.iter().filter(|pod| can_move(&pod.holding))
}

/// What those pods are charged that cannot be resized. The second copy of a machine that moves is no part of it: nobody's
/// share depends on where a machine is, and what it holds meanwhile is only no room for others.
fn aside(pods: &[PodShare]) -> u64 {
    let fixed = pods.iter().filter(|pod| !can_move(&pod.holding) && !pod.surge);
    fixed.map(|pod| pod.holding.charge()).sum()
}
