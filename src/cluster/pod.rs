//! A pod as the division sees it.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Binding, Obstacle, Owner, Pending, Qos};
use crate::share::{self, AdjustableRange, Held, Holding, InitContainer, PerResource, Resource};

/// The field manager of everything that we write.
pub const FIELD_MANAGER: &str = "weightedshare";
/// The annotation of a pod that started with less than its template says: of which resources, as `cpu,memory`.
pub(super) const LOWERED: &str = "weightedshare.dev/lowered";

/// What the kernel may make of a limit: CPU time comes in hundredths of a core at the least, memory in pages.
const ROUNDING: PerResource<u64> = PerResource { cpu: 10, memory: 64 << 10 };

/// What is read of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version, which a resize must name.
    pub resource_version: String,
    /// The generation of its spec.
    pub generation: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What controls it, if anything.
    pub owner: Option<Owner>,
    /// The UID of the virtual machine that it runs.
    pub machine: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The node it was placed on.
    pub node: Option<String>,
    /// When it was bound to that node, and its charge then.
    pub binding: Option<Binding>,
    /// It has run to its end and holds nothing.
    pub finished: bool,
    /// It is being deleted; it holds what it has until it is gone.
    pub terminating: bool,
    /// From then on quotas no longer count it: its grace period has passed twice over, and it may never go.
    pub overdue_from: Option<Timestamp>,
    /// Its quality of service class.
    pub qos: Qos,
    /// Its regular containers.
    pub containers: Vec<Container>,
    /// Its pod-level resources, as one part without a name.
    pub pod_level: Option<Box<Container>>,
    /// The resources with a pod-level request: it counts in place of what the containers request.
    pub by_pod_level: PerResource<bool>,
    /// Its init containers.
    pub init: PerResource<Vec<InitContainer>>,
    /// The limits of these.
    pub init_limits: PerResource<Vec<Option<u64>>>,
    /// What its RuntimeClass adds.
    pub overhead: PerResource<u64>,
    /// It may run for so long only.
    pub deadline: bool,
    /// Its priority class.
    pub priority_class: Option<String>,
    /// The scheduler finds no room for it.
    pub pending: Option<Box<Pending>>,
    /// How far a resize of it has come.
    pub resize: Resize,
    /// Its node may not have seen yet what it was resized to last.
    pub unseen: bool,
    /// A resize of ours changed its requests or limits, as its managed fields say, or may have, or it started with less.
    pub resized_by_us: PerResource<bool>,
    /// A resize of ours set limits, as its managed fields say.
    pub limited_by_us: PerResource<bool>,
    /// When a resize of ours changed it last, as its managed fields say.
    pub resized_at: Option<Timestamp>,
    /// Who else set its requests or limits last, by a resize that was not written over, as its managed fields say.
    pub set_by: PerResource<Option<String>>,
    /// The system depends on it.
    pub critical: bool,
    /// Its scheduling gates keep it from being scheduled.
    pub gated: bool,
    /// Why no resize can ever be sent to it.
    pub obstacle: Option<Obstacle>,
    /// A resize of ours is on its way to the API server, or had no answer: what it asks for counts already.
    pub in_flight: bool,
}

/// A regular container of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub held: PerResource<Held>,
    /// Its limits.
    pub limit: PerResource<Option<u64>>,
    /// The limits that are in force, where the kubelet has spoken of them.
    pub enforced: PerResource<Option<u64>>,
    /// Its resize policy says that a resize of the resource restarts it.
    pub restarts: PerResource<bool>,
    /// Its pod has a node, which has not said yet what it holds: what it started with, or what it asks for since.
    pub unheard: bool,
}

/// What limits the CPU of a pod, in millicores. None: nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct CpuLimits {
    /// The limits of its regular containers together.
    pub regular: Option<u64>,
    /// Those of its sidecars too.
    pub all: Option<u64>,
}

/// How far a resize has come, as the pod's conditions say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Resize {
    /// None is under way.
    #[default]
    Done,
    /// The kubelet has not looked at it yet, or is carrying it out.
    InProgress,
    /// The node has no room now. With the kubelet's message.
    Deferred(String),
    /// The node can never do it. With the kubelet's message.
    Infeasible(String),
    /// The kubelet tries and fails. With its message.
    Failing(String),
}

impl Pod {
    /// Whether it should have been gone by now.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.overdue_from.is_some_and(|at| at < now)
    }

    /// The parts of it that hold the resource and can be resized: its regular containers, or its pod-level resources.
    #[must_use]
    pub fn parts(&self, resource: Resource) -> &[Container] {
        match &self.pod_level {
            Some(part) if self.by_pod_level[resource] => std::slice::from_ref(part),
            _ => &self.containers,
        }
    }

    /// The part of this name.
    #[must_use]
    pub fn part(&self, name: &str, resource: Resource) -> Option<&Container> {
        self.parts(resource).iter().find(|part| part.name == name)
    }

    /// Whether each of its init containers has a limit of the resource.
    #[must_use]
    pub fn inits_are_limited(&self, resource: Resource) -> bool {
        self.init_limits[resource].iter().all(Option::is_some)
    }

    /// What limits its CPU now, as the kubelet enforces it where it has said so.
    #[must_use]
    pub fn cpu_limits(&self) -> CpuLimits {
        let of = |container: &Container| {
            container.limit.cpu.map(|limit| container.enforced.cpu.unwrap_or(limit))
        };
        if let Some(limit) = self.pod_level.as_deref().and_then(of) {
            return CpuLimits { regular: Some(limit), all: Some(limit) };
        }
        let add = |sum: u64, limit: Option<u64>| Some(sum.saturating_add(limit?));
        let regular = self.containers.iter().map(of).try_fold(0, add);
        let sidecars = self.init.cpu.iter().zip(&self.init_limits.cpu);
        let sidecars = sidecars.filter(|(init, _)| init.sidecar).map(|(_, limit)| *limit);
        let all = regular.and_then(|regular| sidecars.into_iter().try_fold(regular, add));
        let limited = |limit: Option<u64>| limit.filter(|&limit| limit > 0);
        CpuLimits { regular: limited(regular), all: limited(all) }
    }

    /// What runs beside its regular containers takes so much, in units of the resource: sidecars, and its overhead.
    #[must_use]
    pub fn aside(&self, resource: Resource) -> u64 {
        let sidecars = self.init_of(resource).iter().filter(|init| init.sidecar);
        let charges = sidecars.map(|init| init.held.charged());
        charges.fold(self.overhead[resource], u64::saturating_add)
    }

    /// The init containers, where they count beside its parts.
    pub(super) fn init_of(&self, resource: Resource) -> &[InitContainer] {
        if self.by_pod_level[resource] { &[] } else { &self.init[resource] }
    }

    /// What it holds of one resource, with the `range` that each of its parts is given.
    pub fn holding(
        &self,
        resource: Resource,
        range: impl Fn(&Container) -> Option<AdjustableRange>,
    ) -> Holding {
        Holding {
            containers: self
                .parts(resource)
                .iter()
                .map(|container| share::Container {
                    held: self.held(container.held[resource]),
                    range: range(container),
                })
                .collect(),
            init: self
                .init_of(resource)
                .iter()
                .map(|init| InitContainer { held: self.held(init.held), ..*init })
                .collect(),
            overhead: self.overhead[resource],
        }
    }
}

impl Container {
    /// Whether its spec asks for something that is not in force yet.
    #[must_use]
    pub fn is_pending(&self, resource: Resource) -> bool {
        let held = self.held[resource];
        held.requested != held.admitted || !self.is_enforced(resource)
    }

    /// Whether its limit is in force, as far as the kubelet says so. What the kernel rounds may differ.
    #[must_use]
    pub fn is_enforced(&self, resource: Resource) -> bool {
        match (self.limit[resource], self.enforced[resource]) {
            (Some(limit), Some(enforced)) => limit.abs_diff(enforced) <= ROUNDING[resource],
            _ => true,
        }
    }
}
