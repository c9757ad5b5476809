//! The admission policy of the chart, as far as it can be read without a cluster.

use std::{error::Error, fs};

use cel::Program;
use serde_yaml_ng::Value;

/// The policy and its binding, with what Helm fills in.
fn policy() -> Result<Vec<Value>, Box<dyn Error>> {
    let path = "charts/weighted-share/templates/admissionpolicy.yaml";
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let template = fs::read_to_string(path)?;
    let (_, keys) =
        template.split_once("define \"weighted-share.podKeys\" -}}").ok_or("no keys")?;
    let (keys, _) = keys.split_once("{{- end -}}").ok_or("no end")?;
    let start = template.find("\napiVersion:").ok_or("no policy")?;
    let line = |line: &str| match line {
        line if line.contains("weighted-share.podKeys") => keys.replace('\n', "\n      "),
        line if line.contains("labels:") || line.contains("{{") => String::new(),
        line => line.to_owned(),
    };
    let filled: Vec<String> = template[start..].lines().map(line).collect();
    filled.join("\n").split("\n---\n").map(|text| Ok(serde_yaml_ng::from_str(text)?)).collect()
}

fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Mapping(map) => map.iter().for_each(|(key, value)| match (key.as_str(), value) {
            (Some("expression"), Value::String(text)) => found.push(text),
            _ => expressions(value, found),
        }),
        Value::Sequence(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn its_expressions_can_be_read() -> Result<(), Box<dyn Error>> {
    let policy = policy()?;
    let mut found = Vec::new();
    policy.iter().for_each(|document| expressions(document, &mut found));
    assert!(found.len() > 15, "{} expressions", found.len());
    for expression in found {
        // Of optional fields this parser knows nothing.
        let plain = expression.replace(".?", ".").replace("[?", "[");
        Program::compile(&plain).map_err(|error| format!("{expression}\n{error}"))?;
    }
    Ok(())
}

#[test]
fn it_stands_in_nobodys_way() -> Result<(), Box<dyn Error>> {
    let policy = policy()?;
    let [policy, binding] = &policy[..] else { return Err("a policy and a binding".into()) };
    assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
    assert_eq!(policy["spec"]["reinvocationPolicy"], "Never");
    assert_eq!(policy["spec"]["paramKind"]["kind"], "NewPods");
    let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
    assert_eq!(rules[0]["operations"], Value::from(vec!["CREATE"]));
    assert_eq!(rules[0]["resources"], Value::from(vec!["pods"]));
    assert_eq!(rules.as_sequence().map(Vec::len), Some(1));
    assert_eq!(binding["spec"]["paramRef"]["parameterNotFoundAction"], "Allow");
    Ok(())
}
