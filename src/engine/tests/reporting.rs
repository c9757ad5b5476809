//! From what was done to status and events.

use super::*;

#[test]
fn a_turn_that_changes_nothing_reports_the_same_and_tells_nothing() {
    let pool = pool("pool", 0, 200, json!([member("a", 100), member("none", 100)]));
    let mut scene = scene(&[pool], &[pod("a", "a", 200)], 0);
    let before = status(&scene, &Outcome::default());
    scene.pools[0].status = Some(before.clone());

    scene.now += std::time::Duration::from_secs(60);
    let seen = scene.seen();
    let second = seen.status(&Outcome::default());
    assert_eq!(before, second);
    assert_eq!(notices::notices(Some(&before), &second, &seen.first().0, &[]), []);
}

#[test]
fn the_status_sums_to_what_there_is() {
    let pool = pool("pool", 0, 1001, json!([member("a", 1), member("b", 2)]));
    let pods = [pod("a-0", "a", 50), pod("a-1", "a", 50), pod("b-0", "b", 50)];
    let status = status(&scene(&[pool], &pods, 5000), &Outcome::default());
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
        status(&scene(&[pool], pods, 5000), &Outcome::default())
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
fn a_pod_on_a_node_that_nobody_has_seen_says_so() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let lost = Pod { node: Some("lost".into()), ..pod("a", "a", 50) };
    let (state, reason, message) = member_says(&scene(&[pool], &[lost], 5000));
    assert_eq!((state, &*reason), (MemberState::Deferred, "NodeNotSeen"));
    assert!(message.contains("node lost does not exist"), "{message}");
}

#[test]
fn a_pod_on_a_node_that_is_silent_says_so() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let mut scene = scene(&[pool], &[pod("a", "a", 50)], 5000);
    scene.nodes.values_mut().for_each(|node| node.is_silent = true);
    let (state, reason, message) = member_says(&scene);
    assert_eq!((state, &*reason), (MemberState::Deferred, "NodeSilent"));
    assert!(message.contains("node n1 has not reported for some time"), "{message}");
}

#[test]
fn a_pod_whose_gates_are_closed_says_so() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let of = |gated| {
        let waits = Pod { node: None, gated, ..pod("a", "a", 50) };
        member_says(&scene(std::slice::from_ref(&pool), &[waits], 5000)).1
    };
    assert_eq!([of(false), of(true)], ["Unscheduled", "SchedulingGated"]);
}

#[test]
fn resizes_and_troubles_become_events_once() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let scene = scene(&[pool], &[pod("a-0", "a", 50), pod("a-1", "a", 50)], 5000);
    let resize = |name: &str| PodResize {
        namespace: "shop".into(),
        pod: name.into(),
        uid: name.into(),
        resource_version: String::new(),
        resource: Resource::Cpu,
        containers: Vec::new(),
        from: 50,
        to: 250,
    };
    let refusal = Refusal {
        resource: Resource::Cpu,
        pod: "a-1".into(),
        kind: RefusalKind::QuotaExceeded,
        message: "the quota is full".into(),
    };
    let outcome = Outcome { sent: vec![resize("a-0")], refused: vec![refusal] };
    let after = status(&scene, &outcome);
    let told = notices::notices(None, &after, &scene.seen().first().0, &outcome.sent);
    assert_eq!(
        told,
        [
            Notice {
                warning: false,
                reason: "Resized".into(),
                note: "Requests: a (1 pod) cpu 50m -> 250m".into(),
            },
            Notice {
                warning: true,
                reason: "QuotaExceeded".into(),
                note: "Member a: Pod a-1: the quota is full.".into(),
            },
        ]
    );
    let again = Outcome { sent: Vec::new(), ..outcome };
    assert_eq!(notices::notices(Some(&after), &after, &scene.seen().first().0, &again.sent), []);
}

#[test]
fn classes_that_share_a_node_are_told_with_what_they_have() {
    let pool = pool("pool", 0, 600, json!([member("a", 100), member("b", 200)]));
    let mut sure = pod("b", "b", 400);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(400);
    let told = |sure: &Pod| {
        let status = status(
            &scene(from_ref(&pool), &[pod("a", "a", 200), sure.clone()], 0),
            &Outcome::default(),
        );
        let mixed = |it: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            it.type_ == "MixedClasses"
        };
        let mixed = status.conditions.iter().find(mixed).unwrap();
        (mixed.status.clone(), mixed.reason.clone(), mixed.message.clone())
    };
    let (status, reason, message) = told(&sure);
    assert_eq!((&*status, &*reason), ("True", "GuaranteedBesideBurstable"));
    assert!(
        message.contains(
            "On node n1, the pool's Guaranteed pods have 400m of cpu and its Burstable pods 200m"
        ),
        "{message}"
    );
    sure.node = Some("n2".into());
    assert_eq!(told(&sure).1, "OneClass");
}

/// Three members of 30m, 60m and 45m, whose pods hold what they own.
fn small_shares() -> (WeightedShare, Vec<Pod>) {
    let members = json!([member("a", 30), member("b", 60), member("c", 45)]);
    let pods = vec![pod("a", "a", 30), pod("b", "b", 60), pod("c", "c", 45)];
    (pool("pool", 0, 135, members), pods)
}

/// The condition `CoarseWeights`: its status, reason and message.
fn coarse(scene: &Scene) -> (String, String, String) {
    let status = status(scene, &Outcome::default());
    let coarse = status.conditions.into_iter().find(|it| it.type_ == "CoarseWeights").unwrap();
    (coarse.status, coarse.reason, coarse.message)
}

#[test]
fn weights_that_are_more_than_two_percent_of_the_node_off_are_a_condition() {
    let (pool, pods) = small_shares();
    // Weights 2, 3 and 2: pod a gets 2/7 of 135m. Those 8.57m more are 2.14 % of 400m.
    let on_node_of = |milli: u64| coarse(&scene(from_ref(&pool), &pods, milli - 135));
    assert_eq!(
        on_node_of(400),
        (
            "True".into(),
            "SmallShares".into(),
            "If node n1 uses cgroup v2, its kernel gives pod a 39m of CPU instead of its share of 30m while the node is \
             busy (the difference is 2.15 % of the node), because cpu.weight moves in steps of 25.6m. Raise the capacity \
             or run fewer pods on the node, so that each share is larger."
                .into()
        )
    );
    let (holds, reason, _) = on_node_of(500);
    assert_eq!((&*holds, &*reason), ("False", "WithinTolerance"));
    // 2 % of 428m is 8.56m, of 429m 8.58m.
    assert_eq!([428, 429].map(|milli| on_node_of(milli).0), ["True", "False"]);
}

#[test]
fn coarse_weights_name_the_pod_that_is_furthest_off_and_count_the_others() {
    let (pool, pods) = small_shares();
    // 8.57m and 6.43m are more than 2 % of 300m, 2.14m are not.
    let (_, _, message) = coarse(&scene(&[pool], &pods, 300 - 135));
    assert!(message.contains("gives pod a (and 1 more) 39m of CPU"), "{message}");
    assert!(message.contains("the difference is 2.86 % of the node"), "{message}");

    let members = json!([member("big", 1000), member("small", 580)]);
    let mut pods: Vec<Pod> = (0..20).map(|i| pod(&format!("small-{i:02}"), "small", 29)).collect();
    pods.push(pod("big", "big", 1000));
    let (_, _, message) = coarse(&scene(&[super::pool("pool", 0, 1580, members)], &pods, 420));
    let said = "pod big 780m of CPU instead of its share of 1 while the node is busy (the difference is 11 % of the node)";
    assert!(message.contains(said), "{message}");
}

#[test]
fn coarse_weights_compare_only_what_the_kernel_compares() {
    let (pool, pods) = small_shares();
    let told = |change: &dyn Fn(&mut Pod)| {
        let mut pods = pods.clone();
        pods.iter_mut().for_each(change);
        coarse(&scene(from_ref(&pool), &pods, 400 - 135)).0
    };
    assert_eq!(told(&|_| ()), "True");
    // Each on a node of its own, or on one of which nothing is known.
    assert_eq!(told(&|pod| pod.node = Some(pod.name.clone())), "False");
    assert_eq!(told(&|pod| pod.node = None), "False");
    // A limit at the request leaves nothing to win: Guaranteed pods have that, and so do those under Cap.
    let limit = |pod: &mut Pod| pod.containers[0].limit.cpu = Some(pod.charge(Resource::Cpu));
    assert_eq!(told(&limit), "False");
    assert_eq!(told(&|pod| pod.qos = Qos::Guaranteed), "False");
    // One Guaranteed pod is no sibling of the Burstable ones: 60m and 45m alone are near enough.
    assert_eq!(
        told(&|pod| if pod.name == "a" {
            pod.qos = Qos::Guaranteed
        }),
        "False"
    );
    assert_eq!(told(&|pod| pod.obstacle = Some(Obstacle::Windows)), "False");
}

#[test]
fn usage_does_not_move_the_condition_of_coarse_weights() {
    let (pool, pods) = small_shares();
    let mut scene = scene(&[pool], &pods, 400 - 135);
    let before = status(&scene, &Outcome::default());
    assert!(true_conditions(&before).contains(&("CoarseWeights", "SmallShares")));
    scene.pools[0].status = Some(before.clone());
    let mut grants = Memory::default();
    for used in [20, 21, 19, 22] {
        scene.metrics = measured(&[("a", used), ("b", 50), ("c", 40)]);
        let seen = scene.seen();
        let (pool, mut divided) = seen.first();
        let decided = grant(&seen.view(), &pool, &mut divided, &mut grants);
        grants.set_reported();
        let outcome = Outcome::default();
        let stands = pool.object.status.as_ref().filter(|_| !decided);
        let after = super::super::status::status(&seen.view(), &pool, &divided, &outcome, stands);
        let of = |status: &WeightedShareStatus| {
            status.conditions.iter().find(|it| it.type_ == "CoarseWeights").cloned()
        };
        assert_eq!(of(&after), of(&before));
    }
}

#[test]
fn without_a_decision_amounts_stay_as_long_as_the_pods_do() {
    let (pool, pods) = small_shares();
    let mut scene = scene(&[pool], &pods, 400 - 135);
    let mut known = status(&scene, &Outcome::default());
    known.members[0].fair.cpu = Some(crate::share::MilliCpu(999));
    let fair = |scene: &Scene| {
        let seen = scene.seen();
        let (pool, divided) = seen.first();
        let outcome = Outcome::default();
        let stands = pool.object.status.as_ref();
        let now = super::super::status::status(&seen.view(), &pool, &divided, &outcome, stands);
        now.members[0].fair.cpu
    };
    scene.pools[0].status = Some(known.clone());
    assert_eq!(fair(&scene), Some(crate::share::MilliCpu(999)));
    // A machine has arrived, and the copy that it left is gone: what it owned counted twice.
    known.members[0].pods += 1;
    scene.pools[0].status = Some(known);
    assert_ne!(fair(&scene), Some(crate::share::MilliCpu(999)));
}
