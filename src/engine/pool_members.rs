//! A pool with its members and their pods, as the stages of a decision see it.

use crate::{
    api::{DynamicWeightStatus, Member, WeightedShare},
    cluster::{Owner, Pod, PoolId},
    share::{PerResource, Resource},
};

use super::{
    View,
    capacity::{Capacity, capacity},
    dynamic_weights::Trouble,
    forest::PoolFault,
    member_pod::MemberPod,
    membership::{self, Membership, PoolPods},
    plan::Used,
};

/// A pool with the pods that are its own.
#[derive(Debug)]
pub struct PoolMembers<'a> {
    /// The pool's name and age.
    pub id: &'a PoolId,
    /// What the user wrote, and its status.
    pub object: &'a WeightedShare,
    /// The members, in the order of the spec.
    pub members: Vec<MemberPods<'a>>,
    /// Pods of the members that are being deleted: they get no share, but hold theirs until they are gone.
    pub leaving: Vec<&'a Pod>,
    /// What it has to divide. None: it does not touch the resource.
    pub capacity: PerResource<Option<Capacity>>,
    /// Why it has nothing to divide.
    pub fault: Option<PoolFault>,
    /// Pods that it had, that belong to no pool now, and that still hold more than they began with.
    pub departed: Vec<&'a Pod>,
}

/// A member with its pods.
#[derive(Debug)]
pub struct MemberPods<'a> {
    /// What the user wrote.
    pub spec: &'a Member,
    /// Its weight: the one that the user wrote, or the one that its dynamicWeight worked out to last.
    pub weight: u32,
    /// The signals that moved a dynamic weight, in words.
    pub signals: String,
    /// Why a dynamic weight could not be worked out.
    pub trouble: Option<Trouble>,
    /// Its pods, by name, without those that are being deleted.
    pub pods: Vec<MemberPod<'a>>,
    /// The workload that it names is missing, and so are its pods.
    pub target_missing: bool,
    /// Pods that may be its own: their controllers were not seen yet.
    pub unseen: Vec<Unseen<'a>>,
    /// Pods that it matches and that belong to an older pool, with the name of that pool.
    pub lost: Vec<(&'a Pod, &'a str)>,
    /// Pods of its own that a younger pool matches as well, with the name of that pool.
    pub contested: Vec<(&'a Pod, &'a str)>,
}

/// A pod that may belong to a member: its controller was not seen yet.
#[derive(Clone, Copy, Debug)]
pub struct Unseen<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The controller that is missing: the pod's own, or one further up.
    pub controller: &'a Owner,
}

impl<'a> PoolMembers<'a> {
    /// The members of a pool and their pods.
    #[must_use]
    pub fn of(
        view: &View<'a>,
        membership: &'a Membership,
        id: &'a PoolId,
        pool: &'a WeightedShare,
    ) -> Self {
        let pods = membership.of(id);
        let mut leaving: Vec<&Pod> = Vec::new();
        let members = pool.spec.members.iter().enumerate().map(|(i, spec)| {
            let mut member = MemberPods::new(view, pool, spec);
            if let Some(pods) = pods {
                leaving.extend(member.add_pods(view, membership, id, pods, i));
            }
            member
        });
        let members = members.collect();
        leaving.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut pool = Self {
            id,
            object: pool,
            members,
            leaving,
            capacity: PerResource::default(),
            fault: None,
            departed: Vec::new(),
        };
        let own = pool.pods().chain(pool.leaving.iter().copied());
        match capacity(view, id, pool.object, own) {
            Ok(capacity) => pool.capacity = capacity,
            Err(fault) => pool.fault = Some(fault),
        }
        pool
    }

    /// All pods of its members.
    pub fn pods(&self) -> impl Iterator<Item = &'a Pod> {
        self.members.iter().flat_map(|member| &member.pods).map(|it| it.pod)
    }

    /// What each member uses.
    #[must_use]
    pub fn used(&self) -> Vec<Used> {
        self.members.iter().map(MemberPods::used).collect()
    }

    /// What all members with pods use. None: not all of them were measured.
    #[must_use]
    pub fn used_in_all(&self) -> Used {
        let members = || self.members.iter().filter(|member| !member.pods.is_empty());
        PerResource::from_fn(|resource| members().map(|member| member.used()[resource]).sum())
    }

    /// Whether some pod may or may not belong to the pool. Until that is known, a division could give away what the pod holds.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.members.iter().any(|member| !member.unseen.is_empty())
    }
}

impl<'a> MemberPods<'a> {
    fn new(view: &View<'a>, pool: &'a WeightedShare, spec: &'a Member) -> Self {
        let namespace = pool.metadata.namespace.as_deref().unwrap_or_default();
        let target = spec.target_ref.as_ref().map(|it| membership::owner(it, namespace));
        let last = last_weight(spec, pool);
        Self {
            spec,
            weight: last.map_or(spec.weight, |last| last.weight),
            signals: last.map(|last| last.signals.clone()).unwrap_or_default(),
            trouble: None,
            pods: Vec::new(),
            target_missing: target.is_some_and(|target| !view.cluster.has(&target)),
            unseen: Vec::new(),
            lost: Vec::new(),
            contested: Vec::new(),
        }
    }

    /// Adds its pods. Returns those that are being deleted.
    fn add_pods(
        &mut self,
        view: &View<'a>,
        membership: &'a Membership,
        id: &PoolId,
        pods: &'a PoolPods,
        place: usize,
    ) -> Vec<&'a Pod> {
        let Some(namespace) = view.cluster.namespace(&id.namespace) else { return Vec::new() };
        let measured = view.metrics.pods_in(&id.namespace, view.now);
        let [own, contested, lost, unseen] = pods.of_member(place);
        let pod = |name: &str| namespace.pod(name);
        let (leaving, own): (Vec<&Pod>, Vec<&Pod>) =
            own.filter_map(pod).partition(|pod| pod.terminating);
        let leaving = leaving.into_iter().filter(|pod| !view.is_lost(pod)).collect();
        for pod in contested.filter_map(pod).filter(|pod| !pod.terminating) {
            let rivals = membership.rivals(&pod.namespace, &pod.name);
            self.contested.extend(rivals.map(|rival| (pod, &*rival.name)));
        }
        self.pods = own.into_iter().map(|pod| MemberPod::of(namespace, &measured, pod)).collect();
        // The files of a plan may have the pods without the workload.
        self.target_missing &= self.pods.is_empty();
        self.lost = lost
            .filter_map(pod)
            .filter_map(|pod| Some((pod, &*membership.owner(&pod.namespace, &pod.name)?.0.name)))
            .collect();
        self.unseen = unseen
            .filter_map(pod)
            .filter_map(|pod| {
                Some(Unseen { pod, controller: view.cluster.unseen_controller(pod)? })
            })
            .collect();
        leaving
    }

    /// What its pods use, in millicores and bytes; none where not all of them were measured.
    #[must_use]
    pub fn used(&self) -> Used {
        PerResource::from_fn(|resource| {
            let of_pod = |pod: &MemberPod| Some(pod.measured?.used[resource]);
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

/// What a dynamic weight worked out to last, as the status says.
fn last_weight<'a>(member: &Member, pool: &'a WeightedShare) -> Option<&'a DynamicWeightStatus> {
    member.dynamic_weight.as_ref()?;
    let members = &pool.status.as_ref()?.members;
    members.iter().find(|known| known.name == member.name)?.dynamic_weight.as_ref()
}
