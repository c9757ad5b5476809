//! The pure stages of a turn, from a snapshot to resizes, status and events.

use std::{collections::BTreeMap, slice::from_ref};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};

use super::{
    divide::{Shares, divide},
    events::{self, Notice},
    moves,
    report::{self, cpu_shares, cpu_weight},
    standing::Outcome,
    weigh::{Weighed, weigh},
};
use crate::{
    actuate::{ContainerResize, PodResize, Refusal, RefusalKind},
    api::{MemberState, WeightedShare, WeightedShareStatus},
    observe::{
        Container, Node, Obstacle, Owner, Pod, Qos, Resize, Snapshot, TemplateContainer, Workload,
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
    let workload = Workload { owner: None, template: [("main".to_owned(), template)].into() };
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
    report::status(&weighed, &divided, outcome, Time(Timestamp::UNIX_EPOCH))
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

#[test]
fn a_pod_belongs_to_the_oldest_pool_and_there_to_the_first_member_by_name() {
    let two = json!([member("web", 300), {"name": "all", "selector": {}}]);
    let old = pool("old", 0, 1000, two);
    let new = pool("new", 1, 1000, json!([member("web", 100), member("db", 100)]));
    let snapshot = snapshot(&[new, old], &[pod("db-0", "db", 50), pod("web-0", "web", 50)], 1000);
    let [old, new] = &weigh(&snapshot)[..] else { panic!("two pools") };

    let members = &old.members;
    assert_eq!((members[0].pods.len(), members[1].pods.len()), (0, 2));
    let rivals: Vec<&str> = members[1].contested.iter().map(|(_, pool)| pool.as_str()).collect();
    assert_eq!(rivals, ["new", "new"]);
    let members = &new.members;
    assert!(members.iter().all(|member| member.pods.is_empty()));
    assert_eq!(members[0].lost[0].1, "old");
    assert_eq!(moves::back_to_templates(&snapshot, "shop").resizes, []);
}

#[test]
fn a_weight_counts_once_or_for_each_replica() {
    let mut per_replica = member("web", 30);
    per_replica["weightPer"] = json!("Replica");
    let pool = pool("pool", 0, 900, json!([per_replica, member("db", 30)]));
    let mut going = pod("web-2", "web", 50);
    going.terminating = true;
    let pods = [pod("db-0", "db", 50), pod("web-0", "web", 50), pod("web-1", "web", 50), going];
    let snapshot = snapshot(&[pool], &pods, 1000);
    let (weighed, divided) = first(&snapshot);
    let members = &divided.cpu.as_ref().unwrap().members;
    let weights: Vec<u64> = members.iter().map(|member| member.claim.weight).collect();
    assert_eq!((weights, weighed.leaving.len()), (vec![60, 30], 1));
}

#[test]
fn a_target_is_found_by_its_owners() {
    let target = |name| {
        let target = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name});
        json!([{"name": "web", "targetRef": target}])
    };
    let pods = [pod("web-0", "web", 50)];
    let there = snapshot(&[pool("pool", 0, 100, target("web"))], &pods, 1000);
    assert_eq!(weigh(&there)[0].members[0].pods.len(), 1);
    let gone = snapshot(&[pool("pool", 0, 100, target("shop"))], &pods, 1000);
    let (state, reason, message) = member_says(&gone);
    assert_eq!((state, &*reason), (MemberState::Skipped, "TargetNotFound"));
    assert!(message.contains("ReplicaSet shop"), "{message}");
}

#[test]
fn shrinks_are_sent_first_and_grows_follow_into_the_room_that_they_left() {
    let pool = pool("pool", 0, 800, json!([member("a", 100), member("b", 300)]));
    let full = snapshot(from_ref(&pool), &[pod("a", "a", 600), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&full), [("a".to_owned(), 600, 200)]);
    // The kubelet has not carried it out: nothing is free yet.
    let mut shrinking = pod("a", "a", 200);
    shrinking.containers[0].held.cpu.admitted = 600;
    let waiting = snapshot(from_ref(&pool), &[shrinking, pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&waiting), []);
    let standing = |snapshot: &Snapshot, member: usize| {
        let status = status(snapshot, &Outcome::default());
        (status.members[member].state.unwrap(), status.members[member].reason.clone())
    };
    assert_eq!(standing(&full, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    assert_eq!(standing(&waiting, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    let freed = snapshot(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&freed), [("b".to_owned(), 200, 600)]);
    // Where the node has less room than the pool, they share what it has: 138m and 412m of 550m.
    let small = snapshot(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 150);
    assert_eq!(resizes(&small), [("a".to_owned(), 200, 138)]);
    // Of a node that is not known, nobody can say that it has room.
    let mut lost = pod("b", "b", 350);
    lost.node = Some("n2".into());
    let stuck = snapshot(from_ref(&pool), &[pod("a", "a", 200), lost], 0);
    assert_eq!(resizes(&stuck), []);
    assert_eq!(standing(&stuck, 1), (MemberState::Deferred, "NoRoom".into()));
    let settled = snapshot(&[pool], &[pod("a", "a", 200), pod("b", "b", 600)], 0);
    assert_eq!(resizes(&settled), []);
    assert_eq!(true_conditions(&status(&settled, &Outcome::default())), [("Ready", "Divided")]);
}

#[test]
fn what_a_terminating_pod_holds_is_not_given_away() {
    let pool = pool("pool", 0, 600, json!([member("a", 100)]));
    let mut going = pod("a-0", "a", 400);
    going.terminating = true;
    let snapshot = snapshot(&[pool], &[going, pod("a-1", "a", 50)], 5000);
    assert_eq!(resizes(&snapshot), [("a-1".to_owned(), 50, 200)]);
}

#[test]
fn a_guaranteed_pod_moves_its_limit_along() {
    let pool = pool("pool", 0, 300, json!([member("a", 100)]));
    let mut sure = pod("a", "a", 50);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(50);
    let snapshot = snapshot(&[pool], &[sure], 1000);
    let resizes = moves::towards_shares(&first(&snapshot).1, &snapshot.free());
    let both = ContainerResize { name: "main".into(), request: 300, limit: Some(300) };
    assert_eq!(resizes[0].containers, [both]);
}

#[test]
fn a_burstable_pod_with_all_limits_never_reaches_them_all() {
    let pool = pool("pool", 0, 900, json!([member("a", 100)]));
    let mut bounded = pod("a", "a", 50);
    bounded.containers[0].limit.cpu = Some(400);
    let open = snapshot(from_ref(&pool), &[bounded.clone()], 1000);
    assert_eq!(resizes(&open), [("a".to_owned(), 50, 400)]);
    bounded.limited = true;
    let tight = snapshot(&[pool], &[bounded], 1000);
    assert_eq!(resizes(&tight), [("a".to_owned(), 50, 399)]);
}

#[test]
fn a_pod_that_cannot_be_resized_leaves_with_what_it_holds() {
    let pool = pool("pool", 0, 500, json!([member("a", 900), member("b", 100)]));
    let with = |change: fn(&mut Pod)| {
        let mut odd = pod("a", "a", 100);
        change(&mut odd);
        snapshot(from_ref(&pool), &[odd, pod("b", "b", 50)], 1000)
    };
    type Case = (fn(&mut Pod), MemberState, &'static str);
    let cases: [Case; 3] = [
        (|pod| pod.obstacle = Some(Obstacle::BestEffort), MemberState::Skipped, "BestEffort"),
        (|pod| pod.resize = Resize::Infeasible("no".into()), MemberState::Infeasible, "Infeasible"),
        (|pod| pod.containers[0].restarts.cpu = true, MemberState::Skipped, "RestartOnResize"),
    ];
    for (change, state, reason) in cases {
        let snapshot = with(change);
        assert_eq!(resizes(&snapshot), [("b".to_owned(), 50, 400)], "{reason}");
        let (is, because, _) = member_says(&snapshot);
        assert_eq!((is, &*because), (state, reason));
    }
}

#[test]
fn fixed_parts_are_charged_and_never_asked_to_shrink() {
    let pool = pool("pool", 0, 200, json!([member("a", 100), member("b", 100)]));
    let mut after = pod("a", "a", 50);
    after.init.cpu =
        vec![InitContainer { held: Held { requested: 120, admitted: 120 }, sidecar: false }];
    let snapshot = snapshot(&[pool], &[after, pod("b", "b", 50)], 1000);
    // The finished init container keeps its pod at 120m; its container may use all of that.
    assert_eq!(resizes(&snapshot), [("a".to_owned(), 50, 120), ("b".to_owned(), 50, 80)]);
}

#[test]
fn pods_of_no_pool_go_back_to_their_templates() {
    let resized = |name: &str, milli| {
        let mut pod = pod(name, name, milli);
        pod.resized_by_us.cpu = true;
        pod
    };
    let to = |snapshot: &Snapshot| -> Vec<(String, u64)> {
        let release = moves::back_to_templates(snapshot, "shop");
        release.resizes.into_iter().map(|resize| (resize.pod, resize.to)).collect()
    };
    // A shrink at once, a grow where all of it fits, what we never touched not at all.
    let pods = [resized("large", 500), resized("small", 10), pod("theirs", "theirs", 70)];
    let full = snapshot(&[], &pods, 30);
    assert_eq!(to(&full), [("large".to_owned(), 50)]);
    assert_eq!(moves::back_to_templates(&full, "shop").waiting, ["large", "small"]);
    let roomy = snapshot(&[], &pods, 40);
    assert_eq!(to(&roomy), [("large".to_owned(), 50), ("small".to_owned(), 50)]);
    let done = snapshot(&[], &[resized("large", 50)], 0);
    assert_eq!(moves::back_to_templates(&done, "shop").waiting, [""; 0]);

    let mut alone = resized("alone", 500);
    alone.owner = None;
    let stuck = moves::back_to_templates(&snapshot(&[], &[alone], 0), "shop").stuck;
    assert_eq!(stuck[0].0, "alone");
}

#[test]
fn a_turn_that_changes_nothing_reports_the_same_and_tells_nothing() {
    let pool = pool("pool", 0, 200, json!([member("a", 100), member("none", 100)]));
    let mut snapshot = snapshot(&[pool], &[pod("a", "a", 200)], 0);
    let before = status(&snapshot, &Outcome::default());
    snapshot.pools[0].status = Some(before.clone());

    let (weighed, divided) = first(&snapshot);
    let later = Time(Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(60));
    let second = report::status(&weighed, &divided, &Outcome::default(), later);
    assert_eq!(before, second);
    assert_eq!(events::notices(Some(&before), &second, &weighed, &Outcome::default()), []);
}

#[test]
fn the_status_sums_to_what_there_is() {
    let pool = pool("pool", 0, 1001, json!([member("a", 1), member("b", 2)]));
    let pods = [pod("a-0", "a", 50), pod("a-1", "a", 50), pod("b-0", "b", 50)];
    let status = status(&snapshot(&[pool], &pods, 5000), &Outcome::default());
    let cpu = |amount: Option<crate::share::MilliCpu>| amount.unwrap().0;
    let shares: Vec<u64> = status.members.iter().map(|member| cpu(member.share.cpu)).collect();
    assert_eq!(shares, [334, 667]);
    assert_eq!((cpu(status.capacity.cpu), cpu(status.allocated.cpu)), (1001, 150));
    assert_eq!(status.members[0].pods, 2);
    // Each pod has a cgroup of its own: 51 shares for 50m.
    assert_eq!(status.members[0].cpu_shares, Some(102));
}

#[test]
fn conditions_read_as_kstatus_reads_them() {
    let one = json!([member("a", 100)]);
    let after = |pool: WeightedShare, pods: &[Pod]| {
        status(&snapshot(&[pool], pods, 5000), &Outcome::default())
    };
    let small = after(pool("pool", 0, 15, one.clone()), &[pod("a", "a", 50), pod("b", "a", 50)]);
    assert_eq!(true_conditions(&small), [("Stalled", "PoolTooSmall")]);
    let mut greedy = member("a", 100);
    greedy["min"] = json!({"cpu": "2"});
    let over = after(pool("pool", 0, 500, json!([greedy])), &[pod("a", "a", 500)]);
    assert_eq!(
        true_conditions(&over),
        [("Ready", "Divided"), ("Overcommitted", "MinAboveCapacity")]
    );
    let mut deferred = pod("a", "a", 500);
    deferred.containers[0].held.cpu.admitted = 50;
    deferred.resize = Resize::Deferred("no room".into());
    let waits = after(pool("pool", 0, 500, one.clone()), &[deferred]);
    assert_eq!(true_conditions(&waits), [("Reconciling", "Deferred")]);
    let empty = after(pool("pool", 0, 500, json!([])), &[]);
    assert_eq!(true_conditions(&empty), [("Ready", "NoMembers")]);
    let mut observing = pool("pool", 0, 500, one);
    observing.spec.mode = crate::api::Mode::Observe;
    let observing = after(observing, &[pod("a", "a", 50)]);
    assert_eq!(true_conditions(&observing), [("Ready", "Observing")]);
    assert!(observing.members[0].message.contains("cpu would go from 50m to 500m"));
}

#[test]
fn resizes_and_troubles_become_events_once() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let snapshot = snapshot(&[pool], &[pod("a-0", "a", 50), pod("a-1", "a", 50)], 5000);
    let resize = |name: &str| PodResize {
        namespace: "shop".into(),
        pod: name.into(),
        resource_version: String::new(),
        resource: Resource::Cpu,
        containers: Vec::new(),
        from: 50,
        to: 250,
    };
    let refusal = Refusal {
        pod: "a-1".into(),
        kind: RefusalKind::QuotaExceeded,
        message: "the quota is full".into(),
    };
    let outcome = Outcome { sent: vec![resize("a-0")], refused: vec![refusal] };
    let after = status(&snapshot, &outcome);
    let (weighed, _) = first(&snapshot);
    let told = events::notices(None, &after, &weighed, &outcome);
    assert_eq!(
        told,
        [
            Notice {
                warning: false,
                reason: "Resized".into(),
                note: "Member a: requests of 1 pod, cpu 50m -> 250m".into(),
            },
            Notice {
                warning: true,
                reason: "QuotaExceeded".into(),
                note: "Member a: Pod a-1: the quota is full.".into(),
            },
        ]
    );
    let again = Outcome { sent: Vec::new(), ..outcome };
    assert_eq!(events::notices(Some(&after), &after, &weighed, &again), []);
}

#[test]
fn the_kernels_weights_are_those_of_the_kubelet() {
    let weights = |milli| (cpu_shares(milli), cpu_weight(cpu_shares(milli)));
    assert_eq!(
        [0, 1, 100, 1000, 1_000_000].map(weights),
        [(2, 1), (2, 1), (102, 4), (1024, 39), (262_144, 10_000)]
    );
}

#[test]
fn what_finds_no_place_is_reported_with_the_node_to_free() {
    let pool = pool("pool", 0, 800, json!([member("a", 100), member("b", 300)]));
    let mut other = pod("other", "other", 300);
    other.labels.clear();
    // The node holds 500m for the pool.
    let pods = [pod("a", "a", 125), pod("b", "b", 375), other];
    let status = status(&snapshot(&[pool], &pods, 0), &Outcome::default());
    let b = &status.members[1];
    assert_eq!((b.state, &*b.reason), (Some(MemberState::Settled), "NodeFull"));
    assert!(b.message.contains("225m of cpu more") && b.message.contains("free node n1"), "{b:?}");
    let milli = |amount: crate::api::Resources| amount.cpu.map(|cpu| cpu.0);
    assert_eq!(
        (milli(b.fair), milli(b.share), milli(b.unplaceable)),
        (Some(375), Some(375), Some(225))
    );
}

#[test]
fn idle_shares_are_lent_by_what_was_measured() {
    let pool = pool("pool", 0, 1000, json!([member("a", 400), member("b", 100)]));
    let mut snapshot = snapshot(&[pool], &[pod("a", "a", 800), pod("b", "b", 200)], 0);
    let uses = |milli: u64| PerResource { cpu: milli * 1_000_000, memory: 0 };
    snapshot.usage.insert(("shop".into(), "a".into()), uses(0));
    snapshot.usage.insert(("shop".into(), "b".into()), uses(500));
    let status = status(&snapshot, &Outcome::default());
    let milli = |amount: crate::api::Resources| amount.cpu.map(|cpu| cpu.0);
    // Of 800m, 75 % are lent: b has a use for 600m.
    let of = |member: usize| {
        let member = &status.members[member];
        (milli(member.demand), milli(member.fair), milli(member.share))
    };
    assert_eq!(of(0), (Some(0), Some(800), Some(200)));
    assert_eq!(of(1), (Some(600), Some(200), Some(600)));
    assert_eq!(milli(status.lent), Some(400));
    assert_eq!(resizes(&snapshot), [("a".to_owned(), 800, 200)]);
}

#[test]
fn a_pool_that_observes_is_in_nobodys_way() {
    let auto = pool("auto", 1, 400, json!([member("a", 100)]));
    let mut observing = pool("observing", 0, 400, json!([member("b", 100)]));
    observing.spec.mode = crate::api::Mode::Observe;
    // The node has room for 500m: what b holds, and 450m.
    let snapshot = snapshot(&[auto, observing], &[pod("a", "a", 50), pod("b", "b", 50)], 400);
    let divided = divide(&snapshot, &weigh(&snapshot), &mut Divider::default());
    let granted: Vec<u64> =
        divided.iter().map(|pool| pool.cpu.as_ref().unwrap().sum(|pod| pod.granted())).collect();
    // Were it Auto, the older pool and the other would have halves of the node.
    assert_eq!(granted, [250, 400]);
}
