//! The types in use, and the rules as they run without an API server.

use std::sync::LazyLock;

use kube::core::cel::Validator;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::share::{Bytes, MilliCpu};

#[test]
fn a_short_pool_has_the_defaults() {
    let pool: WeightedShare = serde_yaml_ng::from_str(
        "
        apiVersion: weightedshare.dev/v1alpha1
        kind: WeightedShare
        metadata: {name: shop, namespace: shop}
        spec:
          capacity: {cpu: 6}
          members:
          - name: checkout
            targetRef: {apiVersion: apps/v1, kind: Deployment, name: checkout}
        ",
    )
    .unwrap();
    assert_eq!(pool.spec.mode, Mode::Auto);
    assert_eq!(pool.spec.capacity, Resources { cpu: Some(MilliCpu(6000)), memory: None });
    let [checkout] = &pool.spec.members[..] else { panic!("one member") };
    assert_eq!((checkout.weight, checkout.weight_per), (100, WeightPer::Member));
    assert!(checkout.min.is_empty() && checkout.max.is_empty() && checkout.selector.is_none());
    assert_eq!(checkout.target_ref.as_ref().map(|target| &*target.kind), Some("Deployment"));
}

#[test]
fn a_full_pool_is_written_as_it_was_read() {
    let spec = json!({
        "mode": "Observe",
        "capacity": {"cpu": "5500m", "memory": "12Gi"},
        "sharing": {
            "strategy": "Isolated",
            "lendPercent": 50,
            "surplus": "Spread",
            "headroomPercent": 30,
            "nodeReservePercent": 0,
        },
        "members": [{
            "name": "checkout",
            "weight": 400,
            "weightPer": "VCPU",
            "min": {"cpu": "500m"},
            "max": {"cpu": "4", "memory": "1536Mi"},
            "minPerPod": {"cpu": "50m"},
            "lendPercent": 10,
            "limitPolicy": "Ratio",
            "containers": [{"name": "istio-proxy", "mode": "Off"}],
            "allowRestart": true,
            "selector": {"matchLabels": {"app": "checkout"}},
        }],
    });
    let read: WeightedShareSpec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(read.members[0].max.memory, Some(Bytes(3 << 29)));
    assert_eq!(serde_json::to_value(&read).unwrap(), spec);
}

#[test]
fn a_status_says_nothing_of_what_is_not_known() {
    let status = WeightedShareStatus {
        observed_generation: Some(3),
        allocated: Resources { cpu: Some(MilliCpu(1500)), memory: None },
        members: vec![MemberStatus {
            name: "checkout".into(),
            weight: 400,
            state: Some(MemberState::Skipped),
            reason: "NoPods".into(),
            ..MemberStatus::default()
        }],
        ..WeightedShareStatus::default()
    };
    let written = json!({
        "observedGeneration": 3,
        "allocated": {"cpu": "1500m"},
        "members": [
            {"name": "checkout", "weight": 400, "effectiveWeight": 0, "pods": 0, "state": "Skipped", "reason": "NoPods"},
        ],
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), written);
    assert_eq!(serde_json::from_value::<WeightedShareStatus>(written).unwrap(), status);
}

/// A spec for the API server, and what it says to it.
#[derive(Deserialize)]
struct Case {
    name: String,
    spec: Value,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    says: Vec<String>,
}

fn right() -> Vec<Case> {
    serde_yaml_ng::from_str(include_str!("../../e2e/tests/objects/right.yaml")).unwrap()
}

fn wrong() -> Vec<Case> {
    serde_yaml_ng::from_str(include_str!("../../e2e/tests/objects/wrong.yaml")).unwrap()
}

/// What the rules say to a spec: path and sentence.
fn judge(spec: &Value) -> Vec<(String, String)> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let schema = crd().spec.versions.remove(0).schema.unwrap().open_api_v3_schema;
        serde_json::to_value(schema).unwrap()
    });
    let object = json!({"metadata": {"name": "pool"}, "spec": spec});
    match Validator::new().validate_with_defaults(&SCHEMA, &object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => {
            errors.into_vec().into_iter().map(|error| (error.field_path, error.message)).collect()
        }
    }
}

#[test]
fn the_rules_take_what_is_right() {
    for Case { name, spec, .. } in right() {
        assert_eq!(judge(&without_nulls(spec.clone())), [], "{name}");
        let read = serde_json::from_value::<WeightedShareSpec>(without_nulls(spec));
        assert!(read.is_ok(), "{name}: {read:?}");
    }
}

#[test]
fn the_rules_say_what_is_wrong_without_an_api_server() {
    for Case { name, spec, path, says, .. } in wrong().into_iter().filter(|case| case.by.is_none())
    {
        let errors = judge(&spec);
        let [(found, message)] = &errors[..] else { panic!("{name}: {errors:?}") };
        // Only the API server writes the key of a map in brackets.
        assert_eq!(*found, path.replace("[app]", ".app"), "{name}: {message}");
        for words in says {
            assert!(message.contains(&words), "{name}: {message}");
        }
    }
}

#[test]
fn the_rules_take_the_amounts_that_can_be_read() {
    let amounts: Vec<String> =
        serde_yaml_ng::from_str(include_str!("../../e2e/tests/objects/amounts.yaml")).unwrap();
    for text in amounts {
        let min = |amounts: Value| {
            let member = json!({"name": "a", "selector": {}, "min": amounts});
            judge(&json!({"capacity": {"cpu": "1", "memory": "1"}, "members": [member]}))
        };
        let errors = min(json!({"cpu": text}));
        let readable = text.parse().is_ok_and(|cpu: MilliCpu| cpu.0 <= 1_000_000_000_000);
        assert_eq!(errors.is_empty(), readable, "cpu {text}: {errors:?}");

        let errors = min(json!({"memory": text}));
        let readable =
            text.parse().is_ok_and(|memory: Bytes| memory.0 <= 1_000_000_000_000_000_000);
        assert_eq!(errors.is_empty(), readable, "memory {text}: {errors:?}");
    }
}

/// As the API server does with a null where the schema has none.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
