//! From shares to resizes.

use super::*;

/// What it takes to put the pods of no pool back.
fn back(scene: &Scene) -> Restore {
    scene.seen().restore()
}

#[test]
fn shrinks_are_sent_first_and_grows_follow_into_the_room_that_they_left() {
    let pool = pool("pool", 0, 800, json!([member("a", 100), member("b", 300)]));
    let full = scene(from_ref(&pool), &[pod("a", "a", 600), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&full), [("a".to_owned(), 600, 200)]);
    // The kubelet has not carried it out: nothing is free yet.
    let mut shrinking = pod("a", "a", 200);
    shrinking.containers[0].held.cpu.admitted = 600;
    let waiting = scene(from_ref(&pool), &[shrinking, pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&waiting), []);
    let standing = |scene: &Scene, member: usize| {
        let status = status(scene, &Outcome::default());
        (status.members[member].state.unwrap(), status.members[member].reason.clone())
    };
    assert_eq!(standing(&full, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    assert_eq!(standing(&waiting, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    let freed = scene(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&freed), [("b".to_owned(), 200, 600)]);
    // Where the node has less room than the pool, they share what it has: 138m and 412m of 550m.
    let small = scene(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 150);
    assert_eq!(resizes(&small), [("a".to_owned(), 200, 138)]);
    // A node that is not known may have no room.
    let mut lost = pod("b", "b", 350);
    lost.node = Some("n2".into());
    let stuck = scene(from_ref(&pool), &[pod("a", "a", 200), lost], 0);
    assert_eq!(resizes(&stuck), []);
    let settled = scene(&[pool], &[pod("a", "a", 200), pod("b", "b", 600)], 0);
    assert_eq!(resizes(&settled), []);
    assert_eq!(true_conditions(&status(&settled, &Outcome::default())), [("Ready", "Divided")]);
}

#[test]
fn a_grow_is_not_taken_back_before_its_node_has_said_what_it_makes_of_it() {
    let pool = pool("pool", 0, 400, json!([member("a", 100), member("b", 100)]));
    let growing = |unseen: bool| {
        let mut growing = pod("a", "a", 200);
        growing.containers[0].held.cpu = Held { requested: 300, admitted: 100 };
        (growing.unseen, growing.resize) = match unseen {
            true => (true, Resize::InProgress),
            false => (false, Resize::Deferred("no room".into())),
        };
        scene(from_ref(&pool), &[growing, pod("b", "b", 100)], 5000)
    };
    // What it asks for may be in force already: b gets nothing of it.
    assert_eq!(resizes(&growing(true)), []);
    let status = status(&growing(true), &Outcome::default());
    assert_eq!(status.members[0].reason, "Resizing");
    assert_eq!(status.members[1].reason, "AwaitingRoom");
    // Its node has said that it waits.
    assert_eq!(resizes(&growing(false)), [("a".to_owned(), 300, 200)]);
    // A shrink that is not seen yet may go on.
    let mut shrinking = pod("a", "a", 250);
    shrinking.containers[0].held.cpu.admitted = 300;
    (shrinking.unseen, shrinking.resize) = (true, Resize::InProgress);
    let further = scene(from_ref(&pool), &[shrinking, pod("b", "b", 100)], 5000);
    assert_eq!(resizes(&further), [("a".to_owned(), 250, 200)]);
}

#[test]
fn a_pod_grows_once_its_node_has_said_that_it_runs_and_shrinks_before() {
    let pool = pool("pool", 0, 400, json!([member("a", 100), member("b", 100)]));
    let starting = |milli| {
        let mut starting = pod("a", "a", milli);
        starting.containers[0].unheard = true;
        scene(from_ref(&pool), &[starting, pod("b", "b", 100)], 5000)
    };
    assert_eq!(resizes(&starting(300)), [("a".to_owned(), 300, 200)]);
    assert_eq!(resizes(&starting(50)), [("b".to_owned(), 100, 200)]);
    let (state, reason, message) = member_says(&starting(50));
    assert_eq!((state, &*reason), (MemberState::Resizing, "NotStarted"));
    assert_eq!(
        message,
        "Pod a: cpu goes to 200m once its node has reported that its containers run."
    );
}

#[test]
fn what_a_terminating_pod_holds_is_not_given_away() {
    let pool = pool("pool", 0, 600, json!([member("a", 100)]));
    let mut going = pod("a-0", "a", 400);
    going.terminating = true;
    let scene = scene(&[pool], &[going, pod("a-1", "a", 50)], 5000);
    assert_eq!(resizes(&scene), [("a-1".to_owned(), 50, 200)]);
}

#[test]
fn a_guaranteed_pod_moves_its_limit_along() {
    let pool = pool("pool", 0, 300, json!([member("a", 100)]));
    let mut sure = pod("a", "a", 50);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(50);
    let scene = scene(&[pool], &[sure], 1000);
    let resizes = scene.seen().resizes();
    let both = ContainerResize { name: "main".into(), request: 300, limit: Some(300) };
    assert_eq!(resizes[0].containers, [both]);
}

#[test]
fn a_burstable_pod_with_all_limits_never_reaches_them_all() {
    let pool = pool("pool", 0, 900, json!([member("a", 100)]));
    let mut bounded = pod("a", "a", 50);
    bounded.containers[0].limit.cpu = Some(400);
    let open = scene(from_ref(&pool), &[bounded.clone()], 1000);
    assert_eq!(resizes(&open), [("a".to_owned(), 50, 400)]);
    bounded.containers[0].limit.memory = Some(1 << 30);
    let tight = scene(&[pool], &[bounded], 1000);
    assert_eq!(resizes(&tight), [("a".to_owned(), 50, 399)]);
}

#[test]
fn pods_of_no_pool_go_back_to_their_templates() {
    let resized = |name: &str, milli| {
        let mut pod = pod(name, name, milli);
        pod.resized_by_us.cpu = true;
        pod
    };
    let to = |scene: &Scene| -> Vec<(String, u64)> {
        let release = back(scene);
        release.resizes.into_iter().map(|resize| (resize.pod, resize.to)).collect()
    };
    // A shrink at once, a grow where all of it fits, what we never touched not at all.
    let pods = [resized("large", 500), resized("small", 10), pod("theirs", "theirs", 70)];
    let full = scene(&[], &pods, 30);
    assert_eq!(to(&full), [("large".to_owned(), 50)]);
    assert_eq!(back(&full).waiting.iter().map(|it| &*it.0).collect::<Vec<_>>(), ["large", "small"]);
    let roomy = scene(&[], &pods, 40);
    assert_eq!(to(&roomy), [("large".to_owned(), 50), ("small".to_owned(), 50)]);
    let done = scene(&[], &[resized("large", 50)], 0);
    assert_eq!(back(&done).waiting, []);

    // It may be on its node for what it asks for now alone.
    let mut starting = resized("starting", 10);
    starting.containers[0].unheard = true;
    let starting = back(&scene(&[], &[starting], 1000));
    assert_eq!((starting.resizes.len(), &*starting.waiting[0].0), (0, "starting"));

    let mut alone = resized("alone", 500);
    alone.owner = None;
    let stuck = back(&scene(&[], &[alone], 0)).stuck;
    assert_eq!(stuck[0].0, "alone");
}

#[test]
fn a_limit_follows_its_policy() {
    let told = |policy: &str, pod: Pod| {
        let mut policed = member("a", 100);
        policed["limitPolicy"] = json!(policy);
        let pool = pool("pool", 0, 300, json!([policed]));
        let scene = scene(&[pool], &[pod], 1000);
        let resizes = scene.seen().resizes();
        resizes[0].containers.iter().map(|it| (it.request, it.limit)).collect::<Vec<_>>()
    };
    let limited = |limit| {
        let mut pod = pod("a", "a", 50);
        pod.containers[0].limit.cpu = limit;
        pod
    };
    assert_eq!(told("Keep", limited(Some(120))), [(120, None)]);
    assert_eq!(told("Keep", limited(None)), [(300, None)]);
    // The template has no limit, so there is no ratio.
    assert_eq!(told("Ratio", limited(Some(120))), [(120, None)]);
    assert_eq!(told("Ratio", limited(None)), [(300, None)]);
    assert_eq!(told("Cap", limited(Some(120))), [(300, Some(300))]);
    assert_eq!(told("Cap", limited(None)), [(300, Some(300))]);
    // With limits of memory everywhere, a limit of CPU that meets its request could make the pod Guaranteed.
    let mut tight = limited(None);
    tight.containers[0].limit.memory = Some(1 << 30);
    assert_eq!(told("Cap", tight), [(300, Some(301))]);
    let mut sure = limited(Some(50));
    sure.qos = Qos::Guaranteed;
    for policy in ["Keep", "Ratio", "Cap"] {
        assert_eq!(told(policy, sure.clone()), [(300, Some(300))], "{policy}");
    }
}

#[test]
fn a_limit_keeps_the_ratio_of_the_template() {
    let mut policed = member("a", 100);
    policed["limitPolicy"] = json!("Ratio");
    let mut limited = pod("a", "a", 50);
    limited.containers[0].limit.cpu = Some(999);
    let mut scene = scene(&[pool("pool", 0, 300, json!([policed]))], &[limited], 1000);
    for workload in scene.workloads.values_mut() {
        workload.template.get_mut("main").unwrap().limit.cpu = Some(120);
    }
    let resizes = scene.seen().resizes();
    // 120m to 50m.
    let both = ContainerResize { name: "main".into(), request: 300, limit: Some(720) };
    assert_eq!(resizes[0].containers, [both]);
}

#[test]
fn containers_that_are_switched_off_keep_what_they_hold() {
    let with = |off: Value| {
        let mut member = member("a", 100);
        member["containers"] = off;
        let pool = pool("pool", 0, 300, json!([member]));
        let mut two = pod("a", "a", 50);
        two.owner = None;
        two.containers.push(container("proxy", 100));
        scene(&[pool], &[two], 1000)
    };
    assert_eq!(resizes(&with(json!([{"name": "main", "mode": "Auto"}]))), [("a".into(), 150, 300)]);
    let proxy = with(json!([{"name": "proxy", "mode": "Off"}]));
    let resize = &proxy.seen().resizes()[0];
    let main = ContainerResize { name: "main".into(), request: 200, limit: None };
    assert_eq!(resize.containers, [main]);
    let both = with(json!([{"name": "proxy", "mode": "Off"}, {"name": "main", "mode": "Off"}]));
    assert_eq!(resizes(&both), []);
    let (state, reason, _) = member_says(&both);
    assert_eq!((state, &*reason), (MemberState::Skipped, "SwitchedOff"));
}

#[test]
fn a_container_is_restarted_only_where_its_member_allows_it() {
    let with = |allow: bool| {
        let mut member = member("a", 100);
        member["allowRestart"] = json!(allow);
        let mut restarting = pod("a", "a", 50);
        restarting.containers[0].restarts.cpu = true;
        scene(&[pool("pool", 0, 300, json!([member]))], &[restarting], 1000)
    };
    assert_eq!(resizes(&with(true)), [("a".to_owned(), 50, 300)]);
    assert_eq!(resizes(&with(false)), []);
    let (_, reason, message) = member_says(&with(false));
    assert_eq!(reason, "RestartOnResize");
    assert!(message.contains("allowRestart: true"), "{message}");
}

#[test]
fn limits_go_back_too_but_for_those_that_were_added_and_memory_in_use() {
    let capped = |limit: u64, memory: bool| {
        let mut pod = pod("a", "a", 300);
        let resource = if memory { Resource::Memory } else { Resource::Cpu };
        pod.resized_by_us[resource] = true;
        pod.limited_by_us[resource] = true;
        pod.containers[0].held[resource] = Held { requested: 300, admitted: 300 };
        pod.containers[0].limit[resource] = Some(limit);
        pod
    };
    let with = |pod: Pod, limit: Option<u64>| {
        let mut scene = scene(&[], &[pod], 1000);
        for workload in scene.workloads.values_mut() {
            let main = workload.template.get_mut("main").unwrap();
            main.limit = PerResource { cpu: limit, memory: limit };
        }
        scene
    };
    let told = |scene: &Scene| {
        let release = back(scene);
        let resize = release.resizes.first().map(|it| it.containers[0].clone());
        (resize.map(|it| (it.request, it.limit)), release.waiting.len(), release.stuck.len())
    };
    assert_eq!(told(&with(capped(300, false), Some(100))), (Some((50, Some(100))), 1, 0));
    assert_eq!(told(&with(capped(300, false), None)), (Some((50, None)), 1, 1));
    // One that was added and stays is not in the way of the request.
    let low = |limit| {
        let mut pod = capped(limit, false);
        pod.containers[0].held.cpu = Held { requested: 20, admitted: 20 };
        pod
    };
    assert_eq!(told(&with(low(20), None)), (Some((50, Some(51))), 1, 1));
    assert_eq!(told(&with(low(51), None)), (Some((50, None)), 1, 1));
    // A memory limit is not lowered below what the pod uses, nor if nothing measures that.
    let mut using = with(capped(300 << 20, true), Some(100 << 20));
    assert_eq!(told(&using), (None, 1, 0));
    using.metrics = super::using(0);
    assert_eq!(told(&using).0, Some((0, Some(100 << 20))));
    using.metrics = super::using(90 << 20);
    assert_eq!(told(&using), (None, 1, 0));
}
