//! VPA's recommender and updater, to compare with: built when they are first asked for, and no sooner.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{Bundle, Source, build_missing, cache_folder, modules};
use crate::process;

/// The folder with the module that names it.
const FOLDER: &str = "vertical-pod-autoscaler";
const MODULE: &str = "k8s.io/autoscaler/vertical-pod-autoscaler";
const BUNDLE: Bundle = Bundle {
    name: FOLDER,
    version: "v1.8.1",
    source: Source::Tools { module: FOLDER, rename: None },
    linker_flags: "-s -w",
    programs: &["recommender", "updater"],
    minutes: 3,
};
/// Its CustomResourceDefinitions, in its module and beside the programs.
const PUBLISHED: &str = "deploy/vpa-v1-crd-gen.yaml";
const KINDS: &str = "kinds.yaml";

/// Builds them, if they are not in the cache yet.
///
/// # Errors
/// When that fails.
pub async fn ensure() -> Result<()> {
    build_missing(&[BUNDLE]).await?;
    let kinds = kinds()?;
    if kinds.is_file() {
        return Ok(());
    }
    let mut go = Command::new("go");
    go.env("GOWORK", "off").env_remove("GOFLAGS").current_dir(modules().join(FOLDER));
    let folder = process::run(go.args(["list", "-m", "-f", "{{.Dir}}", MODULE])).await?;
    let published = PathBuf::from(folder.trim()).join(PUBLISHED);
    let text = std::fs::read(&published).with_context(|| published.display().to_string())?;
    std::fs::write(&kinds, text).with_context(|| kinds.display().to_string())
}

/// The path of one of its programs.
///
/// # Errors
/// Where no home is known.
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(cache_folder()?.join(BUNDLE.folder()).join(name))
}

/// The file with its CustomResourceDefinitions.
///
/// # Errors
/// Where no home is known.
pub fn kinds() -> Result<PathBuf> {
    program(KINDS)
}
