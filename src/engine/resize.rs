//! A resize of one pod, as it is decided, and what the API server may say to it.

use std::fmt;

use crate::{
    cluster::{Container, Pod, Qos},
    share::Resource,
};

/// New values of one resource for the containers of one pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodResize {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The version of the pod that the decision rests on: on any other, the API server refuses.
    pub resource_version: String,
    /// What is resized.
    pub resource: Resource,
    /// The containers that change.
    pub containers: Vec<ContainerResize>,
    /// What the pod's regular containers request together now, in units of the resource.
    pub from: u64,
    /// What they will.
    pub to: u64,
}

/// New values for one container, in units of the resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerResize {
    /// The container's name. Empty for pod-level resources.
    pub name: String,
    /// Its request.
    pub request: u64,
    /// Its limit, where that moves too.
    pub limit: Option<u64>,
}

/// Why the API server did not take a resize.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("pod {pod}: {message}")]
pub struct Refusal {
    /// The pod's name.
    pub pod: String,
    /// What was to be resized.
    pub resource: Resource,
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// The API server's words, and what to do.
    pub message: String,
}

/// The kinds of refusal, by what follows from them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusalKind {
    /// The pod changed or vanished meanwhile: the next turn sees it.
    Outdated,
    /// A ResourceQuota is full.
    QuotaExceeded,
    /// The node could not hold so much if it were empty.
    NodeCapacity,
    /// A LimitRange says no, or would change more than what was asked.
    LimitRange,
    /// The pod's node, or its API server, does not resize pods in place.
    NotSupported,
    /// An admission policy or the API server itself says no.
    Refused,
    /// The API server took it, and made something else of it: an admission webhook does so.
    Altered,
    /// The API server has too much to do, and did nothing.
    Throttled,
    /// The API server could not be asked, or did not say what became of it.
    Unreachable,
}

impl RefusalKind {
    /// One word for programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Outdated => "Outdated",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::NodeCapacity => "NodeCapacity",
            Self::LimitRange => "LimitRange",
            Self::NotSupported => "NotSupported",
            Self::Refused => "Refused",
            Self::Altered => "Altered",
            Self::Throttled => "Throttled",
            Self::Unreachable => "Unreachable",
        }
    }

    /// Whether the same question would get the same answer.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Outdated | Self::Throttled | Self::Unreachable)
    }
}

impl PodResize {
    /// The resize that brings the parts of `pod` to `requests`, in their order. None where they are
    /// there. `limits` says which limit goes with a request, for a container whose limit moves.
    #[must_use]
    pub fn to(
        pod: &Pod,
        resource: Resource,
        requests: &[u64],
        limits: impl Fn(usize) -> Option<u64>,
    ) -> Option<Self> {
        let containers: Vec<ContainerResize> = pod
            .parts(resource)
            .iter()
            .zip(requests)
            .enumerate()
            .filter_map(|(i, (container, &request))| {
                let limit = limits(i).filter(|&limit| Some(limit) != container.limit[resource]);
                let moves = request != container.held[resource].requested || limit.is_some();
                moves.then(|| ContainerResize { name: container.name.clone(), request, limit })
            })
            .collect();
        (!containers.is_empty()).then(|| Self {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            resource_version: pod.resource_version.clone(),
            resource,
            containers,
            from: pod
                .parts(resource)
                .iter()
                .map(|container| container.held[resource].requested)
                .fold(0, u64::saturating_add),
            to: requests.iter().copied().fold(0, u64::saturating_add),
        })
    }

    /// The resize that takes back what a node could not carry out: to the requests that it admitted, and the limits that
    /// it enforces. None where nothing is asked beyond these.
    #[must_use]
    pub fn back(pod: &Pod, resource: Resource) -> Option<Self> {
        let admitted: Vec<u64> =
            pod.parts(resource).iter().map(|container| container.held[resource].admitted).collect();
        let limit = |i: usize| {
            let container: &Container = &pod.parts(resource)[i];
            let (admitted, limit) = (admitted[i], container.limit[resource]?);
            match container.enforced[resource] {
                // It is the request, or the class would change; what is enforced, the kernel has rounded.
                _ if pod.qos == Qos::Guaranteed => Some(admitted),
                Some(enforced) if !container.is_enforced(resource) || limit < admitted => {
                    Some(enforced.max(admitted))
                }
                Some(_) => Some(limit.max(admitted)),
                // We added it. Were all limits to meet their requests, the pod's class would change.
                None => Some(limit.max(admitted + 1)),
            }
        };
        Self::to(pod, resource, &admitted, limit)
    }

    /// Whether the pod asks for more than before.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.to > self.from
    }
}

/// In words: `cpu 200m -> 1`.
impl fmt::Display for PodResize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = |amount| self.resource.quantity(amount);
        write!(f, "{} {} -> {}", self.resource, quantity(self.from), quantity(self.to))
    }
}

/// What becomes of the resizes that a pool wants: those that are sent, and those that were refused and are not tried again yet.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Sent.
    pub sent: Vec<PodResize>,
    /// Refused.
    pub refused: Vec<Refusal>,
}
