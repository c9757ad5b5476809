//! The first page of the book, followed word for word on a cluster where nothing is installed.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod support;

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, image, kubectl, operator};
use tokio::{process::Command, time::timeout};

use support::MINUTE;

const PAGE: &str = include_str!("../../docs/getting-started.md");
/// The kinds that the charts bring.
const CRDS: [&str; 3] = [
    "weightedshares.weightedshare.dev",
    "clusterweightedshares.weightedshare.dev",
    "startprofiles.weightedshare.dev",
];
/// What the charts' own tag is.
const TAG: &str = env!("CARGO_PKG_VERSION");

/// The fenced blocks of the page with this tag.
fn blocks(tag: &str) -> Vec<String> {
    let (mut blocks, mut open): (Vec<String>, Option<&str>) = (Vec::new(), None);
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(begins), None) => {
                open = Some(begins);
                if begins == tag {
                    blocks.push(String::new());
                }
            }
            (None, Some(within)) if within == tag => {
                let block = blocks.last_mut().expect("it was begun");
                *block += &format!("{line}\n");
            }
            _ => {}
        }
    }
    blocks
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_first_page_leads_to_shares_on_a_running_deployment() -> Result<()> {
    let cluster = Cluster::from_env();
    cluster.own()?;
    // As if nothing had been installed before. (What a failed test has left goes while its controller still runs.)
    let is_there = ["get", "crd", CRDS[0], "--ignore-not-found", "-o", "name"];
    if !kubectl::run("kubectl", &is_there, "").await?.is_empty() {
        let pools = ["delete", "weightedshares", "--all", "--all-namespaces", "--timeout=2m"];
        kubectl::run("kubectl", &pools, "").await?;
    }
    operator::uninstall(&cluster).await?;
    let crds = [&["delete", "crd", "--ignore-not-found"], &CRDS[..]].concat();
    kubectl::run("kubectl", &crds, "").await?;
    let binary = operator::binary();
    let operator = image::operator_image(&binary, TAG)?;
    cluster.import(&operator).await?;

    let script = blocks("sh").join("\n");
    ensure!(script.lines().count() > 60, "{script}");
    // Nothing can be pulled here.
    let script = script.replace("image: busybox:1", &format!("image: {}", image::BUSYBOX));
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = binary.parent().context("the binary is in no folder")?.display().to_string();
    let child = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("PATH", format!("{programs}:{path}"))
        .env("IMAGE", operator.name().trim_end_matches(&format!(":{TAG}")))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        timeout(5 * MINUTE, child).await.context("it takes longer than five minutes")??;
    let (said, trouble) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}\n{trouble}");
    // What the page shows of pods is what came, in its order.
    let mut rest = &*said;
    let mut shown = 0;
    for line in blocks("").iter().flat_map(|block| block.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_none_or(|word| !["checkout", "search"].contains(word)) {
            continue;
        }
        let of_pod = |line: &&str| line.split_whitespace().eq(words.iter().copied());
        let at = rest.lines().position(|line| of_pod(&line));
        let at = at.with_context(|| format!("it shows no {line:?} in\n{said}"))?;
        rest = rest.splitn(at + 2, '\n').last().unwrap_or_default();
        shown += 1;
    }
    ensure!(shown == 6, "three times two pods are shown, not {shown}");
    ensure!(said.contains("belongs to member search"), "{said}");
    Ok(())
}
