//! Names, labels and namespaces of objects, and the image.

use anyhow::{Result, ensure};
use e2e::kubectl;
use serde_json::json;

use super::{
    Objects, RELEASE, chart, objects, pod_of, rendered, rendered_with, switches::EVERYTHING,
};

/// The longest suffix of a name is that of the dashboard; a Service's name has 63 characters at most.
const LONGEST: usize = 63;

#[tokio::test]
#[ignore = "needs helm"]
async fn names_are_the_releases_unless_told_otherwise() -> Result<()> {
    let chart = chart();
    let deployment = async |release: &str, value: &str| -> Result<String> {
        let arguments = ["template", release, &chart, "--set", value];
        let all = objects(&kubectl::run("helm", &arguments, "").await?)?;
        let name = all.keys().find_map(|name| name.strip_prefix("Deployment "));
        Ok(name.unwrap_or_default().to_owned())
    };
    for (release, value, wanted) in [
        ("weighted-share", "replicas=2", "weighted-share"),
        ("shop", "replicas=2", "shop-weighted-share"),
        ("shop", "nameOverride=shares", "shop-shares"),
        ("shop", "fullnameOverride=shares", "shares"),
    ] {
        let name = deployment(release, value).await?;
        ensure!(name == wanted, "{release}, {value}: {name}");
    }
    let long = "r".repeat(53);
    let mut arguments = vec!["template", &long, &chart];
    arguments.extend(EVERYTHING.iter().flat_map(|value| ["--set", value]));
    for name in objects(&kubectl::run("helm", &arguments, "").await?)?.keys() {
        let name = name.split(' ').next_back().unwrap_or_default();
        ensure!(name.len() <= LONGEST, "{name} has {} characters", name.len());
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn all_that_name_an_object_use_the_same_name() -> Result<()> {
    let mut values = vec!["fullnameOverride=shares", "namespaces.include={shop}"];
    values.extend(EVERYTHING);
    let all = rendered(&values).await?;
    for (key, object) in &all {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        ensure!(name == "shares" || name.starts_with("shares-"), "{key}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            ensure!(subject["name"] == "shares", "{key}: {subject}");
        }
        if let Some(role) = object["roleRef"]["name"].as_str() {
            let kind = object["roleRef"]["kind"].as_str().unwrap_or_default();
            ensure!(
                all.contains_key(&format!("{kind} {role}")),
                "{key}: there is no {kind} {role}"
            );
        }
        if let Some(policy) = object["spec"]["policyName"].as_str() {
            let kind = object["kind"].as_str().unwrap_or_default().trim_end_matches("Binding");
            ensure!(all.contains_key(&format!("{kind} {policy}")), "{key}: there is no {policy}");
        }
    }
    // The commands in the notes are for these objects.
    let chart = chart();
    let install = ["install", "notes", &chart, "--dry-run=client", "--set"];
    let set = ["fullnameOverride=shares,namespaceOverride=elsewhere"];
    let notes = kubectl::run("helm", &[&install[..], &set].concat(), "").await?;
    let status = "kubectl --namespace elsewhere rollout status deployment/shares\n";
    ensure!(notes.contains(status), "{notes}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_namespace_of_ones_own_holds_everything() -> Result<()> {
    let mut values = vec!["namespaceOverride=elsewhere"];
    values.extend(EVERYTHING);
    for (key, object) in rendered(&values).await? {
        if let Some(namespace) = object["metadata"].get("namespace") {
            ensure!(namespace == "elsewhere", "{key} is in {namespace}");
        }
        for subject in object["subjects"].as_array().into_iter().flatten() {
            ensure!(subject["namespace"] == "elsewhere", "{key}: {subject}");
        }
        let scraped = &object["spec"]["namespaceSelector"];
        ensure!(scraped.is_null() || scraped["matchNames"] == json!(["elsewhere"]), "{scraped}");
    }
    Ok(())
}

/// That no key is there twice, [`objects`] sees.
#[tokio::test]
#[ignore = "needs helm"]
async fn common_labels_replace_the_charts_own_but_not_those_that_select() -> Result<()> {
    let labels = json!({"app.kubernetes.io/part-of": "platform", "app.kubernetes.io/name": "other",
        "app.kubernetes.io/instance": "other", "helm.sh/chart": "other", "team": "platform"});
    let by_name = json!({"app.kubernetes.io/name": "weighted-share",
        "app.kubernetes.io/instance": RELEASE});
    let all = rendered_with(json!({"commonLabels": labels, "metrics": {"exposed": true}})).await?;
    for (key, object) in &all {
        let labels = &object["metadata"]["labels"];
        ensure!(labels["app.kubernetes.io/part-of"] == "platform", "{key}: {labels}");
        ensure!(labels["team"] == "platform" && labels["helm.sh/chart"] == "other", "{key}");
        ensure!(labels["app.kubernetes.io/instance"] == RELEASE, "{key}: {labels}");
    }
    for (key, place) in [
        ("Deployment weighted-share", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget weighted-share", "/spec/selector/matchLabels"),
        ("Service weighted-share-metrics", "/spec/selector"),
    ] {
        ensure!(all[key].pointer(place) == Some(&by_name), "{key}: {}", all[key]["spec"]);
    }
    let pods = &all["Deployment weighted-share"]["spec"]["template"]["metadata"]["labels"];
    for (label, value) in by_name.as_object().into_iter().flatten() {
        ensure!(pods[label] == *value, "{pods}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn the_image_comes_from_the_registry_that_is_told() -> Result<()> {
    let sum = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    let digest = format!("image.digest=sha256:{sum}");
    let by_digest = format!("mirror.example.com/weightedshare@sha256:{sum}");
    let tag = env!("CARGO_PKG_VERSION");
    let cases: [(&[&str], String); 8] = [
        (&[], format!("weightedshare.dev/weightedshare:{tag}")),
        (&["image.tag=main"], "weightedshare.dev/weightedshare:main".to_owned()),
        (
            &["image.repository=localhost:5000/team/shares"],
            format!("localhost:5000/team/shares:{tag}"),
        ),
        (
            &["image.registry=mirror.example.com/proxy/"],
            format!("mirror.example.com/proxy/weightedshare:{tag}"),
        ),
        (
            &["image.repository=localhost:5000/team/shares", "image.registry=quay.io"],
            format!("quay.io/team/shares:{tag}"),
        ),
        // Without a registry of its own, all of the repository is its path.
        (
            &["image.repository=team/shares", "global.imageRegistry=quay.io"],
            format!("quay.io/team/shares:{tag}"),
        ),
        (
            &["image.registry=quay.io", "global.imageRegistry=mirror.example.com"],
            format!("mirror.example.com/weightedshare:{tag}"),
        ),
        (&["global.imageRegistry=mirror.example.com", "image.tag=main", &digest], by_digest),
    ];
    let images = |all: &Objects| {
        [pod_of(all), &all["Pod weighted-share-plan"]["spec"]]
            .map(|pod| pod["containers"][0]["image"].clone())
    };
    for (values, wanted) in cases {
        let images = images(&rendered(values).await?);
        ensure!(images.iter().all(|image| *image == wanted), "{values:?}: {images:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn secrets_to_pull_with_are_those_of_the_chart_and_of_its_parent() -> Result<()> {
    let values = json!({
        "global": {"imagePullSecrets": ["one", {"name": "two"}]},
        "imagePullSecrets": [{"name": "two"}, {"name": "three"}],
    });
    let all = rendered_with(values).await?;
    let wanted = json!([{"name": "one"}, {"name": "two"}, {"name": "three"}]);
    for pod in [pod_of(&all), &all["Pod weighted-share-plan"]["spec"]] {
        ensure!(pod["imagePullSecrets"] == wanted, "{pod}");
    }
    let none = rendered(&[]).await?;
    ensure!(pod_of(&none)["imagePullSecrets"].is_null(), "{}", pod_of(&none));
    Ok(())
}
