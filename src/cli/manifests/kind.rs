//! The kinds that a plan reads.

use std::{any::TypeId, borrow::Cow, sync::LazyLock};

use k8s_openapi::{ClusterResourceScope, api::apps::v1::Deployment};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Object, Problem, own_kind,
    typed::{self, Amounts, Wrong},
};
use crate::cluster::{self, EachKind, Kept, each_kind};

/// A kind that is read.
pub(super) struct Kind {
    pub(super) name: Cow<'static, str>,
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    /// An older version that is read in the same way.
    older: Option<&'static str>,
    /// What is cluster-wide has no namespace, whatever is written.
    pub(super) namespaced: bool,
    read: fn(Value) -> Result<Object, Wrong>,
}

/// The group of our own kinds.
const OURS: &str = "weightedshare.dev";

/// All kinds that are read: those that the model keeps, and what pods and nodes use.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let used = [
        Kind::new("PodMetrics", true, |value| boxed("PodMetrics", value, Object::PodMetrics)),
        Kind::new("NodeMetrics", false, |value| boxed("NodeMetrics", value, Object::NodeMetrics)),
    ];
    let mut kinds = Kinds(used.into());
    each_kind(&mut kinds);
    kinds.0
});

struct Kinds(Vec<Kind>);

impl EachKind for Kinds {
    fn always<K: Kept>(&mut self) {
        self.0.push(Kind::of::<K>());
    }

    fn where_served<K: Kept>(&mut self) {
        self.0.push(Kind::of::<K>());
    }
}

/// The fields of a kind that hold quantities: a misspelled one is reported with its path.
fn amounts(kind: &str) -> Amounts {
    match kind {
        "Pod" => &[
            "spec.containers[].resources.requests",
            "spec.containers[].resources.limits",
            "spec.initContainers[].resources.requests",
            "spec.initContainers[].resources.limits",
            "spec.overhead",
            "spec.resources.requests",
            "spec.resources.limits",
            "status.containerStatuses[].allocatedResources",
            "status.containerStatuses[].resources.requests",
            "status.containerStatuses[].resources.limits",
            "status.initContainerStatuses[].allocatedResources",
            "status.initContainerStatuses[].resources.requests",
            "status.initContainerStatuses[].resources.limits",
        ],
        "Node" => &["status.allocatable", "status.capacity"],
        "ReplicaSet" | "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => &[
            "spec.template.spec.containers[].resources.requests",
            "spec.template.spec.containers[].resources.limits",
            "spec.template.spec.initContainers[].resources.requests",
            "spec.template.spec.initContainers[].resources.limits",
            "spec.template.spec.overhead",
            "spec.template.spec.resources.requests",
            "spec.template.spec.resources.limits",
        ],
        "ControllerRevision" => &[
            "data.spec.template.spec.containers[].resources.requests",
            "data.spec.template.spec.containers[].resources.limits",
            "data.spec.template.spec.initContainers[].resources.requests",
            "data.spec.template.spec.initContainers[].resources.limits",
            "data.spec.template.spec.overhead",
            "data.spec.template.spec.resources.requests",
            "data.spec.template.spec.resources.limits",
        ],
        "ResourceQuota" => &["spec.hard", "status.hard", "status.used"],
        "LimitRange" => &[
            "spec.limits[].default",
            "spec.limits[].defaultRequest",
            "spec.limits[].max",
            "spec.limits[].maxLimitRequestRatio",
            "spec.limits[].min",
        ],
        "VirtualMachineInstance" => {
            &["spec.domain.resources.requests", "spec.domain.resources.limits"]
        }
        "PodMetrics" => &["containers[].usage"],
        "NodeMetrics" => &["usage"],
        _ => &[],
    }
}

fn typed<K: Kept>(value: Value) -> Result<Object, Wrong> {
    typed::read::<K>(&K::kind(&()), value).map(Object::kept)
}

fn boxed<T: DeserializeOwned>(
    kind: &str,
    value: Value,
    object: fn(Box<T>) -> Object,
) -> Result<Object, Wrong> {
    typed::read(kind, value).map(|read| object(Box::new(read)))
}

impl Kind {
    /// A kind of metrics.
    fn new(name: &'static str, namespaced: bool, read: fn(Value) -> Result<Object, Wrong>) -> Self {
        let (group, version) = ("metrics.k8s.io".into(), "v1beta1".into());
        Self { name: name.into(), group, version, older: None, namespaced, read }
    }

    /// A kind that the model keeps.
    fn of<K: Kept>() -> Self {
        Self {
            name: K::kind(&()),
            group: K::group(&()),
            version: K::version(&()),
            // It follows the utilization of the CPU, as one of v2 without metrics does.
            older: (K::KIND == cluster::Kind::HorizontalPodAutoscaler).then_some("autoscaling/v1"),
            namespaced: TypeId::of::<K::Scope>() != TypeId::of::<ClusterResourceScope>(),
            read: match K::KIND {
                cluster::Kind::WeightedShare => own_kind::read_pool,
                cluster::Kind::ClusterWeightedShare => own_kind::read_tree,
                // The model keeps little of it; but what is wrong in it is told all the same.
                cluster::Kind::Deployment => typed::<Deployment>,
                _ => typed::<K>,
            },
        }
    }

    /// As in `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        match &*self.group {
            "" => self.version.to_string(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The kind of that name, if it is one that is read.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// What an API version and a kind stand for: a kind that is read, or one that is left out.
    pub(super) fn find(api_version: &str, name: &str) -> Result<Option<&'static Self>, Problem> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let Some(kind) = Self::named(name) else {
            let unknown = Problem::UnknownKind { found: name.to_owned() };
            return if group == OURS { Err(unknown) } else { Ok(None) };
        };
        let expected = kind.api_version();
        if api_version == expected || kind.older == Some(api_version) {
            Ok(Some(kind))
        } else if kind.group != OURS && kind.group != group && group.contains('.') {
            // A kind of the same name in another group, such as the Job of another scheduler.
            Ok(None)
        } else {
            let found = api_version.to_owned();
            Err(Problem::WrongApiVersion { found, kind: &kind.name, expected })
        }
    }

    /// Reads an object of this kind.
    pub(super) fn read(&self, mut value: Value) -> Result<Object, Wrong> {
        if self.older.is_some() {
            value["apiVersion"] = self.api_version().into();
        }
        let mut wrong = typed::unreadable_amounts(&value, amounts(&self.name));
        match (self.read)(value) {
            Ok(object) if wrong.is_empty() => Ok(object),
            Ok(_) => Err(wrong),
            Err(more) => {
                wrong.extend(more);
                Err(wrong)
            }
        }
    }
}
