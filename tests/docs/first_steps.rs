//! The first steps can be followed: `e2e/tests/newcomer.rs` does so on a cluster.

use std::{fs, process::Command};

use serde_json::Value;
use weightedshare::{
    cli::manifests::{self, Object},
    cluster::Kind,
};

use super::{Result, root};

/// The blocks of the page that are to be run, in order.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut fence = "";
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some("") if !fence.is_empty() => fence = "",
            Some(tag) => {
                fence = if tag.is_empty() { "text" } else { tag };
                if fence == "sh" {
                    blocks.push(String::new());
                }
            }
            None if fence == "sh" => {
                if let Some(block) = blocks.last_mut() {
                    *block += &format!("{line}\n");
                }
            }
            None => {}
        }
    }
    blocks
}

/// What a block gives to its commands as documents.
fn documents_within(block: &str) -> impl Iterator<Item = &str> {
    let rests = block.split("<<'EOT'\n").skip(1);
    rests.filter_map(|rest| Some(rest.split_once("EOT\n")?.0))
}

#[test]
fn the_first_steps_are_a_script_whose_pool_holds_to_the_rules() -> Result {
    let text = fs::read_to_string(root().join("docs/getting-started.md"))?;
    let tag = concat!("docker://$IMAGE:", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(tag), "the image is pushed with another tag than the chart's: {tag}");
    let blocks = blocks(&text);
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    let (mut pools, mut deployments) = (0, 0);
    for block in &blocks {
        let checked = Command::new("sh").args(["-n", "-c", block]).output()?;
        assert!(checked.status.success(), "{block}{}", String::from_utf8(checked.stderr)?);
        for document in documents_within(block) {
            for located in manifests::parse("getting-started.md", document)? {
                let Object::Kept(key, _) = located.object else { continue };
                match key.kind {
                    Kind::WeightedShare => pools += 1,
                    Kind::Deployment => deployments += 1,
                    _ => {}
                }
            }
        }
    }
    assert_eq!((pools, deployments), (1, 2));
    Ok(())
}

/// On kind, the chart finds the image that `make image` wrote without being told its name.
#[test]
fn the_charts_image_is_the_one_that_is_made() -> Result {
    let chart = root().join("charts/weighted-share");
    let values: Value = serde_yaml_ng::from_str(&fs::read_to_string(chart.join("values.yaml"))?)?;
    let about: Value = serde_yaml_ng::from_str(&fs::read_to_string(chart.join("Chart.yaml"))?)?;
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
    let image = &values["image"];
    assert_eq!(image["tag"], "", "the default is the appVersion");
    let name = format!("\"{}:{{tag}}\"", image["repository"].as_str().unwrap_or_default());
    let maker = fs::read_to_string(root().join("e2e/src/image.rs"))?;
    assert!(maker.contains(&name), "e2e/src/image.rs does not make {name}");
    let archive = "target/weightedshare.tar";
    for place in ["Makefile", "dev.mk", "docs/getting-started.md"] {
        let text = fs::read_to_string(root().join(place))?;
        assert!(text.contains(archive), "{place} does not name {archive}");
    }
    Ok(())
}
