//! The alerts.

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator, prometheus};
use serde_json::{Value, json};

use super::{Objects, rendered, rendered_with, switches::EVERYTHING};

const OBJECT: &str = "PrometheusRule weighted-share";

/// The alerts of `rules/alerts.yaml`.
fn alerts() -> Result<Value> {
    let path = operator::charts().join("weighted-share/rules/alerts.yaml");
    Ok(serde_yaml_ng::from_str(&std::fs::read_to_string(path)?)?)
}

/// The rules of a list of groups.
fn rules(groups: &Value) -> &[Value] {
    groups["groups"][0]["rules"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The alert of that name in the object.
fn alert<'a>(objects: &'a Objects, name: &str) -> Option<&'a Value> {
    rules(&objects[OBJECT]["spec"]).iter().find(|rule| rule["alert"] == name)
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn the_alerts_fire_when_they_should() -> Result<()> {
    let folder = operator::charts().join("weighted-share/rules");
    let promtool = prometheus::promtool()?.display().to_string();
    let tests = folder.join("alerts_test.yaml").display().to_string();
    let said = kubectl::run(&promtool, &["test", "rules", &tests], "").await?;
    ensure!(said.contains("SUCCESS"), "{said}");
    // Each alert is tested.
    let (alerts, tested) = (alerts()?, std::fs::read_to_string(tests)?);
    ensure!(rules(&alerts).len() > 5, "{alerts}");
    for rule in rules(&alerts) {
        let name = rule["alert"].as_str().context("no name")?;
        ensure!(
            tested.contains(&format!("alertname: {name}\n      exp_alerts:\n"))
                || tested.contains(&format!("alertname: {name}\n    exp_alerts:")),
            "{name} is not seen to fire"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn the_object_has_just_the_alerts_with_their_runbooks() -> Result<()> {
    let mut object = rendered(&EVERYTHING).await?[OBJECT]["spec"].clone();
    for rule in object["groups"][0]["rules"].as_array_mut().context("no rules")? {
        let name = rule["alert"].as_str().context("no name")?.to_lowercase();
        let annotations = rule["annotations"].as_object_mut().context("no annotations")?;
        let runbook = annotations.remove("runbook_url").context("no runbook")?;
        ensure!(runbook == format!("https://weightedshare.dev/runbooks.html#{name}"), "{runbook}");
    }
    ensure!(object == alerts()?, "{object}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn alerts_are_left_out_and_changed_as_told() -> Result<()> {
    let values = |runbook: &str| {
        json!({"metrics": {"prometheusRule": {
            "enabled": true,
            "namespace": "monitoring",
            "labels": {"release": "prometheus"},
            "annotations": {"note": "ours"},
            "runbookUrl": runbook,
            "disabled": {"WeightedSharePoolOvercommitted": true, "WeightedSharePoolStalled": false},
            "severities": {"WeightedSharePoolStalled": "critical"},
            "additionalRuleLabels": {"team": "platform"},
        }}})
    };
    let all = rendered_with(values("https://wiki.example.com/")).await?;
    let metadata = &all[OBJECT]["metadata"];
    ensure!(metadata["namespace"] == "monitoring", "{metadata}");
    ensure!(metadata["labels"]["release"] == "prometheus", "{metadata}");
    ensure!(metadata["annotations"]["note"] == "ours", "{metadata}");
    ensure!(alert(&all, "WeightedSharePoolOvercommitted").is_none(), "{}", all[OBJECT]);
    ensure!(rules(&all[OBJECT]["spec"]).len() + 1 == rules(&alerts()?).len(), "{}", all[OBJECT]);
    let stalled = alert(&all, "WeightedSharePoolStalled").context("it is not disabled")?;
    let labels = json!({"severity": "critical", "team": "platform"});
    ensure!(stalled["labels"] == labels, "{stalled}");
    let runbook = &stalled["annotations"]["runbook_url"];
    ensure!(runbook == "https://wiki.example.com/weightedsharepoolstalled", "{stalled}");
    let others = alert(&all, "WeightedSharePoolWithoutMetrics").context("it is not disabled")?;
    ensure!(others["labels"] == json!({"severity": "info", "team": "platform"}), "{others}");

    let all = rendered_with(values("")).await?;
    let has_runbook = |rule: &Value| !rule["annotations"]["runbook_url"].is_null();
    ensure!(!rules(&all[OBJECT]["spec"]).iter().any(has_runbook), "{}", all[OBJECT]);
    Ok(())
}
