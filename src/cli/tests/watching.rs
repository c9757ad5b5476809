//! What the pools look like while they live: bars, and what became of them.

use k8s_openapi::api::events::v1::Event as Told;
use serde_json::json;

use super::shop;
use crate::{
    cli::{
        Looked,
        history::history,
        top::{Style, top},
    },
    cluster::{Event, Kept},
};

const WIDE: Style = Style { width: 80, colours: false };

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
    let text = top(&divided(), None, WIDE);
    assert_eq!(text, include_str!("shop-top.txt"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(top(&divided(), Some("elsewhere"), WIDE), "There are no pools.\n");
    assert!(top(&shop(), None, WIDE).contains("Not divided yet."));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = top(&divided(), None, Style { colours: true, ..WIDE });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_ne!(coloured, top(&divided(), None, WIDE));
    assert_eq!(plain + rest, top(&divided(), None, WIDE));
    // However narrow, it is drawn.
    assert!(top(&divided(), None, Style { width: 0, colours: false }).contains("checkout"));
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
        event(5, "somebody", "shop", "Normal"),
        event(1, "weightedshare", "shop", "Normal"),
    ];
    assert_eq!(
        history(&events, None),
        "2026-01-01 10:00:01   shop/shop  Resized: at 1\n\
         2026-01-01 10:00:03   shop/other  Resized: at 3\n\
         2026-01-01 10:00:09 ! shop/shop  Resized: at 9\n"
    );
    assert_eq!(history(&events, Some("other")).lines().count(), 1);
    assert!(history(&[], None).starts_with("No events found."));
}
