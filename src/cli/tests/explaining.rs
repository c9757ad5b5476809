//! Why a pod gets its share, in words.

use super::*;

#[test]
fn a_share_is_explained_in_words() {
    let told = ["checkout-1", "checkout-2", "search-1", "batch-1"]
        .map(|pod| explain(&shop(), Some("shop"), pod).unwrap().text());
    assert_eq!(told.join("\n"), include_str!("shop-explained.txt"));
    let unknown = explain(&shop(), Some("shop"), "unknown").unwrap_err();
    assert!(matches!(unknown, ExplainError::NoPod { .. }), "{unknown}");
    let elsewhere = explain(&shop(), Some("default"), "search-1").unwrap_err().to_string();
    assert!(elsewhere.ends_with("there is one in namespace shop, so add -n shop"), "{elsewhere}");
    // Of files, each namespace counts.
    assert_eq!(explain(&shop(), None, "search-1").unwrap().namespace, "shop");
    let nowhere = explain(&shop(), None, "unknown").unwrap_err();
    assert_eq!(nowhere, ExplainError::Nowhere("unknown".into()));
    let mut alone = shop();
    alone.cluster.apply(Event::Listed(Kind::WeightedShare, BTreeSet::new()));
    let alone = explain(&alone, Some("shop"), "batch-1").unwrap_err();
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
    let (plan, big) =
        (table(&Plan::of(&small), true), explain(&small, Some("shop"), "big").unwrap().text());
    assert!(plan.lines().last().unwrap().contains(said), "{plan}");
    assert!(big.contains(said), "{big}");
    assert!(!explain(&small, Some("shop"), "small-0").unwrap().text().contains("cpu.weight"));

    let large = on_node_of(12);
    assert!(!table(&Plan::of(&large), true).contains("cpu.weight"));
    assert!(!explain(&large, Some("shop"), "big").unwrap().text().contains("cpu.weight"));
}

#[test]
fn a_pod_that_has_finished_is_said_to_be_so_until_it_is_gone() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let mut done = pod("a", &json!({"requests": {"cpu": "500m"}}));
    done["status"] = json!({"phase": "Succeeded"});
    let mut looked = one_member(&spec, &[done]);
    let told = explain(&looked, Some("shop"), "a").unwrap_err();
    assert!(matches!(told, ExplainError::Finished { .. }), "{told}");
    looked.cluster.apply(Event::Listed(Kind::Pod, BTreeSet::new()));
    let gone = explain(&looked, Some("shop"), "a").unwrap_err();
    assert!(matches!(gone, ExplainError::NoPod { .. }), "{gone}");
}

#[test]
fn a_pod_that_several_namespaces_have_is_to_be_named_with_one() {
    let of = |namespace: &str| {
        let mut pod = pod("a", &json!({"requests": {"cpu": "50m"}}));
        pod["metadata"]["namespace"] = json!(namespace);
        pod
    };
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let looked = one_member(&spec, &[of("shop"), of("blog")]);
    let error = explain(&looked, None, "a").unwrap_err().to_string();
    assert_eq!(error, "there is a pod a in each of blog, shop: name one with -n");
    assert_eq!(explain(&looked, Some("shop"), "a").unwrap().member, "web");
}

#[test]
fn each_container_is_told_what_it_gets_of_the_share() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let mut web = pod("a", &json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "600m"}}));
    let side = json!({"name": "side", "resources": {"requests": {"cpu": "100m"}}});
    web["spec"]["containers"].as_array_mut().unwrap().push(side);
    let explanation = explain(&one_member(&spec, &[web]), Some("shop"), "a").unwrap();
    let text = explanation.text();
    // A request stops at its limit, and the rest goes to the other container.
    assert!(text.contains("\n  Container main: request 300m -> 600m, limit 600m.\n"), "{text}");
    assert!(text.ends_with("\n  Container side: request 100m -> 400m, no limit.\n"), "{text}");
    let json = serde_json::to_value(&explanation).unwrap();
    let cpu = &json["resources"][0];
    let sums = [&cpu["resource"], &cpu["from"], &cpu["to"]];
    assert_eq!(sums, [&json!("cpu"), &json!(400), &json!(1000)]);
    let expected = json!({
        "name": "side", "request": {"from": 100, "to": 400}, "limit": {"from": null, "to": null},
    });
    assert_eq!(cpu["containers"][1], expected);

    let guaranteed = pod("b", &json!({"limits": {"cpu": "500m", "memory": "1Gi"}}));
    let text = explain(&one_member(&spec, &[guaranteed]), Some("shop"), "b").unwrap().text();
    assert!(text.ends_with("\n  Container main: request 500m -> 1, limit 500m -> 1.\n"), "{text}");
}

#[test]
fn a_share_in_a_tree_is_explained_from_its_root_down() {
    let told = |shop: &Value, pods: &[(&str, &str)]| {
        let tree = json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
            "metadata": {"name": "company"},
            "spec": {
                "capacity": {"cpu": "2"},
                "members": [shop, {"name": "lab", "min": {"cpu": "1200m"}, "namespaces": ["lab"]}],
            },
        });
        let pool = |namespace: &str| {
            json!({
                "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
                "metadata": {"name": "all", "namespace": namespace},
                "spec": {
                    "capacityFrom": {"clusterWeightedShare": {"name": "company"}},
                    "members": [{"name": "all", "selector": {}}],
                },
            })
        };
        let mut items = vec![tree, pool("shop"), pool("lab")];
        items.extend(pods.iter().map(|(namespace, name)| {
            let mut pod = pod(name, &json!({"requests": {"cpu": "100m"}}));
            pod["metadata"]["namespace"] = json!(namespace);
            pod
        }));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let explained = explain(&looked(&list.to_string()), Some("shop"), "a").unwrap();
        let reasons = &explained.resources[0].reasons;
        reasons.iter().filter(|line| !line.starts_with("No source")).cloned().collect::<Vec<_>>()
    };
    let member = |rest: Value| {
        let mut member = json!({"name": "shop", "namespaces": ["shop"]});
        member.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        member
    };
    let both = [("shop", "a"), ("lab", "b")];
    assert_eq!(
        told(&member(json!({"weight": 300})), &both),
        [
            "Tree company has 2 to divide.",
            "Member shop of tree company has weight 300 of 400 in total, and owns 800m: by weight, within the bounds of the others.",
            "The pool has 800m to divide.",
            "Member all has weight 100 of 100 in total, and owns 800m: by weight, within the bounds of the others.",
        ]
    );
    let of_member = |rest: Value, pods: &[(&str, &str)]| told(&member(rest), pods).swap_remove(1);
    let min = of_member(json!({"weight": 1, "min": {"cpu": "500m"}}), &both);
    assert!(min.ends_with("weight 1 of 101 in total, and owns 500m: its min."), "{min}");
    let max = of_member(json!({"max": {"cpu": "300m"}}), &both);
    assert!(max.ends_with("owns 300m: its max."), "{max}");
    let cut = of_member(json!({"min": {"cpu": "1200m"}}), &both);
    assert!(
        cut.ends_with("owns 1: the minima there exceed what it has, so each is cut by weight."),
        "{cut}"
    );
}
