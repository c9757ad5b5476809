//! The charts as parts of another chart.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use serde_json::json;

use super::{Objects, folder, objects, template};

const CHARTS: [&str; 2] = ["weighted-share-crds", "weighted-share"];
const CONTROLLER: &str = "Deployment weighted-share-shares";
const DEFINITION: &str = "CustomResourceDefinition weightedshares.weightedshare.dev";

/// A chart that has both of ours, each on a condition, the second one by another name.
async fn write(parent: &Path) -> Result<()> {
    fs::create_dir_all(parent.join("charts"))?;
    for chart in CHARTS {
        let chart = operator::charts().join(chart).display().to_string();
        let charts = parent.join("charts").display().to_string();
        // The definitions are a link to the folder of the repository.
        kubectl::run("cp", &["-rL", &chart, &charts], "").await?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let chart = json!({
        "apiVersion": "v2",
        "name": "platform",
        "version": "1.0.0",
        "dependencies": [
            {"name": CHARTS[0], "version": version, "condition": "weighted-share-crds.enabled"},
            {"name": CHARTS[1], "version": version, "alias": "shares",
                "condition": "shares.enabled"},
        ],
    });
    Ok(fs::write(parent.join("Chart.yaml"), chart.to_string())?)
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_parent_switches_the_charts_and_hands_them_what_is_global() -> Result<()> {
    let folder = folder("parent")?;
    write(&folder).await?;
    let parent = folder.display().to_string();
    let with = async |values: &[&str]| -> Result<Objects> {
        let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        objects(&template(&parent, &set, "").await?)
    };
    for (values, has_controller, has_definition) in [
        (vec![], true, true),
        (vec!["shares.enabled=true", "weighted-share-crds.enabled=true"], true, true),
        (vec!["shares.enabled=false"], false, true),
        (vec!["weighted-share-crds.enabled=false"], true, false),
    ] {
        let all = with(&values).await?;
        ensure!(all.contains_key(CONTROLLER) == has_controller, "{values:?}: {:?}", all.keys());
        ensure!(all.contains_key(DEFINITION) == has_definition, "{values:?}: {:?}", all.keys());
    }
    let global = ["global.imageRegistry=mirror.example.com", "global.imagePullSecrets[0]=mirror"];
    let values = [&global[..], &["global.storageClass=fast", "shares.replicas=3"]].concat();
    let controller = &with(&values).await?[CONTROLLER]["spec"];
    ensure!(controller["replicas"] == 3, "{controller}");
    let pod = &controller["template"]["spec"];
    let image = format!("mirror.example.com/weightedshare:{}", env!("CARGO_PKG_VERSION"));
    ensure!(pod["containers"][0]["image"] == image, "{pod}");
    ensure!(pod["imagePullSecrets"] == json!([{"name": "mirror"}]), "{pod}");
    // A misspelt value is refused there, too.
    let refused = with(&["shares.replica=3"]).await.err().context("replica is taken")?.to_string();
    ensure!(refused.contains("'replica' not allowed"), "{refused}");
    Ok(fs::remove_dir_all(folder)?)
}
