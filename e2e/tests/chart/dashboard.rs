//! The dashboard for Grafana.

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, prometheus};
use serde_json::{Value, json};

use super::{
    rendered, rendered_with,
    support::{Bench, MINUTE, container, deployment, eventually, member, pod_spec, pool, spinning},
    switches::EVERYTHING,
};

const OBJECT: &str = "ConfigMap weighted-share-dashboard";

#[tokio::test]
#[ignore = "needs helm"]
async fn the_dashboard_is_where_and_as_told() -> Result<()> {
    let values = json!({"metrics": {"dashboard": {
        "enabled": true,
        "namespace": "grafana",
        "labels": {"grafana_dashboard": "yes"},
        "annotations": {"note": "ours"},
        "folder": "Platform",
        "grafanaOperator": {"enabled": true, "matchLabels": {"dashboards": "shared"}},
    }}});
    let all = rendered_with(values).await?;
    let map = &all[OBJECT];
    ensure!(map["metadata"]["namespace"] == "grafana", "{}", map["metadata"]);
    ensure!(map["metadata"]["labels"]["grafana_dashboard"] == "yes", "{}", map["metadata"]);
    let annotations = json!({"note": "ours", "grafana_folder": "Platform"});
    ensure!(map["metadata"]["annotations"] == annotations, "{}", map["metadata"]);

    let custom = &all["GrafanaDashboard weighted-share"];
    ensure!(custom["metadata"]["namespace"] == "grafana", "{}", custom["metadata"]);
    let spec = &custom["spec"];
    ensure!(spec["folder"] == "Platform", "{spec}");
    ensure!(spec["instanceSelector"]["matchLabels"]["dashboards"] == "shared", "{spec}");
    let reference = &spec["configMapRef"];
    ensure!(reference["name"] == map["metadata"]["name"], "{spec}");
    let key = reference["key"].as_str().context("no key")?;
    ensure!(map["data"][key].is_string(), "{}: {key}", map["metadata"]);

    let apart = rendered(&["metrics.dashboard.enabled=true"]).await?;
    ensure!(apart[OBJECT]["metadata"]["labels"]["grafana_dashboard"] == "1", "{}", apart[OBJECT]);
    ensure!(!apart.contains_key("GrafanaDashboard weighted-share"), "{:?}", apart.keys());
    Ok(())
}

/// What the panels of the dashboard ask, with their titles.
async fn panels() -> Result<Vec<(String, String)>> {
    let map = &rendered(&EVERYTHING).await?[OBJECT];
    let dashboard = map["data"]["weighted-share.json"].as_str().context("no dashboard")?;
    let dashboard: Value = serde_json::from_str(dashboard)?;
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("no query")?;
            let query = query.replace("$namespace", ".*").replace("$pool", ".*");
            asked.push((panel["title"].as_str().unwrap_or_default().to_owned(), query));
        }
    }
    Ok(asked)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_panel_shows_something_of_a_pool_that_lives() -> Result<()> {
    let bench = Bench::new("dashboard").await?;
    bench.cluster.own()?;
    let requests = json!({"requests": {"cpu": "50m", "memory": "32Mi"}});
    let busy = json!([spinning("50m")]);
    bench.apply(deployment("busy", 1, pod_spec(busy))).await?;
    bench.apply(deployment("idle", 1, pod_spec(json!([container("main", requests)])))).await?;
    let mut pool = pool(
        "pool",
        json!({"cpu": "400m", "memory": "128Mi"}),
        json!([member("busy", 100), member("idle", 100)]),
    );
    pool["spec"]["sharing"]["strategy"] = json!("Weighted");
    bench.apply(pool.clone()).await?;
    let lends =
        async || bench.status("pool", |it| it.lent.cpu.is_some_and(|lent| lent.0 > 0)).await;
    lends().await?;
    // The idle one gets back what it owns, after the first look at this controller's numbers.
    pool["spec"]["sharing"]["strategy"] = json!("Isolated");
    bench.apply(pool.clone()).await?;
    bench.holding("idle", &[200]).await?;
    pool["spec"]["sharing"]["strategy"] = json!("Weighted");
    bench.apply(pool).await?;
    lends().await?;

    // A tree has its series, also while no pool is in it.
    let tree = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": "dashboard"},
        "spec": {
            "capacity": {"cpu": "1", "memory": "1Gi"},
            "members": [{"name": "all", "namespaces": ["dashboard"]}],
        },
    });
    kubectl::apply(&tree.to_string()).await?;

    let panels = panels().await?;
    ensure!(panels.len() >= 23, "{} queries", panels.len());
    for (panel, query) in panels {
        eventually(MINUTE, || async {
            let answer = prometheus::ask(&query).await.with_context(|| panel.clone())?;
            let values = answer["result"].as_array().map_or(0, Vec::len);
            let numbers = answer.to_string();
            ensure!(values > 0 && !numbers.contains("NaN"), "{panel} shows nothing: {query}");
            Ok(())
        })
        .await?;
    }
    kubectl::run("kubectl", &["delete", "cws", "dashboard"], "").await?;
    bench.end().await
}
