//! What a division comes to: for each pool, member and pod.

use super::{
    exclusions::Exclusion,
    memory_floor::MemoryFloor,
    quotas::{QuotaBound, QuotaRoom},
    ranges::LeftAlone,
};
use crate::{
    cluster::{Machine, Pod, Resize},
    metrics::PodMeasures,
    share::{self, Demand, Full, Holding, MemberClaim, PerResource, PodClaim, Resource},
};

/// The pods of a pool that have a share, in the order of the division.
pub fn with_share<'d, 'a>(divided: &'d Divided<'a>) -> impl Iterator<Item = &'d PodShare<'a>> {
    divided.pods().filter(|pod| pod.share.is_some())
}

/// The division of one resource of a pool.
#[derive(Debug)]
pub struct Divided<'a> {
    /// What there is to divide, in units of the resource.
    pub capacity: u64,
    /// The members, in the order of the spec.
    pub members: Vec<MemberShare<'a>>,
    /// The minima together exceed what can be divided.
    pub overcommitted: bool,
    /// Not even the least that each pod needs fits: nothing is changed. With what would be needed.
    pub too_small: Option<u128>,
    /// What is still held by pods that are being deleted, or that departed from the pool.
    pub leaving: u64,
    /// What of it can be divided: less, where a quota leaves less.
    pub divisible: u64,
    /// The quota that does.
    pub quota: Option<QuotaBound<'a>>,
    /// What the quotas of the namespace leave free.
    pub quotas: Vec<QuotaRoom<'a>>,
    /// Some pod is being deleted, or still holds more than it is granted: room for the others is on its way.
    pub frees_room: bool,
}

/// One resource of one member.
#[derive(Debug)]
pub struct MemberShare<'a> {
    /// What it claims: its weight beside the other members, and its bounds, without the pods that are left alone.
    pub claim: MemberClaim,
    /// What its nodes keep it from owning.
    pub unplaceable: u64,
    /// The full node that would have to be freed for that.
    pub full_node: Option<&'a str>,
    /// Why that node is full.
    pub full_by: Full,
    /// Its pods, by name.
    pub pods: Vec<PodShare<'a>>,
}

impl MemberShare<'_> {
    /// What would make room for what its nodes keep it from owning.
    #[must_use]
    pub fn makes_room(&self) -> Option<String> {
        let node = self.full_node?;
        Some(match self.full_by {
            Full::Charges => format!("make room on node {node}"),
            Full::Reserve => {
                format!("lower sharing.nodeReservePercent, or make room on node {node}")
            }
            Full::Stakes => format!(
                "raise the controller's --node-memory-grow-percent, or move pods of other namespaces off node {node}"
            ),
        })
    }
}

/// One resource of one pod.
#[derive(Debug)]
pub struct PodShare<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The virtual machine that it runs, where that is known.
    pub machine: Option<&'a Machine>,
    /// Its charge when it was bound to its node.
    pub started: u64,
    /// What is measured of it.
    pub measured: Option<PodMeasures>,
    /// What it holds, and how that may move.
    pub holding: Holding,
    /// Who it is left to, if it is left alone.
    pub left_to: Option<Exclusion>,
    /// It runs a virtual machine that migrates to another pod, which counts in its place.
    pub migrates: bool,
    /// What it claims. None: it is left alone, at what it holds.
    pub claim: Option<PodClaim>,
    /// What it owns, and what it is to be charged. None: it stays at what it holds.
    pub share: Option<share::PodDivision>,
    /// What it cannot go under now, as it is in use.
    pub memory_floor: Option<MemoryFloor>,
    /// Why it is left alone, where its containers are.
    pub left_alone: Option<LeftAlone>,
}

impl PodShare<'_> {
    /// How far it can go towards its share now: what is in use is not taken from it, nor what its node may be giving it
    /// just now. None: it stays at what it holds.
    #[must_use]
    pub fn reach(&self) -> Option<u64> {
        let share = self.share?.share;
        let memory_floor = self.memory_floor.as_ref().map_or(0, MemoryFloor::least);
        let on_its_way = if self.is_being_given() { self.holding.charge() } else { 0 };
        Some(share.max(memory_floor).max(on_its_way))
    }

    /// Whether it asks for more than it was given, and its node has not said what it makes of that: a kubelet speaks of a
    /// generation before it decides. Taken back before, it would be free by all that is said, and in force.
    #[must_use]
    pub fn is_being_given(&self) -> bool {
        let more = |it: &share::Container| it.held.requested > it.held.admitted;
        let undecided = matches!(self.pod.resize, Resize::Done | Resize::InProgress);
        (self.pod.unseen || undecided) && self.holding.containers.iter().any(more)
    }

    /// What it is to be charged: its share, or what it holds where it is left alone.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.share.map_or_else(|| self.holding.charge(), |share| share.share)
    }

    /// What it was measured to need. None: it is not known.
    #[must_use]
    pub fn demand(&self) -> Option<u64> {
        match self.claim?.demand {
            Demand::Unknown => None,
            known => Some(known.of(self.fair())),
        }
    }

    /// What it would own if nodes set no limit. None: it is left alone.
    #[must_use]
    pub fn by_weight(&self) -> Option<u64> {
        self.share.map(|share| share.by_weight)
    }

    /// What it owns: its fair share, or what it holds where it is left alone.
    #[must_use]
    pub fn fair(&self) -> u64 {
        self.share.map_or_else(|| self.holding.charge(), |share| share.fair)
    }
}

impl MemberShare<'_> {
    /// What `of` says of its pods, in all.
    pub fn sum(&self, of: impl Fn(&PodShare) -> u64) -> u64 {
        self.pods.iter().map(of).fold(0, u64::saturating_add)
    }

    /// What its pods were measured to need, together. None where none of them was measured.
    #[must_use]
    pub fn demand(&self) -> Option<u64> {
        let known = self.pods.iter().any(|pod| pod.demand().is_some());
        // A pod that was not measured is taken to need what it owns.
        known.then(|| self.sum(|pod| pod.demand().unwrap_or_else(|| pod.fair())))
    }
}

impl<'a> Divided<'a> {
    /// All its pods.
    pub fn pods(&self) -> impl Iterator<Item = &PodShare<'a>> {
        self.members.iter().flat_map(|member| &member.pods)
    }

    /// What `of` says of its pods, in all.
    pub fn sum(&self, of: impl Fn(&PodShare) -> u64) -> u64 {
        self.pods().map(of).fold(0, u64::saturating_add)
    }

    /// What all pods of the pool are charged, those that are being deleted too.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.sum(|pod| pod.holding.charge()).saturating_add(self.leaving)
    }

    /// Sets `frees_room` by what the pods are granted now.
    pub fn set_frees_room(&mut self) {
        let gives = |pod: &PodShare| {
            let to = if pod.is_being_given() { Some(pod.granted()) } else { pod.reach() };
            to.is_some_and(|to| to < pod.holding.charge())
        };
        self.frees_room = self.leaving > 0 || self.pods().any(gives);
    }

    /// Whether a full node keeps some pod from what it would own by weight.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        let held_back = |share: share::PodDivision| share.fair < share.by_weight;
        self.pods().any(|pod| pod.share.is_some_and(held_back))
    }

    /// What pods hold less than they own, as others on their node need it.
    #[must_use]
    pub fn lent(&self) -> u64 {
        self.sum(|pod| pod.granted().saturating_sub(pod.fair()))
    }
}

/// One pool, divided: each resource that it names.
pub type Shares<'a> = PerResource<Option<Divided<'a>>>;

/// Counts what pods of a pool in a tree borrow from other pools as its own to divide.
pub fn include_borrowed(shares: &mut Shares) {
    for resource in Resource::ALL {
        if let Some(divided) = &mut shares[resource] {
            divided.divisible = divided.divisible.max(divided.sum(|pod| pod.granted()));
        }
    }
}
