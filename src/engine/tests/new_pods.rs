//! With what new pods start.

use super::*;
use crate::{api::Start, cluster::Range};

fn new_pods(scene: &Scene) -> StartProfileSpec {
    scene.seen().new_pods(None, None, true)
}

/// What pods with this key start with, by member.
fn starts(scene: &Scene, key: &str) -> Vec<(String, u64)> {
    let new_pods = new_pods(scene);
    let cpu = |start: &Start| (start.member.clone(), start.request.cpu.unwrap().0);
    new_pods.starts.get(key).into_iter().flatten().map(cpu).collect()
}

/// Whether new pods of any member start with less.
fn lowers(scene: &Scene) -> bool {
    new_pods(scene).starts.values().flatten().any(|start| !start.request.is_empty())
}

fn only(scene: &Scene, key: &str) -> Option<u64> {
    let found = starts(scene, key);
    assert!(found.len() < 2, "{found:?}");
    found.first().map(|(_, cpu)| *cpu)
}

#[test]
fn a_new_pod_starts_with_what_one_more_pod_owns() {
    let mut per_replica = member("db", 100);
    per_replica["weightPer"] = json!("Replica");
    let members = json!([member("web", 100), per_replica, member("new", 200)]);
    let pods = [pod("web-0", "web", 900), pod("web-1", "web", 20), pod("db-0", "db", 50)];
    let scene = scene(&[pool("pool", 0, 1200, members)], &pods, 1000);
    // 600 are web's, whatever its pods hold; db's second pod makes it twice as heavy; new has no pods yet.
    assert_eq!(only(&scene, "app=web"), Some(200));
    assert_eq!(only(&scene, "app=db"), Some(400));
    assert_eq!(only(&scene, "app=new"), Some(600));
    assert_eq!(new_pods(&scene), new_pods(&scene), "nothing changed");
}

#[test]
fn it_is_never_less_than_the_least_of_a_pod() {
    let mut careful = member("web", 1);
    careful["minPerPod"] = json!({"cpu": "30m"});
    let pool = pool("pool", 0, 1000, json!([careful, member("db", 999)]));
    let pods = [pod("web-0", "web", 50), pod("db-0", "db", 50)];
    let mut scene = scene(&[pool], &pods, 1000);
    assert_eq!(only(&scene, "app=web"), Some(30));
    // What a LimitRange refuses is not asked for.
    let range = Range { min: 60, ..Range::default() };
    let limits =
        Limits { pod: PerResource { cpu: range, ..Default::default() }, ..Limits::default() };
    scene.limits = limits;
    assert_eq!(only(&scene, "app=web"), Some(60));
    let container =
        PerResource { cpu: Range { min: 25, ..Range::default() }, ..Default::default() };
    scene.limits = Limits { container, ..Limits::default() };
    assert_eq!(new_pods(&scene).container_min.get(Resource::Cpu), Some(25));
    let container =
        PerResource { cpu: Range { ratio: Some(4000), ..Range::default() }, ..Default::default() };
    scene.limits = Limits { container, ..Limits::default() };
    assert!(!lowers(&scene));
}

#[test]
fn a_pool_that_changes_nothing_lowers_nothing() {
    let mut pool = pool("pool", 0, 45, json!([member("web", 100)]));
    let pods =
        |n: usize| -> Vec<Pod> { (0..n).map(|i| pod(&format!("web-{i}"), "web", 50)).collect() };
    assert_eq!(only(&scene(from_ref(&pool), &pods(3), 1000), "app=web"), Some(11));
    // A fifth pod of 10m does not fit, nor do five.
    for n in [4, 5] {
        let scene = scene(from_ref(&pool), &pods(n), 1000);
        assert!(!lowers(&scene));
        // What they start with is written on them all the same.
        assert!(new_pods(&scene).starts.contains_key("app=web"));
    }
    pool.spec.mode = crate::api::Mode::Observe;
    assert!(new_pods(&scene(&[pool], &pods(1), 1000)).starts.is_empty());
}

#[test]
fn a_pod_is_found_by_the_rarest_of_its_labels_or_by_its_owner() {
    let by = |name: &str, selector: Value| json!({"name": name, "selector": selector});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"});
    let members = json!([
        by("a", json!({"matchLabels": {"tier": "web", "app": "a"}})),
        by("b", json!({"matchLabels": {"tier": "web"}, "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["b", "c", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
        ]})),
        {"name": "d", "targetRef": target},
        by("e", json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]})),
        by("f", json!({})),
    ]);
    let scene = scene(&[pool("pool", 0, 1000, members)], &[], 1000);
    let found = new_pods(&scene).starts;
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, ["*", "Deployment/front", "app=a", "app=b", "app=c"]);
    let rest = |key: &str, i: usize| serde_json::to_value(&found[key][i].selector).unwrap();
    assert_eq!(rest("app=a", 0), json!({"matchLabels": {"tier": "web"}}));
    let others = json!({
        "matchLabels": {"tier": "web"},
        "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}],
    });
    assert_eq!((rest("app=b", 0), rest("app=c", 0)), (others.clone(), others));
    assert_eq!(rest("Deployment/front", 0), Value::Null);
    assert!(rest("*", 0)["matchExpressions"].is_array());
    assert_eq!(rest("*", 1), Value::Null);
}

#[test]
fn a_weight_that_drifts_tells_nothing_until_something_is_decided() {
    let mut drifting = member("web", 100);
    drifting["dynamicWeight"] = json!({"expression": "weight * 2"});
    let mut pool = pool("pool", 0, 1000, json!([drifting, member("db", 100)]));
    let pods = [pod("web-0", "web", 50), pod("db-0", "db", 50)];
    let told =
        |pool: &WeightedShare, before: Option<&StartProfileSpec>, weight: u32, decided: bool| {
            let scene = scene(from_ref(pool), &pods, 1000);
            scene.seen().new_pods(Some(weight), before, decided)
        };
    let before = told(&pool, None, 100, true);
    let before = Some(&before);
    assert_eq!(before, Some(&told(&pool, None, 100, false)), "nothing is told yet");
    assert_eq!(Some(&told(&pool, before, 300, false)), before);
    assert_ne!(Some(&told(&pool, before, 300, true)), before);
    // What is found by other labels is told at once.
    pool.spec.members[1].selector =
        serde_json::from_value(json!({"matchLabels": {"app": "x"}})).unwrap();
    assert_ne!(Some(&told(&pool, before, 300, false)), before);
}

#[test]
fn launchers_start_with_it_where_their_machines_are_known() {
    let pool = pool("pool", 0, 1000, json!([member("vm", 100)]));
    let mut launcher = pod("vm-0", "vm", 100);
    (launcher.obstacle, launcher.machine) = (Some(Obstacle::UnknownMachine), Some("uid".into()));
    let mut scene = scene(&[pool], &[launcher], 1000);
    assert!(!new_pods(&scene).virtual_machines);
    scene.machines.insert("uid".into(), crate::cluster::Machine { vcpus: 2, ..Default::default() });
    assert!(new_pods(&scene).virtual_machines);
}

#[test]
fn what_the_controller_would_not_resize_is_not_lowered() {
    let mut web = member("web", 100);
    web["containers"] = json!([{"name": "proxy", "mode": "Off"}, {"name": "main"}]);
    let target = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"});
    let db = json!({"name": "db", "targetRef": target});
    let pool = pool("pool", 0, 1000, json!([web, db]));
    let mut scene = scene(&[pool], &[pod("web-0", "web", 50)], 1000);
    let starts = new_pods(&scene).starts;
    assert_eq!(starts["app=web"][0].fixed, ["proxy"]);
    assert!(starts.contains_key("StatefulSet/db"));
    // An autoscaler counts replicas by what they request, of a workload that has pods and of one that has none yet.
    let owner = |kind: &str, name: &str| Owner {
        namespace: "shop".into(),
        kind: kind.into(),
        name: name.into(),
    };
    for scaled in [owner("ReplicaSet", "web"), owner("StatefulSet", "db")] {
        let by = PerResource { cpu: Some("hpa".to_owned()), memory: None };
        scene.autoscalers.horizontal.insert(scaled, by);
    }
    assert!(!lowers(&scene));
}
