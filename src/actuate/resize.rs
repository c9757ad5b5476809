//! One resize of one pod, from its values to the API server's answer.

use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    observe::{FIELD_MANAGER, Pod},
    share::Resource,
};

/// New values of one resource for the containers of one pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodResize {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
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
    /// A LimitRange, an admission policy or the API server itself says no.
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
            Self::Refused => "Refused",
            Self::Unreachable => "Unreachable",
        }
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
            resource_version: pod.resource_version.clone(),
            resource,
            containers,
            from: pod.containers.iter().map(|container| container.held[resource].requested).sum(),
            to: requests.iter().sum(),
        })
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
/// # Errors
/// When the API server refuses or cannot be reached.
pub async fn send(client: &Client, resize: &PodResize) -> Result<core::Pod, Refusal> {
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &resize.namespace);
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = pods.patch_resize(&resize.pod, &params, &Patch::Strategic(resize.patch())).await;
    answer.map_err(|error| refusal(&resize.pod, &error))
}

fn refusal(pod: &str, error: &kube::Error) -> Refusal {
    let (kind, message) = match error {
        kube::Error::Api(status) => match status.code {
            404 | 409 => (RefusalKind::Outdated, status.message.clone()),
            403 if status.message.contains("exceeded quota") => (
                RefusalKind::QuotaExceeded,
                format!("{}: raise the ResourceQuota or lower the pool's capacity", status.message),
            ),
            429 | 500.. => (RefusalKind::Unreachable, status.message.clone()),
            _ => (RefusalKind::Refused, status.message.clone()),
        },
        other => (RefusalKind::Unreachable, format!("the API server cannot be reached: {other}")),
    };
    Refusal { pod: pod.to_owned(), kind, message }
}
