//! Trees of pools: one cluster on which decisions are carried out, one after the other.

use super::*;
use crate::{
    api::{ClusterWeightedShare, ClusterWeightedShareStatus},
    cluster::{Changes, PoolId},
    engine::FINALIZER,
    metrics::News,
};

/// A controller, and a cluster on which what it decides is carried out at once. The node n1 has 64 cores.
struct World {
    cluster: Cluster,
    metrics: Metrics,
    engine: Engine,
    history: History,
    now: Now,
    age: u64,
    used: BTreeMap<(String, String), u64>,
    /// What each tree said last.
    told: BTreeMap<String, ClusterWeightedShareStatus>,
    /// What each pool said last, by namespace and name.
    said: BTreeMap<(String, String), WeightedShareStatus>,
    /// The resizes that were carried out: pod, from, to.
    resizes: Vec<(String, u64, u64)>,
    /// The pools for which something was decided.
    decided: BTreeSet<PoolId>,
    /// The events of trees: tree, reason.
    events: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            cluster: Cluster::default(),
            metrics: Metrics::default(),
            engine: Engine::default(),
            history: History::default(),
            now: Now::default(),
            age: 0,
            used: BTreeMap::new(),
            told: BTreeMap::new(),
            said: BTreeMap::new(),
            resizes: Vec::new(),
            decided: BTreeSet::new(),
            events: Vec::new(),
        };
        world.node("n1", 64_000);
        world
    }

    fn see(&mut self, kind: Kind, namespace: &str, name: &str, object: Object) {
        let key = Key { kind, namespace: namespace.into(), name: name.into() };
        self.cluster.apply(Event::Applied(key, object));
    }

    fn node(&mut self, name: &str, milli: u64) {
        let allocatable = PerResource { cpu: milli, memory: 1 << 40 };
        self.see(Kind::Node, "", name, Object::Node(Node { allocatable, ..Node::default() }));
    }

    fn namespace(&mut self, name: &str, labels: Value) {
        let labels = serde_json::from_value(labels).unwrap();
        self.see(Kind::Namespace, "", name, Object::Labels(labels));
    }

    fn tree(&mut self, name: &str, generation: i64, spec: Value) {
        let tree: ClusterWeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "ClusterWeightedShare",
            "metadata": {"name": name, "uid": name, "generation": generation},
            "spec": spec,
        }))
        .unwrap();
        self.cluster.apply(Event::Applied(tree.key(), tree.read()));
    }

    fn without_tree(&mut self, name: &str) {
        let kind = Kind::ClusterWeightedShare;
        let key = Key { kind, namespace: String::new(), name: name.into() };
        self.cluster.apply(Event::Deleted(key));
    }

    /// A pool with a member for all pods of its app, which takes its capacity from a tree.
    fn pool(&mut self, namespace: &str, name: &str, tree: &str, more: Value) {
        self.age += 1;
        let created = Timestamp::from_second(self.age as i64).unwrap();
        let mut spec = json!({
            "capacityFrom": {"clusterWeightedShare": {"name": tree}},
            "sharing": {"nodeReservePercent": 0},
            "members": [member(name, 100)],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pool: WeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "metadata": {
                "name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"), "generation": 1,
                "creationTimestamp": created.to_string(), "finalizers": [FINALIZER],
            },
            "spec": spec,
        }))
        .unwrap();
        self.cluster.apply(Event::Applied(pool.key(), pool.read()));
    }

    fn pod(&mut self, namespace: &str, name: &str, app: &str, milli: u64) {
        let owner = Owner { namespace: namespace.into(), ..pod(name, app, milli).owner.unwrap() };
        let pod = Pod {
            namespace: namespace.into(),
            uid: format!("{namespace}-{name}"),
            owner: Some(owner),
            ..pod(name, app, milli)
        };
        self.see(Kind::Pod, namespace, name, Object::Pod(Box::new(pod)));
    }

    /// A pod is on another node than n1.
    fn is_on(&mut self, node: &str, namespace: &str, name: &str) {
        let mut pod = self.cluster.pod(namespace, name).unwrap().clone();
        pod.node = Some(node.to_owned());
        self.see(Kind::Pod, namespace, name, Object::Pod(Box::new(pod)));
    }

    /// From now on a pod uses so much.
    fn uses(&mut self, namespace: &str, pod: &str, milli: u64) {
        self.used.insert((namespace.into(), pod.into()), milli);
    }

    /// Measures, decides and resizes until nothing is left to do. All pods together are never charged more than `most`. Returns what
    /// each pod holds, by namespace and name.
    fn settle(&mut self, most: u64) -> BTreeMap<String, u64> {
        for _ in 0..50 {
            self.now.wall += std::time::Duration::from_secs(15);
            self.now.steady += std::time::Duration::from_secs(15);
            let at = self.now.wall;
            let reading = |((namespace, name), milli): (&(String, String), &u64)| PodReading {
                namespace: namespace.clone(),
                name: name.clone(),
                at,
                used: PerResource { cpu: Some(milli * 1_000_000), memory: Some(0) },
                ..PodReading::default()
            };
            if !self.used.is_empty() {
                let pods = self.used.iter().map(reading).collect();
                self.metrics.take("test", Ok(Readings { pods, ..Readings::default() }));
            }
            if !self.turn() {
                return self.held();
            }
            let all: u64 = self.held().values().sum();
            assert!(all <= most, "{all}m are charged, of {most}m");
        }
        panic!("no end: {:?}", self.resizes);
    }

    /// One decision, carried out. Whether any pod moved.
    fn turn(&mut self) -> bool {
        let changes = self.cluster.take_changes();
        let news = self.metrics.take_news();
        let history = &mut self.history;
        let plan =
            self.engine.decide(&self.cluster, &self.metrics, &changes, &news, history, self.now);
        for (name, plan) in plan.trees {
            let reasons = plan.notices.into_iter().map(|notice| notice.reason);
            self.events.extend(reasons.map(|reason| (name.clone(), reason)));
            self.told.insert(name, ClusterWeightedShareStatus::clone(&plan.status));
        }
        let mut moved = false;
        for (id, plan) in plan.pools {
            self.decided.insert(id.clone());
            self.said.insert((id.namespace.clone(), id.name.clone()), (*plan.status).clone());
            for resize in plan.resizes {
                moved = true;
                let before = self.cluster.pod(&id.namespace, &resize.pod).unwrap();
                let mut pod = before.clone();
                pod.generation += 1;
                let held = Held { requested: resize.to, admitted: resize.to };
                pod.containers[0].held[resize.resource] = held;
                self.resizes.push((resize.pod.clone(), resize.from, resize.to));
                self.see(Kind::Pod, &id.namespace, &resize.pod, Object::Pod(Box::new(pod)));
            }
        }
        moved
    }

    fn held(&self) -> BTreeMap<String, u64> {
        let pods = self.cluster.namespaces().flat_map(|(_, namespace)| namespace.pods());
        let held =
            |pod: &Pod| (format!("{}/{}", pod.namespace, pod.name), pod.charge(Resource::Cpu));
        pods.map(held).collect()
    }

    /// The condition Ready of a pool: its status and reason.
    fn pool_is(&self, namespace: &str, name: &str) -> (String, String) {
        let status = &self.said[&(namespace.to_owned(), name.to_owned())];
        let ready = status.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
        (ready.status.clone(), ready.reason.clone())
    }

    /// A condition of a tree: its status and reason.
    fn tree_is(&self, name: &str, condition: &str) -> (String, String) {
        let found = self.told[name].conditions.iter().find(|it| it.type_ == condition).unwrap();
        (found.status.clone(), found.reason.clone())
    }
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn amounts(held: &BTreeMap<String, u64>) -> Vec<u64> {
    held.values().copied().collect()
}

/// Two namespaces, 3 : 1, with a pool of one pod each; and 1000m.
fn two_namespaces() -> World {
    let mut world = World::new();
    world.tree(
        "tenants",
        1,
        json!({"capacity": {"cpu": "1"}, "members": [
            {"name": "web", "weight": 300, "namespaces": ["shop"]},
            {"name": "batch", "weight": 100, "namespaces": ["farm"]},
        ]}),
    );
    for (namespace, app) in [("shop", "a"), ("farm", "b")] {
        world.namespace(namespace, json!({}));
        world.pool(namespace, app, "tenants", json!({}));
        world.pod(namespace, app, app, 100);
    }
    world
}

#[test]
fn namespaces_share_a_tree_by_weight() {
    let mut world = two_namespaces();
    assert_eq!(amounts(&world.settle(1000)), [250, 750]);
    let tenants = &world.told["tenants"];
    assert_eq!(tenants.capacity.get(Resource::Cpu), Some(1000));
    assert_eq!(tenants.allocated.get(Resource::Cpu), Some(1000));
    let shares: Vec<_> = tenants.members.iter().map(|it| it.share.get(Resource::Cpu)).collect();
    assert_eq!(shares, [Some(750), Some(250)]);
    assert_eq!(world.tree_is("tenants", "Ready"), is("True", "Divided"));
    let shop = &world.said[&("shop".to_owned(), "a".to_owned())];
    assert_eq!(shop.capacity.get(Resource::Cpu), Some(750), "what the tree gives it");
}

#[test]
fn what_a_namespace_leaves_idle_others_can_have_and_it_takes_it_back() {
    let mut world = two_namespaces();
    world.settle(1000);
    for (namespace, pod, milli) in [("shop", "a", 100), ("farm", "b", 250)] {
        world.uses(namespace, pod, milli);
    }
    let held = world.settle(1000);
    // Of 750m, 120m are needed: three quarters of the rest are lent.
    assert_eq!(held["shop/a"], 750 - (750 - 120) * 3 / 4);
    // Its limit is what it holds, so what it uses says that it could use more.
    assert!(held["farm/b"] >= 300, "{held:?}");
    assert_eq!(world.told["tenants"].lent.get(Resource::Cpu).unwrap(), held["farm/b"] - 250);
    world.uses("shop", "a", 900);
    assert_eq!(amounts(&world.settle(1000)), [250, 750]);
}

#[test]
fn an_edit_of_the_tree_is_carried_out_to_the_unit() {
    let mut world = two_namespaces();
    world.settle(1000);
    world.resizes.clear();
    world.tree(
        "tenants",
        2,
        json!({"capacity": {"cpu": "1"}, "members": [
            {"name": "web", "weight": 302, "namespaces": ["shop"]},
            {"name": "batch", "weight": 100, "namespaces": ["farm"]},
        ]}),
    );
    // An edit is carried out even if pods move by one unit. Shrinks come first.
    assert_eq!(amounts(&world.settle(1000)), [249, 751]);
    assert_eq!(world.resizes[0], ("b".to_owned(), 250, 249));
}

#[test]
fn pools_of_a_namespace_share_what_it_gets_by_their_weights() {
    let mut world = two_namespaces();
    world.pool("shop", "c", "tenants", json!({"weight": 200}));
    world.pod("shop", "c", "c", 50);
    // 750m for the shop: 100 of 300 parts for pool a, 200 for pool c.
    assert_eq!(amounts(&world.settle(1000)), [250, 250, 500]);
}

#[test]
fn a_namespace_that_floods_pods_takes_nothing_from_what_others_are_promised() {
    let mut world = World::new();
    world.tree(
        "tenants",
        1,
        json!({"capacity": {"cpu": "1"}, "members": [
            {"name": "web", "weight": 1, "min": {"cpu": "600m"}, "namespaces": ["shop"]},
            {"name": "batch", "weight": 10000, "namespaces": ["farm"]},
        ]}),
    );
    world.pool("shop", "a", "tenants", json!({}));
    world.pod("shop", "a", "a", 600);
    world.pool("farm", "b", "tenants", json!({"members": [
        {"name": "b", "weight": 10000, "min": {"cpu": "10"}, "selector": {"matchLabels": {"app": "b"}}},
    ]}));
    for i in 0..50 {
        world.pod("farm", &format!("b{i}"), "b", 10);
    }
    // Their floors are 500m together, and all that is left is 400m: they are too many.
    let held = world.settle(1100);
    assert_eq!(held["shop/a"], 600);
    assert_eq!(world.pool_is("farm", "b"), is("False", "PoolTooSmall"));
    assert_eq!(world.tree_is("tenants", "Ready"), is("False", "PoolTooSmall"));
}

#[test]
fn a_tree_follows_its_nodes_less_what_others_are_charged_there() {
    let mut world = World::new();
    world.node("n1", 2000);
    world.tree(
        "tenants",
        1,
        json!({"nodes": {"selector": {}, "percent": 50}, "members": [
            {"name": "web", "namespaces": ["shop"]},
        ]}),
    );
    world.pool("shop", "a", "tenants", json!({}));
    world.pod("shop", "a", "a", 100);
    world.pod("other", "x", "x", 200);
    world.settle(2000);
    assert_eq!(world.told["tenants"].capacity.get(Resource::Cpu), Some(800));
    assert_eq!(world.held()["shop/a"], 800);
    world.node("n2", 1000);
    world.settle(2000);
    assert_eq!(world.told["tenants"].capacity.get(Resource::Cpu), Some(1300));
    assert_eq!(world.held()["shop/a"], 1300);
}

#[test]
fn a_middle_that_is_deleted_is_said_and_nothing_moves() {
    let mut world = World::new();
    world.tree(
        "root",
        1,
        json!({"capacity": {"cpu": "1"}, "members": [
            {"name": "day", "weight": 100, "namespaces": ["shop"]},
            {"name": "night", "weight": 300, "clusterWeightedShare": {"name": "night"}},
        ]}),
    );
    world.tree(
        "night",
        1,
        json!({"members": [
            {"name": "one", "weight": 100, "namespaces": ["farm"]},
            {"name": "two", "weight": 200, "namespaces": ["mill"]},
        ]}),
    );
    for (namespace, tree) in [("shop", "root"), ("farm", "night"), ("mill", "night")] {
        world.pool(namespace, "a", tree, json!({}));
        world.pod(namespace, "a", "a", 100);
    }
    let before = world.settle(1000);
    assert_eq!(amounts(&before), [250, 500, 250]);
    assert_eq!(world.told["night"].capacity.get(Resource::Cpu), Some(750));

    world.resizes.clear();
    world.without_tree("night");
    assert_eq!(world.settle(1000), before);
    assert!(world.resizes.is_empty());
    assert_eq!(world.tree_is("root", "Stalled"), is("True", "MemberNotFound"));
    assert_eq!(world.pool_is("shop", "a"), is("False", "TreeNotDivided"));
    assert_eq!(world.pool_is("farm", "a"), is("False", "TreeNotFound"));
    assert_eq!(world.events, [("root".to_owned(), "MemberNotFound".to_owned())]);

    // And back again, without a move.
    world.tree(
        "night",
        1,
        json!({"members": [
            {"name": "one", "weight": 100, "namespaces": ["farm"]},
            {"name": "two", "weight": 200, "namespaces": ["mill"]},
        ]}),
    );
    assert_eq!(world.settle(1000), before);
    assert!(world.resizes.is_empty());
    assert_eq!(world.tree_is("root", "Ready"), is("True", "Divided"));
}

#[test]
fn each_namespace_by_itself_has_the_weight_of_its_member() {
    let mut world = World::new();
    world.tree(
        "tenants",
        1,
        json!({"capacity": {"cpu": "1200m"}, "members": [
            {"name": "teams", "weight": 100, "weightPer": "Namespace", "maxWeight": 1000,
             "namespaceSelector": {"matchLabels": {"kind": "team"}}},
            {"name": "web", "weight": 200, "namespaces": ["shop"]},
        ]}),
    );
    for namespace in ["farm", "mill"] {
        world.namespace(namespace, json!({"kind": "team"}));
        world.pool(namespace, "a", "tenants", json!({}));
        world.pod(namespace, "a", "a", 100);
    }
    world.pool("shop", "a", "tenants", json!({}));
    world.pod("shop", "a", "a", 100);
    assert_eq!(amounts(&world.settle(1200)), [300, 300, 600]);
    assert_eq!(world.told["tenants"].members[0].effective_weight, 200);
    // One that loses its label leaves the tree, and keeps what it has.
    world.namespace("mill", json!({}));
    let held = world.settle(1500);
    assert_eq!((held["farm/a"], held["shop/a"], held["mill/a"]), (400, 800, 300));
    assert_eq!(world.pool_is("mill", "a"), is("False", "NamespaceNotInTree"));
}

#[test]
fn a_pool_that_observes_takes_no_part_in_its_tree() {
    let mut world = two_namespaces();
    world.pool("shop", "o", "tenants", json!({"mode": "Observe", "weight": 10000}));
    world.pod("shop", "o", "o", 70);
    let held = world.settle(1070);
    assert_eq!((held["shop/a"], held["farm/b"], held["shop/o"]), (750, 250, 70));
    // And is told what it would have: all but the least that a pod of the other pool needs.
    let observing = &world.said[&("shop".to_owned(), "o".to_owned())];
    assert_eq!(observing.capacity.get(Resource::Cpu), Some(740));
}

#[test]
fn an_engine_that_sees_everything_anew_decides_the_same() {
    let mut world = two_namespaces();
    world.settle(1000);
    world.uses("shop", "a", 100);
    world.uses("farm", "b", 250);
    world.settle(1000);
    let mut history = world.history.clone();
    let (all, news) = (Changes::all(&world.cluster), News::default());
    let plan = Engine::default().decide(
        &world.cluster,
        &world.metrics,
        &all,
        &news,
        &mut history,
        world.now,
    );
    for (id, planned) in &plan.pools {
        assert_eq!(planned.resizes, [], "{}", id.name);
        let known = world.engine.planned(id).unwrap();
        assert_eq!(known.status, planned.status);
    }
    assert_eq!(history, world.history);
}

/// Three namespaces with a pool of one pod each: a and b share the node n1, c is on n2.
fn on_two_nodes() -> World {
    let mut world = World::new();
    world.node("n2", 64_000);
    world.tree("tree", 1, of_a_b_c(100));
    for name in ["a", "b", "c"] {
        world.pool(name, name, "tree", json!({}));
        world.pod(name, name, name, 1000);
        world.uses(name, name, 900);
    }
    world.is_on("n2", "c", "c");
    world
}

fn of_a_b_c(weight_of_c: u64) -> Value {
    json!({"capacity": {"cpu": "3"}, "members": [
        {"name": "a", "namespaces": ["a"]},
        {"name": "b", "namespaces": ["b"]},
        {"name": "c", "namespaces": ["c"], "weight": weight_of_c},
    ]})
}

#[test]
fn a_change_in_one_pool_is_decided_for_those_that_it_concerns() {
    let mut world = on_two_nodes();
    // So many minutes later, for which pools was anything decided?
    let decided = |world: &mut World, minutes: usize| {
        world.decided.clear();
        (0..minutes * 4).for_each(|_| _ = world.settle(3000));
        world.decided.iter().map(|id| id.name.clone()).collect::<Vec<_>>()
    };
    decided(&mut world, 10);
    assert_eq!(decided(&mut world, 1), Vec::<String>::new(), "nothing has changed");
    // What a leaves idle, b needs, as it is on the same node.
    world.uses("a", "a", 100);
    world.uses("b", "b", 2000);
    assert_eq!(decided(&mut world, 10), ["a", "b"]);
    assert!(world.held()["b/b"] > 1000, "{:?}", world.held());
    world.uses("a", "a", 900);
    assert_eq!(decided(&mut world, 10), ["a", "b"]);
    // A pod more in c takes nothing from the others.
    world.pod("c", "c-2", "c", 100);
    world.is_on("n2", "c", "c-2");
    assert_eq!(decided(&mut world, 1), ["c"]);
    assert_eq!(amounts(&world.held()), [1000, 1000, 500, 500]);
    // What the administrator writes concerns all.
    world.tree("tree", 2, of_a_b_c(200));
    assert_eq!(decided(&mut world, 1), ["a", "b", "c"]);
    assert_eq!(amounts(&world.held()), [750, 750, 750, 750]);
}
