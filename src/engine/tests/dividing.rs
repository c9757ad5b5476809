//! From a scene to shares.

use super::*;

#[test]
fn a_pod_belongs_to_the_oldest_pool_and_there_to_the_first_member_by_name() {
    let two = json!([member("web", 300), {"name": "all", "selector": {}}]);
    let old = pool("old", 0, 1000, two);
    let new = pool("new", 1, 1000, json!([member("web", 100), member("db", 100)]));
    let scene = scene(&[new, old], &[pod("db-0", "db", 50), pod("web-0", "web", 50)], 1000);
    let seen = scene.seen();
    let [old, new] = &seen.members()[..] else { panic!("two pools") };

    let members = &old.members;
    assert_eq!((members[0].pods.len(), members[1].pods.len()), (0, 2));
    let rivals: Vec<&str> = members[1].contested.iter().map(|(_, pool)| *pool).collect();
    assert_eq!(rivals, ["new", "new"]);
    let members = &new.members;
    assert!(members.iter().all(|member| member.pods.is_empty()));
    assert_eq!(members[0].lost[0].1, "old");
}

#[test]
fn a_weight_counts_once_or_for_each_replica() {
    let mut per_replica = member("web", 30);
    per_replica["weightPer"] = json!("Replica");
    let pool = pool("pool", 0, 900, json!([per_replica, member("db", 30)]));
    let mut going = pod("web-2", "web", 50);
    going.terminating = true;
    let pods = [pod("db-0", "db", 50), pod("web-0", "web", 50), pod("web-1", "web", 50), going];
    let scene = scene(&[pool], &pods, 1000);
    let seen = scene.seen();
    let (weighed, divided) = seen.first();
    let members = &divided.cpu.as_ref().unwrap().members;
    let weights: Vec<u64> = members.iter().map(|member| member.claim.weight).collect();
    assert_eq!((weights, weighed.leaving.len()), (vec![60, 30], 1));
    assert!(!divided.cpu.as_ref().unwrap().is_crowded());
}

#[test]
fn a_target_is_found_by_its_owners() {
    let target = |name| {
        let target = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name});
        json!([{"name": "web", "targetRef": target}])
    };
    let pods = [pod("web-0", "web", 50)];
    let there = scene(&[pool("pool", 0, 100, target("web"))], &pods, 1000);
    assert_eq!(there.seen().members()[0].members[0].pods.len(), 1);
    let gone = scene(&[pool("pool", 0, 100, target("shop"))], &pods, 1000);
    let (state, reason, message) = member_says(&gone);
    assert_eq!((state, &*reason), (MemberState::Skipped, "TargetNotFound"));
    assert!(message.contains("ReplicaSet shop"), "{message}");
}

#[test]
fn a_pool_stands_still_while_it_is_not_known_whose_a_pod_is() {
    let target = |kind: &str, group: &str| {
        let target = json!({"apiVersion": group, "kind": kind, "name": "target"});
        pool("pool", 0, 1000, json!([{"name": "it", "targetRef": target}, member("db", 100)]))
    };
    type Case = (&'static str, &'static str, &'static str, bool);
    let cases: [Case; 6] = [
        ("ReplicaSet", "Deployment", "apps/v1", true),
        ("VirtualMachineInstance", "VirtualMachine", "kubevirt.io/v1", true),
        ("VirtualMachineInstance", "VirtualMachinePool", "pool.kubevirt.io/v1beta1", true),
        // The name of such a controller says enough: it cannot lead to the target.
        ("StatefulSet", "StatefulSet", "apps/v1", false),
        ("VirtualMachineInstance", "Deployment", "apps/v1", false),
        ("Rollout", "Deployment", "apps/v1", false),
    ];
    for (controller, kind, group, still) in cases {
        let mut other = pod("other", "other", 200);
        other.owner.as_mut().unwrap().kind = controller.to_owned();
        let mut unseen =
            scene(&[target(kind, group)], &[other.clone(), pod("db-0", "db", 50)], 1000);
        let seen = unseen.clone();
        unseen.workloads.remove(other.owner.as_ref().unwrap());

        assert_eq!(unseen.seen().first().0.stands_still(), still, "{controller} of a {kind}");
        let says = status(&unseen, &Outcome::default());
        let reason = if still { "ControllerNotSeen" } else { "TargetNotFound" };
        assert_eq!(says.members[0].reason, reason, "{controller} of a {kind}");
        let ready = says.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
        assert_eq!(ready.reason == "ControllerNotSeen", still, "{ready:?}");

        // A controller in the cache shows that the pod belongs to another workload. No pool waits for a pod that is being
        // deleted.
        assert!(!seen.seen().first().0.stands_still());
        unseen.pods.iter_mut().for_each(|pod| pod.terminating = true);
        assert!(!unseen.seen().first().0.stands_still());
    }
}

#[test]
fn a_pod_keeps_its_pool_until_it_is_gone_whoever_controlled_it() {
    let cases = [
        ("apps/v1", "Deployment", "web", "ReplicaSet", "web-5c9f"),
        ("kubevirt.io/v1", "VirtualMachine", "web", "VirtualMachineInstance", "web"),
        ("pool.kubevirt.io/v1", "VirtualMachinePool", "web", "VirtualMachineInstance", "web-3"),
        ("apps/v1", "StatefulSet", "web", "StatefulSet", "web"),
    ];
    for (group, kind, name, controller, controllers_name) in cases {
        let target = json!({"apiVersion": group, "kind": kind, "name": name});
        let web = json!({"name": "web", "targetRef": target});
        let pool = pool("pool", 0, 1200, json!([web, member("api", 100)]));
        let mut ends = pod("web-5c9f-x7k2p", "web", 600);
        ends.terminating = true;
        ends.labels.insert("pod-template-hash".into(), "5c9f".into());
        let owner = ends.owner.as_mut().unwrap();
        (owner.kind, owner.name) = (controller.into(), controllers_name.into());
        let owner = owner.clone();
        let mut scene = scene(&[pool], &[ends, pod("api-0", "api", 600)], 5000);
        // The workload is deleted, and what it had below.
        scene.workloads.remove(&owner);
        assert_eq!(scene.seen().first().0.leaving.len(), 1, "{kind}");
        assert_eq!(resizes(&scene), [], "{kind}");
        // The others may have it once the pod is gone.
        scene.pods.remove(0);
        assert_eq!(resizes(&scene), [("api-0".to_owned(), 600, 1200)], "{kind}");
    }
}

#[test]
fn a_pod_that_cannot_be_resized_leaves_with_what_it_holds() {
    let pool = pool("pool", 0, 500, json!([member("a", 900), member("b", 100)]));
    let with = |change: fn(&mut Pod)| {
        let mut odd = pod("a", "a", 100);
        change(&mut odd);
        scene(from_ref(&pool), &[odd, pod("b", "b", 50)], 1000)
    };
    type Case = (fn(&mut Pod), MemberState, &'static str);
    let cases: [Case; 3] = [
        (|pod| pod.obstacle = Some(Obstacle::BestEffort), MemberState::Skipped, "BestEffort"),
        (|pod| pod.resize = Resize::Infeasible("no".into()), MemberState::Infeasible, "Infeasible"),
        (|pod| pod.containers[0].restarts.cpu = true, MemberState::Skipped, "RestartOnResize"),
    ];
    for (change, state, reason) in cases {
        let scene = with(change);
        assert_eq!(resizes(&scene), [("b".to_owned(), 50, 400)], "{reason}");
        let (is, because, _) = member_says(&scene);
        assert_eq!((is, &*because), (state, reason));
    }
}

#[test]
fn fixed_parts_are_charged_and_never_asked_to_shrink() {
    let pool = pool("pool", 0, 200, json!([member("a", 100), member("b", 100)]));
    let mut after = pod("a", "a", 50);
    after.init.cpu =
        vec![InitContainer { held: Held { requested: 120, admitted: 120 }, sidecar: false }];
    let scene = scene(&[pool], &[after, pod("b", "b", 50)], 1000);
    // The finished init container keeps its pod at 120m; its container may use all of that.
    assert_eq!(resizes(&scene), [("a".to_owned(), 50, 120), ("b".to_owned(), 50, 80)]);
}

#[test]
fn what_finds_no_place_is_reported_with_the_node_to_free() {
    let pool = pool("pool", 0, 800, json!([member("a", 100), member("b", 300)]));
    let mut other = pod("other", "other", 300);
    other.labels.clear();
    // The node holds 500m for the pool.
    let pods = [pod("a", "a", 125), pod("b", "b", 375), other];
    let scene = scene(&[pool], &pods, 0);
    assert!(scene.seen().first().1.cpu.unwrap().is_crowded());
    let status = status(&scene, &Outcome::default());
    let b = &status.members[1];
    assert_eq!((b.state, &*b.reason), (Some(MemberState::Settled), "NodeFull"));
    assert!(
        b.message.contains("225m more cpu") && b.message.contains("make room on node n1"),
        "{b:?}"
    );
    let milli = |amount: crate::api::Resources| amount.cpu.map(|cpu| cpu.0);
    assert_eq!(
        (milli(b.fair), milli(b.share), milli(b.unplaceable)),
        (Some(375), Some(375), Some(225))
    );
}

#[test]
fn what_the_reserve_keeps_free_is_named_and_not_a_node_to_free() {
    let mut pool = pool("pool", 0, 1000, json!([member("a", 100)]));
    pool.spec.sharing.node_reserve_percent = 50;
    let scene = scene(&[pool], &[pod("a", "a", 500)], 500);
    let status = status(&scene, &Outcome::default());
    let message = &status.members[0].message;
    assert!(message.contains("lower sharing.nodeReservePercent"), "{message}");
}

#[test]
fn idle_shares_are_lent_by_what_was_measured() {
    let pool = pool("pool", 0, 1000, json!([member("a", 400), member("b", 100)]));
    let mut scene = scene(&[pool], &[pod("a", "a", 800), pod("b", "b", 200)], 0);
    scene.metrics = measured(&[("a", 0), ("b", 500)]);
    let status = status(&scene, &Outcome::default());
    let milli = |amount: crate::api::Resources| amount.cpu.map(|cpu| cpu.0);
    // Of 800m, 75 % are lent: b needs 600m.
    let of = |member: usize| {
        let member = &status.members[member];
        (milli(member.demand), milli(member.fair), milli(member.share))
    };
    assert_eq!(of(0), (Some(0), Some(800), Some(200)));
    assert_eq!(of(1), (Some(600), Some(200), Some(600)));
    assert_eq!(milli(status.lent), Some(400));
    assert_eq!(resizes(&scene), [("a".to_owned(), 800, 200)]);
}

#[test]
fn a_pool_that_observes_is_in_nobodys_way() {
    let auto = pool("auto", 1, 400, json!([member("a", 100)]));
    let mut observing = pool("observing", 0, 400, json!([member("b", 100)]));
    observing.spec.mode = crate::api::Mode::Observe;
    // The node has room for 500m: what b holds, and 450m.
    let scene = scene(&[auto, observing], &[pod("a", "a", 50), pod("b", "b", 50)], 400);
    let seen = scene.seen();
    let divided = seen.divide();
    let granted: Vec<u64> = divided
        .iter()
        .map(|(_, pool)| pool.cpu.as_ref().unwrap().sum(|pod| pod.granted()))
        .collect();
    // Were it Auto, the older pool and the other would have halves of the node.
    assert_eq!(granted, [250, 400]);
}

#[test]
fn ties_go_by_name_whatever_the_order_of_the_spec() {
    let shares = |members: Value| {
        let pool = pool("pool", 0, 100, members);
        let pods = [pod("a", "a", 50), pod("b", "b", 50), pod("c", "c", 50)];
        let status = status(&scene(&[pool], &pods, 1000), &Outcome::default());
        let members = status.members.into_iter();
        members.map(|member| (member.name, member.share.cpu.unwrap().0)).collect::<BTreeMap<_, _>>()
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| member(name, 100));
    let straight = shares(json!([a, b, c]));
    assert_eq!(straight.values().copied().collect::<Vec<_>>(), [34, 33, 33]);
    assert_eq!(shares(json!([c, a, b])), straight);
}

#[test]
fn what_is_on_its_way_on_a_full_node_moves_no_share() {
    let mut pool = pool("pool", 0, 2000, json!([member("a", 100), member("b", 100)]));
    pool.spec.sharing.node_reserve_percent = 10;
    let all = |a: Pod, b: Pod| {
        let mut scene = scene(from_ref(&pool), &[a, b], 0);
        scene.nodes.get_mut("n1").unwrap().allocatable.cpu = 1200;
        resizes(&scene)
    };
    // 1080m of the node can be shared, and it has room for the grow before the shrink is done.
    let (a, b) = (pod("a", "a", 620), pod("b", "b", 440));
    assert_eq!(all(a, b), [("a".to_owned(), 620, 540), ("b".to_owned(), 440, 540)]);
    // Until then both together are charged more than that; nothing follows from it.
    let (mut a, mut b) = (pod("a", "a", 540), pod("b", "b", 540));
    (a.containers[0].held.cpu.admitted, b.containers[0].held.cpu.admitted) = (620, 440);
    assert_eq!(all(a, b), []);
}

#[test]
fn what_was_granted_on_a_node_that_is_over_is_not_given_up_on_the_way() {
    let mut pool = pool("pool", 0, 2000, json!([member("a", 100), member("b", 100)]));
    pool.spec.sharing.node_reserve_percent = 10;
    let all = |a: u64, b: u64, granted: Option<u64>| {
        let mut scene = scene(from_ref(&pool), &[pod("a", "a", a), pod("b", "b", b)], 0);
        scene.nodes.get_mut("n1").unwrap().allocatable.cpu = 1000;
        for pod in ["a", "b"].into_iter().filter(|_| granted.is_some()) {
            scene.granted.insert(pod.to_owned(), granted.unwrap());
        }
        resizes(&scene)
    };
    // 900m can be shared, and more is asked for: no pod has to give that up. The shrink goes first.
    assert_eq!(all(620, 360, None), [("a".to_owned(), 620, 490)]);
    // It is done, and the grow comes.
    assert_eq!(all(490, 360, Some(490)), [("b".to_owned(), 360, 490)]);
    // Nothing is remembered: what is asked for fits now, and a tenth of the node is left free.
    let forgotten = [("a".to_owned(), 490, 450), ("b".to_owned(), 360, 450)];
    assert_eq!(all(490, 360, None), forgotten);
}

#[test]
fn a_pod_past_its_grace_period_is_charged_until_its_node_is_lost() {
    let pool = pool("pool", 0, 900, json!([member("web", 100)]));
    let mut going = pod("web-1", "web", 300);
    (going.terminating, going.overdue_from) = (true, Some(Timestamp::from_second(10).unwrap()));
    let mut scene = scene(&[pool], &[pod("web-0", "web", 600), going], 1000);
    let leaving = |scene: &Scene| scene.seen().members()[0].leaving.len();
    scene.now = Timestamp::from_second(3600).unwrap();
    assert_eq!((leaving(&scene), resizes(&scene)), (1, vec![]));
    scene.nodes.get_mut("n1").unwrap().is_silent = true;
    assert_eq!(leaving(&scene), 0);
    scene.now = Timestamp::from_second(9).unwrap();
    assert_eq!(leaving(&scene), 1);
    scene.nodes.clear();
    assert_eq!(leaving(&scene), 1);
    scene.now = Timestamp::from_second(11).unwrap();
    assert_eq!(leaving(&scene), 0);
}

#[test]
fn amounts_beyond_all_bounds_do_no_harm() {
    let pool = pool("pool", 0, 1000, json!([member("a", 100), member("b", 100)]));
    let huge = |name: &str| Pod { obstacle: Some(Obstacle::StaticPod), ..pod(name, "a", u64::MAX) };
    let pods = [huge("a"), huge("a-2"), pod("b", "b", 50)];
    let mut scene = scene(&[pool], &[pod("b", "b", 50)], 5000);
    scene.pods = pods.to_vec();
    let status = status(&scene, &Outcome::default());
    assert_eq!(status.members[0].applied.cpu, Some(crate::share::MilliCpu(u64::MAX)));
    assert_eq!(resizes(&scene), []);
}
