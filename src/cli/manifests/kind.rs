//! The kinds that a plan reads.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Object, Problem, pool,
    typed::{self, Amounts, Wrong},
};

/// A kind that is read.
pub(super) struct Kind {
    pub(super) name: &'static str,
    group: &'static str,
    version: &'static str,
    /// An older version that is read in the same way.
    older: Option<&'static str>,
    pub(super) namespaced: bool,
    amounts: Amounts,
    read: fn(Value) -> Result<Object, Wrong>,
}

/// The group of our own kind.
const OURS: &str = "weightedshare.dev";

/// All kinds that are read. What is cluster-wide has no namespace, whatever is written.
static KINDS: [Kind; 17] = [
    Kind::new("WeightedShare", OURS, "v1alpha1", pool::read),
    Kind::new("Pod", "", "v1", |value| boxed("Pod", value, Object::Pod)).amounts(&[
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
    ]),
    Kind::new("Node", "", "v1", |value| boxed("Node", value, Object::Node))
        .cluster_wide()
        .amounts(&["status.allocatable", "status.capacity"]),
    Kind::new("ReplicaSet", "apps", "v1", |value| boxed("ReplicaSet", value, Object::ReplicaSet))
        .amounts(TEMPLATE),
    Kind::new("Deployment", "apps", "v1", |value| boxed("Deployment", value, Object::Deployment))
        .amounts(TEMPLATE),
    Kind::new("StatefulSet", "apps", "v1", |value| {
        boxed("StatefulSet", value, Object::StatefulSet)
    })
    .amounts(TEMPLATE),
    Kind::new("DaemonSet", "apps", "v1", |value| boxed("DaemonSet", value, Object::DaemonSet))
        .amounts(TEMPLATE),
    Kind::new("Job", "batch", "v1", |value| boxed("Job", value, Object::Job)).amounts(TEMPLATE),
    Kind::new("ResourceQuota", "", "v1", |value| boxed("ResourceQuota", value, Object::Quota))
        .amounts(&["spec.hard", "status.hard", "status.used"]),
    Kind::new("HorizontalPodAutoscaler", "autoscaling", "v2", |value| {
        boxed("HorizontalPodAutoscaler", value, Object::Horizontal)
    })
    // It follows the utilization of the CPU, as one of v2 without metrics does.
    .or_older("autoscaling/v1"),
    Kind::new("VerticalPodAutoscaler", "autoscaling.k8s.io", "v1", |value| {
        boxed("VerticalPodAutoscaler", value, Object::Vertical)
    }),
    Kind::new("LimitRange", "", "v1", |value| boxed("LimitRange", value, Object::LimitRange))
        .amounts(&[
            "spec.limits[].default",
            "spec.limits[].defaultRequest",
            "spec.limits[].max",
            "spec.limits[].maxLimitRequestRatio",
            "spec.limits[].min",
        ]),
    Kind::new("VirtualMachine", "kubevirt.io", "v1", |value| {
        boxed("VirtualMachine", value, Object::Vm)
    }),
    Kind::new("KubeVirt", "kubevirt.io", "v1", |value| boxed("KubeVirt", value, Object::KubeVirt)),
    Kind::new("VirtualMachineInstance", "kubevirt.io", "v1", |value| {
        boxed("VirtualMachineInstance", value, Object::Vmi)
    })
    .amounts(&["spec.domain.resources.requests", "spec.domain.resources.limits"]),
    Kind::new("PodMetrics", "metrics.k8s.io", "v1beta1", |value| {
        boxed("PodMetrics", value, Object::PodMetrics)
    })
    .amounts(&["containers[].usage"]),
    Kind::new("NodeMetrics", "metrics.k8s.io", "v1beta1", |value| {
        boxed("NodeMetrics", value, Object::NodeMetrics)
    })
    .cluster_wide()
    .amounts(&["usage"]),
];

/// The amounts of a workload's pods.
const TEMPLATE: Amounts = &[
    "spec.template.spec.containers[].resources.requests",
    "spec.template.spec.containers[].resources.limits",
    "spec.template.spec.initContainers[].resources.requests",
    "spec.template.spec.initContainers[].resources.limits",
    "spec.template.spec.overhead",
    "spec.template.spec.resources.requests",
    "spec.template.spec.resources.limits",
];

fn boxed<T: DeserializeOwned>(
    kind: &str,
    value: Value,
    object: fn(Box<T>) -> Object,
) -> Result<Object, Wrong> {
    typed::read(kind, value).map(|read| object(Box::new(read)))
}

impl Kind {
    const fn new(
        name: &'static str,
        group: &'static str,
        version: &'static str,
        read: fn(Value) -> Result<Object, Wrong>,
    ) -> Self {
        Self { name, group, version, older: None, namespaced: true, amounts: &[], read }
    }

    const fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn or_older(mut self, api_version: &'static str) -> Self {
        self.older = Some(api_version);
        self
    }

    const fn amounts(mut self, amounts: Amounts) -> Self {
        self.amounts = amounts;
        self
    }

    /// As in `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
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
            // Somebody else's kind of the same name, such as the Job of another scheduler.
            Ok(None)
        } else {
            let found = api_version.to_owned();
            Err(Problem::WrongApiVersion { found, kind: kind.name, expected })
        }
    }

    /// Reads an object of this kind.
    pub(super) fn read(&self, mut value: Value) -> Result<Object, Wrong> {
        if self.older.is_some() {
            value["apiVersion"] = self.api_version().into();
        }
        let mut wrong = typed::unreadable_amounts(&value, self.amounts);
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
