//! The schema and the rules of the CRD say here what they say at the API server.

use std::collections::BTreeSet;

use kube::core::cel::{apply_defaults, compile_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{crd, tree_crd},
    cli::manifests::{field::Field, rules, schema},
};

/// A spec for the API server, and what it says to it.
#[derive(Deserialize)]
struct Said {
    name: String,
    #[serde(default)]
    kind: Option<String>,
    spec: Value,
    #[serde(default)]
    by: Option<String>,
    path: String,
    says: Vec<String>,
}

/// The table that the tests on a real API server go by.
fn said_by_the_api_server() -> Vec<Said> {
    let table = include_str!("../../../../e2e/tests/objects/wrong.yaml");
    let said: Vec<Said> = serde_yaml_ng::from_str(table).unwrap();
    assert!(said.len() >= 50, "{} cases", said.len());
    said
}

#[test]
fn it_says_what_the_api_server_says() {
    for Said { name, kind, spec, by, path, says } in said_by_the_api_server() {
        let head = kind.map_or(POOL, |_| TREE);
        let errors = parse("shop.yaml", &format!("{head}spec: {spec}\n")).unwrap_err();
        let [ManifestError { field, problem, .. }] = &errors.0[..] else {
            panic!("{name}: {errors}");
        };
        assert_eq!(*field, path, "{name}: {problem}");
        // What is not a rule of ours, we say in words of our own.
        if by.is_none() {
            assert!(matches!(problem, Problem::Rule(_)), "{name}: {problem:?}");
            for words in says {
                assert!(problem.to_string().contains(&words), "{name}: {problem}");
            }
        }
    }
}

/// Rules, each with the sentence that it says, or the expression that makes one.
type Rules = BTreeSet<(String, String)>;

/// All keywords and all rules of a schema.
fn collect(schema: &Value, keywords: &mut BTreeSet<String>, rules: &mut Rules) {
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        keywords.insert(keyword.clone());
        match (&**keyword, value) {
            ("properties", Value::Object(properties)) => {
                properties.values().for_each(|schema| collect(schema, keywords, rules));
            }
            ("items" | "additionalProperties", schema) => collect(schema, keywords, rules),
            ("x-kubernetes-validations", Value::Array(listed)) => {
                rules.extend(listed.iter().map(rule_and_sentence));
            }
            _ => {}
        }
    }
}

fn rule_and_sentence(listed: &Value) -> (String, String) {
    let text = |key: &str| listed.get(key).and_then(Value::as_str).map(str::to_owned);
    (text("rule").unwrap(), text("message").or(text("messageExpression")).unwrap())
}

fn keywords_and_rules(schema: &Value) -> (BTreeSet<String>, Rules) {
    let (mut keywords, mut rules) = Default::default();
    collect(schema, &mut keywords, &mut rules);
    (keywords, rules)
}

/// The schemas of the kinds that users write: of pools, and of trees.
fn schemas() -> [(Option<&'static str>, Value); 2] {
    [(None, crd()), (Some("ClusterWeightedShare"), tree_crd())]
        .map(|(kind, crd)| (kind, serde_json::to_value(schema::of(crd)).unwrap()))
}

/// Every rule of the CRD is broken by some case, and says its sentence: none is passed over because
/// it could not be evaluated, or was not looked at.
#[test]
fn every_rule_is_evaluated_and_speaks() {
    for (kind, whole) in schemas() {
        let (_, rules) = keywords_and_rules(&whole);
        assert!(rules.len() >= 18, "{} rules", rules.len());
        for rule in rules {
            // A schema with this rule alone, so that what is said is said by it.
            let schema = only(&whole, &rule);
            let compiled = compile_schema(&schema);
            let mut said = Vec::new();
            let of_kind = |said: &Said| said.by.is_none() && said.kind.as_deref() == kind;
            for Said { spec, .. } in said_by_the_api_server().into_iter().filter(of_kind) {
                let value = apply_defaults(&schema, &json!({"spec": spec}));
                said.extend(rules::check(&compiled, &value, &Field::default()));
            }
            assert!(!said.is_empty(), "no case breaks {rule:?} of {kind:?}");
            for (field, problem) in said {
                let Problem::Rule(words) = &problem else { panic!("{field}: {problem}") };
                // A sentence that is not made is said as it is written.
                assert!(words == &rule.1 || rule.1.contains('\''), "{field}: {words}");
            }
        }
    }
}

/// A schema without all rules but one.
fn only(schema: &Value, rule: &(String, String)) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), only(value, rule)));
            Value::Object(kept.collect())
        }
        Value::Array(list) => {
            let kept =
                |item: &&Value| item.get("rule").is_none() || rule_and_sentence(item) == *rule;
            list.iter().filter(kept).map(|item| only(item, rule)).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_not_passed_over() {
    let sentence = |expression: &str| json!({"rule": "false", "messageExpression": expression});
    for rule in [
        json!({"rule": "self."}),
        json!({"rule": "frob(self)"}),
        json!({"rule": "self.sortBy(m, m)"}),
        json!({"rule": "self + 1 == 2"}),
        json!({"rule": "1"}),
        json!({"rules": "true"}),
        sentence("self + 1"),
        sentence("1"),
        sentence("'"),
    ] {
        let compiled = compile_schema(&json!({"x-kubernetes-validations": [rule]}));
        let said = rules::check(&compiled, &json!([]), &Field::default());
        let [(_, problem)] = &said[..] else { panic!("{rule}: {said:?}") };
        assert!(matches!(problem, Problem::RuleNotChecked(_)), "{rule}: {problem:?}");
    }
}

/// A keyword that is not looked at would be a rule that is not checked.
#[test]
fn every_keyword_of_the_schema_is_checked() {
    const CHECKED: [&str; 11] = [
        "additionalProperties",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
    ];
    // Evaluated, or filled in, by what reads it; or words; or of no weight to a single writer. The bounds of a number are
    // checked by its rule, which says them in a sentence.
    const ELSEWHERE: [&str; 9] = [
        "default",
        "description",
        "format",
        "maximum",
        "minimum",
        "title",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ];
    let known = CHECKED.into_iter().chain(ELSEWHERE).map(str::to_owned).collect();
    for (_, schema) in schemas() {
        let (keywords, _) = keywords_and_rules(&schema);
        assert_eq!(keywords.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[test]
fn amounts_are_taken_if_the_controller_can_read_them() {
    use crate::share::{Bytes, MilliCpu};
    let amounts = include_str!("../../../../e2e/tests/objects/amounts.yaml");
    let amounts: Vec<String> = serde_yaml_ng::from_str(amounts).unwrap();
    for text in amounts {
        let cpu = text.parse().is_ok_and(|cpu: MilliCpu| (1..=1_000_000_000_000).contains(&cpu.0));
        let memory = text
            .parse()
            .is_ok_and(|memory: Bytes| (1..=1_000_000_000_000_000_000).contains(&memory.0));
        for (resource, readable) in [("cpu", cpu), ("memory", memory)] {
            let spec = json!({"capacity": {resource: text}});
            let read = parse("shop.yaml", &format!("{POOL}spec: {spec}\n"));
            assert_eq!(read.is_ok(), readable, "{resource} {text}: {read:?}");
        }
    }
}
