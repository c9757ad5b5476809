//! One resize of one pod, from its values to the API server's answer.

use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    observe::{Container, FIELD_MANAGER, Pod, Qos},
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
    /// The container's name.
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
    /// The API server could not be asked.
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
            Self::Unreachable => "Unreachable",
        }
    }

    /// Of an answer of the API server.
    fn of(code: u16, message: &str) -> Self {
        let says = |words: &str| message.contains(words);
        match code {
            // A version of Kubernetes without pods/resize says it of the path, not of the pod.
            404 if says("the server could not find the requested resource") => Self::NotSupported,
            404 | 409 => Self::Outdated,
            429 | 500.. => Self::Unreachable,
            403 if says("exceeded quota") => Self::QuotaExceeded,
            403 if says("allocatable") || says("capacity") => Self::NodeCapacity,
            403 if says("per Container") || says("per Pod") || says("LimitRange") => {
                Self::LimitRange
            }
            403 | 422 if says("not support") || says("featuregate") || says("feature") => {
                Self::NotSupported
            }
            _ => Self::Refused,
        }
    }

    /// What to do about it.
    fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::QuotaExceeded => "raise the ResourceQuota or lower the pool's capacity",
            Self::NodeCapacity => "give the member a max, or the pod a larger node",
            Self::LimitRange => {
                "change the LimitRange, or bound the member by min, max and minPerPod"
            }
            Self::NotSupported => "bring the node and the API server to Kubernetes 1.34 or later",
            Self::Outdated | Self::Refused | Self::Unreachable => return None,
        })
    }
}

impl PodResize {
    /// The resize that brings the regular containers of `pod` to `requests`, in their order. None where they are
    /// there. `limits` says which limit goes with a request, for a container whose limit moves.
    #[must_use]
    pub fn to(
        pod: &Pod,
        resource: Resource,
        requests: &[u64],
        limits: impl Fn(usize) -> Option<u64>,
    ) -> Option<Self> {
        let containers: Vec<ContainerResize> = pod
            .containers
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
            from: pod.containers.iter().map(|container| container.held[resource].requested).sum(),
            to: requests.iter().sum(),
        })
    }

    /// The resize that takes back what a node could not carry out: to the requests that it admitted, and the limits that
    /// it enforces. None where nothing is asked beyond these.
    #[must_use]
    pub fn back(pod: &Pod, resource: Resource) -> Option<Self> {
        let admitted: Vec<u64> =
            pod.containers.iter().map(|container| container.held[resource].admitted).collect();
        let limit = |i: usize| {
            let container: &Container = &pod.containers[i];
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

    /// What differs in the answer to a dry run beyond what was asked of `pod`: a container, and in words what it would
    /// have.
    fn surprise(&self, pod: &Pod, answer: &Pod) -> Option<String> {
        for (before, after) in pod.containers.iter().zip(&answer.containers) {
            for resource in Resource::ALL {
                let asked = self
                    .containers
                    .iter()
                    .find(|it| it.name == before.name && resource == self.resource);
                let request = asked.map_or(before.held[resource].requested, |it| it.request);
                let limit = asked.and_then(|it| it.limit).or(before.limit[resource]);
                let (name, told) = (&before.name, |amount| resource.quantity(amount));
                if after.limit[resource] != limit {
                    let set = after.limit[resource].map_or("nothing".to_owned(), told);
                    return Some(format!("set the {resource} limit of container {name} to {set}"));
                }
                if after.held[resource].requested != request {
                    let set = told(after.held[resource].requested);
                    return Some(format!(
                        "set the {resource} request of container {name} to {set}"
                    ));
                }
            }
        }
        None
    }

    /// Whether the pod asks for more than before.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.to > self.from
    }

    /// The strategic merge patch: only what changes, on just the version that was seen.
    fn patch(&self) -> Value {
        let name = self.resource.name();
        let containers: Vec<Value> = self
            .containers
            .iter()
            .map(|container| {
                let mut resources =
                    json!({"requests": {name: self.resource.quantity(container.request)}});
                if let Some(limit) = container.limit {
                    resources["limits"] = json!({name: self.resource.quantity(limit)});
                }
                json!({"name": container.name, "resources": resources})
            })
            .collect();
        json!({
            "metadata": {"resourceVersion": self.resource_version},
            "spec": {"containers": containers},
        })
    }
}

/// Sends a resize. The answer is the pod as it is now in the API server; the kubelet carries it out later.
///
/// Where admission could change more than what is asked (a LimitRange adds limits, which nobody can take away again),
/// `first_try` is the pod as it was seen: the resize is tried out, and sent only if nothing else would change.
///
/// # Errors
/// When the API server refuses or cannot be reached.
pub async fn send(
    client: &Client,
    resize: &PodResize,
    first_try: Option<&Pod>,
) -> Result<core::Pod, Refusal> {
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &resize.namespace);
    let patch = Patch::Strategic(resize.patch());
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let refused = |error: kube::Error| refusal(resize, &error);
    if let Some(before) = first_try {
        let dry = PatchParams { dry_run: true, ..params.clone() };
        let answer = pods.patch_resize(&resize.pod, &dry, &patch).await.map_err(refused)?;
        if let Some(surprise) = resize.surprise(before, &Pod::read(&answer)) {
            let kind = RefusalKind::LimitRange;
            let message = format!(
                "a LimitRange would {surprise}, which was not asked for: set that in the pod's template, or take the default out of the LimitRange"
            );
            let (pod, resource) = (resize.pod.clone(), resize.resource);
            return Err(Refusal { pod, resource, kind, message });
        }
    }
    pods.patch_resize(&resize.pod, &params, &patch).await.map_err(refused)
}

fn refusal(resize: &PodResize, error: &kube::Error) -> Refusal {
    let (kind, message) = match error {
        kube::Error::Api(status) => {
            let kind = RefusalKind::of(status.code, &status.message);
            let remedy = kind.remedy().map(|remedy| format!(": {remedy}")).unwrap_or_default();
            (kind, format!("{}{remedy}", status.message))
        }
        other => (RefusalKind::Unreachable, format!("the API server cannot be reached: {other}")),
    };
    Refusal { pod: resize.pod.clone(), resource: resize.resource, kind, message }
}
