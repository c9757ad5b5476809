//! Who owns what in a tree, and what is said where it is not divided.

use super::*;

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
