//! Virtual machines that move from node to node.

use super::*;
use crate::cluster::{COMPUTE, Machine};

/// Two members of equal weight in a pool of 1000m: a virtual machine, in pods that hold so much and were made one after the
/// other, and another pod, with 500m.
fn moving(launchers: &[(&str, u64, Option<&str>)]) -> Scene {
    let pool = pool("pool", 0, 1000, json!([member("vm", 100), member("web", 100)]));
    let mut pods = vec![pod("web-0", "web", 500)];
    for (i, &(name, milli, node)) in launchers.iter().enumerate() {
        let mut launcher = pod(name, "vm", milli);
        launcher.containers[0].name = COMPUTE.into();
        launcher.machine = Some("vm".into());
        launcher.created = Some(Timestamp::from_second(i as i64).unwrap());
        launcher.node = node.map(str::to_owned);
        pods.push(launcher);
    }
    let mut scene = scene(&[pool], &pods, 1000);
    scene.nodes.insert("n2".into(), scene.nodes["n1"].clone());
    scene.machines.insert("vm".into(), Machine { vcpus: 2, ..Machine::default() });
    scene
}

/// What the pods of the machine and the other pod are to have: name and share.
fn shares(scene: &Scene) -> Vec<(String, Option<u64>)> {
    let seen = scene.seen();
    let divided = seen.first().1.cpu.unwrap();
    let pods = divided.pods().map(|it| (it.pod.name.clone(), it.share.map(|it| it.share)));
    let pods: BTreeMap<String, Option<u64>> = pods.collect();
    pods.into_iter().collect()
}

fn named(shares: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    shares.iter().map(|&(pod, share)| (pod.to_owned(), share)).collect()
}

#[test]
fn where_a_machine_moves_to_it_has_its_share_and_nobody_else_has_less() {
    let scene = moving(&[("a", 500, Some("n1")), ("b", 200, Some("n2"))]);
    assert_eq!(shares(&scene), named(&[("a", None), ("b", Some(500)), ("web-0", Some(500))]));
    // Both are charged, so there is no room before the first is gone.
    assert_eq!(resizes(&scene), []);
    let status = status(&scene, &Outcome::default());
    assert_eq!(status.allocated.cpu.as_ref().map(|it| it.0), Some(1200));
    let vm = &status.members[0];
    assert_eq!((vm.state, &*vm.reason), (Some(MemberState::Resizing), "Migrating"));
    assert_eq!((vm.pods, vm.applied.cpu.as_ref().unwrap().0), (2, 700));

    let there = moving(&[("b", 200, Some("n2"))]);
    assert_eq!(resizes(&there), [("b".to_owned(), 200, 500)]);
}

#[test]
fn a_copy_that_starts_with_more_than_the_share_is_lowered_while_the_first_is_left_alone() {
    let scene = moving(&[("a", 400, Some("n1")), ("b", 700, Some("n2"))]);
    assert_eq!(resizes(&scene), [("b".to_owned(), 700, 500)]);
    let (state, reason, message) =
        member_says(&moving(&[("a", 400, Some("n1")), ("b", 500, Some("n2"))]));
    assert_eq!((state, &*reason), (MemberState::Skipped, "Migrating"));
    assert!(
        message.contains("Pod a: ") && message.contains("pod b, which has its share"),
        "{message}"
    );
}

#[test]
fn as_long_as_a_copy_has_no_node_the_first_one_counts() {
    let scene = moving(&[("a", 300, Some("n1")), ("b", 200, None)]);
    assert_eq!(shares(&scene), named(&[("a", Some(500)), ("b", None), ("web-0", Some(500))]));
}

#[test]
fn a_copy_takes_nothing_from_the_bounds_of_its_member() {
    let mut scene = moving(&[("a", 600, Some("n1")), ("b", 200, Some("n2"))]);
    let vm = &mut scene.pools[0].spec.members[0];
    vm.min = serde_json::from_value(json!({"cpu": "600m"})).unwrap();
    vm.max = serde_json::from_value(json!({"cpu": "700m"})).unwrap();
    assert_eq!(shares(&scene), named(&[("a", None), ("b", Some(600)), ("web-0", Some(400))]));
}
