//! What the caches leave out: everything that nobody reads.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
};
use kube::Resource;

use super::{
    Waiting,
    pod::{FIELD_MANAGER, LOWERED},
};

/// Of any object: who wrote what.
pub(super) fn metadata<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Of an object of KubeVirt, whose types hold no more than what is read: who wrote what, and notes.
pub(super) fn machine<K: Resource>(object: &mut K) {
    metadata(object);
    object.meta_mut().annotations = None;
}

/// Of a node: all but its name, what it can allocate, and whom it takes.
pub(super) fn node(node: &mut core::Node) {
    metadata(node);
    node.metadata.annotations = None;
    node.spec = node
        .spec
        .take()
        .map(|spec| core::NodeSpec { taints: spec.taints, ..core::NodeSpec::default() });
    node.status = node.status.take().map(|status| core::NodeStatus {
        allocatable: status.allocatable,
        ..core::NodeStatus::default()
    });
}

/// Of a pod: all but its resources, its place, and how a resize of it goes.
pub(super) fn pod(pod: &mut core::Pod) {
    if let Some(entries) = &mut pod.metadata.managed_fields {
        // Nothing else can change what a pod holds.
        entries.retain(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                || entry.subresource.as_deref() == Some("resize")
        });
    }
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == "kubernetes.io/config.mirror" || key == LOWERED);
    }
    // Where it could run matters only as long as it waits for room.
    let waits = Waiting::read(pod).is_some();
    pod.spec = pod.spec.take().map(|spec| core::PodSpec {
        node_selector: spec.node_selector.filter(|_| waits),
        affinity: spec.affinity.filter(|_| waits),
        tolerations: spec.tolerations.filter(|_| waits),
        node_name: spec.node_name,
        containers: spec.containers.into_iter().map(container).collect(),
        init_containers: spec.init_containers.map(|init| init.into_iter().map(container).collect()),
        overhead: spec.overhead,
        resources: spec.resources,
        os: spec.os,
        active_deadline_seconds: spec.active_deadline_seconds,
        priority: spec.priority,
        priority_class_name: spec.priority_class_name,
        ..core::PodSpec::default()
    });
    pod.status = pod.status.take().map(|status| core::PodStatus {
        phase: status.phase,
        qos_class: status.qos_class,
        observed_generation: status.observed_generation,
        conditions: status.conditions.map(|mut conditions| {
            conditions.retain(|condition| {
                condition.type_.starts_with("PodResize")
                    || (waits && condition.type_ == "PodScheduled")
            });
            conditions
        }),
        container_statuses: status.container_statuses.map(statuses),
        init_container_statuses: status.init_container_statuses.map(statuses),
        ..core::PodStatus::default()
    });
}

/// Of a ResourceQuota: all but what it bounds, and how much of that there is.
pub(super) fn quota(quota: &mut core::ResourceQuota) {
    metadata(quota);
    quota.metadata.annotations = None;
}

/// Of a HorizontalPodAutoscaler: all but what it scales, and by which metrics.
pub(super) fn horizontal(scaler: &mut autoscaling::HorizontalPodAutoscaler) {
    metadata(scaler);
    scaler.metadata.annotations = None;
    scaler.status = None;
    if let Some(spec) = &mut scaler.spec {
        spec.behavior = None;
    }
}

/// Of a ReplicaSet: all but its owner, the resources in its template, and whether its pods are refused.
pub(super) fn replica_set(set: &mut apps::ReplicaSet) {
    metadata(set);
    set.metadata.annotations = None;
    set.status = set.status.take().map(|status| apps::ReplicaSetStatus {
        conditions: status.conditions.map(|mut conditions| {
            conditions.retain(|condition| condition.type_ == "ReplicaFailure");
            conditions
        }),
        ..apps::ReplicaSetStatus::default()
    });
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

/// Of a DaemonSet: all but the resources in its template, and how many pods it is to have.
pub(super) fn daemon_set(set: &mut apps::DaemonSet) {
    metadata(set);
    set.metadata.annotations = None;
    set.status = set.status.take().map(|status| apps::DaemonSetStatus {
        desired_number_scheduled: status.desired_number_scheduled,
        ..apps::DaemonSetStatus::default()
    });
    if let Some(spec) = &mut set.spec {
        pod_template(&mut spec.template);
    }
}

/// Of a Job: all but the resources in its template, and how far it is.
pub(super) fn job(job: &mut batch::Job) {
    metadata(job);
    job.metadata.annotations = None;
    job.status = job.status.take().map(|status| batch::JobStatus {
        succeeded: status.succeeded,
        conditions: status.conditions,
        ..batch::JobStatus::default()
    });
    if let Some(spec) = &mut job.spec {
        pod_template(&mut spec.template);
    }
}

fn pod_template(template: &mut core::PodTemplateSpec) {
    template.metadata = None;
    template.spec = template.spec.take().map(|spec| core::PodSpec {
        containers: spec.containers.into_iter().map(container).collect(),
        init_containers: spec.init_containers.map(|init| init.into_iter().map(container).collect()),
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
