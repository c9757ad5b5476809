//! Whether a pod is resized and resized back although nothing changes.

use std::{collections::BTreeMap, time::Duration};

use super::{
    amounts::{RESOURCES, amount, parts, text},
    cluster::{Cluster, Write},
    oracle::Oracle,
    scenario::Scenario,
};

/// Within this time no resize is undone unless something changed.
const WINDOW: Duration = Duration::from_secs(300);
/// A change has its effects within this time, or it has none.
const EFFECT: Duration = Duration::from_secs(60);

/// What a write asks for of the containers of a pod: of a resource, by container.
type Asked = BTreeMap<String, u64>;

/// Pods that were moved and moved back, without a change between, in a run without faults.
pub fn flaps(cluster: &Cluster, scenario: &Scenario) -> Vec<(Oracle, String)> {
    let mut of_pods: BTreeMap<(String, &str), Vec<(Duration, Asked)>> = BTreeMap::new();
    for write in cluster.writes.iter().filter(|write| write.is_resize() && write.made()) {
        for resource in RESOURCES {
            let asked = asked(write, resource);
            if !asked.is_empty() {
                let key = (write.what.clone(), resource);
                of_pods.entry(key).or_default().push((write.at, asked));
            }
        }
    }
    // Steps are taken three seconds later than they say. That a pod can never be resized changes what the others own.
    let steps = scenario.steps.iter().map(|(at, _)| *at + Duration::from_secs(3));
    let changes: Vec<Duration> = steps.chain(cluster.refusals.iter().copied()).collect();
    let mut found = Vec::new();
    for ((what, resource), asked) in of_pods {
        for [first, between, again] in
            asked.windows(3).filter_map(|it| <&[_; 3]>::try_from(it).ok())
        {
            let calm = !changes.iter().any(|at| *at + EFFECT >= first.0 && *at <= again.0);
            if first.1 == again.1 && between.1 != first.1 && again.0 - first.0 < WINDOW && calm {
                let (from, to) = (first.0, again.0);
                found.push((
                    Oracle::Flaps,
                    format!("{what}: {resource} goes to and fro from {from:?} to {to:?}"),
                ));
            }
        }
    }
    found
}

fn asked(write: &Write, resource: &str) -> Asked {
    let of = |container: &serde_json::Value| {
        let name = text(container, "/name").to_owned();
        Some((name, amount(resource, &container["resources"]["requests"][resource])?))
    };
    parts(&write.body["spec"]).iter().filter_map(of).collect()
}
