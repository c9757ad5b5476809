//! How a pod of the API is read.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
    },
    jiff::{SignedDuration, Timestamp},
};
use serde_json::Value;

use super::{
    Binding, COMPUTE, Container, FIELD_MANAGER, Obstacle, Owner, Pending, Pod, Qos, Resize,
    amount::{amount, limit, pod_level},
    binding::written,
    charges::pod_level_request,
    pod::LOWERED,
};
use crate::share::{Held, InitContainer, PerResource, Resource, charged};

impl Pod {
    /// Reads a pod of the API. Quantities that cannot be read count as zero: the API server checked them.
    #[must_use]
    pub fn read(pod: &core::Pod) -> Self {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let statuses =
            status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        let init_statuses =
            status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
        let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();

        let read = Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            owner: Owner::of(meta),
            machine: machine(pod),
            created: meta.creation_timestamp.as_ref().map(|it| it.0),
            node: spec.and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty()),
            binding: None,
            finished: matches!(phase(pod), "Succeeded" | "Failed"),
            terminating: meta.deletion_timestamp.is_some(),
            overdue_from: overdue_from(meta),
            qos: Qos::of(pod),
            containers: containers
                .iter()
                .map(|container| read_container(container, statuses, is_starting(pod)))
                .collect(),
            by_pod_level: PerResource::from_fn(|resource| {
                requested_at_pod_level(pod, resource).is_some()
            }),
            pod_level: read_pod_level(pod).map(Box::new),
            init: PerResource::from_fn(|resource| {
                init.iter()
                    .map(|container| InitContainer {
                        held: held(container, init_statuses, resource),
                        sidecar: is_sidecar(container),
                    })
                    .collect()
            }),
            overhead: PerResource::from_fn(|resource| {
                amount(spec.and_then(|spec| spec.overhead.as_ref()), resource).unwrap_or_default()
            }),
            init_limits: PerResource::from_fn(|resource| {
                init.iter().map(|container| limit(container, resource)).collect()
            }),
            deadline: spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()),
            priority_class: spec.and_then(|spec| spec.priority_class_name.clone()),
            pending: Pending::read(pod).map(Box::new),
            resize: read_resize(pod),
            unseen: is_unseen(pod),
            resized_by_us: {
                let resized = set_by_us(meta, &["f:requests", "f:limits"]);
                PerResource::from_fn(|resource| resized[resource] || is_lowered(meta, resource))
            },
            resized_at: resizes_of_ours(meta)
                .filter_map(|entry| Some(entry.time.as_ref()?.0))
                .max(),
            limited_by_us: set_by_us(meta, &["f:limits"]),
            set_by: PerResource::from_fn(|resource| {
                let others = resizers(meta, resource).filter_map(|entry| {
                    Some((entry.time.as_ref().map(|time| time.0), entry.manager.as_deref()?))
                });
                // The kubelet and the API server never resize, so their names count like any other.
                let last = others.filter(|(_, manager)| *manager != FIELD_MANAGER).max();
                last.map(|(_, manager)| manager.to_owned())
            }),
            critical: spec.is_some_and(is_critical),
            gated: spec.is_some_and(|spec| spec.scheduling_gates.iter().flatten().next().is_some()),
            obstacle: Obstacle::of(pod),
            in_flight: false,
        };
        read.with_binding(Binding::time(pod), written(meta))
    }
}

/// Whether the pod started with less of the resource than its template says.
fn is_lowered(meta: &ObjectMeta, resource: Resource) -> bool {
    let lowered = meta.annotations.as_ref().and_then(|all| all.get(LOWERED));
    lowered.is_some_and(|all| all.split(',').any(|name| name == resource.name()))
}

/// The entries of our resizes.
fn resizes_of_ours(pod: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    pod.managed_fields.iter().flatten().filter(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.subresource.as_deref() == Some("resize")
    })
}

/// What of these fields of some container a resize of ours set.
fn set_by_us(meta: &ObjectMeta, fields: &[&str]) -> PerResource<bool> {
    let entries: Vec<_> =
        resizes_of_ours(meta).filter_map(|entry| entry.fields_v1.as_ref()).collect();
    PerResource::from_fn(|resource| {
        let field = format!("f:{resource}");
        entries.iter().any(|entry| {
            let spec = &entry.0["f:spec"];
            let sets =
                |of: &Value| fields.iter().any(|&it| of["f:resources"][it].get(&field).is_some());
            let containers = spec["f:containers"].as_object();
            sets(spec) || containers.into_iter().flatten().any(|(_, container)| sets(container))
        })
    })
}

/// When quotas stop counting a pod that is being deleted: one grace period after its deletion was due.
fn overdue_from(meta: &ObjectMeta) -> Option<Timestamp> {
    let (at, grace) = (meta.deletion_timestamp.as_ref()?, meta.deletion_grace_period_seconds?);
    at.0.checked_add(SignedDuration::from_secs(grace)).ok()
}

fn phase(pod: &core::Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The entries of those whose resizes set the resource somewhere in the pod.
fn resizers(pod: &ObjectMeta, resource: Resource) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let field = format!("\"f:{resource}\"");
    let entries = pod.managed_fields.iter().flatten();
    entries.filter(move |entry| {
        entry.subresource.as_deref() == Some("resize")
            && entry.fields_v1.iter().any(|fields| fields.0.to_string().contains(&field))
    })
}

pub(super) fn is_sidecar(init: &core::Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Whether the kubelet and the scheduler evict others for it.
fn is_critical(spec: &core::PodSpec) -> bool {
    let named = ["system-node-critical", "system-cluster-critical"];
    spec.priority_class_name.as_deref().is_some_and(|name| named.contains(&name))
        || spec.priority.is_some_and(|priority| priority >= 2_000_000_000)
}

/// The virtual machine whose launcher a pod is. Anyone can set its labels: it must also belong to the machine, and have the
/// container in which a machine runs.
fn machine(pod: &core::Pod) -> Option<String> {
    let labels = pod.metadata.labels.as_ref().filter(|it| it.contains_key("kubevirt.io"))?;
    let machine = labels.get("kubevirt.io/created-by")?;
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let belongs = owners.any(|owner| {
        let kind = Owner::kind_of(&owner.api_version, &owner.kind);
        owner.controller == Some(true) && kind == "VirtualMachineInstance"
    });
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    (belongs && containers.iter().any(|it| it.name == COMPUTE)).then(|| machine.clone())
}

fn read_container(
    container: &core::Container,
    statuses: &[core::ContainerStatus],
    starting: bool,
) -> Container {
    let told =
        |map: &Option<BTreeMap<String, Quantity>>| map.as_ref().is_some_and(|it| !it.is_empty());
    Container {
        name: container.name.clone(),
        held: PerResource::from_fn(|resource| held(container, statuses, resource)),
        limit: PerResource::from_fn(|resource| limit(container, resource)),
        enforced: PerResource::from_fn(|resource| {
            let status = statuses.iter().find(|status| status.name == container.name)?;
            amount(status.resources.as_ref()?.limits.as_ref(), resource)
        }),
        restarts: PerResource::from_fn(|resource| restarts(container, resource)),
        unheard: starting
            && !statuses.iter().filter(|status| status.name == container.name).any(|it| {
                told(&it.allocated_resources)
                    || it
                        .resources
                        .as_ref()
                        .is_some_and(|it| told(&it.requests) || told(&it.limits))
            }),
    }
}

/// The pod-level request, if there is one.
fn requested_at_pod_level(pod: &core::Pod, resource: Resource) -> Option<u64> {
    let spec = pod.spec.as_ref()?;
    let resources = pod_level(spec)?;
    let of_containers = || {
        let of = |it: &core::Container| held(it, &[], resource).requested;
        let init = spec.init_containers.iter().flatten().map(|it| (of(it), is_sidecar(it)));
        charged(spec.containers.iter().map(of), init, 0)
    };
    let [request, limit] =
        [&resources.requests, &resources.limits].map(|it| amount(it.as_ref(), resource));
    pod_level_request(request, limit, of_containers)
}

/// The pod-level resources, as one part without a name.
fn read_pod_level(pod: &core::Pod) -> Option<Container> {
    let spec = pod.spec.as_ref()?;
    let resources = pod_level(spec)?;
    let status = pod.status.as_ref();
    let allocated = status.and_then(|it| it.allocated_resources.as_ref());
    let actual = status.and_then(|it| it.resources.as_ref());
    Some(Container {
        name: String::new(),
        held: PerResource::from_fn(|resource| {
            let requested = requested_at_pod_level(pod, resource).unwrap_or_default();
            let actual = actual.and_then(|it| amount(it.requests.as_ref(), resource));
            let admitted = amount(allocated, resource).max(actual);
            Held { requested, admitted: admitted.unwrap_or(requested) }
        }),
        limit: PerResource::from_fn(|resource| amount(resources.limits.as_ref(), resource)),
        enforced: PerResource::from_fn(|resource| amount(actual?.limits.as_ref(), resource)),
        // Containers without a limit of their own are limited by that of the pod.
        restarts: PerResource::from_fn(|resource| {
            spec.containers.iter().any(|container| restarts(container, resource))
        }),
        unheard: is_starting(pod) && allocated.is_none() && actual.is_none(),
    })
}

/// Whether a resize of the resource restarts the container.
fn restarts(container: &core::Container, resource: Resource) -> bool {
    container.resize_policy.iter().flatten().any(|policy| {
        policy.resource_name == resource.name() && policy.restart_policy == "RestartContainer"
    })
}

/// Whether a node has it, but has not said that it runs.
fn is_starting(pod: &core::Pod) -> bool {
    is_placed(pod) && phase(pod) == "Pending"
}

fn is_placed(pod: &core::Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    node.is_some_and(|name| !name.is_empty())
}

/// Whether the kubelet may not have seen the last resize yet. A pod without a node holds nothing.
fn is_unseen(pod: &core::Pod) -> bool {
    let generation = pod.metadata.generation.unwrap_or_default();
    let seen = pod.status.as_ref().and_then(|status| status.observed_generation);
    is_placed(pod) && generation > 1 && seen.unwrap_or_default() < generation
}

fn held(
    container: &core::Container,
    statuses: &[core::ContainerStatus],
    resource: Resource,
) -> Held {
    let requested = container
        .resources
        .as_ref()
        .and_then(|resources| amount(resources.requests.as_ref(), resource))
        // As the API server fills it in.
        .or_else(|| limit(container, resource))
        .unwrap_or_default();
    let status = statuses.iter().find(|status| status.name == container.name);
    let allocated = status.and_then(|status| amount(status.allocated_resources.as_ref(), resource));
    let actual = status
        .and_then(|status| status.resources.as_ref())
        .and_then(|resources| amount(resources.requests.as_ref(), resource));
    // A container that no kubelet has spoken of yet holds what its spec says.
    Held { requested, admitted: allocated.max(actual).unwrap_or(requested) }
}

fn read_resize(pod: &core::Pod) -> Resize {
    let Some(status) = &pod.status else { return Resize::Done };
    let condition = |type_: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == type_ && condition.status == "True")
    };
    let message = |condition: &core::PodCondition| condition.message.clone().unwrap_or_default();
    if let Some(pending) = condition("PodResizePending") {
        return match pending.reason.as_deref() {
            Some("Infeasible") => Resize::Infeasible(message(pending)),
            _ => Resize::Deferred(message(pending)),
        };
    }
    match condition("PodResizeInProgress") {
        Some(progress) if progress.reason.as_deref() == Some("Error") => {
            Resize::Failing(message(progress))
        }
        Some(_) => Resize::InProgress,
        None if is_unseen(pod) => Resize::InProgress,
        None => Resize::Done,
    }
}
