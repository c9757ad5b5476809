//! Plans with what the controller tells.

use super::*;

#[test]
fn a_plan_is_made_with_the_settings_of_the_controller() {
    let pool = |name: &str, namespace: &str| {
        let member = json!({"name": "web", "selector": {"matchLabels": {"app": "web"}}});
        json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"capacity": {"memory": "2Gi"}, "members": [member]},
        })
    };
    let of = |namespace: &str| {
        let mut pod = pod(namespace, &json!({"requests": {"memory": "512Mi"}}));
        pod["metadata"]["namespace"] = json!(namespace);
        pod
    };
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}},
    });
    let items = [pool("a", "shop"), pool("b", "blog"), of("shop"), of("blog"), node];
    let text = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let to = |percent, bounds| {
        let mut looked = looked(&text);
        looked.remembered.bounds = bounds;
        looked.set_bounds(percent);
        let plan = Plan::of(&looked);
        plan.pools
            .iter()
            .map(|pool| pool.pods[0].amounts.memory.unwrap().to >> 20)
            .collect::<Vec<_>>()
    };
    // Two namespaces meet on the node: its memory is kept free.
    assert_eq!(to(None, None), [512, 512]);
    assert_eq!(to(Some(100), None), [2048, 2048]);
    let told = Bounds { node_memory_grow_percent: 100, ..Bounds::default() };
    assert_eq!(to(None, Some(told.clone())), [2048, 2048]);
    assert_eq!(to(Some(0), Some(told)), [512, 512]);
    let few = Bounds { pools: 0, ..Bounds::default() };
    let mut looked = looked(&text);
    looked.remembered.bounds = Some(few);
    looked.set_bounds(None);
    assert_eq!(Plan::of(&looked).changes(), 0);
}

#[test]
fn a_plan_shows_what_the_controller_granted_and_measured() {
    let member = json!({"name": "web", "selector": {"matchLabels": {"app": "web"}}});
    let spec = json!({"capacity": {"cpu": "1"}, "members": [member]});
    let pods = ["a", "b", "new"].map(|name| {
        let mut pod = pod(name, &json!({"requests": {"cpu": "200m"}}));
        pod["metadata"]["uid"] = json!(name);
        pod
    });
    let mut looked = one_member(&spec, &pods);
    let mut remember = |uid: &str, fair, share, peak| {
        let measured = PodMeasures {
            peak: PerResource { cpu: peak, memory: 0 },
            is_fresh: true,
            ..PodMeasures::default()
        };
        let granted = PerResource { cpu: Some(Granted { fair, share }), memory: None };
        let pod = RememberedPod { measured: Some(measured), granted };
        looked.remembered.pods.insert(uid.to_owned(), pod);
    };
    remember("a", 500, 480, 400_000_000);
    remember("b", 500, 120, 100_000_000);
    looked.remembered.measure(&looked.cluster, &mut looked.metrics);
    let plan = Plan::of(&looked);
    let to: Vec<u64> = plan.pools[0].pods.iter().map(|pod| pod.amounts.cpu.unwrap().to).collect();
    // The controller has not decided of the third.
    assert_eq!(to, [480, 120, 333]);
    let text = explain(&looked, Some("shop"), "a").unwrap_or_else(|error| panic!("{error}"));
    assert!(text.text().contains("will hold 480m"), "{text:?}");
}
