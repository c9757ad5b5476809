//! A pod as the division sees it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
    },
    jiff::Timestamp,
};

use super::{
    Obstacle, Pending, Qos,
    amount::{amount, limit},
};
use crate::share::{self, AdjustableRange, Held, Holding, InitContainer, PerResource, Resource};

/// The field manager of everything that we write.
pub const FIELD_MANAGER: &str = "weightedshare";
/// The annotation of a pod that started with less than its template says: of which resources, as `cpu,memory`.
pub(super) const LOWERED: &str = "weightedshare.dev/lowered";

/// What the kernel may make of a limit: CPU time comes in hundredths of a core at the least, memory in pages.
const ROUNDING: PerResource<u64> = PerResource { cpu: 10, memory: 64 << 10 };

/// What is read of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version, which a resize must name.
    pub resource_version: String,
    /// The generation of its spec.
    pub generation: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What controls it, if anything.
    pub owner: Option<Owner>,
    /// The UID of the virtual machine that it runs.
    pub machine: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The node it was placed on.
    pub node: Option<String>,
    /// It has run to its end and holds nothing.
    pub finished: bool,
    /// It is being deleted; it holds what it has until it is gone.
    pub terminating: bool,
    /// Its quality of service class.
    pub qos: Qos,
    /// Its regular containers.
    pub containers: Vec<Container>,
    /// Its init containers.
    pub init: PerResource<Vec<InitContainer>>,
    /// What its RuntimeClass adds.
    pub overhead: PerResource<u64>,
    /// Every init container has a limit of the resource.
    pub init_limited: PerResource<bool>,
    /// It may run for so long only.
    pub deadline: bool,
    /// Its priority class.
    pub priority_class: Option<String>,
    /// The scheduler finds no room for it.
    pub pending: Option<Box<Pending>>,
    /// How far a resize of it has come.
    pub resize: Resize,
    /// Its node may not have seen yet what it was resized to last.
    pub unseen: bool,
    /// A resize of ours changed its requests or limits, as its managed fields say, or it started with less.
    pub resized_by_us: PerResource<bool>,
    /// A resize of ours set limits, as its managed fields say.
    pub limited_by_us: PerResource<bool>,
    /// Who else set its requests or limits last, by a resize that nobody has written over, as its managed fields say.
    pub set_by: PerResource<Option<String>>,
    /// The system depends on it.
    pub critical: bool,
    /// Why no resize can ever be sent to it.
    pub obstacle: Option<Obstacle>,
    /// A resize of ours is on its way to the API server, or had no answer: what it asks for counts already.
    pub in_flight: bool,
}

/// The controller of a pod or workload.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its kind, such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A regular container of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub held: PerResource<Held>,
    /// Its limits.
    pub limit: PerResource<Option<u64>>,
    /// The limits that are in force, where the kubelet has spoken of them.
    pub enforced: PerResource<Option<u64>>,
    /// Its resize policy says that a resize of the resource restarts it.
    pub restarts: PerResource<bool>,
    /// Its pod has a node, which has not said yet what it holds: what it started with, or what it asks for since.
    pub unheard: bool,
}

/// How far a resize has come, as the pod's conditions say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Resize {
    /// None is under way.
    #[default]
    Done,
    /// The kubelet has not looked at it yet, or is carrying it out.
    InProgress,
    /// The node has no room now. With the kubelet's message.
    Deferred(String),
    /// The node can never do it. With the kubelet's message.
    Infeasible(String),
    /// The kubelet tries and fails. With its message.
    Failing(String),
}

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

        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            owner: Owner::of(meta),
            machine: machine(meta),
            created: meta.creation_timestamp.as_ref().map(|it| it.0),
            node: spec.and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty()),
            finished: matches!(phase(pod), "Succeeded" | "Failed"),
            terminating: meta.deletion_timestamp.is_some(),
            qos: Qos::of(pod),
            containers: containers
                .iter()
                .map(|container| read_container(container, statuses, is_starting(pod)))
                .collect(),
            init: PerResource::from_fn(|resource| {
                init.iter()
                    .map(|container| InitContainer {
                        held: held(container, init_statuses, resource),
                        sidecar: container.restart_policy.as_deref() == Some("Always"),
                    })
                    .collect()
            }),
            overhead: PerResource::from_fn(|resource| {
                amount(spec.and_then(|spec| spec.overhead.as_ref()), resource).unwrap_or_default()
            }),
            init_limited: PerResource::from_fn(|resource| {
                init.iter().all(|container| limit(container, resource).is_some())
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
            limited_by_us: set_by_us(meta, &["f:limits"]),
            set_by: PerResource::from_fn(|resource| {
                let others = resizers(meta, resource).filter_map(|entry| {
                    Some((entry.time.as_ref().map(|time| time.0), entry.manager.as_deref()?))
                });
                // These two carry out what others ask for.
                let not = [FIELD_MANAGER, "kubelet", "kube-apiserver"];
                let last = others.filter(|(_, manager)| !not.contains(manager)).max();
                last.map(|(_, manager)| manager.to_owned())
            }),
            critical: spec.is_some_and(is_critical),
            obstacle: Obstacle::of(pod),
            in_flight: false,
        }
    }

    /// What it is charged, in units of the resource.
    #[must_use]
    pub fn charge(&self, resource: Resource) -> u64 {
        self.holding(resource, |_| None).charge()
    }

    /// What it holds of one resource, with the `range` that each regular container is given.
    pub fn holding(
        &self,
        resource: Resource,
        range: impl Fn(&Container) -> Option<AdjustableRange>,
    ) -> Holding {
        // What the node can never give is in the spec, but nobody charges it.
        let infeasible = matches!(self.resize, Resize::Infeasible(_));
        let held = |held: Held| match infeasible {
            true => Held { requested: held.admitted, ..held },
            false => held,
        };
        Holding {
            containers: self
                .containers
                .iter()
                .map(|container| share::Container {
                    held: held(container.held[resource]),
                    range: range(container),
                })
                .collect(),
            init: self.init[resource]
                .iter()
                .map(|init| InitContainer { held: held(init.held), ..*init })
                .collect(),
            overhead: self.overhead[resource],
        }
    }
}

impl Container {
    /// Whether its spec asks for something that is not in force yet.
    #[must_use]
    pub fn is_pending(&self, resource: Resource) -> bool {
        let held = self.held[resource];
        held.requested != held.admitted || !self.is_enforced(resource)
    }

    /// Whether its limit is in force, as far as the kubelet says so. What the kernel rounds may differ.
    #[must_use]
    pub fn is_enforced(&self, resource: Resource) -> bool {
        match (self.limit[resource], self.enforced[resource]) {
            (Some(limit), Some(enforced)) => limit.abs_diff(enforced) <= ROUNDING[resource],
            _ => true,
        }
    }
}

impl Owner {
    /// The controller of an object.
    #[must_use]
    pub fn of(object: &ObjectMeta) -> Option<Self> {
        let owners = object.owner_references.as_deref()?;
        owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| Self {
            namespace: object.namespace.clone().unwrap_or_default(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        })
    }
}

/// Whether the pod started with less of the resource than its template says.
fn is_lowered(meta: &ObjectMeta, resource: Resource) -> bool {
    let lowered = meta.annotations.as_ref().and_then(|all| all.get(LOWERED));
    lowered.is_some_and(|all| all.split(',').any(|name| name == resource.name()))
}

/// What of these fields of some container a resize of ours set.
fn set_by_us(meta: &ObjectMeta, fields: &[&str]) -> PerResource<bool> {
    let ours = meta.managed_fields.iter().flatten().filter(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.subresource.as_deref() == Some("resize")
    });
    let entries: Vec<_> = ours.filter_map(|entry| entry.fields_v1.as_ref()).collect();
    PerResource::from_fn(|resource| {
        let field = format!("f:{resource}");
        entries.iter().any(|entry| {
            let containers = entry.0["f:spec"]["f:containers"].as_object();
            containers.into_iter().flatten().any(|(_, container)| {
                let resources = &container["f:resources"];
                fields.iter().any(|&it| resources[it].get(&field).is_some())
            })
        })
    })
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

/// Whether the kubelet and the scheduler evict others for it.
fn is_critical(spec: &core::PodSpec) -> bool {
    let named = ["system-node-critical", "system-cluster-critical"];
    spec.priority_class_name.as_deref().is_some_and(|name| named.contains(&name))
        || spec.priority.is_some_and(|priority| priority >= 2_000_000_000)
}

/// The virtual machine whose launcher a pod is.
fn machine(pod: &ObjectMeta) -> Option<String> {
    let labels = pod.labels.as_ref()?;
    labels.get("kubevirt.io/created-by").filter(|_| labels.contains_key("kubevirt.io")).cloned()
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
        restarts: PerResource::from_fn(|resource| {
            container.resize_policy.iter().flatten().any(|policy| {
                policy.resource_name == resource.name()
                    && policy.restart_policy == "RestartContainer"
            })
        }),
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

/// Whether a node has it, but has not said that it runs.
fn is_starting(pod: &core::Pod) -> bool {
    is_placed(pod) && phase(pod) == "Pending"
}

fn is_placed(pod: &core::Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    node.is_some_and(|name| !name.is_empty())
}

/// Whether its node may not have seen the last resize of it yet. Before it has a node, nobody holds anything for it.
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
