//! What the host of the repository runs: it is pinned, and it names what is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Result, code,
    comparison::{has_target, makefile},
    documents, root,
};

fn yaml(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path)?;
    let value = Value::deserialize(serde_yaml_ng::Deserializer::from_str(&text));
    Ok(value.map_err(|error| format!("{}: {error}", path.display()))?)
}

/// The workflows, with their texts.
fn workflows() -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(".github/workflows"))? {
        let path = entry?.path();
        found.push((path.clone(), fs::read_to_string(path)?));
    }
    assert!(found.len() >= 2, "{} workflows", found.len());
    Ok(found)
}

/// Whether an action is named with a whole commit, and the version in a comment.
fn is_pinned(action: &str) -> bool {
    let pin = action.split_once('@').and_then(|(_, pin)| pin.split_once(" # v"));
    pin.is_some_and(|(commit, version)| {
        commit.len() == 40
            && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
            && version.starts_with(|first: char| first.is_ascii_digit())
    })
}

#[test]
fn actions_are_pinned_by_commit() -> Result {
    let mut actions = 0;
    for (path, text) in workflows()? {
        for action in text.lines().filter_map(|line| Some(line.split_once("uses: ")?.1)) {
            assert!(is_pinned(action), "{}: {action} is not pinned", path.display());
            actions += 1;
        }
    }
    assert!(actions >= 6, "{actions} actions");
    let commit = "3d3c42e5aac5ba805825da76410c181273ba90b1";
    assert!(is_pinned(&format!("actions/checkout@{commit} # v7.0.1")));
    for other in ["actions/checkout@v7 # v7.0.1".to_owned(), format!("actions/checkout@{commit}")] {
        assert!(!is_pinned(&other), "{other}");
    }
    Ok(())
}

#[test]
fn workflows_have_no_right_that_they_do_not_name() -> Result {
    for (path, _) in workflows()? {
        let workflow = yaml(&path)?;
        let rights = workflow["permissions"].as_object();
        let rights = rights.ok_or(format!("{}: no permissions", path.display()))?;
        assert!(rights.values().all(|right| right == "read"), "{}: {rights:?}", path.display());
    }
    Ok(())
}

/// The targets in a command that starts with `make`: words up to an option, a variable or the end of the command.
fn targets(command: &str) -> impl Iterator<Item = &str> {
    let words = command.strip_prefix("make ").unwrap_or_default().split_whitespace();
    let is_target = |word: &&str| word.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    words.take_while(move |word| is_target(word) && !word.starts_with('-'))
}

/// What a text shows as code: of a document what is in backticks and in blocks, else every line.
fn shown<'a>(path: &Path, text: &'a str) -> Vec<&'a str> {
    if path.extension().is_none_or(|extension| extension != "md") {
        return text.lines().map(|line| line.trim().trim_start_matches("entry: ")).collect();
    }
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.flat_map(str::lines).chain(code(text)).collect()
}

#[test]
fn what_is_made_is_a_target_of_the_makefile() -> Result {
    let makefile = makefile()?;
    let mut texts = documents()?;
    for path in [".pre-commit-config.yaml", ".github/pull_request_template.md"] {
        let path = root().join(path);
        texts.push((path.clone(), fs::read_to_string(path)?));
    }
    texts.extend(workflows()?);
    let mut seen = BTreeSet::new();
    for (path, text) in &texts {
        for target in shown(path, text).into_iter().flat_map(targets) {
            assert!(has_target(&makefile, target), "{}: make {target}", path.display());
            seen.insert(target);
        }
    }
    for target in ["deny", "dev", "install-yaml", "release", "test"] {
        assert!(seen.contains(target), "make {target} is shown nowhere: {seen:?}");
    }
    assert!(targets("make setup binary").eq(["setup", "binary"]));
    assert!(targets("make release HELM=helm").eq(["release"]));
    Ok(())
}

#[test]
fn updates_are_looked_for_in_every_folder_of_go_modules() -> Result {
    let dependabot = yaml(&root().join(".github/dependabot.yml"))?;
    let updates = dependabot["updates"].as_array().ok_or("no updates")?;
    let go = updates.iter().filter(|update| update["package-ecosystem"] == "gomod");
    let listed: BTreeSet<String> = go
        .flat_map(|update| update["directories"].as_array().into_iter().flatten())
        .filter_map(|folder| folder.as_str().map(str::to_owned))
        .collect();
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(root().join("e2e/binaries"))? {
        there.insert(format!("/e2e/binaries/{}", entry?.file_name().to_string_lossy()));
    }
    assert_eq!(listed, there);
    Ok(())
}

#[test]
fn forms_and_the_container_can_be_read() -> Result {
    for form in ["bug.yml", "feature.yml"] {
        let form = yaml(&root().join(".github/ISSUE_TEMPLATE").join(form))?;
        assert!(form["body"].as_array().is_some_and(|body| !body.is_empty()), "{form}");
    }
    let container = fs::read_to_string(root().join(".devcontainer/devcontainer.json"))?;
    let container: Value = serde_json::from_str(&container)?;
    assert!(container["image"].is_string(), "{container}");
    Ok(())
}

/// No program is found, except for make itself.
#[test]
fn make_dev_names_the_program_that_is_missing() -> Result {
    let script = "make=$(command -v make); PATH=/nowhere exec \"$make\" dev-tools 2>&1";
    let output = Command::new("sh").args(["-c", script]).current_dir(root()).output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(!output.status.success() && said.contains("kind is missing: "), "{said}");
    Ok(())
}
