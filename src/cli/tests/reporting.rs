//! What pools say of themselves.

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::{
    api::{ClusterWeightedShare, WeightedShare},
    cli::status::{Report, names, status},
};

fn report(pool: Value) -> Report {
    let guard: DeserializeGuard<WeightedShare> = serde_json::from_value(pool).unwrap();
    Report::of_pool(&guard)
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

#[test]
fn a_tree_tells_its_status_too() {
    let member = |name: &str, rest: Value| {
        let mut member =
            json!({"name": name, "weight": 100, "effectiveWeight": 300, "pools": 2, "pods": 5});
        member.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        member
    };
    let tree = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
        "metadata": {"name": "company", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"capacity": {"cpu": "6"}},
        "status": {
            "observedGeneration": 1, "capacity": {"cpu": "6"}, "allocated": {"cpu": "5"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Divided", "message": "All is well.",
                "lastTransitionTime": "2026-01-01T00:04:30Z",
            }],
            "members": [
                member("shop", json!({"fair": {"cpu": "4"}, "share": {"cpu": "3"}, "applied": {"cpu": "3"}})),
                member("idle", json!({"reason": "NoPools", "message": "No pool."})),
            ],
        },
    });
    let guard: DeserializeGuard<ClusterWeightedShare> = serde_json::from_value(tree).unwrap();
    let report = Report::of_tree(&guard);
    assert_eq!(
        status(std::slice::from_ref(&report), now(), true),
        "\
Name:       company
Age:        5m
Capacity:   cpu 6
Allocated:  cpu 5
Conditions:
  TYPE   STATUS  REASON   AGE  MESSAGE
  Ready  True    Divided  30s  All is well.
Members:
  NAME  WEIGHT  POOLS  PODS  CPU: FAIR  SHARE  APPLIED  MESSAGE
  shop     300      2     5          4      3        3
  idle     300      2     5          -      -        -  NoPools: No pool.
"
    );
    let json = serde_json::to_value([&report]).unwrap();
    assert_eq!(
        (&json[0]["status"]["members"][0]["pools"], json[0].get("namespace")),
        (&json!(2), None)
    );
    assert_eq!(names(&[report]), "clusterweightedshare.weightedshare.dev/company\n");
}
