//! What objects have to do with each other.

use super::*;

#[test]
fn the_oldest_pool_comes_first_and_one_being_deleted_is_not_live() {
    let pool = |name: &str, created: &str, deleted: Value| -> WeightedShare {
        serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "metadata": {"name": name, "creationTimestamp": created, "deletionTimestamp": deleted},
            "spec": {"capacity": {"cpu": "1"}},
        }))
        .unwrap()
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    let cluster = cluster([
        pool("a", late, Value::Null),
        pool("c", early, Value::Null),
        pool("b", early, Value::Null),
        pool("going", early, json!(late)),
    ]);
    let live = cluster.pools().filter(|(_, pool)| pool.is_live());
    let names: Vec<&str> = live.map(|(id, _)| id.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
}

#[test]
fn a_pod_belongs_to_its_controller_and_to_that_of_its_replica_set() {
    let set: apps::ReplicaSet = serde_json::from_value(json!({
        "metadata": {
            "name": "web-5c9f",
            "namespace": "shop",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": true},
            ],
        },
        "spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "64Mi"}}},
        ]}}},
    }))
    .unwrap();
    let mut cluster = cluster([set]);
    put(&mut cluster, [object::<core::Pod>(running(json!({})))]);
    let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
    let owns = |kind, name| cluster.is_owned_by(pod, &owner(kind, name));
    assert!(owns("ReplicaSet", "web-5c9f") && owns("Deployment", "web"));
    assert!(owns("Pod", "web-5c9f-x7k2p"));
    assert!(!owns("Deployment", "web-5c9f") && !owns("StatefulSet", "web") && !owns("Pod", "web"));
    assert!(cluster.has(&owner("Pod", "web-5c9f-x7k2p")));
    assert!(!cluster.has(&owner("Deployment", "web")));

    // A limit alone is a request too.
    let main = TemplateContainer {
        request: PerResource { cpu: 100, memory: 64 * MI },
        limit: PerResource { cpu: Some(1000), memory: Some(64 * MI) },
    };
    assert_eq!(cluster.template(pod), Some(&[("main".to_owned(), main)].into()));
}

#[test]
fn what_is_free_on_a_node_is_what_no_pod_is_charged() {
    let node = |(name, cpu): (&str, u64)| {
        object::<core::Node>(json!({
            "metadata": {"name": name},
            "status": {"allocatable": {"cpu": format!("{cpu}m"), "memory": "100Mi"}},
        }))
    };
    let mut cluster = cluster([("n1", 1000), ("n2", 200), ("n3", 500)].map(node));
    let second = json!({"metadata": {"name": "second"}, "spec": {"nodeName": "n2"}});
    put(&mut cluster, [json!({}), second].map(|it| object::<core::Pod>(running(it))));
    let free = |node| cluster.free(node).map(|free| free.cpu);
    assert_eq!(["n1", "n2", "n3"].map(free), [Some(700), Some(0), Some(500)]);
    assert_eq!(cluster.free("n1").unwrap().memory, 36 * MI);
    assert_eq!(cluster.free("n4"), None);
}

#[test]
fn what_a_node_took_on_before_it_saw_a_resize_is_charged_until_it_speaks() {
    let set: apps::ReplicaSet = object(json!({
        "metadata": {"name": "web-5c9f", "namespace": "shop"},
        "spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}}},
        ]}}},
    }));
    let holds = |changes: Value| {
        // It asks for 200m, and its template for 300m.
        let mut pod = running(json!({"status": {"phase": "Pending", "observedGeneration": null}}));
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("200m");
        pod["status"]["containerStatuses"] = json!([]);
        merge(&mut pod, changes);
        // Its template may be seen later than the pod.
        let mut cluster = cluster([object::<core::Pod>(pod)]);
        put(&mut cluster, [set.clone()]);
        let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
        let Held { requested, admitted } = pod.containers[0].held.cpu;
        (requested, admitted, pod.resize.clone())
    };
    // It started with less, and was not resized.
    assert_eq!(holds(json!({})), (200, 200, Resize::Done));
    let resized = |status: Value, node: Option<&str>| {
        holds(json!({"metadata": {"generation": 2}, "spec": {"nodeName": node}, "status": status}))
    };
    assert_eq!(resized(json!({}), Some("n1")), (200, 300, Resize::InProgress));
    assert_eq!(
        resized(json!({"observedGeneration": 1}), Some("n1")),
        (200, 300, Resize::InProgress)
    );
    // A node that has it only now takes it on as it is now.
    assert_eq!(resized(json!({"observedGeneration": 2}), Some("n1")), (200, 200, Resize::Done));
    assert_eq!(resized(json!({}), None), (200, 200, Resize::Done));
    let spoken = json!([{
        "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "allocatedResources": {"cpu": "250m"},
    }]);
    let spoken = resized(json!({"containerStatuses": spoken}), Some("n1"));
    assert_eq!(spoken, (200, 250, Resize::InProgress));
    // Where it was given more than its template says, its node may have that by now or not; without a template, it is
    // not known what it started with.
    let grown = holds(json!({
        "metadata": {"generation": 2},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "400m"}}}]},
    }));
    assert_eq!(grown, (400, 300, Resize::InProgress));
    let bare = holds(json!({"metadata": {"generation": 2, "ownerReferences": null}}));
    assert_eq!(bare, (200, 0, Resize::InProgress));
    let bare = |phase: &str| {
        holds(json!({"metadata": {"ownerReferences": null}, "status": {"phase": phase}}))
    };
    assert_eq!(bare("Pending"), (200, 0, Resize::Done));
    // A node that is too old to speak of it.
    assert_eq!(bare("Running"), (200, 200, Resize::Done));
}
