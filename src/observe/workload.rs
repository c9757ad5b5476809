//! The workloads that own pods: whose a pod is, and what its template asks for.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{amount::amount, pod::Owner};
use crate::share::{PerResource, Resource};

/// What is read of a ReplicaSet, StatefulSet, DaemonSet or Job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// What controls it, such as the Deployment of a ReplicaSet.
    pub owner: Option<Owner>,
    /// What its pods start with, by the name of the container.
    pub template: Template,
}

/// What a pod template asks for, by the name of the container.
pub type Template = BTreeMap<String, TemplateContainer>;

/// What a pod template asks for one container.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TemplateContainer {
    /// The requests; where only a limit is set, that.
    pub request: PerResource<u64>,
    /// The limits.
    pub limit: PerResource<Option<u64>>,
}

impl Workload {
    /// Reads a Deployment.
    #[must_use]
    pub fn of_deployment(meta: &ObjectMeta) -> (Owner, Self) {
        named("Deployment", meta, None)
    }

    /// Reads a ReplicaSet.
    #[must_use]
    pub fn of_replica_set(set: &apps::ReplicaSet) -> (Owner, Self) {
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        named("ReplicaSet", &set.metadata, template)
    }

    /// Reads a StatefulSet.
    #[must_use]
    pub fn of_stateful_set(set: &apps::StatefulSet) -> (Owner, Self) {
        named("StatefulSet", &set.metadata, set.spec.as_ref().map(|spec| &spec.template))
    }

    /// Reads a DaemonSet.
    #[must_use]
    pub fn of_daemon_set(set: &apps::DaemonSet) -> (Owner, Self) {
        named("DaemonSet", &set.metadata, set.spec.as_ref().map(|spec| &spec.template))
    }

    /// Reads a Job.
    #[must_use]
    pub fn of_job(job: &batch::Job) -> (Owner, Self) {
        named("Job", &job.metadata, job.spec.as_ref().map(|spec| &spec.template))
    }
}

/// A workload with its name.
fn named(
    kind: &str,
    meta: &ObjectMeta,
    template: Option<&core::PodTemplateSpec>,
) -> (Owner, Workload) {
    let name = Owner {
        namespace: meta.namespace.clone().unwrap_or_default(),
        kind: kind.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
    };
    (name, Workload { owner: Owner::of(meta), template: read(template) })
}

fn read(template: Option<&core::PodTemplateSpec>) -> Template {
    let containers = template
        .and_then(|template| template.spec.as_ref())
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    containers.iter().map(|container| (container.name.clone(), read_container(container))).collect()
}

fn read_container(container: &core::Container) -> TemplateContainer {
    let resources = container.resources.as_ref();
    let limit = PerResource::from_fn(|resource| {
        amount(resources.and_then(|resources| resources.limits.as_ref()), resource)
    });
    let request = |resource: Resource| {
        amount(resources.and_then(|resources| resources.requests.as_ref()), resource)
    };
    TemplateContainer {
        request: PerResource::from_fn(|resource| {
            request(resource).or(limit[resource]).unwrap_or_default()
        }),
        limit,
    }
}
