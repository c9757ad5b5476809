//! What the pools look like while they live: bars, and what became of them.

use k8s_openapi::api::events::v1::Event as Told;
use serde_json::json;

use super::shop;
use crate::{
    api::{ClusterWeightedShare, Resources},
    cli::{
        Looked, Wanted,
        history::{HistoryEntry, history, table},
        top::{Style, top},
        usage::usage,
    },
    cluster::{Event, Kept},
};

const WIDE: Style = Style { width: 80, colours: false, headers: true };

/// The shop, as a controller has left it.
fn divided() -> Looked {
    let mut looked = shop();
    let member = |name: &str, state: &str, share: u64, fair: u64| {
        json!({
            "name": name, "weight": 100, "pods": 1, "state": state, "reason": state,
            "share": {"cpu": format!("{share}m")}, "fair": {"cpu": format!("{fair}m")},
        })
    };
    let status = json!({
        "capacity": {"cpu": "2"}, "allocated": {"cpu": "1805m"},
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "NoRoom", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Overcommitted", "status": "True", "reason": "MinAboveCapacity", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
        "members": [
            member("checkout", "Settled", 871, 1333),
            member("search", "Settled", 600, 333),
            member("batch", "Deferred", 334, 334),
        ],
    });
    let (_, pool) = looked.cluster.pools().next().unwrap();
    let mut pool = pool.object.clone();
    pool.status = Some(serde_json::from_value(status).unwrap());
    looked.cluster.apply(Event::Applied(pool.key(), pool.read()));
    looked
}

#[test]
fn bars_show_what_is_used_granted_and_owned() {
    let text = top(&divided(), &Wanted::default(), WIDE);
    assert_eq!(text, include_str!("shop-top.txt"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let elsewhere = Wanted { namespace: Some("elsewhere".into()), ..Wanted::default() };
    assert_eq!(top(&divided(), &elsewhere, WIDE), "No pools found.\n");
    assert!(usage(&divided(), &elsewhere).pools.is_empty());
    assert!(top(&shop(), &Wanted::default(), WIDE).contains("Not divided yet."));
    let bare = top(&divided(), &Wanted::default(), Style { headers: false, ..WIDE });
    assert!(!bare.contains("SHARE") && !bare.contains("granted"), "{bare}");
    assert!(bare.contains("\n  cpu: 1805m of 2\n"), "{bare}");
}

#[test]
fn a_tree_is_above_its_pools_with_what_its_members_use() {
    let mut looked = divided();
    let (_, pool) = looked.cluster.pools().next().unwrap();
    let mut pool = pool.object.clone();
    pool.spec.capacity = Resources::default();
    let from = json!({"clusterWeightedShare": {"name": "company"}});
    pool.spec.capacity_from = Some(serde_json::from_value(from).unwrap());
    // Of batch nothing is measured, so it is not known what all use.
    pool.spec.members.retain(|member| member.name != "batch");
    looked.cluster.apply(Event::Applied(pool.key(), pool.read()));
    let amounts = |fair: &str, share: &str| json!({"fair": {"cpu": fair}, "share": {"cpu": share}});
    let member = |name: &str, amounts: serde_json::Value| {
        let mut member =
            json!({"name": name, "weight": 100, "effectiveWeight": 100, "pools": 1, "pods": 1});
        member.as_object_mut().unwrap().extend(amounts.as_object().unwrap().clone());
        member
    };
    let tree: ClusterWeightedShare = serde_json::from_value(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": "company"},
        "spec": {"capacity": {"cpu": "3"}, "members": [
            {"name": "shop", "namespaces": ["shop"], "min": {"cpu": "500m"}},
            {"name": "farm", "namespaces": ["farm"]},
        ]},
        "status": {
            "capacity": {"cpu": "3"}, "allocated": {"cpu": "2500m"},
            "members": [member("shop", amounts("2", "2500m")), member("farm", amounts("1", "0"))],
            "conditions": [{
                "type": "Overcommitted", "status": "True", "reason": "MinAboveCapacity", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    }))
    .unwrap();
    looked.cluster.apply(Event::Applied(tree.key(), tree.read()));
    let text = top(&looked, &Wanted::default(), WIDE);
    let (of_tree, of_pools) = text.split_once("\n\n").unwrap();
    assert!(of_pools.starts_with("shop/shop"), "{text}");
    let lines: Vec<&str> = of_tree.lines().collect();
    assert_eq!(lines[0], "Tree company  Overcommitted (MinAboveCapacity)");
    assert!(lines[1].starts_with("  cpu: 2500m of 3 "), "{text}");
    assert!(
        lines[2].starts_with("  shop ")
            && lines[2].ends_with("1310m    2500m        2  borrows 500m"),
        "{text}"
    );
    assert!(
        lines[3].starts_with("  farm ") && lines[3].ends_with("-        0        1  offers 1"),
        "{text}"
    );
    let json = serde_json::to_value(usage(&looked, &Wanted::default()).trees).unwrap();
    let amounts = json!({"used": 1310, "share": 2500, "fair": 2000, "min": 500});
    assert_eq!(
        json,
        json!([{
            "name": "company", "capacity": {"cpu": "3"}, "allocated": {"cpu": "2500m"},
            "members": [
                {"name": "shop", "cpu": amounts, "reason": ""},
                {"name": "farm", "cpu": {"used": null, "share": 0, "fair": 1000, "min": 0}, "reason": ""},
            ],
        }])
    );
    // A tree is shown with a pool of it only.
    let elsewhere = Wanted { namespace: Some("farm".into()), ..Wanted::default() };
    assert_eq!(top(&looked, &elsewhere, WIDE), "No pools found.\n");
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = top(&divided(), &Wanted::default(), Style { colours: true, ..WIDE });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_ne!(coloured, top(&divided(), &Wanted::default(), WIDE));
    assert_eq!(plain + rest, top(&divided(), &Wanted::default(), WIDE));
    // However narrow, it is drawn.
    assert!(top(&divided(), &Wanted::default(), Style { width: 0, ..WIDE }).contains("checkout"));
}

#[test]
fn the_history_is_in_order_and_ours_alone() {
    let event = |second: u8, controller: &str, pool: &str, type_: &str| -> Told {
        serde_json::from_value(json!({
            "metadata": {}, "eventTime": format!("2026-01-01T10:00:{second:02}.000000Z"), "type": type_,
            "reportingController": controller, "reason": "Resized", "note": format!("at {second}"),
            "regarding": {"kind": "WeightedShare", "namespace": "shop", "name": pool},
        }))
        .unwrap()
    };
    let events = [
        event(9, "weightedshare", "shop", "Warning"),
        event(3, "weightedshare", "other", "Normal"),
        event(5, "other-controller", "shop", "Normal"),
        event(1, "weightedshare", "shop", "Normal"),
    ];
    let now = "2026-01-01T10:00:39Z".parse().unwrap();
    let shown = |entries: &[HistoryEntry], all| table(entries, now, all, true);
    assert_eq!(
        shown(&history(&events, None), true),
        "NAMESPACE  LAST SEEN  TYPE     REASON   OBJECT               MESSAGE\n\
         shop       38s        Normal   Resized  WeightedShare/shop   at 1\n\
         shop       36s        Normal   Resized  WeightedShare/other  at 3\n\
         shop       30s        Warning  Resized  WeightedShare/shop   at 9\n"
    );
    assert_eq!(
        shown(&history(&events, Some("other")), false),
        "LAST SEEN  TYPE    REASON   OBJECT               MESSAGE\n\
         36s        Normal  Resized  WeightedShare/other  at 3\n"
    );
    assert_eq!(table(&history(&events, Some("other")), now, false, false).lines().count(), 1);
    assert!(shown(&[], true).starts_with("No events found."));
    let json = serde_json::to_value(history(&events, Some("other"))).unwrap();
    assert_eq!(
        json,
        json!([{
            "time": "2026-01-01T10:00:03Z", "type": "Normal", "reason": "Resized",
            "namespace": "shop", "kind": "WeightedShare", "name": "other", "message": "at 3",
        }])
    );
}

#[test]
fn programs_get_what_the_bars_show() {
    let json = serde_json::to_value(usage(&divided(), &Wanted::default())).unwrap();
    let pool = &json["pools"][0];
    assert_eq!((&pool["namespace"], &pool["capacity"]["cpu"]), (&json!("shop"), &json!("2")));
    let search = &pool["members"][1];
    assert_eq!(search["name"], "search");
    assert_eq!((&search["cpu"]["share"], &search["cpu"]["fair"]), (&json!(600), &json!(333)));
    assert!(search["cpu"]["used"].as_u64().unwrap() > 0, "{search}");
    assert!(search.get("memory").is_none(), "{search}");
}
