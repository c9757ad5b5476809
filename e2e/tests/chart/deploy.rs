//! `deploy/`, for people who install without Helm.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use serde_json::{Value, json};

use super::{RELEASE, chart, objects, rendered};

/// What `deploy/` has of the chart: its values, the template (all of them where there is none), and the file.
const DEPLOYED: [(&str, Option<&str>, &str); 3] = [
    ("admissionPolicy.enabled=false", None, "base/weighted-share.yaml"),
    ("admissionPolicy.enabled=true", Some("admissionpolicy"), "components/new-pods/policy.yaml"),
    ("metrics.exposed=true", Some("metrics"), "components/metrics/metrics.yaml"),
];
/// The components by the value of the chart that has the same effect.
const COMPONENTS: [(&str, &str); 2] =
    [("new-pods", "admissionPolicy.enabled=true"), ("metrics", "metrics.exposed=true")];

/// `make manifests` writes them anew.
#[tokio::test]
#[ignore = "needs helm"]
async fn kustomize_has_the_files_that_the_chart_renders() -> Result<()> {
    let (chart, deploy) = (chart(), operator::deploy());
    for (value, only, file) in DEPLOYED {
        let mut arguments = vec!["template", RELEASE, &chart, "--no-hooks", "--set", value];
        arguments.extend(["--namespace", operator::NAMESPACE, "--kube-version", "1.36.0"]);
        let only = only.map(|only| format!("templates/{only}.yaml"));
        arguments.extend(only.iter().flat_map(|only| ["--show-only", only]));
        let rendered = kubectl::run("helm", &arguments, "").await?;
        let path = deploy.join(file);
        if std::env::var_os("WRITE_MANIFESTS").is_some() {
            fs::write(&path, rendered)?;
        } else {
            let is = fs::read_to_string(&path)?;
            ensure!(is == rendered, "deploy/{file} is out of date: run `make manifests`");
        }
    }
    Ok(())
}

/// An overlay of the base with some components. Kustomize takes relative paths only.
fn overlay(components: &[&str]) -> Result<PathBuf> {
    let name = [&["base"], components].concat().join("-");
    let folder = operator::deploy().join("../target/kustomize").join(name);
    fs::create_dir_all(&folder)?;
    let path = |name: &&str| format!("../../../deploy/components/{name}");
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../../deploy/base"],
        "components": components.iter().map(path).collect::<Vec<_>>(),
    });
    fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(folder)
}

/// An object without the label that says who manages it, and with one space for any: kustomize adds lines to expressions.
fn comparable(object: &Value) -> Result<Value> {
    let mut object = single_spaced(object);
    let labels = object["metadata"]["labels"].as_object_mut().context("no labels")?;
    labels.remove("app.kubernetes.io/managed-by").context("no manager")?;
    Ok(object)
}

fn single_spaced(value: &Value) -> Value {
    match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        Value::Array(items) => items.iter().map(single_spaced).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), single_spaced(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kustomize_combines_the_components_as_the_chart_combines_values() -> Result<()> {
    let [new_pods, metrics] = COMPONENTS;
    let choices: [&[(&str, &str)]; 5] =
        [&[], &[new_pods], &[metrics], &[new_pods, metrics], &[metrics, new_pods]];
    for chosen in choices {
        let components: Vec<&str> = chosen.iter().map(|(component, _)| *component).collect();
        let folder = overlay(&components)?.display().to_string();
        let built = objects(&kubectl::run("kubectl", &["kustomize", &folder], "").await?)?;
        // The last one of a value counts.
        let mut values = vec!["admissionPolicy.enabled=false"];
        values.extend(chosen.iter().map(|(_, value)| *value));
        let mut chart = rendered(&values).await?;
        chart.remove("Pod weighted-share-plan").context("no test")?;
        for (name, object) in &chart {
            let built = built.get(name).with_context(|| format!("{components:?}: no {name}"))?;
            let is_same = comparable(built)? == comparable(object)?;
            ensure!(is_same, "{components:?}: {built}\n{object}");
            let labels = &built["metadata"]["labels"];
            ensure!(labels["app.kubernetes.io/managed-by"] == "kustomize", "{name}: {labels}");
        }
        // The namespace and the three definitions.
        ensure!(built.len() == chart.len() + 4, "{components:?}: {:?}", built.keys());
        accepted(&folder).await?;
    }
    let example = operator::deploy().join("overlays/example").display().to_string();
    let built = kubectl::run("kubectl", &["kustomize", &example], "").await?;
    ensure!(built.contains("image: registry.example.com/weighted-share:"), "{built}");
    accepted(&example).await
}

/// Asks the API server whether it would accept what is in a folder.
async fn accepted(folder: &str) -> Result<()> {
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", folder];
    let accepted = kubectl::run("kubectl", &apply, "").await?;
    ensure!(accepted.contains("deployment.apps/weighted-share"), "{folder}: {accepted}");
    Ok(())
}
