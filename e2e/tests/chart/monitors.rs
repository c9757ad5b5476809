//! What the Prometheus operator scrapes.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Objects, rendered_with};

/// The objects with a monitor that has these values, beside those that it needs.
async fn with_monitor(monitor: &str, values: &Value) -> Result<Objects> {
    let mut values = values.clone();
    values["enabled"] = json!(true);
    rendered_with(json!({"metrics": {"exposed": true, monitor: values}})).await
}

/// What both monitors take.
fn shared_values() -> Value {
    json!({
        "namespace": "monitoring",
        "labels": {"release": "prometheus"},
        "annotations": {"note": "ours"},
        "interval": "15s",
        "scrapeTimeout": "10s",
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "drop", "regex": "weightedshare_member_.*",
            "sourceLabels": ["__name__"]}],
        "tokenSecret": {"name": "prometheus-token", "key": "token"},
    })
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_service_monitor_scrapes_as_told() -> Result<()> {
    const MONITOR: &str = "ServiceMonitor weighted-share";
    let all = with_monitor("serviceMonitor", &json!({})).await?;
    let endpoint = &all[MONITOR]["spec"]["endpoints"][0];
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let by_default = json!({"port": "metrics", "scheme": "https", "interval": "30s",
        "honorLabels": true, "tlsConfig": {"insecureSkipVerify": true}, "bearerTokenFile": token});
    ensure!(endpoint == &by_default, "{endpoint}");

    let all = with_monitor("serviceMonitor", &shared_values()).await?;
    shows_shared_values(&all[MONITOR], "endpoints")?;
    // It finds the Service by its labels.
    let selected = all[MONITOR]["spec"]["selector"]["matchLabels"].as_object();
    let service = &all["Service weighted-share-metrics"];
    for (label, value) in selected.into_iter().flatten() {
        ensure!(service["metadata"]["labels"][label] == *value, "{service}");
    }
    ensure!(service["spec"]["ports"][0]["name"] == "metrics", "{service}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_pod_monitor_scrapes_as_told() -> Result<()> {
    let all = with_monitor("podMonitor", &shared_values()).await?;
    ensure!(!all.contains_key("ServiceMonitor weighted-share"), "{:?}", all.keys());
    let monitor = &all["PodMonitor weighted-share"];
    shows_shared_values(monitor, "podMetricsEndpoints")?;
    let pods = &all["Deployment weighted-share"]["spec"]["template"];
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (label, value) in selected.into_iter().flatten() {
        ensure!(pods["metadata"]["labels"][label] == *value, "{pods}");
    }
    let ports = pods["spec"]["containers"][0]["ports"].as_array().into_iter().flatten();
    ensure!(ports.filter(|port| port["name"] == "metrics").count() == 1, "{pods}");
    Ok(())
}

/// Whether a monitor has the [`shared_values`].
fn shows_shared_values(monitor: &Value, endpoints: &str) -> Result<()> {
    let values = shared_values();
    let metadata = &monitor["metadata"];
    ensure!(metadata["namespace"] == "monitoring", "{metadata}");
    ensure!(metadata["labels"]["release"] == "prometheus", "{metadata}");
    ensure!(metadata["annotations"] == values["annotations"], "{metadata}");
    let scraped = &monitor["spec"]["namespaceSelector"]["matchNames"];
    ensure!(scraped == &json!([e2e::operator::NAMESPACE]), "{scraped}");
    let endpoint = &monitor["spec"][endpoints][0];
    for field in ["interval", "scrapeTimeout", "relabelings", "metricRelabelings"] {
        ensure!(endpoint[field] == values[field], "{field}: {endpoint}");
    }
    let token = &endpoint["authorization"]["credentials"];
    ensure!(token == &values["tokenSecret"], "{endpoint}");
    ensure!(endpoint["bearerTokenFile"].is_null(), "{endpoint}");
    Ok(())
}
