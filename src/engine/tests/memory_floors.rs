//! Memory that is in use is not taken away.

use super::*;
use crate::api::Strategy;

const MI: u64 = 1 << 20;

/// A pool of 100Mi, and a pod with 1000Mi that was measured to use so much of late.
fn with(policy: &str, used: Option<u64>, change: impl Fn(&mut Pod)) -> Scene {
    let mut policed = member("a", 100);
    policed["limitPolicy"] = json!(policy);
    let mut pool = pool("pool", 0, 1, json!([policed]));
    pool.spec.capacity = serde_json::from_value(json!({"memory": "100Mi"})).unwrap();
    pool.spec.sharing.strategy = Strategy::Isolated;
    let mut large = pod("a", "a", 0);
    large.owner = None;
    large.containers[0].held.memory = Held { requested: 1000 * MI, admitted: 1000 * MI };
    change(&mut large);
    let mut scene = scene(&[pool], &[large], 1000);
    scene.nodes.get_mut("n1").unwrap().allocatable.memory = 4000 * MI;
    if let Some(used) = used {
        scene.metrics = using(used * MI);
    }
    scene
}

/// The request and limit of the first container after one turn, in MiB.
fn told(scene: &Scene) -> Option<(u64, Option<u64>)> {
    let resizes = scene.seen().resizes();
    let container = &resizes.first()?.containers[0];
    Some((container.request / MI, container.limit.map(|limit| limit / MI)))
}

fn limit(pod: &mut Pod) {
    pod.containers[0].limit.memory = Some(1000 * MI);
}

#[test]
fn a_request_goes_down_to_what_is_in_use() {
    let keep = |used| told(&with("Keep", used, |_| {}));
    assert_eq!(keep(None), Some((100, None)));
    assert_eq!(keep(Some(20)), Some((100, None)));
    // 500Mi and a fifth of that.
    assert_eq!(keep(Some(500)), Some((600, None)));
    assert_eq!(keep(Some(900)), None);
    let (state, reason, message) = member_says(&with("Keep", Some(900), |_| {}));
    assert_eq!((state, &*reason), (MemberState::Deferred, "MemoryInUse"));
    assert!(message.contains("stays at 1000Mi instead of 100Mi"), "{message}");
}

#[test]
fn who_lacks_but_the_margin_is_settled() {
    let holds = |used, mi| {
        let held = Held { requested: mi * MI, admitted: mi * MI };
        member_says(&with("Keep", Some(used), |pod| pod.containers[0].held.memory = held))
    };
    let (state, reason, message) = holds(90, 108);
    assert_eq!((state, &*reason), (MemberState::Settled, "MemoryInUse"));
    assert!(message.contains("Pod a: memory stays at 108Mi instead of 100Mi"), "{message}");
    // It uses more than its share, or can still go down to what it is left.
    assert_eq!(holds(101, 121).0, MemberState::Deferred);
    assert_eq!(holds(90, 109).0, MemberState::Deferred);
    assert_eq!(holds(20, 100).1, "Settled");
}

#[test]
fn a_limit_goes_down_in_steps_and_never_under_what_is_in_use() {
    let sure = |used, resize: Resize| {
        told(&with("Keep", used, |pod| {
            limit(pod);
            pod.qos = Qos::Guaranteed;
            pod.resize = resize.clone();
        }))
    };
    assert_eq!(sure(Some(20), Resize::Done), Some((875, Some(875))));
    assert_eq!(sure(Some(800), Resize::Done), Some((960, Some(960))));
    // Not before the kubelet has confirmed the last step, and not where it is not measured.
    assert_eq!(sure(Some(20), Resize::InProgress), None);
    assert_eq!(sure(None, Resize::Done), None);

    let capped = |used| told(&with("Cap", used, limit));
    // The request reaches no cgroup: it goes at once.
    assert_eq!(capped(Some(20)), Some((100, Some(875))));
    assert_eq!(capped(Some(800)), Some((960, Some(960))));
    assert_eq!(capped(None), None);
    // A limit that is added stays over what is in use as well.
    let added = |used| told(&with("Cap", used, |_| {}));
    assert_eq!(added(Some(20)), Some((100, Some(100))));
    assert_eq!(added(Some(500)), Some((600, Some(600))));
    assert_eq!(added(None), Some((100, None)));
    // Not either where the request is low already.
    let wide = told(&with("Cap", None, |pod| {
        limit(pod);
        pod.containers[0].held.memory = Held { requested: 100 * MI, admitted: 100 * MI };
    }));
    assert_eq!(wide, None);
}

#[test]
fn a_container_that_is_restarted_by_it_takes_one_step() {
    let mut restarting = with("Cap", Some(20), |pod| {
        limit(pod);
        pod.containers[0].restarts.memory = true;
    });
    assert_eq!(told(&restarting), None);
    restarting.pools[0].spec.members[0].allow_restart = true;
    assert_eq!(told(&restarting), Some((100, Some(100))));
}

#[test]
fn of_several_containers_each_might_be_the_one_that_uses_it() {
    let two = with("Cap", Some(300), |pod| {
        limit(pod);
        let mut side = pod.containers[0].clone();
        side.name = "side".into();
        side.held.memory = Held { requested: 400 * MI, admitted: 400 * MI };
        side.limit.memory = Some(800 * MI);
        pod.containers.push(side);
    });
    let resizes = two.seen().resizes();
    let limits: Vec<u64> = resizes[0].containers.iter().map(|it| it.limit.unwrap() / MI).collect();
    assert_eq!((resizes[0].to / MI, limits), (360, vec![875, 700]));
}

#[test]
fn what_was_measured_long_ago_lets_no_limit_go_down() {
    let mut scene = with("Cap", Some(20), limit);
    assert_eq!(told(&scene).map(|(_, limit)| limit), Some(Some(875)));
    scene.metrics.fail("there is no answer");
    assert_eq!(told(&scene), None);
}

#[test]
fn a_request_stays_within_a_limit_ranges_ratio_of_a_limit_that_goes_down_late() {
    let within = |ratio| {
        let mut scene = with("Cap", Some(20), limit);
        scene.limits.container.memory.ratio = ratio;
        told(&scene)
    };
    assert_eq!(within(None), Some((100, Some(875))));
    // A third of 875Mi, as long as the limit is there.
    assert_eq!(within(Some(3000)), Some((291, Some(875))));
}
