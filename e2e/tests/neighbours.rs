//! Others who have a say in what pods hold: autoscalers, and others that resize them.

mod support;

use anyhow::{Result, ensure};
use e2e::kubectl;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{Bench, MINUTE, container, cpu_share, deployment, eventually, member, of, pod_spec};
use weightedshare::{api::MemberState, cluster};

fn waits(cpu: &str) -> Value {
    let requests = json!({"requests": {"cpu": cpu, "memory": "16Mi"}});
    pod_spec(json!([container("main", requests)]))
}

/// Waits until a member is left alone for a reason.
async fn left(bench: &Bench, member: &str, reason: &str) -> Result<String> {
    let is_left = |status: &weightedshare::api::WeightedShareStatus| {
        let member = of(status, member);
        member.state == Some(MemberState::Skipped) && member.reason == reason
    };
    Ok(of(&bench.status("pool", is_left).await?, member).message.clone())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_an_autoscaler_counts_by_utilization_is_left_alone_and_by_value_is_not() -> Result<()>
{
    let bench = Bench::new("horizontal").await?;
    bench.apply(deployment("scaled", 1, waits("50m"))).await?;
    bench.apply(deployment("plain", 1, waits("50m"))).await?;
    bench.running("scaled", 1).await?;
    let scaler = |target: Value| {
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "scaled"},
            "spec": {
                "minReplicas": 1,
                "maxReplicas": 1,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        })
    };
    bench.apply(scaler(json!({"type": "Utilization", "averageUtilization": 80}))).await?;
    bench.pool("pool", "300m", json!([member("scaled", 100), member("plain", 100)])).await?;
    bench.holding("plain", &[250]).await?;
    bench.holding("scaled", &[50]).await?;
    let message = left(&bench, "scaled", "HorizontalPodAutoscaler").await?;
    ensure!(message.contains("HorizontalPodAutoscaler scaled scales"), "{message}");

    bench.apply(scaler(json!({"type": "AverageValue", "averageValue": "200m"}))).await?;
    bench.holding("plain", &[150]).await?;
    bench.holding("scaled", &[150]).await?;
    bench.settled("pool").await?;
    bench.end().await
}

/// The CRD of VerticalPodAutoscaler, as far as it matters here.
fn vertical_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "verticalpodautoscalers.autoscaling.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes/kubernetes/pull/63797"},
        },
        "spec": {
            "group": "autoscaling.k8s.io",
            "scope": "Namespaced",
            "names": {
                "kind": "VerticalPodAutoscaler", "plural": "verticalpodautoscalers", "singular": "verticalpodautoscaler",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                }},
            }],
        },
    })
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_vertical_autoscaler_is_noticed_when_its_kind_comes_and_when_it_goes() -> Result<()> {
    let bench = Bench::new("vertical").await?;
    bench.apply(deployment("both", 1, waits("50m"))).await?;
    bench.apply(deployment("plain", 1, waits("50m"))).await?;
    bench.pool("pool", "300m", json!([member("both", 100), member("plain", 100)])).await?;
    bench.holding("both", &[150]).await?;

    kubectl::apply(&vertical_crd().to_string()).await?;
    let scaler = |mode: &str| {
        json!({
            "apiVersion": "autoscaling.k8s.io/v1",
            "kind": "VerticalPodAutoscaler",
            "metadata": {"name": "both"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "both"},
                "updatePolicy": {"updateMode": mode},
            },
        })
    };
    eventually(MINUTE, || bench.apply(scaler("InPlaceOrRecreate"))).await?;
    // Its kind is looked for every minute.
    let left_to_it = || left(&bench, "both", "VerticalPodAutoscaler");
    let message = eventually(MINUTE + MINUTE / 2, left_to_it).await?;
    ensure!(
        message.contains("VerticalPodAutoscaler both (updateMode InPlaceOrRecreate)"),
        "{message}"
    );
    // It keeps what it has, and the other has the rest.
    bench.pool("pool", "400m", json!([member("both", 100), member("plain", 100)])).await?;
    bench.holding("plain", &[250]).await?;
    bench.holding("both", &[150]).await?;
    bench.apply(scaler("Off")).await?;
    bench.holding("both", &[200]).await?;

    bench.apply(scaler("Recreate")).await?;
    left(&bench, "both", "VerticalPodAutoscaler").await?;
    let crd = "verticalpodautoscalers.autoscaling.k8s.io";
    kubectl::run("kubectl", &["delete", "crd", crd, "--wait=true"], "").await?;
    bench.settled("pool").await?;
    bench.holding("both", &[200]).await?;
    bench.end().await
}

/// The only pod of an app, once its spec asks for so many millicores, whatever the kubelet has made of that.
async fn asking(bench: &Bench, app: &str, milli: u64) -> Result<String> {
    eventually(MINUTE, || async {
        let pod = bench.running(app, 1).await?.remove(0);
        let asks = cluster::Pod::read(&pod).containers[0].held.cpu.requested;
        ensure!(asks == milli, "{app} asks for {asks}m");
        Ok(pod.name_any())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn after_three_rounds_a_pod_is_left_to_who_keeps_resizing_it() -> Result<()> {
    let bench = Bench::new("contest").await?;
    bench.apply(deployment("fought", 1, waits("50m"))).await?;
    bench.apply(deployment("plain", 1, waits("50m"))).await?;
    bench.running("fought", 1).await?;
    bench.pool("pool", "300m", json!([member("fought", 100), member("plain", 100)])).await?;
    let rival = PatchParams { field_manager: Some("rival".into()), ..PatchParams::default() };
    for milli in [71, 72, 73] {
        let pod = asking(&bench, "fought", 150).await?;
        let container =
            json!({"name": "main", "resources": {"requests": {"cpu": format!("{milli}m")}}});
        let patch = Patch::Strategic(json!({"spec": {"containers": [container]}}));
        bench.pods().patch_resize(&pod, &rival, &patch).await?;
    }
    let message = left(&bench, "fought", "ContestedBy").await?;
    ensure!(message.contains("rival has set its cpu three times"), "{message}");
    bench.holding("fought", &[73]).await?;
    bench.holding("plain", &[227]).await?;
    bench.settled_with("pool", |status| cpu_share(status, "plain") == 227).await?;
    bench.end().await
}
