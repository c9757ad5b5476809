//! What `weightedshare plan` says of a cluster is what the controller then does there.

use std::collections::BTreeMap;

use serde_json::json;
use weightedshare::{
    api::Mode,
    cli::{manifests, plan::Plan},
    share::Resource,
};

use super::{
    amounts::{charge, text},
    cluster::Cluster,
    finish::is_settled,
    oracle::Oracle,
    scenario::{MI, Scenario},
};

/// What each pod is to be charged: millicores, bytes. By the name of the pod.
pub type Planned = BTreeMap<String, [Option<u64>; 2]>;

impl Scenario {
    /// The scenario without anything that happens, where the end follows from the beginning: nothing is measured, nodes have room,
    /// and nothing turns out only when it is tried.
    pub fn at_rest(&self) -> Option<Self> {
        let is_known = self.comparable && self.usage.is_none();
        is_known.then(|| Self { steps: Vec::new(), ..self.clone() })
    }
}

/// The plan for what there is, as a user would have it from `kubectl get -o yaml`.
pub fn plan(cluster: &Cluster) -> Result<Planned, String> {
    let kinds = ["events", "leases", "startprofiles"];
    let objects = cluster.store.objects.iter().filter(|((kind, ..), _)| !kinds.contains(kind));
    let items: Vec<_> = objects.map(|(_, object)| &**object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let objects = manifests::parse("cluster", &list.to_string()).map_err(|it| it.to_string())?;
    let manifests = manifests::Manifests::sort(objects).map_err(|it| it.to_string())?;
    let mut looked = manifests.looked();
    looked.cluster.set_bounds(cluster.bounds.clone());
    let pools = Plan::of(&looked).pools;
    let pods = pools.into_iter().filter(|pool| pool.mode == Mode::Auto).flat_map(|pool| pool.pods);
    let amounts = pods.map(|pod| {
        let to = Resource::ALL.map(|resource| pod.amounts.get(resource).map(|step| step.to));
        (pod.name, to)
    });
    Ok(amounts.collect())
}

/// Judges what became of a plan.
pub fn judge(cluster: &mut Cluster, planned: Result<Planned, String>) {
    let planned = match planned {
        Ok(planned) if is_settled(cluster) => planned,
        Ok(_) => return,
        Err(error) => return cluster.violate(Oracle::Planned, error),
    };
    let mut found = Vec::new();
    for pod in cluster.store.of_kind("pods") {
        let name = text(pod, "/metadata/name");
        let Some(planned) = planned.get(name) else { continue };
        // What lies under the least step of what is written.
        for (resource, (to, slack)) in Resource::ALL.into_iter().zip(planned.iter().zip([1, MI])) {
            let held = charge(pod, resource.name());
            if let Some(to) = to.filter(|to| to.abs_diff(held) > slack) {
                found.push(format!("{name} holds {held} of {resource}, and the plan said {to}"));
            }
        }
    }
    found.into_iter().for_each(|what| cluster.violate(Oracle::Planned, what));
}
