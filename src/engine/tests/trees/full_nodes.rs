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
    assert_eq!(amounts(&world.settle(3000)), [1000, 2000]);
}
