//! What trees consist of, and what is wrong with those that cannot be divided.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::{ClusterWeightedShare, WeightedShare},
    cluster::{Event, Kept, Key, Kind, Object},
};

fn cluster(trees: &[(&str, Value)], pools: &[(&str, &str, &str)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (name, spec) in trees {
        let tree: ClusterWeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
            "metadata": {"name": name}, "spec": spec,
        }))
        .unwrap();
        cluster.apply(Event::Applied(tree.key(), tree.read()));
    }
    for (namespace, name, tree) in pools {
        let pool: WeightedShare = serde_json::from_value(json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"capacityFrom": {"clusterWeightedShare": {"name": tree}}},
        }))
        .unwrap();
        cluster.apply(Event::Applied(pool.key(), pool.read()));
    }
    cluster
}

fn namespace(cluster: &mut Cluster, name: &str, labels: Value) {
    let key = Key { kind: Kind::Namespace, namespace: String::new(), name: name.into() };
    let labels = Object::Labels(serde_json::from_value(labels).unwrap());
    cluster.apply(Event::Applied(key, labels));
}

/// The branches of the only tree: depth and name.
fn branches(forest: &Forest) -> Vec<(usize, String)> {
    let [tree] = &forest.trees[..] else { panic!("{forest:?}") };
    let name = |branch: &Branch| match &branch.what {
        What::Member(i) => format!("{}[{i}]", branch.tree),
        What::Namespace(name) | What::EachNamespace(_, name, _) => name.clone(),
        What::Pool(id) => id.name.clone(),
    };
    let all = tree.branches.iter().enumerate();
    all.map(|(i, branch)| (tree.path(BranchIndex(i)).count(), name(branch))).collect()
}

/// Why the pool `a` of a namespace is in no tree.
fn fault(forest: &Forest, cluster: &Cluster, namespace: &str) -> Option<PoolFault> {
    let (id, _) = cluster.pools().find(|(id, _)| id.namespace == namespace).unwrap();
    assert_eq!(forest.place(id).is_none(), forest.pool_fault(id).is_some());
    forest.pool_fault(id).cloned()
}

fn reasons(forest: &Forest) -> Vec<(&str, &'static str)> {
    forest.faults.iter().map(|(name, fault)| (&**name, fault.reason())).collect()
}

fn child(name: &str, tree: &str) -> Value {
    json!({"name": name, "clusterWeightedShare": {"name": tree}})
}

fn of(name: &str, namespace: &str) -> Value {
    json!({"name": name, "namespaces": [namespace]})
}

fn root(members: &[Value]) -> Value {
    json!({"capacity": {"cpu": "8"}, "members": members})
}

fn inner(members: &[Value]) -> Value {
    json!({"members": members})
}

#[test]
fn a_tree_is_laid_out_from_its_root_by_name() {
    let trees = [
        (
            "root",
            root(&[child("z", "inner"), json!({"name": "b", "namespaces": ["shop", "farm"]})]),
        ),
        ("inner", inner(&[of("only", "mill")])),
    ];
    let pools = [
        ("shop", "b", "root"),
        ("shop", "a", "root"),
        ("farm", "a", "root"),
        ("mill", "a", "inner"),
    ];
    let forest = Forest::of(&cluster(&trees, &pools));
    let expected = [
        (1, "root[1]"),
        (2, "farm"),
        (3, "a"),
        (2, "shop"),
        (3, "a"),
        (3, "b"),
        (1, "root[0]"),
        (2, "inner[0]"),
        (3, "mill"),
        (4, "a"),
    ];
    let found = branches(&forest);
    let found: Vec<(usize, &str)> = found.iter().map(|(depth, name)| (*depth, &**name)).collect();
    assert_eq!(found, expected);
    let parts: Vec<_> =
        forest.trees[0].parts.iter().map(|(name, at)| (&**name, at.map(|it| it.0))).collect();
    assert_eq!(parts, [("root", None), ("inner", Some(6))]);
}

#[test]
fn namespaces_are_found_by_their_labels() {
    let tree =
        root(&[json!({"name": "teams", "namespaceSelector": {"matchLabels": {"kind": "team"}}})]);
    let mut cluster = cluster(&[("root", tree)], &[("shop", "a", "root"), ("farm", "a", "root")]);
    namespace(&mut cluster, "shop", json!({"kind": "team"}));
    namespace(&mut cluster, "farm", json!({"kind": "other"}));
    let forest = Forest::of(&cluster);
    assert_eq!(fault(&forest, &cluster, "shop"), None);
    let tree = "root".to_owned();
    let elsewhere = PoolFault::NamespaceNotInTree { tree, other: None };
    assert_eq!(fault(&forest, &cluster, "farm"), Some(elsewhere));
}

#[test]
fn a_pool_cannot_name_a_tree_that_does_not_have_its_namespace() {
    let trees = [("rich", root(&[of("b", "bank")])), ("poor", root(&[of("s", "shop")]))];
    let cluster = cluster(&trees, &[("shop", "a", "rich"), ("bank", "a", "gone")]);
    let forest = Forest::of(&cluster);
    let (tree, other) = ("rich".to_owned(), Some("poor".to_owned()));
    let elsewhere = PoolFault::NamespaceNotInTree { tree, other };
    assert_eq!(fault(&forest, &cluster, "shop"), Some(elsewhere));
    assert_eq!(fault(&forest, &cluster, "bank"), Some(PoolFault::TreeNotFound("gone".into())));
}

#[test]
fn a_namespace_of_two_members_is_divided_in_neither() {
    let trees =
        [("one", root(&[of("s", "shop"), of("f", "farm")])), ("two", root(&[of("t", "shop")]))];
    let cluster = cluster(&trees, &[("shop", "a", "one"), ("farm", "a", "one")]);
    let forest = Forest::of(&cluster);
    let members = vec![("one".to_owned(), "s".to_owned()), ("two".to_owned(), "t".to_owned())];
    assert_eq!(fault(&forest, &cluster, "shop"), Some(PoolFault::SeveralMembers(members)));
    assert_eq!(fault(&forest, &cluster, "farm"), None);
    assert_eq!(forest.contested("two").map(|(name, _)| name).collect::<Vec<_>>(), ["shop"]);
}

#[test]
fn a_fault_in_one_part_is_one_of_the_whole_tree() {
    let trees = [
        ("root", root(&[child("a", "a"), child("b", "b")])),
        ("a", inner(&[of("s", "shop")])),
        ("b", inner(&[child("c", "gone")])),
        ("other", root(&[of("f", "farm")])),
    ];
    let cluster = cluster(&trees, &[("shop", "a", "a"), ("farm", "a", "other")]);
    let forest = Forest::of(&cluster);
    let expected =
        [("a", "OtherPartStalled"), ("b", "MemberNotFound"), ("root", "OtherPartStalled")];
    assert_eq!(reasons(&forest), expected);
    assert_eq!(fault(&forest, &cluster, "shop"), Some(PoolFault::TreeNotDivided("a".into())));
    assert_eq!(fault(&forest, &cluster, "farm"), None);
}

#[test]
fn each_way_to_be_no_tree_is_named() {
    let faults = |trees: &[(&str, Value)]| -> Vec<(String, &'static str)> {
        let forest = Forest::of(&cluster(trees, &[]));
        forest.faults.iter().map(|(name, fault)| (name.clone(), fault.reason())).collect()
    };
    let named = |faults: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        faults.iter().map(|(name, reason)| ((*name).to_owned(), *reason)).collect()
    };
    let cycle = [("a", inner(&[child("m", "b")])), ("b", inner(&[child("m", "a")]))];
    assert_eq!(faults(&cycle), named(&[("a", "Cycle"), ("b", "Cycle")]));
    let own = [("a", root(&[child("m", "b")])), ("b", root(&[]))];
    assert_eq!(faults(&own), named(&[("a", "OtherPartStalled"), ("b", "CapacityOfItsOwn")]));
    let shared =
        [("a", root(&[child("m", "c")])), ("b", root(&[child("m", "c")])), ("c", inner(&[]))];
    let expected = [("a", "OtherPartStalled"), ("b", "OtherPartStalled"), ("c", "SeveralParents")];
    assert_eq!(faults(&shared), named(&expected));
    assert_eq!(faults(&[("a", inner(&[]))]), named(&[("a", "NoCapacity")]));
    assert_eq!(faults(&[("a", root(&[]))]), named(&[]));
}

#[test]
fn a_cycle_is_told_from_the_top_down() {
    let trees = [("a", inner(&[child("m", "b")])), ("b", inner(&[child("m", "a")]))];
    let forest = Forest::of(&cluster(&trees, &[]));
    let path = ["a", "b", "a"].map(str::to_owned).to_vec();
    assert_eq!(forest.tree_fault("a"), Some(&TreeFault::Cycle(path)));
}
