//! Right and wrong manifests, and what is said to them.

mod fuzz;
mod right;
mod rules;
mod sources;

use super::*;

/// A wrong input and what is said to it.
struct Case {
    name: String,
    files: Vec<(String, String)>,
    says: Vec<String>,
}

/// The table in `wrong.txt`, which says how to read it.
fn wrong() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("wrong.txt").lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            let head = match name.strip_prefix("spec: ") {
                Some(_) => format!("{POOL}spec:\n"),
                None => String::new(),
            };
            let files = vec![("shop.yaml".to_owned(), head)];
            cases.push(Case { name: name.to_owned(), files, says: Vec::new() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(said) = line.strip_prefix(">>> ") {
            case.says.push(said.to_owned());
        } else if let Some(file) = line.strip_prefix("@ ") {
            case.files.retain(|(_, text)| !text.is_empty());
            case.files.push((file.to_owned(), String::new()));
        } else if let Some((_, text)) = case.files.last_mut() {
            let indent = if case.name.starts_with("spec: ") { "  " } else { "" };
            *text += &format!("{indent}{line}\n");
        }
    }
    cases
}

const POOL: &str = "apiVersion: weightedshare.dev/v1alpha1\nkind: WeightedShare\n\
                    metadata: {name: pool, namespace: shop}\n";
const TREE: &str = "apiVersion: weightedshare.dev/v1alpha1\nkind: ClusterWeightedShare\n\
                    metadata: {name: tenants}\n";

/// Some files as they are read together.
fn together(files: &[(String, String)]) -> Result<Manifests, ManifestErrors> {
    let mut found = Found::default();
    for (source, text) in files {
        parse_into(&mut found, source, text);
    }
    Manifests::from_found(found)
}

#[test]
fn what_is_wrong_is_said_in_whole_sentences() {
    let cases = wrong();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut differences = Vec::new();
    for Case { name, files, says } in &cases {
        let said = match together(files) {
            Ok(_) => vec!["(nothing is wrong)".to_owned()],
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        };
        if said != *says {
            differences.push(format!("=== {name}\n>>> {}", said.join("\n>>> ")));
        }
    }
    assert!(differences.is_empty(), "it says:\n{}", differences.join("\n"));
}
