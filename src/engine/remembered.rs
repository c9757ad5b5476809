//! What the leader knows and no object says, for commands that look at its cluster.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{History, shares::Shares};
use crate::{
    cluster::{Bounds, Cluster},
    metrics::{Metrics, PodMeasures},
    share::{PerResource, Resource},
};

/// What a process remembers of the pods in its pools, and how it was set up.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Remembered {
    /// The administrator's settings. None: not known.
    #[serde(default)]
    pub bounds: Option<Bounds>,
    /// The pods, by UID.
    pub pods: BTreeMap<String, RememberedPod>,
}

/// What is remembered of one pod.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RememberedPod {
    /// What was measured of it over the last minutes. None: nothing.
    pub measured: Option<PodMeasures>,
    /// Its last grants. None for a resource that the pool does not divide.
    pub granted: PerResource<Option<Granted>>,
}

/// The last decision for a pod, in units of the resource.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Granted {
    /// Its fair share.
    pub fair: u64,
    /// Its share: the charge that the controller moves it to.
    pub share: u64,
}

impl Remembered {
    /// What is known at this time.
    #[must_use]
    pub fn of(cluster: &Cluster, metrics: &Metrics, history: &History, now: Timestamp) -> Self {
        let mut pods = BTreeMap::new();
        for (id, pool) in &history.pools {
            let measured = metrics.pods_in(&id.namespace, now);
            pods.extend(pool.pods.iter().map(|(uid, name)| {
                let granted = PerResource::from_fn(|resource| pool.grants.grant(uid, resource));
                (uid.clone(), RememberedPod { measured: measured.pod(name), granted })
            }));
        }
        Self { bounds: Some(cluster.bounds().clone()), pods }
    }

    /// Adds the remembered measurements to those of the pods of a cluster.
    pub fn measure(&self, cluster: &Cluster, metrics: &mut Metrics) {
        for pod in cluster.namespaces().flat_map(|(_, namespace)| namespace.pods()) {
            if let Some(measured) = self.pods.get(&pod.uid).and_then(|it| it.measured) {
                metrics.take_told(&pod.namespace, &pod.name, measured);
            }
        }
    }

    /// Replaces the shares of pods by what they were granted.
    pub fn grant(&self, shares: &mut Shares) {
        for resource in Resource::ALL {
            let members = shares[resource].iter_mut().flat_map(|divided| &mut divided.members);
            for pod in members.flat_map(|member| &mut member.pods) {
                let known = self.pods.get(&pod.pod.uid).and_then(|it| it.granted[resource]);
                if let (Some(share), Some(granted)) = (&mut pod.share, known) {
                    (share.fair, share.share) = (granted.fair, granted.share);
                }
            }
        }
    }
}
