//! The charts as their users meet them: what they refuse, what they render, and an upgrade there and back on the cluster.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod alerts;
mod dashboard;
mod deploy;
mod install_file;
mod monitors;
mod names;
mod network;
mod parent;
mod pods;
mod refused;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod switches;
mod upgrade;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Result, ensure};
use e2e::{kubectl, operator};
use serde::Deserialize;
use serde_json::Value;

const RELEASE: &str = "weighted-share";

/// What a chart renders, by kind and name.
type Objects = BTreeMap<String, Value>;

fn chart() -> String {
    operator::charts().join("weighted-share").display().to_string()
}

/// The objects that the chart renders with these values, each as `name=value`.
async fn rendered(values: &[&str]) -> Result<Objects> {
    let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    objects(&template(&chart(), &set, "").await?)
}

/// Likewise, with values as a file has them.
async fn rendered_with(values: Value) -> Result<Objects> {
    objects(&template(&chart(), &["--values", "-"], &values.to_string()).await?)
}

/// What a chart renders with more arguments of Helm, and what it reads from its standard input.
async fn template(chart: &str, more: &[&str], input: &str) -> Result<String> {
    let arguments = ["template", RELEASE, chart, "--namespace", operator::NAMESPACE];
    kubectl::run("helm", &[&arguments[..], more].concat(), input).await
}

/// The objects in a text, each once.
fn objects(text: &str) -> Result<Objects> {
    let mut objects = Objects::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        // This type refuses a key that is there twice; JSON's would take the last one.
        let object = serde_yaml_ng::Value::deserialize(document)?;
        let object = serde_json::to_value(object)?;
        if !object.is_null() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
            let twice = objects.insert(key, object);
            ensure!(twice.is_none(), "there are two of {twice:?}");
        }
    }
    Ok(objects)
}

/// The spec of the controller's pods.
fn pod_of(objects: &Objects) -> &Value {
    &objects["Deployment weighted-share"]["spec"]["template"]["spec"]
}

/// An empty folder for one test.
fn folder(name: &str) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("weighted-share-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}
