//! Events, in whatever order they come.

use proptest::prelude::*;

use super::*;

/// The objects of a namespace: two nodes, a Deployment with its ReplicaSet and pods, a quota, a machine in its launcher.
fn objects() -> Vec<(Key, Object)> {
    fn of<K: Kept>(object: K) -> (Key, Object) {
        (object.key(), object.read())
    }
    let controller = |version: &str, kind: &str, name: &str| json!([{"apiVersion": version, "kind": kind, "name": name, "uid": name, "controller": true}]);
    let set = json!({
        "metadata": {"name": "web-5c9f", "namespace": "shop", "ownerReferences": controller("apps/v1", "Deployment", "web")},
        "spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": "300m"}}},
        ]}}},
    });
    let mut starting = running(json!({"metadata": {"name": "starting", "uid": "starting"}}));
    starting["status"] = json!({"phase": "Pending"});
    let mut launcher = running(json!({"metadata": {
        "name": "launcher", "uid": "launcher",
        "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "vmi"},
        "ownerReferences": controller("kubevirt.io/v1", "VirtualMachineInstance", "db"),
    }}));
    launcher["metadata"]["ownerReferences"][0]["uid"] = json!("vmi");
    launcher["spec"]["containers"][0]["name"] = json!("compute");
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "db", "namespace": "shop", "uid": "vmi", "ownerReferences": controller("kubevirt.io/v1", "VirtualMachine", "db")},
        "spec": {"domain": {"cpu": {"cores": 2}}},
    });
    let vm = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": "db", "namespace": "shop", "resourceVersion": "5"},
        "spec": {"template": {"spec": {"domain": {"cpu": {"sockets": 2}}}}},
    });
    let deployment = json!({"metadata": {"name": "web", "namespace": "shop"}});
    let node =
        |name: &str| json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "2"}}});
    let quota = json!({"metadata": {"name": "quota", "namespace": "shop"}, "spec": {"hard": {"requests.cpu": "2"}}});
    let pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {"name": "pool", "namespace": "shop"}, "spec": {"capacity": {"cpu": "1"}},
    });
    vec![
        of::<core::Node>(object(node("n1"))),
        of::<core::Node>(object(node("n2"))),
        of::<apps::Deployment>(object(deployment)),
        of::<apps::ReplicaSet>(object(set)),
        of::<core::Pod>(object(running(json!({})))),
        of::<core::Pod>(object(starting)),
        of::<core::Pod>(object(launcher)),
        of::<VirtualMachineInstance>(object(vmi)),
        of::<VirtualMachine>(object(vm)),
        of::<core::ResourceQuota>(object(quota)),
        of::<WeightedShare>(object(pool)),
    ]
}

/// All that a cluster says, but for what changed.
fn state(mut cluster: Cluster) -> String {
    cluster.take_changes();
    format!("{cluster:?}")
}

fn of(objects: &[(Key, Object)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (key, object) in objects {
        cluster.apply(Event::Applied(key.clone(), object.clone()));
    }
    cluster
}

proptest! {
    #[test]
    fn the_order_of_events_does_not_matter(order in Just(objects()).prop_shuffle()) {
        prop_assert_eq!(state(of(&order)), state(of(&objects())));
    }

    #[test]
    fn what_goes_leaves_nothing_behind(
        there in Just(objects()).prop_shuffle(),
        gone in Just(objects()).prop_shuffle(),
        left in 0..12usize,
    ) {
        let mut cluster = of(&there);
        let (stays, goes) = gone.split_at(left.min(gone.len()));
        for (key, _) in goes {
            cluster.apply(Event::Deleted(key.clone()));
        }
        prop_assert_eq!(state(cluster), state(of(stays)));
    }
}

#[test]
fn what_is_seen_again_changes_nothing() {
    let mut cluster = of(&objects());
    let first = cluster.take_changes();
    assert!(first.pods.len() == 3 && first.nodes.len() == 2 && first.workloads.len() == 4);
    for (key, object) in objects().into_iter().filter(|(key, _)| key.kind != Kind::WeightedShare) {
        cluster.apply(Event::Applied(key, object));
    }
    assert_eq!(cluster.take_changes(), Changes::default());
}

#[test]
fn what_is_not_listed_any_more_is_gone() {
    let mut cluster = of(&objects());
    let (kept, _) = objects().swap_remove(4);
    cluster.apply(Event::Listed(Kind::Pod, [kept.clone()].into()));
    let names: Vec<&str> =
        cluster.namespace("shop").unwrap().pods().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, [kept.name]);
}

#[test]
fn an_answer_stands_until_the_watch_is_as_far() {
    let generation = |generation: u64, cpu: &str| {
        read(running(json!({
            "metadata": {"generation": generation, "resourceVersion": format!("{}", 4711 + generation)},
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]},
        })))
    };
    let mut cluster = cluster([object::<core::Pod>(running(json!({})))]);
    cluster.answered(generation(2, "900m"));
    let asks = |cluster: &Cluster| {
        cluster.pod("shop", "web-5c9f-x7k2p").unwrap().containers[0].held.cpu.requested
    };
    assert_eq!(asks(&cluster), 900);
    put(&mut cluster, [object::<core::Pod>(running(json!({})))]);
    assert_eq!(asks(&cluster), 900, "an event from before");
    // One that is gone does not come back by an answer.
    let mut other = generation(3, "950m");
    other.uid = "another".into();
    cluster.answered(other);
    assert_eq!(asks(&cluster), 900);
}

#[test]
fn an_answer_that_comes_after_the_watch_changes_nothing() {
    let pod = |version: &str, conditions: Value| {
        object::<core::Pod>(running(json!({
            "metadata": {"generation": 2, "resourceVersion": version},
            "status": {"observedGeneration": 2, "conditions": conditions},
        })))
    };
    let in_progress = json!([{"type": "PodResizeInProgress", "status": "True"}]);
    let mut cluster = cluster([pod("4719", json!([]))]);
    // The node has done what the answer only takes.
    put(&mut cluster, [pod("4721", json!([]))]);
    cluster.answered(Pod::read(&pod("4720", in_progress.clone())));
    let known = |cluster: &Cluster| {
        let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
        (pod.resource_version.clone(), pod.resize.clone())
    };
    assert_eq!(known(&cluster), ("4721".to_owned(), Resize::Done));
    cluster.answered(Pod::read(&pod("4722", in_progress)));
    assert_eq!(known(&cluster), ("4722".to_owned(), Resize::InProgress));
}

#[test]
fn what_is_on_its_way_is_charged_until_it_is_known_what_became_of_it() {
    let mut cluster = cluster([object::<core::Pod>(running(json!({})))]);
    let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap().clone();
    let before = pod.charge(Resource::Cpu);
    let requests = Requests {
        uid: pod.uid.clone(),
        description: "cpu 200m -> 900m".into(),
        requests: vec![("main".into(), Resource::Cpu, 900)],
    };
    cluster.take_changes();
    cluster.set_in_flight("shop", &pod.name, Some(requests.clone()));
    let charge = |cluster: &Cluster| {
        let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
        (pod.in_flight, pod.charge(Resource::Cpu), cluster.charged("n1").cpu)
    };
    assert_eq!(charge(&cluster), (true, 900, 900));
    assert!(cluster.take_changes().charged.contains("n1"));
    // Should it leave its pool now, it is to be restored.
    let may_be_ours = |cluster: &Cluster| {
        let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
        (pod.resized_by_us.cpu, pod.resized_by_us.memory)
    };
    assert_eq!(may_be_ours(&cluster), (true, pod.resized_by_us.memory));
    // However often the watch shows the pod meanwhile.
    put(
        &mut cluster,
        [object::<core::Pod>(running(json!({"metadata": {"labels": {"new": "label"}}})))],
    );
    assert_eq!(charge(&cluster), (true, 900, 900));
    cluster.set_in_flight("shop", &pod.name, None);
    assert_eq!(charge(&cluster), (false, before, u128::from(before)));
    // Of another pod of that name, nothing is on its way.
    cluster.set_in_flight("shop", &pod.name, Some(Requests { uid: "another".into(), ..requests }));
    assert_eq!(charge(&cluster), (false, before, u128::from(before)));
}

#[test]
fn what_a_pod_was_charged_when_it_was_first_seen_on_its_node_stays() {
    let pod = |uid: &str, generation: i64, cpu: &str, node: &str| {
        let condition = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z"});
        let mut pod = running(json!({
            "metadata": {"uid": uid, "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node},
            "status": {"conditions": [condition], "containerStatuses": []},
        }));
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(cpu);
        object::<core::Pod>(pod)
    };
    let mut cluster = Cluster::default();
    let mut seen = |pod: core::Pod| {
        put(&mut cluster, [pod]);
        let binding = cluster.pod("shop", "web-5c9f-x7k2p").unwrap().binding;
        let seconds = |binding: Binding| binding.at.map(|at| at.as_second() % 60);
        binding.map(|it| (it.charge.cpu, seconds(it), it.is_original))
    };
    assert_eq!(seen(pod("a", 1, "300m", "")), None);
    assert_eq!(seen(pod("a", 1, "300m", "n1")), Some((300, Some(7), true)));
    assert_eq!(seen(pod("a", 2, "900m", "n1")), Some((300, Some(7), true)));
    // Another pod of that name, which was resized before it was seen.
    assert_eq!(seen(pod("b", 2, "900m", "n1")), Some((900, Some(7), false)));
}

#[test]
fn what_a_pod_says_that_it_started_with_is_believed_where_it_is_guarded() {
    let started = |started_is_guarded: bool, annotation: &str| {
        let annotations = json!({"weightedshare.dev/started": annotation});
        let pod = running(json!({"metadata": {"generation": 5, "annotations": annotations}}));
        let mut cluster = Cluster::bounded(Bounds { started_is_guarded, ..Bounds::default() });
        put(&mut cluster, [object::<core::Pod>(pod)]);
        let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
        [Resource::Cpu, Resource::Memory].map(|resource| pod.started_with(None, resource))
    };
    assert_eq!(started(true, "cpu=250m,memory=67108864"), [250, 64 * MI]);
    assert_eq!(started(false, "cpu=250m,memory=67108864"), [0, 0]);
    // What the policy would not write says nothing.
    for odd in [
        "",
        "cpu=250m",
        "memory=1,cpu=1",
        "cpu=250m,memory=1,cpu=9",
        "cpu=,memory=",
        "cpu=-1,memory=1",
    ] {
        assert_eq!(started(true, odd), [0, 0], "{odd:?}");
    }
    // A plan reads pods first, and is told of the settings then.
    let annotations = json!({"weightedshare.dev/started": "cpu=250m,memory=67108864"});
    let pod = running(json!({"metadata": {"generation": 5, "annotations": annotations}}));
    let mut cluster = Cluster::default();
    put(&mut cluster, [object::<core::Pod>(pod)]);
    cluster.set_bounds(Bounds { started_is_guarded: false, ..Bounds::default() });
    let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
    assert_eq!(pod.started_with(None, Resource::Cpu), 0);
}
