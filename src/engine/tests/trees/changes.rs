//! What is decided where only a part of a tree changed.

use super::*;

#[test]
fn an_engine_that_sees_everything_anew_decides_the_same() {
    let mut world = two_namespaces();
    world.settle(1000);
    world.uses("shop", "a", 100);
    world.uses("farm", "b", 250);
    world.settle(1000);
    let mut history = world.history.clone();
    let (all, news) = (Changes::all(&world.cluster), News::default());
    let plan = Engine::default().decide(
        &world.cluster,
        &world.metrics,
        &all,
        &news,
        &mut history,
        world.now,
    );
    for (id, planned) in &plan.pools {
        assert_eq!(planned.resizes, [], "{}", id.name);
        let known = world.engine.planned(id).unwrap();
        assert_eq!(known.status, planned.status);
    }
    assert_eq!(history, world.history);
}

/// Three namespaces with a pool of one pod each: a and b share the node n1, c is on n2.
fn on_two_nodes() -> World {
    let mut world = World::new();
    world.node("n2", 64_000);
    world.tree("tree", 1, of_a_b_c(100));
    for name in ["a", "b", "c"] {
        world.pool(name, name, "tree", json!({}));
        world.pod(name, name, name, 1000);
        world.uses(name, name, 900);
    }
    world.is_on("n2", "c", "c");
    world
}

fn of_a_b_c(weight_of_c: u64) -> Value {
    json!({"capacity": {"cpu": "3"}, "members": [
        {"name": "a", "namespaces": ["a"]},
        {"name": "b", "namespaces": ["b"]},
        {"name": "c", "namespaces": ["c"], "weight": weight_of_c},
    ]})
}

#[test]
fn a_change_in_one_pool_is_decided_for_those_that_it_concerns() {
    let mut world = on_two_nodes();
    // So many minutes later, for which pools was anything decided?
    let decided = |world: &mut World, minutes: usize| {
        world.decided.clear();
        (0..minutes * 4).for_each(|_| _ = world.settle(3000));
        world.decided.iter().map(|id| id.name.clone()).collect::<Vec<_>>()
    };
    decided(&mut world, 10);
    assert_eq!(decided(&mut world, 1), Vec::<String>::new(), "nothing has changed");
    // What a leaves idle, b needs, as it is on the same node.
    world.uses("a", "a", 100);
    world.uses("b", "b", 2000);
    assert_eq!(decided(&mut world, 10), ["a", "b"]);
    assert!(world.held()["b/b"] > 1000, "{:?}", world.held());
    world.uses("a", "a", 900);
    assert_eq!(decided(&mut world, 10), ["a", "b"]);
    // A pod more in c takes nothing from the others.
    world.pod("c", "c-2", "c", 100);
    world.is_on("n2", "c", "c-2");
    assert_eq!(decided(&mut world, 1), ["c"]);
    assert_eq!(amounts(&world.held()), [1000, 1000, 500, 500]);
    // What the administrator writes concerns all.
    world.tree("tree", 2, of_a_b_c(200));
    assert_eq!(decided(&mut world, 1), ["a", "b", "c"]);
    assert_eq!(amounts(&world.held()), [750, 750, 750, 750]);
}
