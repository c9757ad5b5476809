//! The pure stages of a turn, from a snapshot to resizes, status and events.

mod admitting;
mod calming;
mod dividing;
mod migrating;
mod moving;
mod neighbours;
mod quotas;
mod recommending;
mod reporting;
mod setting_back;
mod simulation;
mod updating;
mod using;
mod waiting;

use std::{collections::BTreeMap, slice::from_ref};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};

use super::{
    calm,
    divide::divide,
    events::{self, Notice},
    moves, reconcile, release, report,
    shares::Shares,
    standing::Outcome,
    weigh::{Weighed, weigh},
};
use crate::{
    actuate::{ContainerResize, PodResize, Refusal, RefusalKind},
    api::{MemberState, WeightedShare, WeightedShareStatus},
    observe::{
        Container, Node, Obstacle, Owner, Pod, Qos, Resize, Snapshot, TemplateContainer, Workload,
        signals::{Freshness, PodSignals, Signals},
    },
    share::{Divider, Held, InitContainer, PerResource, Resource},
};

/// A pool of CPU, created `age` seconds after the first.
fn pool(name: &str, age: i64, milli: u64, members: Value) -> WeightedShare {
    let created = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
    serde_json::from_value(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created.to_string(), "generation": 1},
        "spec": {
            "capacity": {"cpu": format!("{milli}m")},
            "sharing": {"nodeReservePercent": 0},
            "members": members,
        },
    }))
    .unwrap()
}

fn member(app: &str, weight: u64) -> Value {
    json!({"name": app, "weight": weight, "selector": {"matchLabels": {"app": app}}})
}

/// A running pod of the ReplicaSet `app`, with one container that holds `milli`.
fn pod(name: &str, app: &str, milli: u64) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uid: name.into(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        owner: Some(Owner {
            namespace: "shop".into(),
            kind: "ReplicaSet".into(),
            name: app.into(),
        }),
        node: Some("n1".into()),
        containers: vec![container("main", milli)],
        ..Pod::default()
    }
}

fn container(name: &str, milli: u64) -> Container {
    let cpu = Held { requested: milli, admitted: milli };
    Container {
        name: name.into(),
        held: PerResource { cpu, ..PerResource::default() },
        ..Container::default()
    }
}

/// The namespace at one moment: node n1 has `free` millicores, and every template asks for 50m in `main`.
fn snapshot(pools: &[WeightedShare], pods: &[Pod], free: u64) -> Snapshot {
    let template = TemplateContainer {
        request: PerResource { cpu: 50, memory: 0 },
        ..TemplateContainer::default()
    };
    let workload = Workload {
        template: [("main".to_owned(), template)].into(),
        charge: template.request,
        ..Workload::default()
    };
    let charged: u64 = pods.iter().map(|pod| pod.charge(Resource::Cpu)).sum();
    let allocatable = PerResource { cpu: free + charged, memory: 0 };
    Snapshot {
        pools: Snapshot::by_age(pools.to_vec()),
        pods: Snapshot::in_order(pods.to_vec()),
        workloads: pods
            .iter()
            .filter_map(|pod| Some((pod.owner.clone()?, workload.clone())))
            .collect(),
        nodes: [("n1".to_owned(), Node { allocatable, ..Node::default() })].into(),
        ..Snapshot::default()
    }
}

/// The first pool, weighed and divided.
fn first(snapshot: &Snapshot) -> (Weighed<'_>, Shares<'_>) {
    let mut weighed = weigh(snapshot);
    let mut divided = divide(snapshot, &weighed, &mut Divider::default());
    (weighed.swap_remove(0), divided.swap_remove(0))
}

/// The resizes of one turn of the first pool: pod, from, to.
fn resizes(snapshot: &Snapshot) -> Vec<(String, u64, u64)> {
    let resizes = moves::towards_shares(&first(snapshot).1, &snapshot.free());
    resizes.into_iter().map(|resize| (resize.pod, resize.from, resize.to)).collect()
}

/// The status after one turn of the first pool in which `outcome` happened.
fn status(snapshot: &Snapshot, outcome: &Outcome) -> WeightedShareStatus {
    let (weighed, divided) = first(snapshot);
    report::status(&weighed, &divided, outcome, snapshot, true, Time(Timestamp::UNIX_EPOCH))
}

/// What pods were measured to use, in millicores.
fn measured(pods: &[(&str, u64)]) -> Signals {
    let used = |milli: u64| PerResource { cpu: milli * 1_000_000, memory: 0 };
    let pod = |&(name, milli): &(&str, u64)| {
        let signals = PodSignals { used: used(milli), peak: used(milli), ..PodSignals::default() };
        (("shop".to_owned(), name.to_owned()), signals)
    };
    let pods = pods.iter().map(pod).collect();
    Signals { pods, usage: Freshness::Fresh, interval: 15, ..Signals::default() }
}

fn member_says(snapshot: &Snapshot) -> (MemberState, String, String) {
    let member = status(snapshot, &Outcome::default()).members.remove(0);
    (member.state.unwrap(), member.reason, member.message)
}

/// The reasons of the conditions that are True.
fn true_conditions(status: &WeightedShareStatus) -> Vec<(&str, &str)> {
    let holding = status.conditions.iter().filter(|condition| condition.status == "True");
    holding.map(|condition| (&*condition.type_, &*condition.reason)).collect()
}
