//! The types in use, and the rules as they run without an API server.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt, core::cel::Validator};
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
            "dynamicWeight": {"expression": "weight", "min": 50, "max": 800, "halfLifeSeconds": 30},
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
fn a_dynamic_weight_has_the_bounds_of_all_weights() {
    let read: DynamicWeight = serde_json::from_value(json!({"expression": "weight"})).unwrap();
    assert_eq!(read, DynamicWeight { expression: "weight".into(), ..DynamicWeight::default() });
    assert_eq!((read.min, read.max, read.half_life_seconds), (1, 10_000, 60));
}

#[test]
fn a_state_of_a_later_version_is_none() {
    let read = |member: Value| serde_json::from_value::<MemberStatus>(member).unwrap().state;
    let member = |state: Value| json!({"name": "a", "weight": 1, "pods": 1, "state": state});
    assert_eq!(read(member(json!("Deferred"))), Some(MemberState::Deferred));
    assert_eq!(read(member(json!("Frozen"))), None);
    assert_eq!(read(member(Value::Null)), None);
    assert_eq!(read(json!({"name": "a", "weight": 1, "pods": 1})), None);
}

#[test]
fn a_status_says_nothing_of_what_is_not_known() {
    let status = WeightedShareStatus {
        observed_generation: Some(3),
        allocated: Resources { cpu: Some(MilliCpu(1500)), memory: None },
        member_count: Some(1),
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
        "memberCount": 1,
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
    #[serde(default)]
    kind: Option<String>,
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

/// What the rules say to the spec of a pool: path and sentence.
fn judge(spec: &Value) -> Vec<(String, String)> {
    judge_as(None, spec)
}

/// What the rules of a kind say to a spec.
fn judge_as(kind: Option<&str>, spec: &Value) -> Vec<(String, String)> {
    static POOL: LazyLock<Value> = LazyLock::new(schema);
    static TREE: LazyLock<Value> = LazyLock::new(|| schema_of(tree_crd()));
    let schema = kind.map_or(&*POOL, |_| &*TREE);
    let object = json!({"metadata": {"name": "pool"}, "spec": spec});
    match Validator::new().validate_with_defaults(schema, &object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => {
            errors.into_vec().into_iter().map(|error| (error.field_path, error.message)).collect()
        }
    }
}

#[test]
fn the_rules_take_what_is_right() {
    for Case { name, kind, spec, .. } in right() {
        let spec = without_nulls(spec);
        assert_eq!(judge_as(kind.as_deref(), &spec), [], "{name}");
        let read = match kind {
            None => serde_json::from_value::<WeightedShareSpec>(spec).map(drop),
            Some(_) => serde_json::from_value::<ClusterWeightedShareSpec>(spec).map(drop),
        };
        assert!(read.is_ok(), "{name}: {read:?}");
    }
}

#[test]
fn the_rules_say_what_is_wrong_without_an_api_server() {
    let wrong = wrong().into_iter().filter(|case| case.by.is_none());
    for Case { name, kind, spec, path, says, .. } in wrong {
        let errors = judge_as(kind.as_deref(), &spec);
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

/// The schema of a pool, as the CRD has it.
fn schema() -> Value {
    schema_of(crd())
}

fn schema_of(mut crd: CustomResourceDefinition) -> Value {
    let schema = crd.spec.versions.remove(0).schema.unwrap().open_api_v3_schema;
    serde_json::to_value(schema).unwrap()
}

/// All fields in a schema, by path; the last part of a list is `[]`, of a map `{}`.
fn fields(path: &str, schema: &Value, found: &mut BTreeMap<String, Value>) {
    found.insert(path.to_owned(), schema.clone());
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        fields(&format!("{path}.{name}"), field, found);
    }
    for (held, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[held].is_object() {
            fields(&format!("{path}{mark}"), &schema[held], found);
        }
    }
}

/// All fields of a pool, and of a tree, which begin with its kind.
fn all_fields() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    fields("", &schema(), &mut found);
    fields("ClusterWeightedShare", &schema_of(tree_crd()), &mut found);
    assert!(found.len() > 90, "{} fields", found.len());
    found
}

/// Editors and tools without CEL see the bounds, and the rule says them in a sentence: both have to be the same.
#[test]
fn each_number_that_users_write_has_its_bounds_twice() {
    let mut numbers = BTreeMap::new();
    for (path, field) in all_fields() {
        if path.contains(".spec.") && field["type"] == "integer" {
            assert_eq!(field["format"], "int32", "{path}");
            let bounds = ["minimum", "maximum"].map(|bound| field[bound].as_f64());
            let [Some(least), Some(most)] = bounds else { panic!("{path}: {field}") };
            let rule = &field["x-kubernetes-validations"][0]["rule"];
            assert_eq!(*rule, format!("{least} <= self && self <= {most}"), "{path}");
            let description = field["description"].as_str().unwrap();
            for bound in [least, most] {
                assert!(description.contains(&bound.to_string()), "{path}: {description}");
            }
            numbers.insert(path, (least, most));
        }
    }
    assert_eq!(numbers.len(), 14, "{numbers:?}");
    assert_eq!(numbers[".spec.members[].weight"], (1.0, 10_000.0));
    assert_eq!(numbers[".spec.sharing.nodeReservePercent"], (0.0, 90.0));
}

/// `kubectl explain` shows no defaults, so the descriptions say them.
#[test]
fn each_default_is_in_the_description() {
    let mut defaults = 0;
    for (path, field) in all_fields() {
        let default = match &field["default"] {
            Value::Null => continue,
            Value::Object(_) => "default".to_owned(),
            Value::String(text) => format!("`{text}` (the default)"),
            other => other.to_string(),
        };
        let description = field["description"].as_str().unwrap();
        assert!(description.contains(&default), "{path}: {default}: {description}");
        assert!(description.contains("efault"), "{path}: {description}");
        defaults += 1;
    }
    assert!(defaults >= 20, "{defaults} defaults");
}

/// `kubectl explain` shows the descriptions: each begins with a sentence.
#[test]
fn each_field_is_described_in_sentences() {
    for crd in [WeightedShare::crd(), ClusterWeightedShare::crd(), StartProfile::crd()] {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let mut found = BTreeMap::new();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref()).unwrap();
        fields("", &schema, &mut found);
        // What a list or a map holds is described there.
        for (path, field) in found.iter().filter(|(path, _)| !path.ends_with([']', '}'])) {
            let description = field["description"].as_str().unwrap_or_default();
            let begins = description.starts_with(|first: char| first.is_ascii_uppercase());
            assert!(begins && description.ends_with('.'), "{path}: {description:?}");
        }
    }
}

#[test]
fn a_status_has_no_defaults_and_open_states() {
    let all = all_fields();
    let status = all.iter().filter(|(path, _)| path.contains(".status"));
    let defaults: Vec<_> = status.filter(|(_, field)| !field["default"].is_null()).collect();
    assert!(defaults.is_empty(), "{defaults:?}");
    let state = &all[".status.members[].state"];
    assert!(state["type"] == "string" && state["enum"].is_null(), "{state}");
    for state in ["Settled", "Resizing", "Deferred", "Infeasible", "Skipped"] {
        assert!(serde_json::from_value::<MemberState>(json!(state)).is_ok(), "{state}");
        let description = all[".status.members[].state"]["description"].as_str().unwrap();
        assert!(description.contains(&format!("`{state}`")), "{description}");
    }
    let told = all[".status.members[].recommendations"]["description"].as_str().unwrap();
    for most in [MOST_RECOMMENDATIONS, MOST_RECOMMENDATIONS_IN_POOL] {
        assert!(told.contains(&format!("t most {most} ")), "{told}");
    }
}

/// `v1alpha1.txt` has a line for each field: its path, its type, whether it is required, and the values it can have. A new line
/// is a new field; a line that changes or goes breaks manifests.
#[test]
fn the_fields_of_v1alpha1_are_those_that_were_promised() {
    let all = all_fields();
    let line = |(path, field): (&String, &Value)| {
        let (parent, name) = path.rsplit_once('.')?;
        let amount = field["x-kubernetes-int-or-string"] == true;
        let type_ = if amount { "amount" } else { field["type"].as_str()? };
        let required =
            all[parent]["required"].as_array().is_some_and(|it| it.contains(&name.into()));
        let required = required.then_some("required");
        let values = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words = [path, type_].into_iter().chain(required).chain(values);
        Some(words.collect::<Vec<_>>().join(" "))
    };
    let lines: Vec<String> = all.iter().filter_map(line).collect();
    let promised: Vec<&str> = include_str!("v1alpha1.txt").lines().collect();
    let gone: Vec<_> = promised.iter().filter(|it| lines.iter().all(|line| line != *it)).collect();
    assert!(gone.is_empty(), "v1alpha1 only grows (docs/versions.md): {gone:#?}");
    let new: Vec<_> = lines.iter().filter(|it| !promised.contains(&it.as_str())).collect();
    assert!(new.is_empty(), "add these lines to src/api/v1alpha1.txt: {new:#?}");
}

#[test]
fn there_is_one_version_and_no_conversion() {
    for crd in [WeightedShare::crd(), ClusterWeightedShare::crd(), StartProfile::crd()] {
        assert!(crd.spec.conversion.is_none_or(|conversion| conversion.strategy == "None"));
        let [version] = &crd.spec.versions[..] else {
            panic!("{} versions", crd.spec.versions.len())
        };
        assert!(
            version.name == "v1alpha1" && version.served && version.storage,
            "{}",
            version.name
        );
    }
}

#[test]
fn the_names_of_the_kinds_do_not_clash() {
    for crd in [WeightedShare::crd(), ClusterWeightedShare::crd(), StartProfile::crd()] {
        let names = crd.spec.names;
        let singular = names.singular.unwrap();
        assert_eq!(singular, names.kind.to_lowercase());
        assert_ne!(singular, names.plural);
        // A category expands to all its kinds: under the name of a kind, it would hide that kind.
        assert_eq!(names.categories, Some(vec!["weighted-sharing".to_owned()]));
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
