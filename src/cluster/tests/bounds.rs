//! How much one namespace may have.

use super::*;

fn pool(namespace: &str, name: &str, created: u8, expressions: &[&str]) -> WeightedShare {
    let member = |(i, expression): (usize, &&str)| {
        let dynamic = (!expression.is_empty()).then(|| json!({"expression": expression}));
        json!({"name": format!("m{i}"), "selector": {}, "dynamicWeight": dynamic})
    };
    object(json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {
            "namespace": namespace, "name": name, "uid": name,
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z"),
        },
        "spec": {
            "capacity": {"cpu": "1"},
            "members": expressions.iter().enumerate().map(member).collect::<Vec<_>>(),
        },
    }))
}

/// The pools of shop that are over a bound, and which.
fn over(cluster: &Cluster) -> Vec<(String, &'static str)> {
    let pools = cluster.over_bounds(cluster.namespace("shop").unwrap().pools().keys());
    pools.map(|(id, _, excess)| (id.name.clone(), excess.reason())).collect()
}

#[test]
fn the_oldest_pools_of_a_namespace_come_first() {
    let bounds = Bounds { pools: 2, members: 5, expressions: 10, ..Bounds::default() };
    let mut cluster = Cluster::bounded(bounds);
    put(&mut cluster, [pool("shop", "third", 30, &[""]), pool("shop", "first", 10, &[""])]);
    put(&mut cluster, [pool("else", "other", 1, &[""; 5])]);
    assert_eq!(over(&cluster), []);
    put(&mut cluster, [pool("shop", "second", 20, &["", ""])]);
    assert_eq!(over(&cluster), [("third".into(), "TooManyPools")]);
    let changed = cluster.take_changes().pools;
    assert!(changed.iter().any(|id| id.name == "third"), "{changed:?}");

    // One that grows is over itself, and lets the next in.
    put(&mut cluster, [pool("shop", "second", 20, &[""; 5])]);
    assert_eq!(over(&cluster), [("second".into(), "TooManyMembers")]);
    put(&mut cluster, [pool("shop", "second", 20, &["weight", "weight"])]);
    assert_eq!(over(&cluster), [("second".into(), "TooLongExpressions")]);
    // One that goes makes room.
    put(&mut cluster, [pool("shop", "second", 20, &["", ""])]);
    let gone = pool("shop", "first", 10, &[""]).key();
    cluster.apply(Event::Deleted(gone));
    assert_eq!(over(&cluster), []);
    assert!(cluster.pools().all(|(_, pool)| pool.is_live()));
}

#[test]
fn a_namespace_that_is_left_out_has_no_pools() {
    let names = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
    let over_with = |include: &[&str], exclude: &[&str]| {
        let namespaces = AllowedNamespaces { include: names(include), exclude: names(exclude) };
        let mut cluster = Cluster::bounded(Bounds { namespaces, ..Bounds::default() });
        put(&mut cluster, [pool("shop", "pool", 1, &[""]), pool("else", "pool", 2, &[""])]);
        assert!(cluster.namespace("else").unwrap().pools().values().all(Pool::is_live));
        over(&cluster)
    };
    let left_out = [("pool".to_owned(), "NamespaceExcluded")];
    assert_eq!(over_with(&[], &[]), []);
    assert_eq!(over_with(&["else", "shop"], &[]), []);
    assert_eq!(over_with(&["else"], &[]), left_out);
    assert_eq!(over_with(&[], &["shop"]), left_out);
    // Who is named in both is left out.
    assert_eq!(over_with(&["else", "shop"], &["shop"]), left_out);
    assert!(!AllowedNamespaces::default().allow("kube-system"));
}
