//! The controllers of pods and workloads.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The controller of a pod or workload.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its kind, such as `ReplicaSet`. A kind of another API group has the group appended: `StatefulSet.apps.kruise.io`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// The controller of an object.
    #[must_use]
    pub fn of(object: &ObjectMeta) -> Option<Self> {
        let owners = object.owner_references.as_deref()?;
        owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| Self {
            namespace: object.namespace.clone().unwrap_or_default(),
            kind: Self::kind_of(&owner.api_version, &owner.kind),
            name: owner.name.clone(),
        })
    }

    /// A kind, with its API group appended where Kubernetes or KubeVirt has a kind of that name in another group. An empty
    /// API version stands for theirs.
    #[must_use]
    pub fn kind_of(api_version: &str, kind: &str) -> String {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let own = match kind {
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => ["apps", "extensions"],
            "Job" => ["batch"; 2],
            "VirtualMachine" | "VirtualMachineInstance" | "VirtualMachineInstanceReplicaSet" => {
                ["kubevirt.io"; 2]
            }
            "VirtualMachinePool" => ["pool.kubevirt.io"; 2],
            _ => return kind.to_owned(),
        };
        if api_version.is_empty() || own.contains(&group) {
            return kind.to_owned();
        }
        format!("{kind}.{group}")
    }
}
