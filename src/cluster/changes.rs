//! What changed since it was last asked.

use std::collections::BTreeSet;

use super::{Cluster, Owner, PoolId};

/// What changed. Each set is ordered by name, so that nothing depends on the order of events.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Pools that came, went, or whose object changed.
    pub pools: BTreeSet<PoolId>,
    /// Pods that came, went or changed, by namespace and name.
    pub pods: BTreeSet<(String, String)>,
    /// The subset of `pods` that members may match differently now: created, deleted, or with other labels or owners.
    pub rematched: BTreeSet<(String, String)>,
    /// Pods that are gone, by UID.
    pub gone: BTreeSet<String>,
    /// Workloads that came or went, or that have other replicas or another template.
    pub workloads: BTreeSet<Owner>,
    /// Nodes that came, went, or can hold more or less than before.
    pub nodes: BTreeSet<String>,
    /// Nodes on which pods are charged more or less than before.
    pub charged: BTreeSet<String>,
    /// Namespaces in which quotas, LimitRanges or autoscalers changed.
    pub namespaces: BTreeSet<String>,
    /// ClusterWeightedShares that came, went, or were edited.
    pub trees: BTreeSet<String>,
    /// ClusterWeightedShares that say something else of themselves.
    pub tree_statuses: BTreeSet<String>,
    /// What trees consist of may have changed: ClusterWeightedShares, their pools, or the labels of namespaces.
    pub forest: bool,
    /// Something changed that concerns all pools.
    pub everything: bool,
}

impl Changes {
    /// Everything, as if it had just come.
    #[must_use]
    pub fn all(cluster: &Cluster) -> Self {
        let namespaces = || cluster.namespaces();
        let pods: BTreeSet<(String, String)> = namespaces()
            .flat_map(|(name, it)| it.pods().map(move |pod| (name.to_owned(), pod.name.clone())))
            .collect();
        Self {
            pools: cluster.pools().map(|(id, _)| id.clone()).collect(),
            rematched: pods.clone(),
            pods,
            workloads: namespaces()
                .flat_map(|(_, it)| it.workloads().map(|(owner, _)| owner.clone()))
                .collect(),
            nodes: cluster.nodes().map(|(name, _)| name.to_owned()).collect(),
            namespaces: namespaces().map(|(name, _)| name.to_owned()).collect(),
            trees: cluster.trees().map(|(name, _)| name.to_owned()).collect(),
            forest: true,
            everything: true,
            ..Self::default()
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
