//! The admission policies of the chart, as far as they can be read without a cluster.

use std::{collections::BTreeSet, error::Error, fs};

use cel::Program;
use kube::Resource;
use serde_yaml_ng::Value;
use weightedshare::api::{ClusterWeightedShare, StartProfile, WeightedShare};

/// The policies and their bindings, with what Helm fills in.
fn policies() -> Result<Vec<Value>, Box<dyn Error>> {
    let path = "charts/weighted-share/templates/admissionpolicy.yaml";
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let template = fs::read_to_string(path)?;
    let start = template.find("\napiVersion:").ok_or("no policy")?;
    let mut filled = String::new();
    for line in template[start..].lines() {
        filled += &match line.trim().strip_prefix("{{- include \"weighted-share.") {
            Some(include) => included(&template, include).ok_or(line)?,
            None if line.contains("{{") || line.contains("labels:") => String::new(),
            None => line.to_owned(),
        };
        filled.push('\n');
    }
    filled.split("\n---\n").map(|text| Ok(serde_yaml_ng::from_str(text)?)).collect()
}

/// What a line of the template includes, such as `started" "variables.asked" | nindent 6 }}`. Nothing for labels.
fn included(template: &str, line: &str) -> Option<String> {
    let (name, rest) = line.split_once('"')?;
    if name == "metadata" {
        return Some(String::new());
    }
    let (argument, indent) = rest.split_once("| nindent ")?;
    let indent: usize = indent.split_once(' ')?.0.parse().ok()?;
    let (_, body) = template.split_once(&format!("define \"weighted-share.{name}\" -}}}}"))?;
    let (body, _) = body.split_once("\n{{- end -}}")?;
    let body = body.replace("{{ . }}", argument.trim().trim_matches('"'));
    Some(body.replace('\n', &format!("\n{}", " ".repeat(indent))))
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
fn their_expressions_can_be_read() -> Result<(), Box<dyn Error>> {
    let policies = policies()?;
    let mut found = Vec::new();
    policies.iter().for_each(|document| expressions(document, &mut found));
    assert!(found.len() > 25, "{} expressions", found.len());
    for expression in found {
        // Of optional fields this parser knows nothing.
        let plain = expression.replace(".?", ".").replace("[?", "[");
        Program::compile(&plain).map_err(|error| format!("{expression}\n{error}"))?;
    }
    Ok(())
}

#[test]
fn they_stand_in_nobodys_way() -> Result<(), Box<dyn Error>> {
    let policies = policies()?;
    let [policy, binding, corrects, _, guards, _] = &policies[..] else {
        return Err(format!("{} policies and bindings", policies.len()).into());
    };
    assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
    assert_eq!(policy["spec"]["reinvocationPolicy"], "Never");
    assert_eq!(policy["spec"]["paramKind"]["kind"], *StartProfile::kind(&()));
    assert_eq!(policy["spec"]["paramKind"]["apiVersion"], *StartProfile::api_version(&()));
    let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
    assert_eq!(rules[0]["operations"], Value::from(vec!["CREATE"]));
    assert_eq!(rules[0]["resources"], Value::from(vec!["pods"]));
    assert_eq!(rules.as_sequence().map(Vec::len), Some(1));
    assert_eq!(binding["spec"]["paramRef"]["parameterNotFoundAction"], "Allow");

    // Pods without the annotation do not depend on any of its policies.
    assert_eq!(guards["spec"]["failurePolicy"], "Ignore");
    assert_eq!(&corrects["spec"]["matchConstraints"]["resourceRules"], rules);
    let conditions = &corrects["spec"]["matchConditions"];
    assert_eq!(conditions[0]["name"], "pod-says-what-it-starts-with");
    Ok(())
}

/// The resources of our API group in a template, without their subresources.
fn granted(template: &str) -> impl Iterator<Item = &str> {
    let lines = template.lines().zip(template.lines().skip(1));
    let ours = lines.filter(|(groups, _)| groups.ends_with("apiGroups: [weightedshare.dev]"));
    let lists =
        ours.filter_map(|(_, next)| next.trim().strip_prefix("resources: [")?.strip_suffix(']'));
    lists.flat_map(|list| list.split(", ")).filter_map(|resource| resource.split('/').next())
}

#[test]
fn the_roles_name_the_resources_that_the_crds_define() -> Result<(), Box<dyn Error>> {
    let folder = format!("{}/charts/weighted-share/templates", env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut times) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let template = if path.is_file() { fs::read_to_string(&path)? } else { continue };
        for resource in granted(&template) {
            found.insert(resource.to_owned());
            times += 1;
        }
    }
    let defined =
        [ClusterWeightedShare::plural(&()), StartProfile::plural(&()), WeightedShare::plural(&())];
    assert_eq!(found, BTreeSet::from(defined.map(String::from)));
    assert!(times >= 4, "{times} rules");
    Ok(())
}
