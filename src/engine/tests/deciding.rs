//! Decisions one after the other: what is looked at, and what is left alone.

use super::*;
use crate::{
    cluster::{Bounded, Bounds, PoolId, Quota},
    engine::FINALIZER,
    share::MilliCpu,
};

/// A controller that decides again and again, on a cluster whose events it is told.
#[derive(Default)]
struct Controller {
    cluster: Cluster,
    metrics: Metrics,
    measured: i64,
    engine: Engine,
    history: History,
    now: Now,
}

impl Controller {
    fn see(&mut self, kind: Kind, name: &str, object: Object) {
        let namespace = if kind == Kind::Node { "" } else { "shop" };
        let key = Key { kind, namespace: namespace.into(), name: name.into() };
        self.cluster.apply(Event::Applied(key, object));
    }

    fn see_pod(&mut self, pod: Pod) {
        self.see(Kind::Pod, &pod.name.clone(), Object::Pod(Box::new(pod)));
    }

    fn see_pool(&mut self, pool: WeightedShare) {
        self.cluster.apply(Event::Applied(pool.key(), pool.read()));
    }

    fn decide(&mut self) -> Plan {
        self.now.wall += std::time::Duration::from_secs(1);
        self.now.steady += std::time::Duration::from_secs(1);
        let changes = self.cluster.take_changes();
        let news = self.metrics.take_news();
        let history = &mut self.history;
        self.engine.decide(&self.cluster, &self.metrics, &changes, &news, history, self.now)
    }

    /// The next measurement: takes in what pods use, in millicores, and decides. The pools that were decided for, and what all
    /// use that were measured.
    fn measure(&mut self, pods: &[(&str, u64)]) -> (Vec<String>, Vec<Option<u64>>) {
        self.measured += 1;
        self.now.wall = Timestamp::from_second(15 * self.measured).unwrap();
        self.now.steady = std::time::Duration::from_secs(15 * self.measured as u64);
        let at = self.now.wall;
        let reading = |&(name, milli): &(&str, u64)| PodReading {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            at,
            used: PerResource { cpu: Some(milli * 1_000_000), memory: Some(0) },
            ..PodReading::default()
        };
        let pods = pods.iter().map(reading).collect();
        self.metrics.take("test", Ok(Readings { pods, ..Readings::default() }));
        let plan = self.decide();
        self.settle();
        let names = plan.pools.keys().map(|id| id.name.clone()).collect();
        (names, plan.used.values().flatten().map(|used| used.cpu).collect())
    }

    /// Decides until nothing is left to decide. The pools of the last plan that had any.
    fn settle(&mut self) -> Vec<String> {
        let mut last = Vec::new();
        for _ in 0..10 {
            let plan = self.decide();
            if plan.pools.is_empty() {
                return last;
            }
            last = plan.pools.keys().map(|id| id.name.clone()).collect();
        }
        panic!("{last:?} do not come to rest");
    }
}

/// The second of these pools, as it is being deleted.
fn deleted_pool_two() -> WeightedShare {
    let mut deleted = pool("two", 1, 500, json!([member("two", 100)]));
    deleted.metadata.uid = Some("two".into());
    deleted.metadata.finalizers = Some(vec![FINALIZER.into()]);
    deleted.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    deleted
}

/// Two pools of a member each, with a pod each on a node of its own.
fn two_pools() -> Controller {
    let mut controller = Controller::default();
    for (age, name, node) in [(0, "one", "n1"), (1, "two", "n2")] {
        let allocatable = PerResource { cpu: 4000, memory: 1 << 30 };
        controller.see(Kind::Node, node, Object::Node(Node { allocatable, ..Node::default() }));
        let mut pool = pool(name, age, 500, json!([member(name, 100)]));
        pool.metadata.uid = Some(name.into());
        controller.see_pool(pool);
        controller.see_pod(Pod { node: Some(node.into()), ..pod(name, name, 300) });
    }
    controller
}

#[test]
fn only_what_changed_is_decided_again() {
    let mut controller = two_pools();
    controller.settle();
    assert!(controller.decide().pools.is_empty());
    controller.see_pod(Pod { node: Some("n2".into()), generation: 2, ..pod("two", "two", 310) });
    assert_eq!(controller.settle(), ["two"]);
    // A node that takes another pod: those who have pods there are looked at again.
    controller.see_pod(Pod { node: Some("n1".into()), ..pod("foreign", "foreign", 3900) });
    assert_eq!(controller.settle(), ["one"]);
}

#[test]
fn what_is_remembered_of_pods_can_be_told() {
    let mut controller = two_pools();
    controller.measure(&[("one", 200)]);
    controller.settle();
    let told = Remembered::of(
        &controller.cluster,
        &controller.metrics,
        &controller.history,
        controller.now.wall,
    );
    let text = serde_json::to_string(&told).unwrap();
    let heard: Remembered = serde_json::from_str(&text).unwrap();
    assert_eq!(heard, told);
    let granted = |uid: &str| heard.pods[uid].granted.cpu.unwrap();
    // Of the 500m that it owns, it keeps a quarter of what it has no use for.
    assert_eq!(granted("one"), Granted { fair: 500, share: 305 });
    assert_eq!(granted("two"), Granted { fair: 500, share: 500 });
    assert_eq!(heard.pods["one"].measured.unwrap().peak.cpu, 200_000_000);
    assert_eq!(heard.pods["two"].measured, None);
}

#[test]
fn a_pod_that_leaves_its_pool_is_charged_to_it_as_long_as_it_holds_what_that_gave_it() {
    let mut controller = Controller::default();
    let allocatable = PerResource { cpu: 9000, memory: 1 << 30 };
    controller.see(Kind::Node, "n1", Object::Node(Node { allocatable, ..Node::default() }));
    let mut pool = pool("pool", 0, 1200, json!([member("a", 100), member("b", 100)]));
    pool.metadata.uid = Some("pool".into());
    pool.metadata.finalizers = Some(vec![FINALIZER.into()]);
    controller.see_pool(pool);
    let pods = ["a", "b"].map(|name| Pod {
        resized_by_us: PerResource { cpu: true, memory: false },
        ..pod(name, name, 600)
    });
    pods.iter().for_each(|pod| controller.see_pod(pod.clone()));
    controller.settle();
    let grows = |controller: &mut Controller| -> Vec<u64> {
        let mut plans = controller.decide().pools.into_values();
        let grows = plans.next().map(|plan| plan.resizes.iter().map(|it| it.to).collect());
        controller.settle();
        grows.unwrap_or_default()
    };
    let mut relabelled = pods[1].clone();
    relabelled.labels = BTreeMap::from([("app".to_owned(), "elsewhere".to_owned())]);
    controller.see_pod(relabelled.clone());
    assert!(grows(&mut controller).is_empty());
    // It has given something back; as much as it got, as its template shows; and then it is gone.
    relabelled.containers = vec![container("main", 50)];
    controller.see_pod(relabelled);
    assert_eq!(grows(&mut controller), [1150]);
    let main = TemplateContainer {
        request: PerResource { cpu: 50, memory: 0 },
        ..TemplateContainer::default()
    };
    let template = [("main".to_owned(), main)].into();
    let workload = Workload { template, ..Workload::default() };
    controller.see(Kind::ReplicaSet, "b", Object::Workload(workload));
    assert_eq!(grows(&mut controller), [1200]);
    controller.see_pod(Pod { finished: true, ..pods[1].clone() });
    controller.settle();
    // One that holds what its template says takes nothing along.
    let own = Pod { resized_by_us: PerResource::default(), ..pods[1].clone() };
    controller.see_pod(own.clone());
    controller.settle();
    controller.see_pod(Pod { labels: BTreeMap::new(), ..own });
    assert_eq!(grows(&mut controller), [1200]);
}

#[test]
fn an_older_status_that_came_late_is_not_believed() {
    let mut controller = two_pools();
    let one = |plan: &Plan| {
        let found = plan.pools.iter().find(|(id, _)| id.name == "one");
        found.map(|(_, plan)| (plan.status.members[0].share.cpu, plan.is_reported))
    };
    let pool_says = |status: &WeightedShareStatus| {
        let mut pool = pool("one", 0, 500, json!([member("one", 100)]));
        pool.metadata.uid = Some("one".into());
        pool.status = Some(status.clone());
        pool
    };
    let id = PoolId::of(&pool_says(&WeightedShareStatus::default()).metadata);
    controller.settle();
    let last = controller.engine.planned(&id).map(|plan| plan.status.clone()).unwrap();
    controller.history.reported(&id, &last);
    controller.see_pool(pool_says(&last));
    controller.settle();
    // The API server carries a write out that it took long ago.
    let mut older = (*last).clone();
    older.members[0].share.cpu = Some(MilliCpu(300));
    controller.see_pool(pool_says(&older));
    assert_eq!(one(&controller.decide()), Some((Some(MilliCpu(500)), false)));
}

#[test]
fn a_sample_that_changes_nothing_that_is_read_changes_no_decision() {
    let mut controller = two_pools();
    controller.metrics.expect("test", true, false);
    // It is measured at all, and how often.
    for _ in 0..3 {
        controller.measure(&[("one", 200), ("two", 200)]);
    }
    let mut decided = |one, two| {
        let (names, used) = controller.measure(&[("one", one), ("two", two)]);
        assert_eq!(used, [Some(one), Some(two)]);
        names
    };
    assert_eq!(decided(200, 200), [""; 0]);
    // Less than at its peak, and not so much less that the busy time is over.
    assert_eq!(decided(150, 200), [""; 0]);
    assert_eq!(decided(210, 200), ["one"]);
    assert_eq!(decided(20, 200), ["one"]);
    assert_eq!(decided(20, 250), ["two"]);
}

#[test]
fn what_moves_a_weight_is_read_all_of_it() {
    let mut controller = two_pools();
    controller.metrics.expect("test", true, false);
    let dynamic = json!([{"name": "one", "weight": 100, "selector": {"matchLabels": {"app": "one"}},
        "dynamicWeight": {"expression": "clamp(100 * usage / share, 50, 200)"}}]);
    let mut pool = pool("one", 0, 500, dynamic);
    pool.metadata.uid = Some("one".into());
    controller.see_pool(pool);
    for _ in 0..3 {
        controller.measure(&[("one", 200), ("two", 200)]);
    }
    assert_eq!(controller.measure(&[("one", 190), ("two", 190)]).0, ["one"]);
}

#[test]
fn a_pool_over_the_bounds_of_its_namespace_says_so_and_takes_no_part() {
    let bounds = Bounds { pools: 1, ..Bounds::default() };
    let mut controller = Controller { cluster: Cluster::bounded(bounds), ..Controller::default() };
    for (age, name) in [(0, "old"), (1, "new")] {
        let mut pool = pool(name, age, 500, json!([member("a", 100)]));
        pool.metadata.uid = Some(name.into());
        controller.see_pool(pool);
    }
    controller.see_pod(pod("a", "a", 300));
    let plan = controller.decide();
    let planned = |plan: &Plan, name: &str| {
        plan.pools.iter().find(|(id, _)| id.name == name).map(|(_, plan)| plan.clone()).unwrap()
    };
    let over = planned(&plan, "new");
    assert!(over.resizes.is_empty() && !over.finalizer && over.status.members.is_empty());
    assert_eq!(true_conditions(&over.status), [("Stalled", "TooManyPools")]);
    assert_eq!(over.notices.len(), 1, "{:?}", over.notices);
    assert_eq!(over.new_pods.as_deref(), Some(&StartProfileSpec::default()));
    assert_eq!(planned(&plan, "old").status.members[0].pods, 1);

    // It is told once, and divided as soon as the older one is gone.
    controller.see_pool({
        let mut again = pool("new", 1, 600, json!([member("a", 100)]));
        again.metadata.uid = Some("new".into());
        again
    });
    assert!(planned(&controller.decide(), "new").notices.is_empty());
    let old = pool("old", 0, 500, json!([])).key();
    controller.cluster.apply(Event::Deleted(old));
    let plan = controller.decide();
    assert_eq!(planned(&plan, "new").status.members[0].pods, 1);
}

#[test]
fn the_pods_of_a_pool_that_cannot_be_read_are_not_restored_because_of_another_pool() {
    let mut controller = two_pools();
    let resized = |name: &str| Pod {
        resized_by_us: PerResource { cpu: true, memory: false },
        ..pod(name, name, 300)
    };
    let main = TemplateContainer {
        request: PerResource { cpu: 50, memory: 0 },
        ..TemplateContainer::default()
    };
    for name in ["one", "two"] {
        let template = [("main".to_owned(), main)].into();
        let workload = Workload { template, ..Workload::default() };
        controller.see(Kind::ReplicaSet, name, Object::Workload(workload));
        controller.see_pod(resized(name));
    }
    controller.settle();
    let restored = |controller: &mut Controller| -> Vec<String> {
        let plan = controller.decide();
        plan.restores.into_values().flatten().map(|resize| resize.pod).collect()
    };
    let mut unreadable = pool("one", 0, 500, json!([member("one", 100)])).metadata;
    unreadable.uid = Some("one".into());
    let cannot_be_read =
        Object::UnreadablePool(Box::new(unreadable), "it is from the future".into());
    controller.see(Kind::WeightedShare, "one", cannot_be_read);
    assert_eq!(restored(&mut controller), [""; 0]);
    // What belonged to a pool that is deleted is restored all the same.
    let deleted = deleted_pool_two();
    controller.see_pool(deleted);
    assert_eq!(restored(&mut controller), ["two"]);
}

#[test]
fn a_deleted_pool_is_kept_while_writes_of_the_former_leader_may_be_carried_out() {
    let history = History::growing_from(std::time::Duration::from_secs(5));
    let mut controller = Controller { history, ..two_pools() };
    controller.see_pool(deleted_pool_two());
    let mut done = || controller.decide().deletions.into_values().all(|it| it.done);
    assert_eq!([done(), done(), done(), done(), done()], [false, false, false, false, true]);
}

#[test]
fn what_a_pool_was_promised_under_a_quota_is_not_given_to_a_pod_that_left() {
    let mut controller = Controller::default();
    let allocatable = PerResource { cpu: 9000, memory: 1 << 30 };
    controller.see(Kind::Node, "n1", Object::Node(Node { allocatable, ..Node::default() }));
    let cpu = Some(Bounded { hard: 1000, used: 400 });
    let quota = Quota {
        name: "compute".into(),
        requests: PerResource { cpu, memory: None },
        ..Quota::default()
    };
    controller.see(Kind::ResourceQuota, "compute", Object::Quota(Some(quota)));
    let mut pool = pool("pool", 0, 600, json!([member("a", 100)]));
    pool.metadata.uid = Some("pool".into());
    pool.metadata.finalizers = Some(vec![FINALIZER.into()]);
    controller.see_pool(pool);
    controller.see_pod(pod("a", "a", 300));
    let main = TemplateContainer {
        request: PerResource { cpu: 500, memory: 0 },
        ..TemplateContainer::default()
    };
    let template = [("main".to_owned(), main)].into();
    let workload = Workload { template, ..Workload::default() };
    controller.see(Kind::ReplicaSet, "left", Object::Workload(workload));
    let resized_by_us = PerResource { cpu: true, memory: false };
    controller.see_pod(Pod { resized_by_us, ..pod("left", "left", 100) });
    let plan = controller.decide();
    let grows: Vec<u64> =
        plan.pools.values().flat_map(|plan| &plan.resizes).map(|it| it.to).collect();
    assert_eq!(grows, [600]);
    // The resize was not seen yet. Until then it is room of no other pod, whatever is decided meanwhile.
    for _ in 0..3 {
        let plan = controller.decide();
        assert_eq!(plan.restores.values().flatten().count(), 0);
    }
}
