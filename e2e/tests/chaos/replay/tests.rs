use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::*;

/// A history, version by version, ten seconds each.
struct History {
    began: Instant,
    at: u64,
    pods: Versions<Pod>,
    pools: Versions<WeightedShare>,
}

impl History {
    fn new() -> Self {
        let (pods, pools) = (Versions::new(), Versions::new());
        Self { began: Instant::now(), at: 0, pods, pools }
    }

    fn time(&self) -> Instant {
        self.began + Duration::from_secs(10 * self.at)
    }

    /// A pool with this capacity, of which the status speaks of a generation and counts so many pods.
    fn pool(mut self, cpu: u64, generation: i64, observed: i64, pods: u32) -> Self {
        self.at += 1;
        let object = json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "metadata": {
                "name": "pool", "uid": "pool", "generation": generation,
                "creationTimestamp": Timestamp::UNIX_EPOCH.to_string(),
            },
            "spec": {
                "capacity": {"cpu": format!("{cpu}m")},
                "members": [{"name": "web", "selector": {"matchLabels": {"app": "web"}}}],
            },
            "status": {
                "observedGeneration": observed,
                "members": [{"name": "web", "weight": 100, "pods": pods}],
            },
        });
        self.pools
            .insert(self.at, (self.time(), Version::Is(serde_json::from_value(object).unwrap())));
        self
    }

    /// A pod that asks for so much, of which so much is in force.
    fn pod(mut self, name: &str, asked: u64, given: u64) -> Self {
        self.at += 1;
        let given = json!({"cpu": format!("{given}m")});
        let object = json!({
            "metadata": {
                "name": name, "uid": name, "labels": {"app": "web"}, "generation": 1,
                "managedFields": [{"manager": FIELD_MANAGER, "subresource": "resize"}],
            },
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": format!("{asked}m")}}}]},
            "status": {"containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "allocatedResources": given, "resources": {"requests": given},
            }]},
        });
        self.pods
            .insert(self.at, (self.time(), Version::Is(serde_json::from_value(object).unwrap())));
        self
    }

    /// A pod that was placed on a node of which nothing was heard yet.
    fn placed(self, name: &str, asked: u64, generation: i64) -> Self {
        let mut history = self.pod(name, asked, asked);
        if let Some((_, Version::Is(pod))) = history.pods.get_mut(&history.at) {
            pod.status = None;
            pod.metadata.generation = Some(generation);
            pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        }
        history
    }

    /// The same, asked for by a generation of its spec, where its node has seen another one.
    fn unseen(self, name: &str, asked: u64, given: u64, [generation, seen]: [i64; 2]) -> Self {
        let mut history = self.pod(name, asked, given);
        if let Some((_, Version::Is(pod))) = history.pods.get_mut(&history.at) {
            pod.metadata.generation = Some(generation);
            pod.status.as_mut().unwrap().observed_generation = Some(seen);
            pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        }
        history
    }

    fn gone(mut self, name: &str) -> Self {
        self.at += 1;
        let pod = Pod {
            metadata: kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() },
            ..Pod::default()
        };
        self.pods.insert(self.at, (self.time(), Version::Gone(pod)));
        self
    }

    fn figures(self) -> Figures {
        play(self.pods, self.pools).unwrap()
    }

    fn error(self) -> String {
        format!("{:#}", play(self.pods, self.pools).unwrap_err())
    }
}

/// A pool of 500m with two pods of 200m each, that are known.
fn settled() -> History {
    History::new().pool(500, 1, 0, 0).pod("a", 200, 200).pod("b", 200, 200).pool(500, 1, 1, 2)
}

#[test]
fn a_grow_into_room_is_right_and_one_beyond_it_is_found() {
    let figures = settled().pod("a", 300, 200).pod("a", 300, 300).figures();
    assert_eq!((figures.grows, figures.fullest, figures.excess), (1, 100, [0, 0]));
    let error = settled().pod("a", 301, 200).error();
    assert!(
        error.contains("our resize of a (cpu 200 -> 301) takes pool pool from 400 to 501 of 500"),
        "{error}"
    );
}

#[test]
fn what_shrinks_is_charged_until_the_kubelet_has_carried_it_out() {
    let shrunk = || settled().pod("a", 300, 300).pod("a", 100, 300);
    let figures = shrunk().pod("a", 100, 100).pod("b", 400, 200).figures();
    assert_eq!((figures.grows, figures.shrinks), (2, 1));
    let error = shrunk().pod("b", 400, 200).error();
    assert!(error.contains("our resize of b"), "{error}");
}

#[test]
fn a_new_pod_makes_an_excess_that_nothing_may_raise() {
    // It cannot be known yet.
    let figures = settled().pod("c", 150, 150).pod("a", 300, 300).figures();
    assert_eq!((figures.by_new_pods[0], figures.excess[0], figures.fullest), (150, 150, 130));
    let known = || settled().pod("c", 150, 150).pool(500, 1, 1, 3);
    let figures = known().pod("a", 150, 200).pod("a", 150, 150).figures();
    assert_eq!((figures.shrinks, figures.excess[0]), (1, 50));
    let error = known().pod("a", 201, 200).error();
    assert!(error.contains("from 550 to 551 of 500"), "{error}");
    // Who resizes it knows it.
    let resized = || settled().pod("c", 150, 150).pod("c", 110, 150).pod("c", 110, 110);
    assert_eq!(resized().figures().shrinks, 1);
    let error = resized().pod("a", 300, 200).error();
    assert!(error.contains("our resize of a"), "{error}");
}

#[test]
fn what_a_node_took_on_before_a_resize_is_charged_until_it_speaks() {
    let shrunk = || settled().placed("c", 150, 1).placed("c", 100, 2);
    let error = shrunk().pod("a", 150, 200).pod("a", 150, 150).pod("b", 201, 200).error();
    assert!(
        error.contains("our resize of b (cpu 200 -> 201) takes pool pool from 500 to 501 of 500"),
        "{error}"
    );
    let heard = shrunk().pod("c", 100, 100).pod("a", 150, 200).pod("a", 150, 150);
    heard.pod("b", 250, 200).figures();
}

#[test]
fn a_grow_that_is_taken_back_is_charged_until_its_node_has_seen_that() {
    let back = || settled().unseen("a", 300, 200, [2, 1]).unseen("a", 200, 200, [3, 1]);
    let error = back().pod("b", 201, 200).error();
    assert!(error.contains("our resize of b"), "{error}");
    // Its node took it on, and then gave it back; or saw only the last.
    let given = back().unseen("a", 200, 300, [3, 2]).unseen("a", 200, 200, [3, 3]);
    assert_eq!(given.pod("b", 300, 200).figures().fullest, 100);
    back().unseen("a", 200, 200, [3, 3]).pod("b", 300, 200).figures();
}

#[test]
fn a_lowered_capacity_leaves_an_excess_that_only_shrinks() {
    // As long as no status speaks of it, a decision may rest on what was before.
    let lowered = || settled().pool(300, 2, 1, 2);
    lowered().pod("a", 300, 200).figures();
    let known = || lowered().pool(300, 2, 2, 2);
    assert_eq!(known().pod("a", 150, 150).pod("b", 150, 150).gone("a").figures().excess[0], 100);
    let error = known().pod("a", 201, 200).error();
    assert!(error.contains("from 400 to 401 of 300"), "{error}");
}

#[test]
fn nobody_else_raises_an_excess_unseen() {
    // A kubelet that has more in force than anyone asks for.
    let error = settled().pod("a", 200, 350).error();
    assert!(error.contains("a change of a"), "{error}");
}
