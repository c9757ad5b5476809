//! From what was done to status and events.

use super::*;

#[test]
fn a_turn_that_changes_nothing_reports_the_same_and_tells_nothing() {
    let pool = pool("pool", 0, 200, json!([member("a", 100), member("none", 100)]));
    let mut snapshot = snapshot(&[pool], &[pod("a", "a", 200)], 0);
    let before = status(&snapshot, &Outcome::default());
    snapshot.pools[0].status = Some(before.clone());

    let (weighed, divided) = first(&snapshot);
    let later = Time(Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(60));
    let second = report::status(&weighed, &divided, &Outcome::default(), &snapshot, true, later);
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
fn classes_that_share_a_node_are_told_with_what_they_have() {
    let pool = pool("pool", 0, 600, json!([member("a", 100), member("b", 200)]));
    let mut sure = pod("b", "b", 400);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(400);
    let told = |sure: &Pod| {
        let status = status(
            &snapshot(from_ref(&pool), &[pod("a", "a", 200), sure.clone()], 0),
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
            "On node n1, its Guaranteed pods have 400m of cpu and its Burstable ones 200m"
        ),
        "{message}"
    );
    sure.node = Some("n2".into());
    assert_eq!(told(&sure).1, "OneClass");
}
