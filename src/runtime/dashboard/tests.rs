use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    Dashboard,
    chart::{Drawn, Line, Time, chart, stack},
    past::Past,
};
use crate::{
    api::{ClusterWeightedShare, WeightedShare, WeightedShareStatus},
    cluster::PoolId,
    engine::Used,
    runtime::{Clock, PublishedPools, PublishedTrees},
    share::Resource,
};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pool of 6 cores whose one member is told of like this.
fn pool(member: Value) -> WeightedShare {
    let mut told = json!({
        "name": "checkout", "state": "Settled", "reason": "Settled", "weight": 400, "effectiveWeight": 400,
        "pods": 2, "fair": {"cpu": "4800m"}, "share": {"cpu": "3270m"}, "applied": {"cpu": "3270m"},
    });
    told.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
    let conditions = json!([{
        "type": "Ready", "status": "True", "reason": "Divided", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {"name": "pool", "namespace": "shop", "uid": "its-uid"},
        "spec": {"capacity": {"cpu": "6"}, "members": [{"name": "checkout", "selector": {"matchLabels": {"app": "it"}}}]},
        "status": {"conditions": conditions, "capacity": {"cpu": "6"}, "allocated": {"cpu": "3270m"}, "members": [told]},
    });
    serde_json::from_value(pool).unwrap()
}

fn status(share: &str) -> WeightedShareStatus {
    pool(json!({"share": {"cpu": share}})).status.unwrap()
}

fn used(cpu: Option<u64>) -> [Used; 1] {
    [Used { cpu, memory: None }]
}

/// A page of this pool.
fn shown(pool: WeightedShare) -> (Dashboard, Router, PublishedPools) {
    let pools = PublishedPools::default();
    pools.set(&PoolId::of(&pool.metadata), Some(&pool));
    let page = Dashboard::of(pools.clone(), PublishedTrees::default());
    let routes = page.clone().routes(Clock::new(|| at(NOW)));
    (page, routes, pools)
}

async fn ask(routes: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = routes.clone().oneshot(request).await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn pools_are_listed_and_a_pool_tells_of_its_members_and_why() {
    let (_, routes, _pools) = shown(pool(json!({})));
    let (status, all) = ask(&routes, "/").await;
    assert_eq!(status, StatusCode::OK);
    for part in ["href=\"pools/shop/pool\"", "Ready", "pods hold 3270m of 6", "width:54.50%"] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
    let (status, one) = ask(&routes, "/pools/shop/pool").await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        "<h3>checkout</h3>",
        "weight 400 · 2 pods",
        "It owns 4800m of cpu, by weight 400 of 400 and within its bounds.",
        "1530m of that is idle: others may use it until this member needs it.",
        "uses ?",
    ] {
        assert!(one.contains(part), "{part} is not in\n{one}");
    }
    let (status, none) = ask(&routes, "/pools/shop/pond").await;
    assert!(
        status == StatusCode::NOT_FOUND && none.contains("There is no pool shop/pond"),
        "{none}"
    );
}

#[tokio::test]
async fn trees_are_above_the_pools() {
    let (pools, trees) = (PublishedPools::default(), PublishedTrees::default());
    pools.begin();
    let tree: ClusterWeightedShare = serde_json::from_value(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": "company"},
        "spec": {"capacity": {"cpu": "8"}, "members": [{"name": "shop", "namespaces": ["shop"]}]},
        "status": {
            "capacity": {"cpu": "8"}, "allocated": {"cpu": "2"},
            "members": [{
                "name": "shop", "weight": 100, "effectiveWeight": 100, "pools": 1, "pods": 3,
                "fair": {"cpu": "8"}, "share": {"cpu": "2"},
            }],
        },
    }))
    .unwrap();
    trees.set(&"company".to_owned(), Some(&tree));
    let routes = Dashboard::of(pools, trees).routes(Clock::new(|| at(NOW)));
    let (_, all) = ask(&routes, "/").await;
    for part in [
        "<h3>company</h3>",
        "pods hold 2 of 8",
        "width:25.00%",
        "<strong>shop</strong> · weight 100 · 3 pods · cpu 2 of 8 owned",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
}

#[tokio::test]
async fn who_stands_by_says_so() {
    let routes = Dashboard::default().routes(Clock::system());
    assert!(ask(&routes, "/").await.1.contains("This replica is on standby"));
    assert!(ask(&routes, "/pools/shop/pool").await.1.contains("This replica is on standby"));
}

/// A message may quote what tenants wrote.
#[tokio::test]
async fn what_others_wrote_stays_text() {
    let told =
        json!({"state": "Deferred", "reason": "Refused", "message": "<script>alert(1)</script>"});
    let (_, routes, _pools) = shown(pool(told));
    let page = ask(&routes, "/pools/shop/pool").await.1;
    assert!(page.contains("Refused: &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    let missing = ask(&routes, "/pools/%3Cscript%3E/x").await.1;
    assert!(missing.contains("&lt;script&gt;") && !missing.contains("<script"), "{missing}");
}

#[tokio::test]
async fn the_page_draws_what_it_saw() {
    let (page, routes, _pools) = shown(pool(json!({})));
    page.saw([("its-uid", &status("2"), &used(Some(1500))[..])].into_iter(), at(NOW - 1800));
    page.saw([("its-uid", &status("4"), &used(None)[..])].into_iter(), at(NOW - 900));
    let shown = ask(&routes, "/pools/shop/pool").await.1;
    // Of 6 cores 2 in the first half, 4 in the second.
    assert!(shown.contains("M0.0 120V80.7H300.0V120ZM300.0 120V41.3H600.0V120Z"), "{shown}");
    // Measured in the first half alone; scaled to the 4800m that it owns.
    assert!(shown.contains("class=\"used\" d=\"M0.0 84.9H300.0\""), "{shown}");
    assert!(shown.contains("30 minutes ago"), "{shown}");
}

#[test]
fn an_hour_is_kept_and_not_more() {
    let mut past = Past::default();
    for second in (0..7200).step_by(10) {
        past.note("uid", &status("2"), &used(None), at(NOW + second));
    }
    let shown = past.of("uid", "checkout", at(NOW + 7190));
    assert_eq!(shown.first().map(|it| it.at), Some(NOW + 7190 - 3590));
    assert_eq!(shown.last().map(|it| it.at), Some(NOW + 7190));
    assert!((119..=122).contains(&shown.len()), "{} points", shown.len());

    // What is new shows at once, and takes the place of what was new before it.
    past.note("uid", &status("3"), &used(None), at(NOW + 7191));
    assert_eq!(past.of("uid", "checkout", at(NOW + 7191)).last().unwrap().share.cpu, 3000.0);
    assert!(past.of("uid", "other", at(NOW + 7191)).is_empty());
}

#[test]
fn pools_that_are_gone_are_forgotten_and_so_is_a_time_that_is_yet_to_come() {
    let mut past = Past::default();
    past.note("gone", &status("2"), &used(None), at(NOW));
    past.forget(at(NOW + 3601));
    past.note("uid", &status("2"), &used(None), at(NOW + 3601));
    assert!(past.of("gone", "checkout", at(NOW)).is_empty());
    // The clock was set back by a day.
    let before = at(NOW) - SignedDuration::from_hours(24);
    past.forget(before);
    past.note("uid", &status("3"), &used(None), before);
    let past = past.of("uid", "checkout", before);
    assert_eq!(past.iter().map(|it| it.share.cpu).collect::<Vec<_>>(), [3000.0]);
}

#[test]
fn of_very_many_members_the_first_have_a_past() {
    let mut past = Past::default();
    for pool in 0..2100 {
        past.note(&format!("{pool:04}"), &status("2"), &used(None), at(NOW));
    }
    let with = |pool: i64| !past.of(&format!("{pool:04}"), "checkout", at(NOW)).is_empty();
    assert!(with(0) && with(2047) && !with(2048) && !with(2099));
}

#[test]
fn a_line_has_gaps_where_nobody_measured() {
    let line = vec![(NOW - 3600, 10.0), (NOW - 2700, f32::NAN), (NOW - 900, 5.0)];
    let drawn = [Drawn { class: "used".into(), filled: false, line }];
    let hour = Time { from: NOW - 3600, to: NOW };
    let svg = chart(&drawn, 10.0, hour, "it").0;
    assert!(svg.contains("d=\"M0.0 2.0H150.0M450.0 61.0H600.0\""), "{svg}");
    // Nothing is no trouble.
    let nothing = [Drawn { class: "used".into(), filled: true, line: vec![(NOW, 0.0)] }];
    let svg = chart(&nothing, 0.0, Time { from: NOW, to: NOW }, "it").0;
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

proptest! {
    /// On top is the sum of what all had last.
    #[test]
    fn the_stack_is_as_high_as_all_together(lines in prop::collection::vec(
        prop::collection::btree_map(0_i64..100, 0_u16..1000, 0..8), 1..5,
    )) {
        let lines: Vec<Line> = lines
            .iter()
            .map(|line| line.iter().map(|(at, amount)| (*at, f32::from(*amount))).collect())
            .collect();
        let stacked = stack(&lines);
        for (at, height) in stacked.last().unwrap() {
            let last = |line: &Line| {
                line.iter().rev().find(|(then, _)| then <= at).map_or(0.0, |(_, amount)| *amount)
            };
            prop_assert_eq!(*height, lines.iter().map(last).sum::<f32>());
        }
    }
}

#[test]
fn each_resource_of_the_capacity_is_shown_and_no_other() {
    let shown = super::view::pool(&pool(json!({})), &Past::default(), at(NOW)).0;
    assert!(shown.contains("Shares of cpu") && !shown.contains("memory"), "{}", Resource::Memory);
}
