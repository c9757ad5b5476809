//! Pods that the scheduler finds no room for.

use k8s_openapi::api::core::v1 as core;

use super::*;
use crate::{cluster::Pending, engine::pending_pods::PendingPods};

/// A pod of another namespace that waits for CPU.
fn waiting(name: &str, milli: u64) -> Pod {
    with(name, milli, json!({}))
}

fn with(name: &str, milli: u64, spec: Value) -> Pod {
    let message = "0/1 nodes are available: 1 Insufficient cpu.";
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": []}, "status": {"conditions": [condition]}});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    let read: core::Pod = serde_json::from_value(pod).unwrap();
    let pending = Pending::read(&read).map(Box::new);
    assert!(pending.is_some());
    Pod {
        namespace: "bank".into(),
        node: None,
        binding: None,
        pending,
        ..super::pod(name, name, milli)
    }
}

/// A pool of a whole core, all of its node, for a and b with 1 : 3, that hold what they own; and one that waits.
fn full(pods: [u64; 2], free: u64, waiting: Pod) -> Scene {
    let pool = pool("pool", 0, 1000, json!([member("a", 100), member("b", 300)]));
    let pods = [pod("a", "a", pods[0]), pod("b", "b", pods[1])];
    let mut scene = scene(&[pool], &pods, free);
    scene.pods.push(waiting);
    scene
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What is wanted of the CPU of each node.
fn room(waits: &mut PendingPods, scene: &mut Scene, second: i64) -> Vec<(String, u64)> {
    scene.now = at(second);
    scene.reserved = Reserved::new();
    let seen = scene.seen();
    let view = seen.view();
    let (_, _, rooms) = seen.preview.own(&view, &mut Dividers::default());
    scene.reserved = waits.reserve(&view, |node| rooms.above_stakes(&view, node));
    scene.reserved.iter().map(|(node, room)| (node.clone(), room.cpu)).collect()
}

fn on(node: &str, milli: u64) -> Vec<(String, u64)> {
    vec![(node.to_owned(), milli)]
}

#[test]
fn the_pool_gives_back_what_a_waiting_pod_needs_for_five_minutes() {
    let mut waits = PendingPods::default();
    let mut crowded = full([250, 750], 0, waiting("new", 300));
    assert_eq!(room(&mut waits, &mut crowded, 0), on("n1", 300));
    assert_eq!(resizes(&crowded), [("a".to_owned(), 250, 175), ("b".to_owned(), 750, 525)]);
    // It is given back, and no pod takes it.
    let mut given = full([175, 525], 300, waiting("new", 300));
    for second in [1, 299] {
        assert_eq!(room(&mut waits, &mut given, second), on("n1", 300));
        assert_eq!(resizes(&given), []);
    }
    // Something else is in its way: never again.
    for second in [300, 100_000] {
        assert_eq!(room(&mut waits, &mut given, second), []);
        assert_eq!(resizes(&given), [("a".to_owned(), 175, 250), ("b".to_owned(), 525, 750)]);
    }
    // What is about to be gone is in its way, too.
    let mut slow = full([150, 450], 0, waiting("slow", 300));
    slow.pods.push(Pod { terminating: true, ..pod("a-0", "a", 400) });
    slow.nodes.get_mut("n1").unwrap().allocatable.cpu += 400;
    assert_eq!(room(&mut PendingPods::default(), &mut slow, 0), on("n1", 300));
    assert_eq!(resizes(&slow), [("a".to_owned(), 150, 75), ("b".to_owned(), 450, 225)]);
    // Another one is another matter.
    let mut other = full([250, 750], 0, waiting("other", 100));
    assert_eq!(room(&mut waits, &mut other, 100_000), on("n1", 100));
    // It has a node: what it has is its own, and the room needs not be kept.
    let there = Pod { pending: None, node: Some("n1".into()), ..waiting("other", 100) };
    let mut placed = full([225, 675], 0, there);
    assert_eq!(room(&mut waits, &mut placed, 100_010), []);
    assert_eq!(resizes(&placed), []);
}

#[test]
fn a_waiting_pod_gets_what_is_above_the_stakes_and_no_more() {
    let room = |mut scene: Scene| room(&mut PendingPods::default(), &mut scene, 0);
    // Both templates ask for 50m.
    assert_eq!(room(full([250, 750], 0, waiting("new", 900))), on("n1", 900));
    assert_eq!(room(full([250, 750], 0, waiting("new", 901))), []);
    // A pod of the pool itself, too: what its running pods own without it is another matter.
    let own = |milli| {
        let mut own = waiting("a-1", milli);
        (own.namespace, own.labels) = ("shop".into(), [("app".to_owned(), "a".to_owned())].into());
        full([250, 750], 0, own)
    };
    assert_eq!(room(own(900)), on("n1", 900));
    assert_eq!(room(own(901)), []);
    // They started with what they hold; with a second pod of its member, the first owns only half of what it did.
    let original = |mut scene: Scene| {
        let bound = scene.pods.iter_mut().filter_map(|pod| pod.binding.as_mut());
        bound.for_each(|binding| binding.is_original = true);
        scene
    };
    assert_eq!(room(original(full([250, 750], 0, waiting("new", 1)))), []);
    assert_eq!(room(original(own(125))), on("n1", 125));
    assert_eq!(room(original(own(126))), []);
    // A pool that only observes gives nothing.
    let mut observing = full([250, 750], 0, waiting("new", 300));
    observing.pools[0].spec.mode = crate::api::Mode::Observe;
    assert_eq!(room(observing), []);
    // Nor does one that does not divide what is short.
    let mut memory = full([250, 750], 0, waiting("new", 300));
    memory.pools[0].spec.capacity.cpu = None;
    assert_eq!(room(memory), []);
}

#[test]
fn the_room_is_made_where_the_least_is_to_be_given_back() {
    let two = |new: Pod| {
        let mut scene = full([250, 750], 0, new);
        let node = |allocatable: u64, labels: Value, taints: Value| {
            let node = json!({
                "metadata": {"labels": labels},
                "spec": {"taints": taints},
                "status": {"allocatable": {"cpu": format!("{allocatable}m"), "memory": "1Gi"}},
            });
            Node::read(&serde_json::from_value::<core::Node>(node).unwrap())
        };
        let taint = json!([{"key": "gpu", "effect": "NoSchedule"}]);
        scene.nodes = [
            ("n1".to_owned(), node(1000, json!({"disk": "ssd"}), json!([]))),
            ("n2".to_owned(), node(1000, json!({}), json!([]))),
            ("n3".to_owned(), node(1000, json!({}), taint)),
        ]
        .into();
        for (name, node) in [("c", "n2"), ("d", "n3")] {
            let held = if name == "c" { 950 } else { 700 };
            let pod = Pod { node: Some(node.into()), ..pod(name, "b", held) };
            scene.pods.push(pod);
        }
        scene
    };
    let mut waits = PendingPods::default();
    assert_eq!(room(&mut waits, &mut two(waiting("new", 400)), 0), on("n2", 400));
    // It stays there, even where another would be cheaper by now.
    let mut later = two(waiting("new", 400));
    let a = later.pods.iter().position(|pod| pod.name == "a").unwrap();
    later.pods[a].containers[0] = container("main", 100);
    assert_eq!(room(&mut waits, &mut later, 10), on("n2", 400));
    assert_eq!(room(&mut PendingPods::default(), &mut later, 10), on("n1", 400));
    let elsewhere =
        |spec: Value| room(&mut PendingPods::default(), &mut two(with("new", 400, spec)), 0);
    assert_eq!(elsewhere(json!({"nodeSelector": {"disk": "ssd"}})), on("n1", 400));
    assert_eq!(elsewhere(json!({"tolerations": [{"operator": "Exists"}]})), on("n3", 400));
    assert_eq!(elsewhere(json!({"nodeSelector": {"disk": "none"}})), []);
    // A second one finds less there.
    let mut second = two(waiting("new", 400));
    second.pods.push(waiting("newer", 600));
    let both = room(&mut PendingPods::default(), &mut second, 0);
    assert_eq!(both, [("n1".to_owned(), 600), ("n2".to_owned(), 400)]);
}

#[test]
fn what_finds_no_place_on_nodes_is_not_for_a_pod_that_waits_for_one() {
    let own = Pod {
        namespace: "shop".into(),
        labels: [("app".to_owned(), "a".to_owned())].into(),
        ..waiting("a-1", 400)
    };
    // The node has 900m of the pool's 1000m. Were the rest for the pod that waits, it would be lowered to what the others leave, step
    // by step: each time it asked for less, there would be more room for them.
    let mut scene = full([225, 675], 0, own);
    assert_eq!(room(&mut PendingPods::default(), &mut scene, 0), on("n1", 400));
    let mut lowered = resizes(&scene);
    lowered.retain(|(pod, ..)| pod == "a-1");
    assert_eq!(lowered, [("a-1".to_owned(), 400, 125)]);
}
