//! From a pool and its pods to what the mathematics divides, and back. Pure.

use std::rc::Rc;

use super::{
    View,
    exclusions::holding,
    grants::Memory,
    member_pod::MemberPod,
    memory_floor::MemoryFloor,
    pool_members::{MemberPods, PoolMembers},
    quotas::{QuotaBound, QuotaRoom},
    ranges::{can_move, left_alone},
    shares::{Divided, MemberShare, PodShare},
};
use crate::{
    api::{LimitPolicy, Member, Mode, Strategy, Surplus, WeightPer},
    cluster::{Limits, Pod, Qos},
    metrics::PodMeasures,
    share::{
        Demand, Divider, Division, Idle, MemberClaim, Newcomer, PerResource, PodClaim, Pool,
        Resource, Sample, Verdict,
    },
};

/// The least that a pod is given where its member says nothing else.
const MIN_PER_POD: PerResource<u64> = PerResource { cpu: 10, memory: 16 << 20 };

/// One resource of one pool on its way to its shares.
#[derive(Debug)]
pub struct DivisionInput<'a> {
    view: View<'a>,
    pool: Rc<PoolMembers<'a>>,
    /// The LimitRanges of its namespace.
    limits: Limits,
    resource: Resource,
    /// What there is to divide, in units of the resource.
    capacity: u64,
    /// The nodes of its pods that can be resized, by name.
    pub nodes: Vec<&'a str>,
    /// The members by name, as their places in the spec.
    order: Vec<usize>,
    /// The pods of each member, in the order of the spec.
    members: Vec<Vec<PodShare<'a>>>,
}

impl<'a> DivisionInput<'a> {
    /// Lays out what is divided of a capacity: a pod that cannot be resized is left out, and what it is charged leaves the pool.
    #[must_use]
    pub fn new(
        view: &View<'a>,
        pool: &Rc<PoolMembers<'a>>,
        resource: Resource,
        capacity: u64,
        grants: &Memory,
    ) -> (Self, Pool) {
        let divided = PerResource::from_fn(|it| pool.capacity[it].is_some());
        let of_pod = |member: &MemberPods, pod: &MemberPod<'a>| {
            let (holding, left_to) = holding(view, pod, member.spec, resource, divided);
            let memory_floor =
                (resource == Resource::Memory).then(|| MemoryFloor::of(pod, &holding));
            PodShare {
                pod: pod.pod,
                machine: pod.machine,
                started: pod.pod.started_with(pod.template, resource),
                measured: pod.measured,
                left_alone: left_alone(pod, member.spec, resource),
                migrates: pod.migrates_to.is_some(),
                memory_floor: memory_floor.flatten(),
                left_to,
                holding,
                claim: None,
                share: None,
            }
        };
        let of_member =
            |member: &MemberPods<'a>| member.pods.iter().map(|it| of_pod(member, it)).collect();
        let members: Vec<Vec<PodShare>> = pool.members.iter().map(of_member).collect();
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|&i| &pool.members[i].spec.name);
        let movable = members.iter().flat_map(|pods| movable(pods));
        let mut nodes: Vec<&str> = movable.filter_map(|pod| pod.pod.node.as_deref()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let (limits, pool) = (view.cluster.limits(&pool.id.namespace), pool.clone());
        let input = Self { view: *view, pool, limits, resource, capacity, nodes, order, members };
        let claims = input.claims(grants);
        (input, claims)
    }

    /// The pods that can be resized, in the order of their claims.
    pub fn movable(&self) -> impl Iterator<Item = &'a Pod> {
        self.order.iter().flat_map(|&i| movable(&self.members[i])).map(|pod| pod.pod)
    }

    fn claims(&self, grants: &Memory) -> Pool {
        let sharing = self.pool.object.spec.sharing;
        let idle = match (sharing.strategy, sharing.surplus) {
            (Strategy::Isolated, _) => Idle::Kept,
            (Strategy::Weighted, Surplus::Release) => Idle::Lent,
            (Strategy::Weighted, Surplus::Spread) => Idle::Spread,
        };
        let lend = self.view.lend_percent(self.pool.id, &sharing);
        let (mut members, mut pods) = (Vec::new(), Vec::new());
        for &i in &self.order {
            let (member, before) = (&self.pool.members[i], pods.len());
            let claims = movable(&self.members[i]).map(|pod| self.claim(member, pod, grants));
            pods.extend(claims);
            let unresizable = unresizable_charge(&self.members[i]);
            let within = |bound: u64| bound.saturating_sub(unresizable);
            members.push(MemberClaim {
                weight: self.weight(i),
                min: member.spec.min.get(self.resource).map_or(0, within),
                max: member.spec.max.get(self.resource).map(within),
                lend: self.view.lend_in_time(member.spec.lend_percent.unwrap_or(lend)),
                pods: pods.len() - before,
            });
        }
        let unresizable = self.unresizable_charge();
        Pool {
            capacity: self.capacity.saturating_sub(unresizable),
            idle,
            node_reserve: sharing.node_reserve_percent,
            members,
            pods,
        }
    }

    fn claim(&self, member: &MemberPods, pod: &PodShare, grants: &Memory) -> PodClaim {
        let (floor, cap) = bounds(member.spec, self.limits, pod.holding.most(), self.resource);
        PodClaim {
            weight: beside_siblings(member, pod),
            floor: floor.max(pod.holding.fixed()),
            cap,
            node: self.node(pod.pod),
            started: pod.started,
            demand: demand(
                &self.view,
                member.spec,
                pod.pod,
                pod.measured.as_ref(),
                pod.holding.charge(),
                self.resource,
                self.pool.object.spec.sharing.headroom_percent,
            ),
            requested: self.granted(pod, grants),
        }
    }

    /// What the pod asks for, or will once what it was granted is sent: who shrinks is sent before who grows, and in
    /// between nothing may seem to be given up.
    fn granted(&self, pod: &PodShare, grants: &Memory) -> u64 {
        let granted = grants.granted(&pod.pod.uid, self.resource);
        let acts = self.pool.object.spec.mode == Mode::Auto;
        granted.filter(|_| acts).unwrap_or_else(|| pod.holding.requested())
    }

    /// What one more pod of each member would own, in the order of the spec. None: the pool is too small for it.
    ///
    /// It is not known yet how many virtual CPUs it has: as many as the least of its siblings.
    #[must_use]
    pub fn one_more(&self, pool: &Pool, divider: &mut Divider) -> Vec<Option<u64>> {
        let mut owned = vec![None; self.order.len()];
        for (place, &i) in self.order.iter().enumerate() {
            let member = &self.pool.members[i];
            let siblings = movable(&self.members[i]);
            let beside = siblings.map(|pod| beside_siblings(member, pod)).min().unwrap_or(1);
            let times = match member.spec.weight_per {
                WeightPer::Member => 0,
                WeightPer::Replica | WeightPer::Vcpu => beside,
            };
            let brings = u64::from(member.weight).saturating_mul(times);
            let (floor, cap) = bounds(member.spec, self.limits, None, self.resource);
            let pod = PodClaim { weight: beside, floor, cap, ..PodClaim::default() };
            let weight = pool.members[place].weight.saturating_add(brings);
            owned[i] = divider.one_more(pool, &Newcomer { member: place, weight, pod });
        }
        owned
    }

    /// The weight of a member: its own, once, for each pod or for each virtual CPU.
    fn weight(&self, i: usize) -> u64 {
        let member = &self.pool.members[i];
        let times = match member.spec.weight_per {
            WeightPer::Member => 1,
            WeightPer::Replica | WeightPer::Vcpu => movable(&self.members[i])
                .map(|pod| beside_siblings(member, pod))
                .fold(0, u64::saturating_add),
        };
        u64::from(member.weight).saturating_mul(times)
    }

    /// Sets what there is to divide, without what the pods are charged that cannot be resized: a tree gives that.
    pub fn set_divisible(&mut self, amount: u64) {
        self.capacity = amount.saturating_add(self.unresizable_charge());
    }

    /// The sum of the floors of the pods that can be resized, each at most what it would be if its member set none.
    #[must_use]
    pub fn default_floors(&self, claims: &Pool) -> u64 {
        let pods = self.order.iter().flat_map(|&i| movable(&self.members[i]));
        let floor = |(pod, claim): (&PodShare, &PodClaim)| {
            let (floor, _) = within(None, self.limits, pod.holding.most(), self.resource);
            floor.max(pod.holding.fixed()).min(claim.floor)
        };
        pods.zip(&claims.pods).map(floor).fold(0, u64::saturating_add)
    }

    /// What the pods are charged that cannot be resized.
    #[must_use]
    pub fn unresizable_charge(&self) -> u64 {
        self.members.iter().map(|pods| unresizable_charge(pods)).fold(0, u64::saturating_add)
    }

    /// The place of a pod's node.
    fn node(&self, pod: &Pod) -> Option<u32> {
        let place = self.nodes.binary_search(&pod.node.as_deref()?).ok()?;
        u32::try_from(place).ok()
    }

    /// Gives members and pods what the division of `claims` says, under these quotas.
    #[must_use]
    pub fn finish(
        mut self,
        claims: &Pool,
        division: &Division,
        quota: Option<QuotaBound<'a>>,
        quotas: Vec<QuotaRoom<'a>>,
    ) -> Divided<'a> {
        let (capacity, resource) = (self.capacity, self.resource);
        let unresizable = self.unresizable_charge();
        let (mut of_pods, mut shares) = (claims.pods.iter(), division.pods.iter());
        let mut members: Vec<Option<MemberShare>> = self.members.iter().map(|_| None).collect();
        for (&i, (claim, member)) in
            self.order.iter().zip(claims.members.iter().zip(&division.members))
        {
            let mut pods = std::mem::take(&mut self.members[i]);
            let moving = pods.iter_mut().filter(|pod| can_move(&pod.holding));
            for (pod, claim) in moving.zip(of_pods.by_ref().take(claim.pods)) {
                pod.claim = Some(*claim);
                // There are none where the pool is too small.
                pod.share = shares.next().copied();
            }
            members[i] = Some(MemberShare {
                claim: *claim,
                unplaceable: member.by_weight.saturating_sub(member.fair),
                full_node: member.full_node.and_then(|node| self.nodes.get(node as usize).copied()),
                full_by: member.full_by,
                pods,
            });
        }
        let members: Vec<MemberShare> = members.into_iter().flatten().collect();
        let leaving = self.pool.leaving.iter().chain(&self.pool.departed);
        let leaving = leaving.map(|pod| pod.charge(resource)).fold(0, u64::saturating_add);
        let mut divided = Divided {
            capacity,
            overcommitted: division.verdict == Verdict::Overcommitted,
            too_small: match division.verdict {
                Verdict::TooSmall { needed } => Some(needed + u128::from(unresizable)),
                _ => None,
            },
            leaving,
            divisible: claims.capacity.saturating_add(unresizable),
            quota,
            quotas,
            frees_room: false,
            members,
        };
        divided.set_frees_room();
        divided
    }
}

/// The weight of a pod beside the others of its member.
fn beside_siblings(member: &MemberPods, pod: &PodShare) -> u64 {
    match member.spec.weight_per {
        WeightPer::Member | WeightPer::Replica => 1,
        WeightPer::Vcpu => pod.machine.map_or(1, |machine| machine.vcpus),
    }
}

/// The least and the most that a pod of a member is given, where it can take `most`, whatever of it is fixed.
fn bounds(
    member: &Member,
    limits: Limits,
    most: Option<u64>,
    resource: Resource,
) -> (u64, Option<u64>) {
    within(member.min_per_pod.get(resource), limits, most, resource)
}

/// The same, where a member asks for so much for each pod.
fn within(
    min_per_pod: Option<u64>,
    limits: Limits,
    most: Option<u64>,
    resource: Resource,
) -> (u64, Option<u64>) {
    let range = limits.pod[resource];
    let cap = most.into_iter().chain(range.max).min();
    let min = min_per_pod.unwrap_or(MIN_PER_POD[resource]).max(range.min);
    (min.min(cap.unwrap_or(u64::MAX)), cap)
}

/// What a pod that holds so much was measured to need, with so many percent of headroom.
///
/// Where limits follow the share, the regular containers cannot use what a sidecar leaves idle, so what sidecars and the overhead
/// take is added.
#[must_use]
pub fn demand(
    view: &View,
    member: &Member,
    pod: &Pod,
    measured: Option<&PodMeasures>,
    holds: u64,
    resource: Resource,
    headroom: u8,
) -> Demand {
    let Some(measured) = measured else { return Demand::Unknown };
    let limits = measured.limits.unwrap_or_else(|| pod.cpu_limits());
    let follow = resource == Resource::Cpu
        && limits.regular.is_some()
        && (pod.qos == Qos::Guaranteed || member.limit_policy != LimitPolicy::Keep);
    let node = pod.node.as_deref();
    let sample = Sample {
        used: measured.used[resource],
        peak: measured.peak[resource],
        limit: if follow { limits.regular } else { limits.all },
        held: measured.held[resource].unwrap_or(holds),
        risen: measured.risen[resource],
        // Nodes are measured with their pods.
        node_busy: measured.is_fresh && node.is_some_and(|node| view.is_busy(node, resource)),
        waiting: measured.waiting,
    };
    let demand = sample.demand(resource, headroom);
    if follow { demand.beside(pod.aside(resource)) } else { demand }
}

fn movable<'p, 'a>(pods: &'p [PodShare<'a>]) -> impl Iterator<Item = &'p PodShare<'a>> {
    pods.iter().filter(|pod| can_move(&pod.holding))
}

/// What those pods are charged that cannot be resized. The second pod of a machine that migrates is no part of it: no share
/// depends on where a machine is, and what that pod holds meanwhile only leaves less room for others.
fn unresizable_charge(pods: &[PodShare]) -> u64 {
    let fixed = pods.iter().filter(|pod| !can_move(&pod.holding) && !pod.migrates);
    fixed.map(|pod| pod.holding.charge()).fold(0, u64::saturating_add)
}
