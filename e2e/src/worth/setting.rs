//! What runs, and how it shares the node.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::place::{Kind, Place};
use crate::image;

/// The namespace of the loads.
pub const NAMESPACE: &str = "worth";
/// The loads. What each requests in its manifest, in millicores for each processor of the node: together most of it.
pub const LOADS: [(&str, u64); 3] = [("service", 400), ("batch", 250), ("third", 150)];
/// In a pool, by weight: the service comes first when it has something to do.
pub const WEIGHTS: [(&str, u32); 3] = [("service", 940), ("batch", 30), ("third", 30)];
/// Likewise, with requests set by hand: to the service what VPA would recommend at its best, which is what it uses in a burst and a
/// margin of 15 %, and to the others what that leaves.
const BY_HAND: [(&str, u64); 3] = [("service", 632), ("batch", 84), ("third", 84)];
/// The work for one answer of the service, in rounds of a loop: some 20 ms. An emulated processor takes about as long for the second.
const ROUNDS: u64 = 20_000_000;
const EMULATED_ROUNDS: u64 = 2_000_000;
/// For how long the third works at a time, in seconds.
const WORKS: u32 = 5;

/// How the loads share the node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Variant {
    /// The service has the node to itself.
    Alone,
    /// Requests and limits, as many manifests have them today: the limit is the request.
    FixedLimits,
    /// The same requests, without limits. They never change.
    Requests,
    /// Requests without limits, chosen well.
    ByHand,
    /// VPA's recommender and updater move requests, in place.
    Vpa,
    /// A pool as it is by default: what is idle is lent.
    Pool,
    /// A pool in which each member holds what it owns, used or not.
    IsolatedPool,
}

impl Variant {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Alone,
        Self::FixedLimits,
        Self::Requests,
        Self::ByHand,
        Self::Vpa,
        Self::Pool,
        Self::IsolatedPool,
    ];
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "the service alone",
            Self::FixedLimits => "fixed limits",
            Self::Requests => "requests, never moved",
            Self::ByHand => "requests, chosen by hand",
            Self::Vpa => "VPA, in place",
            Self::Pool => "a pool",
            Self::IsolatedPool => "a pool that lends nothing",
        })
    }
}

/// The pods beside the service.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
pub enum Neighbours {
    /// Beside the service there is the batch job alone.
    Quiet,
    /// The third as well.
    Normal,
    /// Also three pods in no pool that use all the CPU they get.
    Crowded,
}

impl Neighbours {
    /// What it is, for a heading.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Quiet => "A quiet node: a service and a batch job",
            Self::Normal => {
                "A normal node: a service, a batch job, and a third that works now and then"
            }
            Self::Crowded => {
                "A crowded node: the same, and three pods outside of the pool that take what they get"
            }
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub variant: Variant,
    pub neighbours: Neighbours,
    /// When users come in bursts, and when the third works, is drawn from this.
    pub seed: u64,
}

impl Run {
    /// The loads that run.
    pub fn loads(self) -> &'static [(&'static str, u64)] {
        match (self.variant, self.neighbours) {
            (Variant::Alone, _) => &LOADS[..1],
            (_, Neighbours::Quiet) => &LOADS[..2],
            _ => &LOADS,
        }
    }

    /// What has to be applied, in this order.
    pub fn manifests(self, place: &Place) -> Vec<Value> {
        let cores = place.cores as u64;
        let mut manifests = vec![namespace()];
        for &(name, milli) in self.loads() {
            let container = match name {
                "service" => {
                    let rounds = match place.kind {
                        Kind::Host => ROUNDS,
                        Kind::Guest => EMULATED_ROUNDS,
                    };
                    let rounds = json!({"name": "ROUNDS", "value": rounds.to_string()});
                    json!({"image": image::SERVICE, "env": [rounds]})
                }
                "batch" => shell(spin("for i in $(seq $(nproc)); do", "done; wait")),
                _ => shell(now_and_then(self.seed)),
            };
            let resources = self.resources(name, milli, cores);
            manifests.push(deployment(place, name, 1, resources, container));
        }
        if self.neighbours == Neighbours::Crowded && self.variant != Variant::Alone {
            let requests = json!({"requests": {"cpu": "50m", "memory": "16Mi"}});
            let spin = shell(spin("", "wait"));
            manifests.push(deployment(place, "neighbour", 3, requests, spin));
        }
        match self.variant {
            Variant::Vpa => manifests.extend(self.loads().iter().map(|(name, _)| vpa(name, cores))),
            Variant::Pool => manifests.push(self.pool(cores, json!({"nodeReservePercent": 0}))),
            Variant::IsolatedPool => {
                let sharing = json!({"strategy": "Isolated", "nodeReservePercent": 0});
                manifests.push(self.pool(cores, sharing));
            }
            _ => {}
        }
        manifests
    }

    fn resources(self, name: &str, milli: u64, cores: u64) -> Value {
        let by_hand = BY_HAND.iter().find(|(it, _)| *it == name).map(|(_, milli)| *milli);
        let milli = by_hand.filter(|_| self.variant == Variant::ByHand).unwrap_or(milli) * cores;
        let amounts = json!({"cpu": format!("{milli}m"), "memory": "32Mi"});
        match self.variant {
            Variant::FixedLimits => json!({"requests": amounts, "limits": amounts}),
            _ => json!({"requests": amounts}),
        }
    }

    fn pool(self, cores: u64, sharing: Value) -> Value {
        let all = self.loads().iter().map(|(_, milli)| milli).sum::<u64>() * cores;
        let runs = |name| self.loads().iter().any(|load| load.0 == name);
        pool(all, sharing, WEIGHTS.into_iter().filter(|(name, _)| runs(*name)))
    }
}

/// The namespace, as a manifest.
pub fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// A pool of so many millicores, for members with a name and a weight. Their pods have the name as the label `app`.
pub fn pool(
    milli: u64,
    sharing: Value,
    members: impl IntoIterator<Item = (&'static str, u32)>,
) -> Value {
    let members = members.into_iter().map(|(name, weight)| {
        json!({"name": name, "weight": weight, "selector": {"matchLabels": {"app": name}}})
    });
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": "pool", "namespace": NAMESPACE},
        "spec": {
            "capacity": {"cpu": format!("{milli}m")},
            "sharing": sharing,
            "members": members.collect::<Vec<_>>(),
        },
    })
}

/// VPA may resize what a Deployment of that name runs. What takes all that it gets is kept to what its manifest says: its
/// recommendation would be the whole node.
fn vpa(name: &str, cores: u64) -> Value {
    let mut policy = json!({"containerName": "main", "controlledResources": ["cpu"]});
    if let Some((_, milli)) = LOADS.iter().find(|(it, _)| *it == name && *it != "service") {
        policy["maxAllowed"] = json!({"cpu": format!("{}m", milli * cores)});
    }
    json!({
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "updatePolicy": {"updateMode": "InPlaceOrRecreate", "minReplicas": 1},
            "resourcePolicy": {"containerPolicies": [policy]},
        },
    })
}

fn deployment(
    place: &Place,
    name: &str,
    replicas: u32,
    resources: Value,
    mut container: Value,
) -> Value {
    container["name"] = json!("main");
    container["imagePullPolicy"] = json!("Never");
    container["resources"] = resources;
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [container]});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": place.put(spec),
            },
        },
    })
}

fn shell(script: String) -> Value {
    json!({"image": image::BUSYBOX, "command": ["sh", "-c", script]})
}

/// Takes all the CPU that it gets.
fn spin(before: &str, after: &str) -> String {
    format!("trap 'kill 0; exit 0' TERM; {before} (while :; do :; done) & {after}")
}

/// Works on all processors for some seconds, rests, and works again.
fn now_and_then(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    // A quarter of the time, on average.
    let rests: Vec<String> =
        (0..12).map(|_| random.u32(2 * WORKS..=4 * WORKS).to_string()).collect();
    format!(
        "trap 'kill 0; exit 0' TERM; while :; do for rest in {}; do \
         for i in $(seq $(nproc)); do timeout {WORKS} sh -c 'while :; do :; done' & done; wait; sleep $rest; done; done",
        rests.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_requests_by_hand_name_each_load_and_sum_to_the_same() {
        let names = LOADS.map(|(name, _)| name);
        assert_eq!(WEIGHTS.map(|(name, _)| name), names);
        assert_eq!(BY_HAND.map(|(name, _)| name), names);
        let all = |of: [(&str, u64); 3]| of.iter().map(|(_, milli)| milli).sum::<u64>();
        assert_eq!(all(BY_HAND), all(LOADS));
    }

    #[test]
    fn a_seed_says_when_the_third_works() {
        assert_eq!(now_and_then(1), now_and_then(1));
        assert_ne!(now_and_then(1), now_and_then(2));
    }
}
