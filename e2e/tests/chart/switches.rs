//! Objects that are switched on and off.

use anyhow::{Result, ensure};
use e2e::kubectl;
use serde_json::{Value, json};

use super::{Objects, pod_of, rendered};

/// Everything that can be switched on, except for what replaces something else.
pub const EVERYTHING: [&str; 13] = [
    "metrics.exposed=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "metrics.dashboard.grafanaOperator.enabled=true",
    "networkPolicy.enabled=true",
    "networkPolicy.egress.enabled=true",
    "liveUpdate.enabled=true",
    "trees.enforce=true",
    "admissionPolicy.enabled=true",
    "commonLabels.team=platform",
    "commonAnnotations.note=ours",
    "priorityClassName=system-cluster-critical",
];
/// The APIs of operators that a cluster may have.
const FOREIGN: [&str; 2] = ["monitoring.coreos.com/v1", "grafana.integreatly.org/v1beta1"];

/// Asks the API server whether it would accept all objects whose kinds it knows.
pub async fn dry_run(objects: &Objects) -> Result<()> {
    // The pod of `helm test` may be there already.
    let is_known = |object: &&Value| {
        object["kind"] != "Pod" && !FOREIGN.iter().any(|api| object["apiVersion"] == *api)
    };
    let items: Vec<&Value> = objects.values().filter(is_known).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let apply = ["apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-"];
    let accepted = kubectl::run("kubectl", &apply, &list).await?;
    ensure!(accepted.lines().count() == items.len(), "{accepted}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_switched_on_is_there_and_nothing_else() -> Result<()> {
    let least = rendered(&["admissionPolicy.enabled=false"]).await?;
    let all = rendered(&EVERYTHING).await?;
    let more: Vec<&String> = all.keys().filter(|name| !least.contains_key(*name)).collect();
    let wanted = [
        "ClusterRole weighted-share-metrics",
        "ClusterRole weighted-share-page",
        "ConfigMap weighted-share-dashboard",
        "GrafanaDashboard weighted-share",
        "MutatingAdmissionPolicy weighted-share-new-pods",
        "MutatingAdmissionPolicy weighted-share-started",
        "MutatingAdmissionPolicyBinding weighted-share-new-pods",
        "MutatingAdmissionPolicyBinding weighted-share-started",
        "NetworkPolicy weighted-share",
        "PrometheusRule weighted-share",
        "Service weighted-share-metrics",
        "ServiceMonitor weighted-share",
        "ValidatingAdmissionPolicy weighted-share-started",
        "ValidatingAdmissionPolicyBinding weighted-share-started",
    ];
    ensure!(more == wanted, "{more:?}");
    let least: Vec<&String> = least.keys().collect();
    let wanted = [
        "ClusterRole weighted-share",
        "ClusterRole weighted-share-edit",
        "ClusterRole weighted-share-view",
        "ClusterRoleBinding weighted-share",
        "Deployment weighted-share",
        "Pod weighted-share-plan",
        "PodDisruptionBudget weighted-share",
        "Role weighted-share",
        "RoleBinding weighted-share",
        "ServiceAccount weighted-share",
    ];
    ensure!(least == wanted, "{least:?}");
    for (name, object) in &all {
        let metadata = &object["metadata"];
        ensure!(metadata["labels"]["team"] == "platform", "{name}: {metadata}");
        // The test is no part of the release.
        ensure!(metadata["annotations"]["note"] == "ours" || name.starts_with("Pod "), "{name}");
    }
    let pod = pod_of(&all);
    ensure!(pod["priorityClassName"] == "system-cluster-critical", "{pod}");
    let arguments = pod["containers"][0]["args"].to_string();
    ensure!(arguments.contains("--metrics-address=:8443"), "{arguments}");
    dry_run(&all).await
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_budget_needs_two_replicas_and_has_one_bound() -> Result<()> {
    const BUDGET: &str = "PodDisruptionBudget weighted-share";
    let budget = &rendered(&[]).await?[BUDGET]["spec"];
    ensure!(budget["maxUnavailable"] == 1 && budget["minAvailable"].is_null(), "{budget}");
    ensure!(budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "{budget}");
    let half = "podDisruptionBudget.minAvailable=50%";
    let budget = &rendered(&["replicas=4", half]).await?[BUDGET]["spec"];
    ensure!(budget["minAvailable"] == "50%" && budget["maxUnavailable"].is_null(), "{budget}");
    for value in ["replicas=1", "podDisruptionBudget.enabled=false"] {
        ensure!(!rendered(&[value]).await?.contains_key(BUDGET), "{value}: there is a budget");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn extra_objects_are_templates() -> Result<()> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-notes"}});
    let text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ include \"weighted-share.fullname\" . }}-text\n";
    let all = super::rendered_with(json!({"extraObjects": [object, text]})).await?;
    for name in ["ConfigMap weighted-share-notes", "Secret weighted-share-text"] {
        ensure!(all.contains_key(name), "{name}: {:?}", all.keys());
    }
    Ok(())
}
