//! The kinds that a plan reads.

use std::{borrow::Cow, sync::LazyLock};

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Object, Problem, pool,
    typed::{self, Amounts, Wrong},
};
use crate::{
    api::WeightedShare,
    cluster::{Kept, KubeVirt, VerticalPodAutoscaler, VirtualMachine, VirtualMachineInstance},
};

/// A kind that is read.
pub(super) struct Kind {
    pub(super) name: Cow<'static, str>,
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    /// An older version that is read in the same way.
    older: Option<&'static str>,
    pub(super) namespaced: bool,
    amounts: Amounts,
    read: fn(Value) -> Result<Object, Wrong>,
}

/// The group of our own kind.
const OURS: &str = "weightedshare.dev";

/// All kinds that are read. What is cluster-wide has no namespace, whatever is written.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    vec![
        Kind { read: pool::read, ..Kind::of::<WeightedShare>() },
        Kind::of::<core::Pod>().amounts(&[
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
        Kind::of::<core::Node>().cluster_wide().amounts(&["status.allocatable", "status.capacity"]),
        Kind::of::<apps::ReplicaSet>().amounts(TEMPLATE),
        Kind::of::<apps::Deployment>().amounts(TEMPLATE),
        Kind::of::<apps::StatefulSet>().amounts(TEMPLATE),
        Kind::of::<apps::DaemonSet>().amounts(TEMPLATE),
        Kind::of::<batch::Job>().amounts(TEMPLATE),
        Kind::of::<core::ResourceQuota>().amounts(&["spec.hard", "status.hard", "status.used"]),
        // One of v1 follows the utilization of the CPU, as one of v2 without metrics does.
        Kind::of::<autoscaling::HorizontalPodAutoscaler>().or_older("autoscaling/v1"),
        Kind::of::<VerticalPodAutoscaler>(),
        Kind::of::<core::LimitRange>().amounts(&[
            "spec.limits[].default",
            "spec.limits[].defaultRequest",
            "spec.limits[].max",
            "spec.limits[].maxLimitRequestRatio",
            "spec.limits[].min",
        ]),
        Kind::of::<VirtualMachine>(),
        Kind::of::<KubeVirt>(),
        Kind::of::<VirtualMachineInstance>()
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
    ]
});

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
    fn new(
        name: &'static str,
        group: &'static str,
        version: &'static str,
        read: fn(Value) -> Result<Object, Wrong>,
    ) -> Self {
        let (name, group, version) = (name.into(), group.into(), version.into());
        Self { name, group, version, older: None, namespaced: true, amounts: &[], read }
    }

    /// A kind that the model keeps.
    fn of<K: Kept>() -> Self {
        Self {
            name: K::kind(&()),
            group: K::group(&()),
            version: K::version(&()),
            older: None,
            namespaced: true,
            amounts: &[],
            read: |value| typed::read::<K>(&K::kind(&()), value).map(Object::kept),
        }
    }

    fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    fn or_older(mut self, api_version: &'static str) -> Self {
        self.older = Some(api_version);
        self
    }

    fn amounts(mut self, amounts: Amounts) -> Self {
        self.amounts = amounts;
        self
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
            // Somebody else's kind of the same name, such as the Job of another scheduler.
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
