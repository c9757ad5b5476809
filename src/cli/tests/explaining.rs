//! Why a pod gets its share, in words.

use super::*;

#[test]
fn a_share_is_explained_in_words() {
    let told = ["checkout-1", "checkout-2", "search-1", "batch-1"]
        .map(|pod| explain(&shop(), "shop", pod).unwrap());
    assert_eq!(told.join("\n"), include_str!("shop-explained.txt"));
    let unknown = explain(&shop(), "shop", "nobody").unwrap_err();
    assert!(matches!(unknown, ExplainError::NoPod { .. }), "{unknown}");
    let elsewhere = explain(&shop(), "default", "search-1").unwrap_err().to_string();
    assert!(elsewhere.ends_with("there is one in namespace shop, so add -n shop"), "{elsewhere}");
    let mut alone = shop();
    alone.cluster.apply(Event::Listed(Kind::WeightedShare, BTreeSet::new()));
    let alone = explain(&alone, "shop", "batch-1").unwrap_err();
    assert!(matches!(alone, ExplainError::NoPool { .. }), "{alone}");
}

#[test]
fn a_pod_that_a_busy_node_holds_back_wants_more() {
    let demand = |node_uses: &str| {
        let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
        let metrics = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": {"name": "a", "namespace": "shop"},
            "containers": [{"name": "main", "usage": {"cpu": "450m"}}],
        });
        let of_node = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "NodeMetrics",
            "metadata": {"name": "n1"}, "usage": {"cpu": node_uses},
        });
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}},
        });
        let objects = [pod("a", &json!({"requests": {"cpu": "500m"}})), metrics, of_node, node];
        json_of(&one_member(&spec, &objects))["pools"][0]["members"][0]["cpu"]["demand"].clone()
    };
    assert_eq!(demand("1899m"), 540);
    // At 95 % of what the node can allocate: no less than it owns.
    assert_eq!(demand("1900m"), 1000);
}

#[test]
fn plan_and_explain_say_where_the_kernel_would_be_far_from_the_shares() {
    let spec = json!({
        "capacity": {"cpu": "1580m"},
        "sharing": {"nodeReservePercent": 0},
        "members": [
            {"name": "big", "weight": 1000, "targetRef": {"apiVersion": "v1", "kind": "Pod", "name": "big"}},
            {"name": "small", "weight": 580, "selector": {"matchLabels": {"app": "web"}}},
        ],
    });
    let on_node_of = |cores: u64| {
        let request = |milli: u64| json!({"requests": {"cpu": format!("{milli}m")}});
        let mut objects: Vec<Value> =
            (0..20).map(|i| pod(&format!("small-{i}"), &request(29))).collect();
        objects.push(pod("big", &request(1000)));
        let allocatable = json!({"cpu": cores.to_string(), "memory": "8Gi", "pods": "110"});
        objects.push(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
            "status": {"allocatable": allocatable},
        }));
        one_member(&spec, &objects)
    };
    // Weights 39 and 20 x 2: the big pod gets 39/79 of 1580m. Those 220m less are 11 % of two cores, 1.83 % of twelve.
    let small = on_node_of(2);
    let said = "pod big 780m of CPU instead of its share of 1 while the node is busy (the difference is 11 % of the node)";
    let (plan, big) = (table(&Plan::of(&small)), explain(&small, "shop", "big").unwrap());
    assert!(plan.lines().last().unwrap().contains(said), "{plan}");
    assert!(big.contains(said), "{big}");
    assert!(!explain(&small, "shop", "small-0").unwrap().contains("cpu.weight"));

    let large = on_node_of(12);
    assert!(!table(&Plan::of(&large)).contains("cpu.weight"));
    assert!(!explain(&large, "shop", "big").unwrap().contains("cpu.weight"));
}

#[test]
fn a_pod_that_has_finished_is_said_to_be_so_until_it_is_gone() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let mut done = pod("a", &json!({"requests": {"cpu": "500m"}}));
    done["status"] = json!({"phase": "Succeeded"});
    let mut looked = one_member(&spec, &[done]);
    let told = explain(&looked, "shop", "a").unwrap_err();
    assert!(matches!(told, ExplainError::Finished { .. }), "{told}");
    looked.cluster.apply(Event::Listed(Kind::Pod, BTreeSet::new()));
    let gone = explain(&looked, "shop", "a").unwrap_err();
    assert!(matches!(gone, ExplainError::NoPod { .. }), "{gone}");
}
