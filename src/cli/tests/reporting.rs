//! What pools say of themselves.

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::{
    api::WeightedShare,
    cli::status::{PoolReport, names, status},
};

fn report(pool: Value) -> PoolReport {
    let guard: DeserializeGuard<WeightedShare> = serde_json::from_value(pool).unwrap();
    PoolReport::of(&guard)
}

fn pool(status: Option<Value>) -> Value {
    let mut pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {
            "name": "shop", "namespace": "web", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"capacity": {"cpu": "6"}, "mode": "Observe", "members": []},
    });
    if let Some(status) = status {
        pool["status"] = status;
    }
    pool
}

fn divided(generation: i64) -> Value {
    let condition = |type_: &str, status: &str, message: &str| {
        json!({
            "type": type_, "status": status, "reason": "Because", "message": message,
            "lastTransitionTime": "2026-01-01T00:04:30Z",
        })
    };
    json!({
        "observedGeneration": generation,
        "capacity": {"cpu": "6"}, "allocated": {"cpu": "5150m"}, "lent": {"cpu": "560m"},
        "conditions": [condition("Ready", "True", "All is well."), condition("MetricsAvailable", "True", "")],
        "members": [
            {
                "name": "checkout", "weight": 400, "pods": 2, "state": "Settled", "reason": "Settled",
                "dynamicWeight": {"weight": 520}, "demand": {"cpu": "2880m"}, "fair": {"cpu": "4480m"},
                "share": {"cpu": "3070m"}, "applied": {"cpu": "3070m"},
            },
            {
                "name": "vm", "weight": 20, "pods": 1, "state": "Skipped", "reason": "BestEffort",
                "message": "Pod vm-1 has no requests.", "fair": {"cpu": "400m"},
                "recommendations": [{"virtualMachine": "db", "message": "Two more sockets.", "manifest": ""}],
            },
        ],
    })
}

fn now() -> Timestamp {
    "2026-01-01T00:05:00Z".parse().unwrap()
}

#[test]
fn a_status_is_told_as_in_a_description() {
    let told = status(&[report(pool(Some(divided(3))))], now(), true);
    assert_eq!(
        told,
        "\
Name:       shop
Namespace:  web
Mode:       Observe
Age:        5m
Capacity:   cpu 6
Allocated:  cpu 5150m
Lent:       cpu 560m
Conditions:
  TYPE              STATUS  REASON   AGE  MESSAGE
  Ready             True    Because  30s  All is well.
  MetricsAvailable  True    Because  30s
Members:
  NAME      WEIGHT  PODS  CPU: DEMAND   FAIR  SHARE  APPLIED    STATE  MESSAGE
  checkout     520     2        2880m  4480m  3070m    3070m  Settled  Settled
  vm            20     1            -   400m      -        -  Skipped  BestEffort: Pod vm-1 has no requests.
Recommendations:
  VirtualMachine db: Two more sockets.
"
    );
    let bare = status(&[report(pool(Some(divided(3))))], now(), false);
    assert_eq!(bare.lines().count() + 2, told.lines().count(), "{bare}");
}

#[test]
fn what_a_controller_has_not_seen_is_said() {
    let told = |pool: Value| status(&[report(pool)], now(), true);
    assert!(told(pool(None)).contains("Not divided yet. Is the controller running?"));
    assert!(told(pool(Some(divided(2)))).contains("has not seen the last edit yet"));
    assert!(!told(pool(Some(divided(3)))).contains("has not seen"));
    let mut broken = pool(None);
    broken["spec"]["mode"] = json!("Sometimes");
    assert!(told(broken).contains("Error:      it cannot be read, so it is not divided: "));
    assert_eq!(status(&[], now(), true), "No pools found.\n");
}

#[test]
fn programs_get_the_status_as_it_is_stored() {
    let report = report(pool(Some(divided(3))));
    let json = serde_json::to_value([&report]).unwrap();
    assert_eq!(json[0]["status"]["members"][0]["share"]["cpu"], "3070m");
    assert_eq!((&json[0]["mode"], &json[0]["generation"]), (&json!("Observe"), &json!(3)));
    assert_eq!(names(&[report]), "weightedshare.weightedshare.dev/shop\n");
}
