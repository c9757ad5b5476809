//! Where nodes are too small for what a tree has on them.

use super::*;

#[test]
fn on_a_full_node_the_weights_of_the_tree_count_and_not_what_pods_started_with() {
    // The node has three of the tree's six cores.
    let mut world = World::new();
    world.node("small", 3000);
    world.tree(
        "all",
        1,
        json!({"capacity": {"cpu": "6"}, "members": [
            {"name": "first", "weight": 100, "namespaces": ["first"]},
            {"name": "second", "weight": 200, "namespaces": ["second"]},
        ]}),
    );
    for (namespace, started) in [("first", 2500), ("second", 400)] {
        world.pool(
            namespace,
            "web",
            "all",
            json!({"sharing": {"strategy": "Isolated", "nodeReservePercent": 0}}),
        );
        world.pod(namespace, "web-1", "web", started);
        world.is_on("small", namespace, "web-1");
    }
    assert_eq!(amounts(&world.settle(20)), [1000, 2000]);
    // A pool outside of the tree keeps what its pod started with, up to what it owns, and the tree shares what is left.
    let mut island = pool("island", 9, 4000, json!([member("island", 100)]));
    island.spec.sharing.node_reserve_percent = 0;
    island.metadata.namespace = Some("third".into());
    world.cluster.apply(Event::Applied(island.key(), island.read()));
    world.pod("third", "island-1", "island", 600);
    world.is_on("small", "third", "island-1");
    let held = world.settle(40);
    assert_eq!(held.values().sum::<u64>(), 3000, "{held:?}");
    let [first, second, island] = amounts(&held)[..] else { panic!("{held:?}") };
    assert!(island >= 600 && second.abs_diff(2 * first) <= 2, "{held:?}");
}
