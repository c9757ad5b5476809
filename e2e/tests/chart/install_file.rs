//! `make install-yaml`: both charts as one file for `kubectl apply`.

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use serde_json::Value;

use super::{objects, rendered};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn one_file_installs_what_the_charts_do() -> Result<()> {
    let root = operator::charts().join("..").display().to_string();
    kubectl::run("make", &["-C", &root, "install-yaml", "HELM=helm"], "").await?;
    let path = format!("{root}/target/release/weighted-share-install.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let file = objects(&text)?;
    let is_hook = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"].is_string();
    for (name, object) in rendered(&["admissionPolicy.enabled=false"]).await? {
        ensure!(is_hook(&object) != file.contains_key(&name), "{name}: {:?}", file.keys());
    }
    // kubectl sends them in this order, and each needs those before it.
    let places = ["CustomResourceDefinition", "Namespace", "Deployment"]
        .map(|kind| text.find(&format!("\nkind: {kind}\n")));
    ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    let apply = ["apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", &path];
    let accepted = kubectl::run("kubectl", &apply, "").await?;
    ensure!(accepted.lines().count() == file.len(), "{accepted}");
    Ok(())
}
