//! What a decision read of what is measured: a sample that changes nothing of that changes no decision.

use std::collections::BTreeMap;

use crate::{
    api::Member,
    cluster::PoolId,
    engine::{
        View, division_input, member_pod::MemberPod, memory_floor, pool_members::PoolMembers,
    },
    share::{Demand, PerResource},
};

/// What was read for each pool when it was decided for last.
#[derive(Debug, Default)]
pub struct Readings(BTreeMap<PoolId, Vec<Reading>>);

/// What was read of one pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Its demand. None: the pool does not divide the resource.
    demand: PerResource<Option<Demand>>,
    /// Its recent peak of memory, in bytes. None: it is not measured, or the pool does not divide memory.
    memory: Option<u64>,
    /// Whether that was measured recently.
    is_fresh: bool,
}

impl Readings {
    /// Keeps what was read for a pool.
    pub fn keep(&mut self, view: &View, pool: &PoolMembers) {
        match is_decided_by_all(pool) {
            true => drop(self.0.remove(pool.id)),
            false => drop(self.0.insert(pool.id.clone(), readings(view, pool))),
        }
    }

    /// Forgets a pool.
    pub fn forget(&mut self, pool: &PoolId) {
        self.0.remove(pool);
    }

    /// Whether a decision for this pool would read something else now.
    #[must_use]
    pub fn differ(&self, view: &View, pool: &PoolMembers) -> bool {
        self.0.get(pool.id).is_none_or(|known| *known != readings(view, pool))
    }
}

/// Whether everything that is measured of a pool's pods may matter: where it moves weights, or could be what a virtual machine
/// is short of.
fn is_decided_by_all(pool: &PoolMembers) -> bool {
    pool.members.iter().any(|member| {
        member.spec.dynamic_weight.is_some() || member.pods.iter().any(|pod| pod.machine.is_some())
    })
}

fn readings(view: &View, pool: &PoolMembers) -> Vec<Reading> {
    let spec = &pool.object.spec;
    let headroom = spec.sharing.headroom_percent;
    let of_pod = |(member, pod): (&Member, &MemberPod)| {
        let demand = |resource| {
            pool.capacity[resource]?;
            let holds = pod.pod.charge(resource);
            let measured = pod.measured.as_ref();
            Some(division_input::demand(view, member, pod.pod, measured, holds, resource, headroom))
        };
        let demand = PerResource::from_fn(demand);
        let memory = demand.memory.and_then(|_| pod.measured.as_ref().map(memory_floor::used));
        let is_fresh = memory.is_some() && pod.measured.is_some_and(|it| it.is_fresh);
        Reading { demand, memory, is_fresh }
    };
    let pods = pool.members.iter().flat_map(|it| it.pods.iter().map(|pod| (it.spec, pod)));
    pods.map(of_pod).collect()
}
