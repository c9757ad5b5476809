use std::time::Duration;

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use serde_json::json;
use tokio::time::{Instant, advance};
use tower::ServiceExt;

use crate::{
    api::{ClusterWeightedShare, WeightedShare},
    cluster::PoolId,
    engine::Remembered,
    runtime::{
        Address, Health, Leadership, PublishedPools, PublishedTrees, Recall, Telemetry, Terms,
    },
    share::Resource,
};

async fn ask(routes: &Router, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).unwrap();
    routes.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn a_process_lives_until_a_turn_or_its_own_end_hangs() {
    let (health, leadership) = (Health::default(), Leadership::by(Terms::of_seconds(15)));
    let routes = health.clone().routes(leadership.clone());
    assert_eq!(ask(&routes, "/healthz").await, StatusCode::OK);
    assert_eq!(ask(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    health.fills();
    assert_eq!(ask(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    health.filled();
    assert_eq!(ask(&routes, "/readyz").await, StatusCode::OK);

    let turn = health.turn();
    advance(Duration::from_secs(120)).await;
    assert_eq!(ask(&routes, "/healthz").await, StatusCode::OK);
    advance(Duration::from_secs(120)).await;
    assert_eq!(ask(&routes, "/healthz").await, StatusCode::SERVICE_UNAVAILABLE);
    drop(turn);
    assert_eq!(ask(&routes, "/healthz").await, StatusCode::OK);

    leadership.renewed(Instant::now());
    advance(Duration::from_secs(65)).await;
    assert_eq!(ask(&routes, "/healthz").await, StatusCode::OK);
    advance(Duration::from_secs(10)).await;
    assert_eq!(health.lives(&leadership), Err("the lease was lost 65 s ago".to_owned()));
}

#[test]
fn turns_and_resizes_are_counted() {
    let metrics = Telemetry::of(PublishedPools::default(), PublishedTrees::default(), true);
    metrics.leads(true);
    metrics.decided(3, Duration::from_millis(20));
    metrics.write_failed(Duration::from_secs(2));
    metrics.resize(Resource::Cpu, true, None);
    metrics.resize(Resource::Memory, false, Some("QuotaExceeded"));
    let text = metrics.text().unwrap();
    for line in [
        "controller_runtime_reconcile_total{controller=\"weightedshare\",result=\"success\"} 1",
        "weightedshare_pools_decided_total 3",
        "controller_runtime_reconcile_errors_total{controller=\"weightedshare\"} 1",
        "controller_runtime_reconcile_time_seconds_bucket{le=\"0.025\",controller=\"weightedshare\"} 1",
        "controller_runtime_reconcile_time_seconds_count{controller=\"weightedshare\"} 2",
        "leader_election_master_status{name=\"weighted-share\"} 1",
        "weightedshare_resizes_total{resource=\"cpu\",direction=\"grow\",result=\"sent\"} 1",
        "weightedshare_resizes_total{resource=\"memory\",direction=\"shrink\",result=\"QuotaExceeded\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn members_are_counted_as_long_as_their_pool_is_there() {
    let pools = PublishedPools::default();
    let metrics = Telemetry::of(pools.clone(), PublishedTrees::default(), true);
    let member = |name: &str, state: &str, reason: &str| {
        json!({
            "name": name, "state": state, "reason": reason, "weight": 1, "effectiveWeight": 1, "pods": 1,
        })
    };
    let mut members = json!([
        member("a", "Settled", "Settled"),
        member("b", "Settled", "Settled"),
        member("c", "Deferred", "NoRoom"),
    ]);
    members[0]["share"] = json!({"cpu": "1500m", "memory": "1Gi"});
    let pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": "pool", "namespace": "ns"},
        "spec": {"capacity": {"cpu": "1"}, "members": []},
        "status": {"members": members, "capacity": {"cpu": "2"}, "conditions": [{
            "type": "Ready", "status": "True", "reason": "Divided", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    let pool: WeightedShare = serde_json::from_value(pool).unwrap();
    let id = PoolId::of(&pool.metadata);
    pools.set(&id, Some(&pool));
    let text = metrics.text().unwrap();
    let of_pool = "namespace=\"ns\",pool=\"pool\"";
    for line in [
        "weightedshare_members{state=\"Settled\",reason=\"Settled\"} 2.0".to_owned(),
        "weightedshare_members{state=\"Deferred\",reason=\"NoRoom\"} 1.0".to_owned(),
        format!("weightedshare_pool_capacity{{{of_pool},resource=\"cpu\",unit=\"core\"}} 2.0"),
        format!(
            "weightedshare_member_share{{{of_pool},member=\"a\",resource=\"cpu\",unit=\"core\"}} 1.5"
        ),
        format!(
            "weightedshare_member_share{{{of_pool},member=\"a\",resource=\"memory\",unit=\"byte\"}} 1073741824.0"
        ),
        format!(
            "weightedshare_pool_condition{{{of_pool},condition=\"Ready\",reason=\"Divided\"}} 1.0"
        ),
        format!("weightedshare_member_weight{{{of_pool},member=\"c\"}} 1.0"),
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
    // Without its series a member still counts among all.
    let without = Telemetry::of(pools.clone(), PublishedTrees::default(), false).text().unwrap();
    assert!(without.contains("weightedshare_members{state=") && without.contains(of_pool));
    assert!(!without.contains("member=\""), "{without}");
    pools.set(&id, None);
    assert!(
        !metrics.text().unwrap().contains("{state=")
            && !metrics.text().unwrap().contains("pool=\"")
    );

    let routes = metrics.routes();
    assert_eq!(ask(&routes, "/metrics").await, StatusCode::OK);
}

#[test]
fn trees_are_told_of_as_long_as_they_are_there() {
    let trees = PublishedTrees::default();
    let metrics = Telemetry::of(PublishedPools::default(), trees.clone(), true);
    let tree: ClusterWeightedShare = serde_json::from_value(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": "company"},
        "spec": {"capacity": {"cpu": "2"}, "members": []},
        "status": {
            "capacity": {"cpu": "2"}, "lent": {"cpu": "250m"},
            "members": [{
                "name": "shop", "weight": 100, "effectiveWeight": 300, "pools": 1, "pods": 1,
                "share": {"cpu": "1500m"},
            }],
            "conditions": [{
                "type": "Overcommitted", "status": "True", "reason": "MinAboveCapacity", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    }))
    .unwrap();
    trees.set(&"company".to_owned(), Some(&tree));
    let text = metrics.text().unwrap();
    for line in [
        "weightedshare_tree_capacity{tree=\"company\",resource=\"cpu\",unit=\"core\"} 2.0",
        "weightedshare_tree_lent{tree=\"company\",resource=\"cpu\",unit=\"core\"} 0.25",
        "weightedshare_tree_member_share{tree=\"company\",member=\"shop\",resource=\"cpu\",unit=\"core\"} 1.5",
        "weightedshare_tree_member_weight{tree=\"company\",member=\"shop\"} 300.0",
        "weightedshare_tree_condition{tree=\"company\",condition=\"Overcommitted\",reason=\"MinAboveCapacity\"} 1.0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
    trees.set(&"company".to_owned(), None);
    assert!(!metrics.text().unwrap().contains("tree=\""));
}

#[test]
fn an_address_is_one_or_all_or_none() {
    for text in ["127.0.0.1:8080", "[::1]:8080", ":8081", "0"] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    for text in ["", "8080", "localhost:8080", ":", ":70000"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn who_does_not_lead_remembers_nothing_for_others() {
    let recall = Recall::default();
    let routes = recall.clone().routes();
    assert_eq!(ask(&routes, "/remembered").await, StatusCode::SERVICE_UNAVAILABLE);
    // The loop that leads answers.
    let mut asked = recall.asked.lock().await;
    let (answer, ()) = tokio::join!(ask(&routes, "/remembered"), async {
        asked.recv().await.unwrap().send(Remembered::default()).unwrap();
    });
    assert_eq!(answer, StatusCode::OK);
}
