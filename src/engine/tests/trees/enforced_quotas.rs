//! Quotas that keep namespaces to their part.

use super::*;

/// Two namespaces, of which shop is kept to its part.
fn enforced() -> World {
    let mut world = two_namespaces();
    world.tree("tenants", 2, members(json!({"enforce": "ResourceQuota"})));
    world
}

fn members(more: Value) -> Value {
    let mut web = json!({"name": "web", "weight": 300, "namespaces": ["shop"]});
    web.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let batch = json!({"name": "batch", "weight": 100, "namespaces": ["farm"]});
    json!({"capacity": {"cpu": "1"}, "members": [web, batch]})
}

/// What is wrong with the member web.
fn reason(world: &World) -> String {
    world.told["tenants"].members[0].reason.clone()
}

#[test]
fn a_quota_has_what_its_namespace_is_granted() {
    let mut world = enforced();
    world.turn();
    assert_eq!(reason(&world), "NotEnforced");
    assert_eq!(amounts(&world.settle(1000)), [250, 750]);
    assert_eq!(world.quotas, BTreeMap::from([("shop".to_owned(), 750)]));
    assert_eq!(reason(&world), "");
    // What it borrows is in its quota before it holds that.
    for (namespace, pod, milli) in [("shop", "a", 900), ("farm", "b", 50)] {
        world.uses(namespace, pod, milli);
    }
    let held = world.settle(1000);
    assert!(held["shop/a"] > 850 && world.quotas["shop"] >= held["shop/a"], "{held:?}");
    // What it gave back is out of its quota, too.
    world.uses("farm", "b", 900);
    assert_eq!(amounts(&world.settle(1000)), [250, 750]);
    assert_eq!(world.quotas["shop"], 750);
}

#[test]
fn a_quota_is_never_below_what_the_pods_of_its_namespace_hold() {
    let mut world = enforced();
    world.pod("shop", "stranger", "stranger", 900);
    world.settle(1900);
    // One of no pool counts, too.
    assert!(world.quotas["shop"] >= 900 + world.held()["shop/a"], "{:?}", world.quotas);
    assert!(world.quotas["shop"] <= 1750, "{:?}", world.quotas);
}

#[test]
fn a_flood_of_pods_raises_no_quota() {
    let mut world = enforced();
    world.settle(1000);
    for i in 0..90 {
        world.pod("shop", &format!("flood-{i}"), "a", 10);
    }
    // Their floors are 910m together, and shop is entitled to 750m.
    let held = world.settle(2000);
    let all: u64 =
        held.iter().filter(|(name, _)| name.starts_with("shop/")).map(|(_, it)| it).sum();
    assert_eq!((all, world.quotas["shop"]), (910, 910), "what is there already stays");
    world.cluster.apply(Event::Listed(
        Kind::Pod,
        [Key { kind: Kind::Pod, namespace: "farm".into(), name: "b".into() }].into(),
    ));
    world.pod("shop", "a", "a", 100);
    world.settle(1000);
    assert_eq!(world.quotas["shop"], 750);
}

#[test]
fn a_quota_goes_when_it_is_not_wanted_any_more() {
    let mut world = enforced();
    world.settle(1000);
    world.tree("tenants", 3, members(json!({})));
    world.settle(1000);
    assert!(world.quotas.is_empty(), "{:?}", world.quotas);

    world.tree("tenants", 4, members(json!({"enforce": "ResourceQuota"})));
    world.settle(1000);
    assert_eq!(world.quotas.len(), 1);
    let elsewhere = members(json!({"enforce": "ResourceQuota", "namespaces": ["elsewhere"]}));
    world.tree("tenants", 5, elsewhere);
    world.settle(2000);
    assert!(world.quotas.is_empty(), "{:?}", world.quotas);
}

#[test]
fn a_quota_of_others_stays_as_it_is() {
    let mut world = enforced();
    let theirs = Quota {
        name: ENFORCED_QUOTA.into(),
        requests: PerResource { cpu: Some(Bounded { hard: 500, used: 0 }), memory: None },
        ..Quota::default()
    };
    world.see(Kind::ResourceQuota, "shop", ENFORCED_QUOTA, Object::Quota(Some(theirs)));
    let held = world.settle(1000);
    assert!(held["shop/a"] <= 500 && world.quotas.is_empty(), "{held:?} {:?}", world.quotas);
    assert_eq!(reason(&world), "NotEnforced");
    let message = &world.told["tenants"].members[0].message;
    assert!(message.contains("was not written by this controller"), "{message}");
}
