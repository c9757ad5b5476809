//! Objects of the API as one snapshot, where they do not come from the watches.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
};
use kube::ResourceExt;

use super::{
    KubeVirt, Neighbours, NodeMetrics, Pod, PodMetrics, Snapshot, VerticalPodAutoscaler,
    VirtualMachine, VirtualMachineInstance,
    machine::{allocation_ratio, updates_live},
    signals::{Freshness, PodSignals, Signals},
    snapshot::Node,
    workload::Workload,
};
use crate::api::WeightedShare;

/// All objects that decisions can rest on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The pools.
    pub pools: Vec<WeightedShare>,
    /// The pods.
    pub pods: Vec<core::Pod>,
    /// The nodes.
    pub nodes: Vec<core::Node>,
    /// The Deployments.
    pub deployments: Vec<apps::Deployment>,
    /// The ReplicaSets.
    pub replica_sets: Vec<apps::ReplicaSet>,
    /// The StatefulSets.
    pub stateful_sets: Vec<apps::StatefulSet>,
    /// The DaemonSets.
    pub daemon_sets: Vec<apps::DaemonSet>,
    /// The Jobs.
    pub jobs: Vec<batch::Job>,
    /// The ResourceQuotas.
    pub quotas: Vec<core::ResourceQuota>,
    /// The HorizontalPodAutoscalers.
    pub horizontal: Vec<autoscaling::HorizontalPodAutoscaler>,
    /// The VerticalPodAutoscalers.
    pub vertical: Vec<VerticalPodAutoscaler>,
    /// The LimitRanges.
    pub limit_ranges: Vec<core::LimitRange>,
    /// KubeVirt's VirtualMachines.
    pub vms: Vec<VirtualMachine>,
    /// KubeVirt's VirtualMachineInstances.
    pub vmis: Vec<VirtualMachineInstance>,
    /// How KubeVirt is set up.
    pub kubevirts: Vec<KubeVirt>,
    /// What the pods use.
    pub pod_metrics: Vec<PodMetrics>,
    /// What the nodes use.
    pub node_metrics: Vec<NodeMetrics>,
}

impl From<Objects> for Snapshot {
    fn from(objects: Objects) -> Self {
        let ratio = allocation_ratio(objects.kubevirts.iter());
        let workloads = objects
            .deployments
            .iter()
            .map(|it| Workload::of_deployment(&it.metadata))
            .chain(objects.replica_sets.iter().map(Workload::of_replica_set))
            .chain(objects.stateful_sets.iter().map(Workload::of_stateful_set))
            .chain(objects.daemon_sets.iter().map(Workload::of_daemon_set))
            .chain(objects.jobs.iter().map(Workload::of_job))
            .chain(objects.vms.iter().map(VirtualMachine::workload))
            .chain(objects.vmis.iter().map(|vmi| vmi.workload(ratio)));
        let mut snapshot = Self {
            workloads: workloads.collect(),
            nodes: objects.nodes.iter().map(|it| (it.name_any(), Node::read(it))).collect(),
            machines: Self::machines_of(objects.vms.iter(), objects.vmis.iter()),
            updates_live: updates_live(objects.kubevirts.iter()),
            quotas: Self::by_namespace(objects.quotas.iter()),
            neighbours: Neighbours::read(objects.horizontal.iter(), objects.vertical.iter()),
            signals: signals(&objects.pod_metrics),
            pods: Self::in_order(objects.pods.iter().map(Pod::read).collect()),
            pools: Self::by_age(objects.pools),
            ..Self::default()
        };
        for range in &objects.limit_ranges {
            let namespace = range.namespace().unwrap_or_default();
            snapshot.limits.entry(namespace).or_default().add(range);
        }
        for metrics in &objects.node_metrics {
            let name = metrics.metadata.name.as_deref().unwrap_or_default();
            if let Some(node) = snapshot.nodes.get_mut(name) {
                node.uses(metrics.used());
            }
        }
        snapshot.with_unheard().with_machines()
    }
}

/// What one sample of each pod says. It is taken as it is, however old.
fn signals(metrics: &[PodMetrics]) -> Signals {
    let pod = |metrics: &PodMetrics| {
        let (meta, used) = (&metrics.metadata, metrics.used());
        let name =
            (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        (name, PodSignals { used, peak: used, ..PodSignals::default() })
    };
    let usage = match metrics {
        [] => Freshness::Absent("there are no PodMetrics".to_owned()),
        _ => Freshness::Fresh,
    };
    Signals { pods: metrics.iter().map(pod).collect(), usage, ..Signals::default() }
}
