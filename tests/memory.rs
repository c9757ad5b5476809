//! What comes and goes leaves nothing behind: pools, their pods, their nodes, whole namespaces.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use k8s_openapi::{
    api::{apps::v1 as apps, core::v1 as core},
    jiff::SignedDuration,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weightedshare::{
    api::WeightedShare,
    cluster::{Cluster, Event, Kept},
    engine::{Engine, FINALIZER, History, Now, Plan},
    metrics::{Metrics, PodReading, Readings},
    share::PerResource,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[derive(Default)]
struct Controller {
    cluster: Cluster,
    metrics: Metrics,
    engine: Engine,
    history: History,
    now: Now,
}

impl Controller {
    fn apply<K: Kept + DeserializeOwned>(&mut self, object: &Value) {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        self.cluster.apply(Event::Applied(object.key(), object.read()));
    }

    fn delete<K: Kept + DeserializeOwned>(&mut self, object: &Value) {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        self.cluster.apply(Event::Deleted(object.key()));
    }

    fn measure(&mut self, pods: &[Value]) {
        let reading = |pod: &Value| PodReading {
            namespace: pod["metadata"]["namespace"].as_str().unwrap().to_owned(),
            name: pod["metadata"]["name"].as_str().unwrap().to_owned(),
            at: self.now.wall,
            used: PerResource { cpu: Some(90_000_000), memory: Some(32 << 20) },
            ..PodReading::default()
        };
        let readings = Readings { pods: pods.iter().map(reading).collect(), ..Readings::default() };
        self.metrics.take("made up", Ok(readings));
    }

    fn decide(&mut self) -> Plan {
        // Measurements are kept for ten minutes.
        self.now.steady += Duration::from_secs(10);
        self.now.wall += SignedDuration::from_secs(10);
        let (changes, news) = (self.cluster.take_changes(), self.metrics.take_news());
        let Self { cluster, metrics, engine, history, now } = self;
        engine.decide(cluster, metrics, &changes, &news, history, *now)
    }

    /// A pool with two pods comes, is divided, and is gone with all that it had. Returns how many resizes it took.
    fn come_and_go(&mut self, number: usize) -> usize {
        let namespace = format!("team-{number}");
        let node = json!({
            "metadata": {"name": format!("node-{number}")},
            "status": {"allocatable": {"cpu": "64", "memory": "256Gi"}},
        });
        let workload = json!({
            "metadata": {"namespace": namespace, "name": "app", "uid": format!("app-{number}")},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {"containers": [container()]}}},
        });
        let pods = ["one", "two"].map(|name| pod(&namespace, name, number));
        let mut pool = pool(&namespace, number);
        self.apply::<core::Node>(&node);
        self.apply::<apps::ReplicaSet>(&workload);
        self.apply::<WeightedShare>(&pool);
        pods.iter().for_each(|pod| self.apply::<core::Pod>(pod));
        self.measure(&pods);
        let mut resizes = 0;
        for _ in 0..3 {
            for (id, planned) in self.decide().pools {
                for resize in planned.resizes {
                    let sent = vec![resize];
                    self.history.resized(Some(&id), &sent.clone(), sent, None, self.now);
                    resizes += 1;
                }
                self.history.reported(&id, &planned.status);
            }
        }
        pool["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
        self.apply::<WeightedShare>(&pool);
        self.decide();
        pods.iter().for_each(|pod| self.delete::<core::Pod>(pod));
        self.decide();
        self.delete::<WeightedShare>(&pool);
        self.delete::<apps::ReplicaSet>(&workload);
        self.delete::<core::Node>(&node);
        self.measure(&[]);
        (0..3).for_each(|_| drop(self.decide()));
        resizes
    }
}

fn container() -> Value {
    json!({"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}})
}

fn pod(namespace: &str, name: &str, number: usize) -> Value {
    let requests = container()["resources"]["requests"].clone();
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("{name}-{number}"), "labels": {"app": name},
            "resourceVersion": "1", "generation": 1,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app", "uid": format!("app-{number}"), "controller": true,
            }],
        },
        "spec": {"nodeName": format!("node-{number}"), "containers": [container()]},
        "status": {
            "phase": "Running", "qosClass": "Burstable", "observedGeneration": 1,
            "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "allocatedResources": requests, "resources": {"requests": requests},
            }],
        },
    })
}

fn pool(namespace: &str, number: usize) -> Value {
    let member = |name: &str, weight: u64| json!({"name": name, "weight": weight, "selector": {"matchLabels": {"app": name}}});
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {
            "namespace": namespace, "name": "pool", "uid": format!("pool-{number}"), "resourceVersion": "1", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER],
        },
        "spec": {"capacity": {"cpu": "400m"}, "members": [member("one", 300), member("two", 100)]},
    })
}

#[test]
fn a_thousand_pools_that_came_and_went_take_no_memory() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut controller = Controller::default();
    controller.metrics.expect("made up", true, true);
    let begin = dhat::HeapStats::get().curr_bytes;
    let resizes: usize = (0..100).map(|number| controller.come_and_go(number)).sum();
    assert!(resizes >= 200, "they were divided: {resizes}");
    let before = dhat::HeapStats::get().curr_bytes;
    assert!(before > begin, "the allocator counts");
    for number in 100..1100 {
        controller.come_and_go(number);
    }
    let after = dhat::HeapStats::get().curr_bytes;
    let kept = after.saturating_sub(before);
    assert!(kept < 16_000, "{kept} bytes are kept of a thousand pools ({before} before)");
}
