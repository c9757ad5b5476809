//! Every example does what its comments say.

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{Api, ResourceExt, api::ListParams};
use support::{Bench, MINUTE, eventually};
use weightedshare::api::WeightedShare;

/// The shares of CPU, in millicores, that each example ends with; none where they move with what is measured, or with
/// the time of day.
const EXAMPLES: &[(&str, &[(&str, u64)])] = &[
    ("demand.yaml", &[]),
    ("demo.yaml", &[("bronze", 150), ("silver", 300), ("gold", 750)]),
    ("hours.yaml", &[]),
    ("memory.yaml", &[("database", 150), ("cache", 50)]),
    ("objective.yaml", &[("checkout", 300), ("search", 100)]),
    ("observe.yaml", &[("day", 750), ("night", 250)]),
    ("pressure.yaml", &[]),
    ("replicas.yaml", &[("web", 300), ("api", 100)]),
    ("statefulset.yaml", &[("database", 200), ("web", 100)]),
    ("weights.yaml", &[("frontend", 160), ("backend", 200), ("batch", 120)]),
];

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_example_divides_as_it_says() -> Result<()> {
    let bench = Bench::new("examples").await?;
    let listed: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    ensure!(operator::examples()? == listed, "{:?} and {listed:?}", operator::examples()?);
    let pools: Api<WeightedShare> = Api::all(bench.client.clone());
    for (name, expected) in EXAMPLES {
        let manifests = operator::apply_example(&bench.cluster, name).await?;
        let expected: BTreeMap<String, u64> =
            expected.iter().map(|(member, milli)| ((*member).to_owned(), *milli)).collect();
        eventually(MINUTE, || async {
            let pool = pools.list(&ListParams::default()).await?.items.pop().context("a pool")?;
            let status = pool.status.clone().unwrap_or_default();
            let shares: BTreeMap<String, u64> = status
                .members
                .iter()
                .filter_map(|member| Some((member.name.clone(), member.share.cpu?.0)))
                .collect();
            ensure!(
                (expected.is_empty() || shares == expected) && support::holds(&status, "Ready"),
                "{name}: {} says {status:?}",
                pool.name_any()
            );
            Ok(())
        })
        .await?;
        does_not_drift(&pools, &manifests).await.with_context(|| (*name).to_owned())?;
        kubectl::run("kubectl", &["delete", "-f", "-", "--timeout=60s"], &manifests).await?;
    }
    bench.end().await
}

/// What a tool applies that keeps a cluster as Git has it, once more and by server-side apply as another manager, changes
/// nothing, and it finds nothing that differs: not in a pool that has a status and a finalizer, nor in a workload whose
/// pods were resized.
async fn does_not_drift(pools: &Api<WeightedShare>, manifests: &str) -> Result<()> {
    const TOOL: &str = "--field-manager=a-gitops-tool";
    let spec = async || -> Result<_> {
        let pool = pools.list(&ListParams::default()).await?.items.pop().context("no pool")?;
        Ok((pool.metadata.generation, pool.spec))
    };
    let before = spec().await?;
    // kubectl says "configured" of what it sends the same list to once more; whether that changed anything, the spec says.
    kubectl::run("kubectl", &["apply", "-f", "-"], manifests).await?;
    let diff =
        kubectl::run("kubectl", &["diff", "-f", "-"], manifests).await.context("it differs")?;
    ensure!(diff.trim().is_empty() && spec().await? == before, "applied once more: {diff}");
    for _ in 0..2 {
        let apply = ["apply", "--server-side", "--force-conflicts", TOOL, "-f", "-"];
        kubectl::run("kubectl", &apply, manifests).await?;
        // It ends with 1 where something differs.
        let diff = ["diff", "--server-side", "--force-conflicts", TOOL, "-f", "-"];
        let diff = kubectl::run("kubectl", &diff, manifests).await.context("it differs")?;
        ensure!(diff.trim().is_empty(), "{diff}");
    }
    ensure!(spec().await? == before, "{before:?}");
    // Only its user has a part in what they wrote.
    let pool = pools.list(&ListParams::default()).await?.items.pop().context("no pool")?;
    let ours = |it: &&ManagedFieldsEntry| it.manager.as_deref() == Some("weightedshare");
    let entries = pool.metadata.managed_fields.iter().flatten();
    ensure!(entries.clone().any(|it| ours(&it)), "the controller has written nothing: {pool:?}");
    for entry in entries.filter(ours) {
        let fields = serde_json::to_string(&entry.fields_v1)?;
        ensure!(!fields.contains("f:spec"), "the controller has fields of the spec: {fields}");
    }
    Ok(())
}
