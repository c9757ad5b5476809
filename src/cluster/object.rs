//! The objects that decisions can rest on, each in the form that the model keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use k8s_openapi::{
    api::{
        apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
        node::v1::RuntimeClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use serde::de::DeserializeOwned;

use super::{
    KubeVirt, Owner, Pod, Quota, VerticalPodAutoscaler, VirtualMachine, VirtualMachineInstance,
    Workload,
    amount::amount,
    autoscalers::{Horizontal, Vertical},
    limit_range::Limits,
    node::Node,
    workload::REVISION,
};
use crate::{
    api::{ClusterWeightedShare, WeightedShare},
    share::PerResource,
};

/// The kinds of objects that the model keeps.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A pool.
    WeightedShare,
    /// A tree of pools.
    ClusterWeightedShare,
    /// A namespace.
    Namespace,
    /// A pod.
    Pod,
    /// A node.
    Node,
    /// A Deployment.
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A ControllerRevision: a template that a StatefulSet or DaemonSet had.
    ControllerRevision,
    /// A Job.
    Job,
    /// A ResourceQuota.
    ResourceQuota,
    /// A LimitRange.
    LimitRange,
    /// A RuntimeClass.
    RuntimeClass,
    /// A HorizontalPodAutoscaler.
    HorizontalPodAutoscaler,
    /// A VerticalPodAutoscaler.
    VerticalPodAutoscaler,
    /// KubeVirt's VirtualMachine.
    VirtualMachine,
    /// KubeVirt's VirtualMachineInstance.
    VirtualMachineInstance,
    /// The settings of KubeVirt.
    KubeVirt,
}

/// The name of an object.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Something that was read of an object.
#[derive(Clone, Debug)]
pub enum Object {
    /// A pool that can be read.
    Pool(Box<WeightedShare>),
    /// A pool that cannot: its metadata, and why.
    UnreadablePool(Box<ObjectMeta>, String),
    /// A tree that can be read.
    Tree(Box<ClusterWeightedShare>),
    /// A tree that cannot: its metadata, and why.
    UnreadableTree(Box<ObjectMeta>, String),
    /// The labels of a namespace.
    Labels(BTreeMap<String, String>),
    /// A pod.
    Pod(Box<Pod>),
    /// A node.
    Node(Node),
    /// A workload of any kind but KubeVirt's, or an earlier template of one.
    Workload(Workload),
    /// What a ResourceQuota bounds. None: neither CPU nor memory.
    Quota(Option<Quota>),
    /// What a LimitRange allows.
    Limits(Box<Limits>),
    /// What a RuntimeClass adds to each pod, in millicores and bytes.
    Overhead(PerResource<u64>),
    /// What a HorizontalPodAutoscaler scales by usage. None: nothing.
    Horizontal(Option<Horizontal>),
    /// What a VerticalPodAutoscaler sets. None: nothing.
    Vertical(Option<Vertical>),
    /// A VirtualMachine.
    Machine(Box<VirtualMachine>),
    /// A VirtualMachineInstance.
    Instance(Box<VirtualMachineInstance>),
    /// The settings of KubeVirt.
    KubeVirt(Box<KubeVirt>),
}

/// An event of a watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// The object is there, and is so now.
    Applied(Key, Object),
    /// The object is gone.
    Deleted(Key),
    /// All objects of a kind were listed: those that are not among these are gone.
    Listed(Kind, BTreeSet<Key>),
}

/// A kind of the API that the model keeps.
pub trait Kept:
    kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// Its kind.
    const KIND: Kind;

    /// What is read of an object.
    fn read(self) -> Object;

    /// The name of an object.
    fn key(&self) -> Key {
        let meta = self.meta();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Key { kind: Self::KIND, namespace: text(&meta.namespace), name: text(&meta.name) }
    }
}

/// What is to be done for each kind that the model keeps, such as to watch it.
pub trait EachKind {
    /// Does it for a kind that every cluster serves.
    fn always<K: Kept>(&mut self);

    /// Does it for a kind that a cluster may not serve, or not yet.
    fn where_served<K: Kept>(&mut self);
}

/// Does something for each kind that the model keeps.
pub fn each_kind(todo: &mut impl EachKind) {
    todo.always::<DeserializeGuard<WeightedShare>>();
    todo.always::<PartialObjectMeta<core::Namespace>>();
    todo.always::<core::Pod>();
    todo.always::<core::Node>();
    todo.always::<PartialObjectMeta<apps::Deployment>>();
    todo.always::<apps::ReplicaSet>();
    todo.always::<apps::StatefulSet>();
    todo.always::<apps::DaemonSet>();
    todo.always::<apps::ControllerRevision>();
    todo.always::<batch::Job>();
    todo.always::<core::ResourceQuota>();
    todo.always::<core::LimitRange>();
    todo.always::<RuntimeClass>();
    todo.always::<autoscaling::HorizontalPodAutoscaler>();
    todo.where_served::<DeserializeGuard<ClusterWeightedShare>>();
    todo.where_served::<VerticalPodAutoscaler>();
    todo.where_served::<VirtualMachine>();
    todo.where_served::<VirtualMachineInstance>();
    todo.where_served::<KubeVirt>();
}

macro_rules! kept {
    ($($type:ty, $kind:ident, |$object:ident| $read:expr;)*) => {$(
        impl Kept for $type {
            const KIND: Kind = Kind::$kind;
            fn read(self) -> Object {
                let $object = self;
                $read
            }
        }
    )*};
}

kept! {
    WeightedShare, WeightedShare, |pool| {
        let mut pool = pool;
        pool.metadata.managed_fields = None;
        Object::Pool(Box::new(pool))
    };
    ClusterWeightedShare, ClusterWeightedShare, |tree| {
        let mut tree = tree;
        tree.metadata.managed_fields = None;
        Object::Tree(Box::new(tree))
    };
    core::Namespace, Namespace, |namespace| Object::Labels(namespace.metadata.labels.unwrap_or_default());
    core::Pod, Pod, |pod| Object::Pod(Box::new(Pod::read(&pod)));
    core::Node, Node, |node| Object::Node(Node::read(&node));
    apps::ReplicaSet, ReplicaSet, |set| Object::Workload(Workload::of_replica_set(&set));
    apps::StatefulSet, StatefulSet, |set| Object::Workload(Workload::of_stateful_set(&set));
    apps::DaemonSet, DaemonSet, |set| Object::Workload(Workload::of_daemon_set(&set));
    apps::ControllerRevision, ControllerRevision, |revision| Object::Workload(Workload::of_revision(&revision));
    batch::Job, Job, |job| Object::Workload(Workload::of_job(&job));
    core::ResourceQuota, ResourceQuota, |quota| Object::Quota(Quota::read(&quota));
    core::LimitRange, LimitRange, |range| Object::Limits(Box::new(Limits::read(&range)));
    RuntimeClass, RuntimeClass, |class| {
        let fixed = class.overhead.as_ref().and_then(|it| it.pod_fixed.as_ref());
        Object::Overhead(PerResource::from_fn(|it| amount(fixed, it).unwrap_or_default()))
    };
    autoscaling::HorizontalPodAutoscaler, HorizontalPodAutoscaler,
        |scaler| Object::Horizontal(Horizontal::read(&scaler));
    VerticalPodAutoscaler, VerticalPodAutoscaler, |scaler| Object::Vertical(Vertical::read(&scaler));
    VirtualMachine, VirtualMachine, |machine| Object::Machine(Box::new(machine));
    VirtualMachineInstance, VirtualMachineInstance, |instance| Object::Instance(Box::new(instance));
    KubeVirt, KubeVirt, |kubevirt| Object::KubeVirt(Box::new(kubevirt));
}

impl Kind {
    /// Its name, where it is a workload's.
    #[must_use]
    pub fn workload(self) -> Option<&'static str> {
        Some(match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ControllerRevision => REVISION,
            Self::Job => "Job",
            Self::VirtualMachine => "VirtualMachine",
            Self::VirtualMachineInstance => "VirtualMachineInstance",
            _ => return None,
        })
    }
}

impl Key {
    /// The workload of this name, where it is one.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let kind = self.kind.workload()?.to_owned();
        Some(Owner { namespace: self.namespace.clone(), kind, name: self.name.clone() })
    }
}

impl Kept for PartialObjectMeta<apps::Deployment> {
    const KIND: Kind = Kind::Deployment;

    fn read(self) -> Object {
        Object::Workload(Workload::of_deployment(&self.metadata))
    }
}

impl Kept for apps::Deployment {
    const KIND: Kind = Kind::Deployment;

    fn read(self) -> Object {
        Object::Workload(Workload::of_deployment(&self.metadata))
    }
}

impl Kept for PartialObjectMeta<core::Namespace> {
    const KIND: Kind = Kind::Namespace;

    fn read(self) -> Object {
        Object::Labels(self.metadata.labels.unwrap_or_default())
    }
}

impl Kept for DeserializeGuard<ClusterWeightedShare> {
    const KIND: Kind = Kind::ClusterWeightedShare;

    fn read(self) -> Object {
        match self.0 {
            Ok(tree) => tree.read(),
            Err(unreadable) => {
                let why = unreadable.error.to_string();
                Object::UnreadableTree(Box::new(unreadable.metadata), why)
            }
        }
    }
}

impl Kept for DeserializeGuard<WeightedShare> {
    const KIND: Kind = Kind::WeightedShare;

    fn read(self) -> Object {
        match self.0 {
            Ok(pool) => pool.read(),
            Err(unreadable) => {
                let why = unreadable.error.to_string();
                Object::UnreadablePool(Box::new(unreadable.metadata), why)
            }
        }
    }
}
