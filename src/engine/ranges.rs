//! How far the requests and limits of a pod may move. Pure.

use super::{
    View,
    container_limits::{Apart, rule},
    member_pod::MemberPod,
};
use crate::{
    api::{ContainerMode, Member},
    cluster::{COMPUTE, Container, Limits, Machine, Pod, Qos, Range, Resize, Template},
    share::{AdjustableRange, Holding, LimitRule, PerResource, Resource},
};

/// Whether a resize of ours can change what the pod holds.
#[must_use]
pub fn can_move(holding: &Holding) -> bool {
    holding.containers.iter().any(|container| container.range.is_some())
}

/// Why a container is left alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeftAlone {
    /// Its member says so.
    SwitchedOff,
    /// Its resize policy says that a resize restarts it.
    Restarts,
    /// The pod's template does not know it: it was injected.
    Injected,
    /// It is the memory of a virtual machine.
    Guest,
}

impl LeftAlone {
    /// One word for programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::SwitchedOff => "SwitchedOff",
            Self::Restarts => "RestartOnResize",
            Self::Injected => "Injected",
            Self::Guest => "GuestMemory",
        }
    }

    /// The cause, and what to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::SwitchedOff => "the member sets mode Off for its containers",
            Self::Restarts => {
                "its resizePolicy would restart the container. Remove the policy from the template, or set allowRestart: true"
            }
            Self::Injected => "its template does not have its containers",
            Self::Guest => {
                "memory is never taken from a running virtual machine. Remove memory from the pool's capacity"
            }
        }
    }
}

/// Why the first container of a pod is left alone.
#[must_use]
pub fn left_alone(pod: &MemberPod, member: &Member, resource: Resource) -> Option<LeftAlone> {
    if resource == Resource::Memory && pod.machine.is_some() {
        return Some(LeftAlone::Guest);
    }
    let container = pod.pod.parts(resource).first()?;
    container_left_alone(container, member, pod.template, resource)
}

fn container_left_alone(
    container: &Container,
    member: &Member,
    template: Option<&Template>,
    resource: Resource,
) -> Option<LeftAlone> {
    let mut policies = member.containers.iter();
    if policies.any(|it| it.name == container.name && it.mode == ContainerMode::Off) {
        Some(LeftAlone::SwitchedOff)
    } else if container.restarts[resource] && !member.allow_restart {
        Some(LeftAlone::Restarts)
    } else if template.is_some_and(|template| !template.contains_key(&container.name)) {
        Some(LeftAlone::Injected)
    } else {
        None
    }
}

/// What the pod holds of the resource, and how each of its containers may move, as its member says. `divided` are the
/// resources that the pool divides.
#[must_use]
pub fn holding(
    view: &View,
    pod: &MemberPod,
    member: &Member,
    resource: Resource,
    divided: PerResource<bool>,
) -> Holding {
    let MemberPod { pod, namespace, template, machine, measured, .. } = *pod;
    let failed = matches!(pod.resize, Resize::Infeasible(_))
        || view.backoff.failure(&pod.uid, resource, view.now).is_some()
        // It keeps what it has, so the others divide the rest.
        || view.backoff.refused_shrink(&pod.uid, resource, view.now).is_some();
    if pod.obstacle.is_some() || failed {
        return pod.holding(resource, |_| None);
    }
    let alone = |container: &Container| match machine {
        // Memory that a guest has is never taken from it.
        Some(_) => container.name != COMPUTE || resource == Resource::Memory,
        None => container_left_alone(container, member, template, resource).is_some(),
    };
    let apart = Apart::of(pod, member.limit_policy, resource, divided, alone);
    let limits = namespace.limits();
    let range =
        if pod.by_pod_level[resource] { Range::default() } else { limits.container[resource] };
    // The ratio matters only where the limit stays: one that moves keeps its own.
    let ranged = |container: &Container, rule: LimitRule| match container.limit[resource] {
        Some(limit) if rule == LimitRule::Keep => least_under(pod, &limits, resource, limit),
        _ => 0,
    };
    pod.holding(resource, |container| {
        if alone(container) {
            return None;
        }
        let held = container.held[resource].requested;
        let rule = rule(pod.qos, member.limit_policy, container, template, resource, &apart);
        // It is not known how low a limit of memory could go without ending the container.
        let unknown = resource == Resource::Memory && !measured.is_some_and(|it| it.is_fresh);
        let (rule, least) = match container.limit[resource] {
            None if unknown => (LimitRule::Keep, held.min(1)),
            Some(_) if unknown && rule != LimitRule::Keep => (rule, held),
            // A request that is there stays there: without any, the pod would be BestEffort.
            _ if pod.qos == Qos::Guaranteed || machine.is_some() => (rule, 1),
            _ => (rule, held.min(1)),
        };
        let stops = container.limit[resource].filter(|_| rule == LimitRule::Keep);
        let most = stops.map(|limit| limit - u64::from(apart.is(container) && limit > 0));
        let threads = machine.map(threads);
        let within = range.max.map(|max| rule.request_within(max));
        Some(AdjustableRange {
            weight: weight(container, template, machine, resource),
            least: least
                .max(range.min)
                .max(ranged(container, rule))
                .max(inside(pod, resource, rule)),
            most: most.into_iter().chain(threads).chain(within).min(),
            limit: rule,
        })
    })
}

/// The least request under a limit, by the ratios that the namespace's LimitRanges allow.
#[must_use]
pub fn least_under(pod: &Pod, limits: &Limits, resource: Resource, limit: u64) -> u64 {
    let container = limits.container[resource].request_with(limit);
    let pod_wide = limits.pod[resource].request_with(limit);
    if pod.by_pod_level[resource] { pod_wide } else { container.max(pod_wide) }
}

/// The least pod-level request. Kubernetes refuses one that is under what the containers request together, and a pod-level limit
/// that is under one of theirs.
fn inside(pod: &Pod, resource: Resource, rule: LimitRule) -> u64 {
    if !pod.by_pod_level[resource] {
        return 0;
    }
    let limits = pod.containers.iter().filter_map(|it| it.limit[resource]);
    let limit = limits.max().filter(|_| rule != LimitRule::Keep);
    pod.requested_inside(resource).max(limit.unwrap_or_default())
}

/// The weight of a container beside the others of its pod: the request in its template.
fn weight(
    container: &Container,
    template: Option<&Template>,
    machine: Option<&Machine>,
    resource: Resource,
) -> u64 {
    match (machine, template.and_then(|template| template.get(&container.name))) {
        (Some(_), _) => 1,
        (None, Some(template)) => template.request[resource],
        (None, None) => container.held[resource].requested,
    }
}

/// What a virtual machine can make use of, in millicores: its virtual CPUs, and the threads of its disks.
fn threads(machine: &Machine) -> u64 {
    machine.vcpus.saturating_add(machine.io_threads).saturating_mul(1000)
}
