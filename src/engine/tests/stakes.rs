//! What pods keep on a full node, whatever other pools ask for.

use super::*;
use crate::{
    api::{Mode, Resources},
    share::{Bytes, Full, Resource::Cpu},
};

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(second).unwrap())
}

/// A pod that was bound so many seconds after the beginning, was charged `started` then, and holds `held`.
fn bound(app: &str, second: i64, started: u64, held: u64) -> Pod {
    let binding = Binding { at: at(second), is_original: true, ..bound_with(started) };
    Pod { binding: Some(binding), ..pod(app, app, held) }
}

/// What each pool's pods own of a node of one core, the oldest pool first.
fn owned(pools: &[WeightedShare], pods: &[Pod]) -> Vec<u64> {
    let held: u64 = pods.iter().map(|pod| pod.charge(Cpu)).sum();
    let seen = scene(pools, pods, 1000 - held).seen();
    let divided = seen.divide();
    let shares = divided.iter().flat_map(|(_, shares)| &shares.cpu.as_ref().unwrap().members);
    let fair = |member: &MemberShare| member.pods.iter().map(|pod| pod.share.unwrap().fair).sum();
    shares.map(fair).collect()
}

#[test]
fn a_capacity_a_weight_or_a_min_takes_nothing_of_what_others_started_with() {
    let pods = [bound("mine", 0, 600, 600), bound("theirs", 1, 400, 400)];
    let mut greedy = member("theirs", 10_000);
    greedy["min"] = json!({"cpu": "900k"});
    for age in [0, 2] {
        let mine = pool("mine", 1, 600, json!([member("mine", 1)]));
        let theirs = pool("theirs", age, 1_000_000_000, json!([greedy]));
        let mut expected = vec![600, 400];
        if age == 0 {
            expected.reverse();
        }
        assert_eq!(owned(&[mine, theirs], &pods), expected);
    }
}

#[test]
fn a_pod_that_was_admitted_small_grows_only_into_what_is_left() {
    // Both pools own more than there is. What is left above the stakes of 600 and 10 goes by these, 60 : 1.
    let pods = [bound("mine", 0, 600, 600), bound("theirs", 1, 10, 10)];
    let pool = |name: &str, age, milli| pool(name, age, milli, json!([member(name, 100)]));
    assert_eq!(owned(&[pool("mine", 0, 900), pool("theirs", 1, 3000)], &pods), [900, 100]);
    assert_eq!(owned(&[pool("mine", 0, 5000), pool("theirs", 1, 3000)], &pods), [984, 16]);
    assert_eq!(owned(&[pool("mine", 0, 600), pool("theirs", 1, 3000)], &pods), [600, 400]);
}

#[test]
fn a_pod_bound_into_room_that_others_gave_up_has_what_they_leave() {
    // The first started with 600m and uses 300m: the second was bound into what that left.
    let pool = |name: &str, age| pool(name, age, 700, json!([member(name, 100)]));
    let pods = [bound("mine", 0, 600, 300), bound("theirs", 9, 700, 700)];
    for (mine, theirs) in [(0, 1), (1, 0)] {
        let owned = owned(&[pool("mine", mine), pool("theirs", theirs)], &pods);
        assert_eq!(owned, if mine == 0 { [600, 400] } else { [400, 600] });
    }
    // Had it been there first, it would be the other way round.
    let pods = [bound("mine", 9, 600, 300), bound("theirs", 0, 700, 700)];
    assert_eq!(owned(&[pool("mine", 0), pool("theirs", 1)], &pods), [300, 700]);
}

#[test]
fn memory_grows_above_what_pods_started_with_only_beside_their_own() {
    let mine = pool("mine", 0, 400, json!([member("mine", 100)]));
    let theirs = pool("theirs", 1, 400, json!([member("theirs", 100)]));
    let owned = |namespace: &str, percent: u8, mode: Mode| {
        let in_memory = |mut pool: WeightedShare, mode: Mode, namespace: &str| {
            pool.spec.capacity =
                Resources { memory: Some(Bytes(400 << 20)), ..Resources::default() };
            (pool.spec.mode, pool.metadata.namespace) = (mode, Some(namespace.to_owned()));
            pool
        };
        let holding = |app: &str, namespace: &str| {
            let mut pod = bound(app, 0, 0, 0);
            pod.namespace = namespace.into();
            pod.containers[0].held.memory = Held { requested: 100 << 20, admitted: 100 << 20 };
            let charge = PerResource { cpu: 0, memory: 100 << 20 };
            pod.binding = Some(Binding { charge, is_original: true, ..Binding::default() });
            pod
        };
        let pools = [
            in_memory(mine.clone(), Mode::Auto, "shop"),
            in_memory(theirs.clone(), mode, namespace),
        ];
        let mut scene = scene(&pools, &[holding("mine", "shop"), holding("theirs", namespace)], 0);
        scene.nodes.get_mut("n1").unwrap().allocatable.memory = 1000 << 20;
        scene.bounds.node_memory_grow_percent = percent;
        let seen = scene.seen();
        let divided = seen.divide();
        let (_, shares) = divided.iter().find(|(pool, _)| pool.id.name == "mine").unwrap();
        let shares = shares.memory.as_ref().unwrap();
        let member = &shares.members[0];
        (member.pods[0].share.unwrap().fair >> 20, member.full_by == Full::Stakes)
    };
    assert_eq!(owned("shop", 0, Mode::Auto), (400, false));
    assert_eq!(owned("other", 0, Mode::Auto), (100, true));
    assert_eq!(owned("other", 50, Mode::Auto), (300, true));
    assert_eq!(owned("other", 100, Mode::Auto), (400, false));
    assert_eq!(owned("other", 10, Mode::Auto), (140, true));
    assert_eq!(owned("other", 0, Mode::Observe), (400, false));
}

#[test]
fn an_edited_template_raises_no_stake() {
    let request = PerResource { cpu: 3000, memory: 0 };
    let container = TemplateContainer { request, ..TemplateContainer::default() };
    let template = [("main".to_owned(), container)].into();
    let started = |pod: &Pod| pod.started_with(Some(&template), Cpu);
    assert_eq!(started(&bound("a", 0, 10, 500)), 10);
    // It was resized before it was first seen: it counts for what it held then, and for no more than its template says.
    let resized = |first_seen| Pod { binding: Some(bound_with(first_seen)), ..pod("a", "a", 500) };
    assert_eq!(started(&resized(500)), 500);
    assert_eq!(started(&resized(4000)), 3000);
    assert_eq!(resized(500).started_with(None, Cpu), 0);
    assert_eq!(started(&Pod { binding: None, ..pod("a", "a", 500) }), 0);
    // What was written when it was created counts before both.
    let written = Some(PerResource { cpu: 700, memory: 0 });
    let binding = Some(Binding { written, ..bound_with(4000) });
    assert_eq!(started(&Pod { binding, ..pod("a", "a", 500) }), 700);
}
