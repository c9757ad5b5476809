//! One resize of one pod, from its values to the API server's answer.

use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{FIELD_MANAGER, Pod},
    engine::{ContainerResize, PodResize, Refusal, RefusalKind},
    share::Resource,
};

/// Sends a resize. The answer is the pod as it is now in the API server; the kubelet carries it out later.
///
/// Where admission could change more than what is asked (a LimitRange adds limits, which cannot be taken away again),
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
    let patch = Patch::Strategic(patch(resize));
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let refused = |error: kube::Error| refusal(resize, &error);
    if let Some(before) = first_try {
        let dry = PatchParams { dry_run: true, ..params.clone() };
        let answer = pods.patch_resize(&resize.pod, &dry, &patch).await.map_err(refused)?;
        if let Some(surprise) = surprise(resize, before, &Pod::read(&answer)) {
            let kind = RefusalKind::LimitRange;
            let message = format!(
                "a LimitRange would {surprise}, which the resize does not ask for. Set that in the pod's template, or remove the default from the LimitRange"
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
            let kind = kind_of(status.code, &status.message);
            let remedy = remedy(kind).map(|remedy| format!(": {remedy}")).unwrap_or_default();
            (kind, format!("{}{remedy}", status.message))
        }
        other => (RefusalKind::Unreachable, format!("the API server cannot be reached: {other}")),
    };
    Refusal { pod: resize.pod.clone(), resource: resize.resource, kind, message }
}

/// The strategic merge patch: only what changes, on just the version that was seen.
fn patch(resize: &PodResize) -> Value {
    let name = resize.resource.name();
    let resources = |part: &ContainerResize| {
        let mut resources = json!({"requests": {name: resize.resource.quantity(part.request)}});
        if let Some(limit) = part.limit {
            resources["limits"] = json!({name: resize.resource.quantity(limit)});
        }
        resources
    };
    let spec = match &*resize.containers {
        [part] if part.name.is_empty() => json!({"resources": resources(part)}),
        containers => {
            let container =
                |it: &ContainerResize| json!({"name": it.name, "resources": resources(it)});
            json!({"containers": containers.iter().map(container).collect::<Vec<_>>()})
        }
    };
    json!({"metadata": {"resourceVersion": resize.resource_version}, "spec": spec})
}

/// A part of a pod, in words.
fn in_words(name: &str) -> String {
    if name.is_empty() { "the whole pod".to_owned() } else { format!("container {name}") }
}

/// What differs in the answer to a dry run beyond what was asked of `pod`: a container, and in words what it would
/// have.
fn surprise(resize: &PodResize, pod: &Pod, answer: &Pod) -> Option<String> {
    for resource in Resource::ALL {
        for (before, after) in pod.parts(resource).iter().zip(answer.parts(resource)) {
            let asked = resize
                .containers
                .iter()
                .find(|it| it.name == before.name && resource == resize.resource);
            let request = asked.map_or(before.held[resource].requested, |it| it.request);
            let limit = asked.and_then(|it| it.limit).or(before.limit[resource]);
            let (name, told) = (in_words(&before.name), |amount| resource.quantity(amount));
            if after.limit[resource] != limit {
                let set = after.limit[resource].map_or("nothing".to_owned(), told);
                return Some(format!("set the {resource} limit of {name} to {set}"));
            }
            if after.held[resource].requested != request {
                let set = told(after.held[resource].requested);
                return Some(format!("set the {resource} request of {name} to {set}"));
            }
        }
    }
    None
}

/// Why a resize that the API server took is none: the pod in its answer asks for something else than it was to.
#[must_use]
pub fn altered(resize: &PodResize, answer: &Pod) -> Option<Refusal> {
    let other = |asked: &ContainerResize| {
        let container = answer.part(&asked.name, resize.resource)?;
        let request = container.held[resize.resource].requested;
        if request != asked.request {
            return Some((asked.name.clone(), "request", Some(request), asked.request));
        }
        let (limit, wanted) = (container.limit[resize.resource], asked.limit?);
        (limit != Some(wanted)).then(|| (asked.name.clone(), "limit", limit, wanted))
    };
    let (part, what, is, wanted) = resize.containers.iter().find_map(other)?;
    let part = in_words(&part);
    let told = |amount| resize.resource.quantity(amount);
    let (resource, kind) = (resize.resource, RefusalKind::Altered);
    let message = format!(
        "the API server gave {part} a {resource} {what} of {} instead of {}, most likely because of a mutating webhook. \
         Exempt pods/resize from the webhook, or bound the member by min and max",
        is.map_or("nothing".to_owned(), told),
        told(wanted),
    );
    Some(Refusal { pod: resize.pod.clone(), resource, kind, message })
}

/// The kind of refusal that an answer of the API server is.
fn kind_of(code: u16, message: &str) -> RefusalKind {
    let says = |words: &str| message.contains(words);
    match code {
        // A version of Kubernetes without pods/resize says it of the path, not of the pod.
        404 if says("the server could not find the requested resource") => {
            RefusalKind::NotSupported
        }
        404 | 409 => RefusalKind::Outdated,
        429 => RefusalKind::Throttled,
        500.. => RefusalKind::Unreachable,
        403 if says("exceeded quota") => RefusalKind::QuotaExceeded,
        403 if says("allocatable") || says("capacity") => RefusalKind::NodeCapacity,
        403 if says("per Container") || says("per Pod") || says("LimitRange") => {
            RefusalKind::LimitRange
        }
        403 | 422 if says("not support") || says("featuregate") || says("feature") => {
            RefusalKind::NotSupported
        }
        _ => RefusalKind::Refused,
    }
}

/// What to do about a refusal.
fn remedy(kind: RefusalKind) -> Option<&'static str> {
    Some(match kind {
        RefusalKind::QuotaExceeded => "raise the ResourceQuota or lower the pool's capacity",
        RefusalKind::NodeCapacity => "give the member a max, or the pod a larger node",
        RefusalKind::LimitRange => {
            "change the LimitRange, or bound the member by min, max and minPerPod"
        }
        RefusalKind::NotSupported => {
            "upgrade the node and the API server to Kubernetes 1.34 or later"
        }
        RefusalKind::Outdated
        | RefusalKind::Refused
        | RefusalKind::Altered
        | RefusalKind::Throttled
        | RefusalKind::Unreachable => return None,
    })
}
