//! The workloads that own pods: whose a pod is, and what its template asks for.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use serde::Deserialize;

use super::{
    limit_range::Limits,
    machine::MACHINE_SETS,
    owner::Owner,
    pod::Pod,
    pod_template::{PodTemplate, Template},
};
use crate::share::PerResource;

/// The kind of what keeps the earlier templates of StatefulSets and DaemonSets.
pub(super) const REVISION: &str = "ControllerRevision";
/// The annotation of a DaemonSet with the generation of its template.
const DAEMON_SET_TEMPLATE: &str = "deprecated.daemonset.template.generation";

/// What is read of a ReplicaSet, StatefulSet, DaemonSet or Job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// What controls it, such as the Deployment of a ReplicaSet.
    pub owner: Option<Owner>,
    /// What its pods start with, by the name of the container.
    pub template: Template,
    /// What a pod of its template would be charged, without the overhead of its RuntimeClass.
    pub charge: PerResource<u64>,
    /// The key and the value of the label by which pods of this template are told from pods of earlier ones. None: there is no
    /// such label.
    pub revision: Option<(&'static str, String)>,
    /// Its template as it is written. None: KubeVirt makes its pods, or it has no pods of its own.
    pub written: Option<Arc<PodTemplate>>,
    /// How many pods it is to have now.
    pub pods: u64,
    /// Why the API server took no more of its pods, where it says so.
    pub refused: Option<String>,
}

impl Owner {
    /// Whether one of this kind can be controlled by one of the kind `above`, directly or through another.
    #[must_use]
    pub fn may_belong_to(&self, above: &str) -> bool {
        match self.kind.as_str() {
            "ReplicaSet" => above == "Deployment",
            "VirtualMachineInstance" => above == "VirtualMachine" || MACHINE_SETS.contains(&above),
            "VirtualMachine" => above == "VirtualMachinePool",
            _ => false,
        }
    }

    /// What may have controlled this controller, now deleted, of a pod: by the names that Kubernetes and KubeVirt give.
    pub(super) fn above_by_name(&self, pod: &Pod) -> Vec<Self> {
        let of = |kind: &str, name: &str| Self {
            namespace: self.namespace.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        match self.kind.as_str() {
            "ReplicaSet" => {
                let hash = pod.labels.get("pod-template-hash");
                let name = hash.and_then(|hash| self.name.strip_suffix(&**hash)?.strip_suffix('-'));
                name.map(|name| of("Deployment", name)).into_iter().collect()
            }
            "VirtualMachineInstance" => {
                let set = self.name.rsplit_once('-').map(|(set, _)| set);
                let sets = set.into_iter().flat_map(|set| MACHINE_SETS.map(|kind| of(kind, set)));
                sets.chain([of("VirtualMachine", &self.name)]).collect()
            }
            "VirtualMachine" => {
                let pool = self.name.rsplit_once('-');
                pool.map(|(pool, _)| of("VirtualMachinePool", pool)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Workload {
    /// Reads a Deployment, which has no pods of its own: those are its ReplicaSets'.
    #[must_use]
    pub fn of_deployment(meta: &ObjectMeta) -> Self {
        Self { owner: Owner::of(meta), ..Self::default() }
    }

    /// Reads a ReplicaSet.
    #[must_use]
    pub fn of_replica_set(set: &apps::ReplicaSet) -> Self {
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut failing =
            conditions.filter(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        let refused = failing.next().and_then(|condition| condition.message.clone());
        let pods = count(set.spec.as_ref().map(|spec| spec.replicas.unwrap_or(1)));
        Self { pods, refused, ..Self::of_template(&set.metadata, template) }
    }

    /// Reads a StatefulSet.
    #[must_use]
    pub fn of_stateful_set(set: &apps::StatefulSet) -> Self {
        let spec = set.spec.as_ref();
        let pods = count(spec.map(|spec| spec.replicas.unwrap_or(1)));
        let revision = set.status.as_ref().and_then(|status| status.update_revision.clone());
        let revision = revision.map(|it| ("controller-revision-hash", it));
        Self { pods, revision, ..Self::of_template(&set.metadata, spec.map(|it| &it.template)) }
    }

    /// Reads a DaemonSet.
    #[must_use]
    pub fn of_daemon_set(set: &apps::DaemonSet) -> Self {
        let template = set.spec.as_ref().map(|spec| &spec.template);
        let pods = count(set.status.as_ref().map(|status| status.desired_number_scheduled));
        let annotations = set.metadata.annotations.as_ref();
        let revision = annotations.and_then(|all| all.get(DAEMON_SET_TEMPLATE));
        let revision = revision.map(|it| ("pod-template-generation", it.clone()));
        Self { pods, revision, ..Self::of_template(&set.metadata, template) }
    }

    /// Reads an earlier template of a StatefulSet or DaemonSet. It has no pods of its own: those are the set's.
    #[must_use]
    pub fn of_revision(revision: &apps::ControllerRevision) -> Self {
        let template = revision.data.as_ref().and_then(|data| data.0.pointer("/spec/template"));
        let template = template.and_then(|it| core::PodTemplateSpec::deserialize(it).ok());
        Self::of_template(&revision.metadata, template.as_ref())
    }

    /// Reads a Job.
    #[must_use]
    pub fn of_job(job: &batch::Job) -> Self {
        let spec = job.spec.as_ref();
        let pods = spec.map_or(0, |spec| still_to_run(job, spec));
        Self { pods, ..Self::of_template(&job.metadata, spec.map(|spec| &spec.template)) }
    }

    fn of_template(meta: &ObjectMeta, template: Option<&core::PodTemplateSpec>) -> Self {
        let written = template.map(|template| Arc::new(PodTemplate::read(template)));
        Self { owner: Owner::of(meta), written, ..Self::default() }
    }

    /// What a pod of it started with. None: the pod was made from an earlier template ([`Namespace::template`](super::Namespace::template) knows that).
    #[must_use]
    pub fn template_of(&self, pod: &Pod) -> Option<&Template> {
        let is_earlier = self.revision.as_ref().is_some_and(|(label, current)| {
            pod.labels.get(*label).is_some_and(|revision| revision != current)
        });
        (!is_earlier).then_some(&self.template)
    }

    /// Works out what its pods start with, in a namespace with these LimitRanges.
    #[must_use]
    pub(super) fn filled_in(mut self, limits: &Limits) -> Self {
        if let Some(written) = &self.written {
            self.template = written.starts_with(limits);
            self.charge = PerResource::from_fn(|resource| written.charge(resource, limits));
        }
        self
    }
}

/// How many pods a Job is to have at once, until it is done.
fn still_to_run(job: &batch::Job, spec: &batch::JobSpec) -> u64 {
    let status = job.status.as_ref();
    let ends = ["Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"];
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    if conditions.any(|it| it.status == "True" && ends.contains(&&*it.type_)) {
        return 0;
    }
    let parallel = count(Some(spec.parallelism.unwrap_or(1)));
    let succeeded = count(status.and_then(|status| status.succeeded));
    let left = spec.completions.map(|all| count(Some(all)).saturating_sub(succeeded));
    parallel.min(left.unwrap_or(u64::MAX))
}

fn count(count: Option<i32>) -> u64 {
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}
