//! What the caches leave out: everything that nobody reads.

use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use kube::Resource;

use super::pod::{FIELD_MANAGER, LOWERED};

/// Of any object: who wrote what.
pub(super) fn metadata<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Of a node: all but its name and what it can allocate.
pub(super) fn node(node: &mut core::Node) {
    metadata(node);
    node.metadata.annotations = None;
    node.spec = None;
    node.status = node.status.take().map(|status| core::NodeStatus {
        allocatable: status.allocatable,
        ..core::NodeStatus::default()
    });
}

/// Of a pod: all but its resources, its place, and how a resize of it goes.
pub(super) fn pod(pod: &mut core::Pod) {
    if let Some(entries) = &mut pod.metadata.managed_fields {
        entries.retain(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    }
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == "kubernetes.io/config.mirror" || key == LOWERED);
    }
    pod.spec = pod.spec.take().map(|spec| core::PodSpec {
        node_name: spec.node_name,
        containers: spec.containers.into_iter().map(container).collect(),
        init_containers: spec.init_containers.map(|init| init.into_iter().map(container).collect()),
        overhead: spec.overhead,
        resources: spec.resources,
        os: spec.os,
        ..core::PodSpec::default()
    });
    pod.status = pod.status.take().map(|status| core::PodStatus {
        phase: status.phase,
        qos_class: status.qos_class,
        observed_generation: status.observed_generation,
        conditions: status.conditions.map(|mut conditions| {
            conditions.retain(|condition| condition.type_.starts_with("PodResize"));
            conditions
        }),
        container_statuses: status.container_statuses.map(statuses),
        init_container_statuses: status.init_container_statuses.map(statuses),
        ..core::PodStatus::default()
    });
}

/// Of a ReplicaSet: all but its owner and the resources in its template.
pub(super) fn replica_set(set: &mut apps::ReplicaSet) {
    metadata(set);
    set.metadata.annotations = None;
    set.status = None;
    if let Some(template) = set.spec.as_mut().and_then(|spec| spec.template.as_mut()) {
        pod_template(template);
    }
}

/// Of a StatefulSet: all but the resources in its template.
pub(super) fn stateful_set(set: &mut apps::StatefulSet) {
    metadata(set);
    set.metadata.annotations = None;
    set.status = None;
    if let Some(spec) = &mut set.spec {
        spec.volume_claim_templates = None;
        pod_template(&mut spec.template);
    }
}

/// Of a DaemonSet: all but the resources in its template.
pub(super) fn daemon_set(set: &mut apps::DaemonSet) {
    metadata(set);
    set.metadata.annotations = None;
    set.status = None;
    if let Some(spec) = &mut set.spec {
        pod_template(&mut spec.template);
    }
}

/// Of a Job: all but the resources in its template.
pub(super) fn job(job: &mut batch::Job) {
    metadata(job);
    job.metadata.annotations = None;
    job.status = None;
    if let Some(spec) = &mut job.spec {
        pod_template(&mut spec.template);
    }
}

fn pod_template(template: &mut core::PodTemplateSpec) {
    template.metadata = None;
    template.spec = template.spec.take().map(|spec| core::PodSpec {
        containers: spec.containers.into_iter().map(container).collect(),
        ..core::PodSpec::default()
    });
}

fn container(container: core::Container) -> core::Container {
    core::Container {
        name: container.name,
        resources: container.resources,
        resize_policy: container.resize_policy,
        restart_policy: container.restart_policy,
        ..core::Container::default()
    }
}

fn statuses(statuses: Vec<core::ContainerStatus>) -> Vec<core::ContainerStatus> {
    let strip = |status: core::ContainerStatus| core::ContainerStatus {
        name: status.name,
        allocated_resources: status.allocated_resources,
        resources: status.resources,
        ..core::ContainerStatus::default()
    };
    statuses.into_iter().map(strip).collect()
}
