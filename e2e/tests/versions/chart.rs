//! The chart, and the policy for new pods that it brings where the API server has such policies.

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::{Value, json};
use weightedshare::{cluster, share::Resource};

use crate::{
    CRDS, Here, documents,
    support::{MINUTE, bare_pod, container, eventually, pod_spec},
};

/// Its API has been there, in `v1`, since Kubernetes 1.36.
const POLICY: &str = "MutatingAdmissionPolicy";

fn is_policy(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.starts_with(POLICY))
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn the_chart_is_taken_with_the_policy_where_that_is_served() -> Result<()> {
    let here = Here::prepare().await?;
    let group = "admissionregistration.k8s.io/v1";
    let served = here.client().list_api_group_resources(group).await?.resources;
    let serves_policy = served.iter().any(|resource| resource.kind == POLICY);
    println!("{POLICY} v1 is served: {serves_policy}");
    ensure!(serves_policy == (here.place.minor >= 36), "{group} has {served:?}");

    let chart = operator::charts().join("weighted-share").display().to_string();
    let kinds = served.iter().filter(|resource| !resource.name.contains('/'));
    // What a chart that is rendered without a cluster is told of it.
    let told: Vec<String> = [format!("--kube-version={}", here.version)]
        .into_iter()
        .chain(kinds.map(|resource| format!("--api-versions={group}/{}", resource.kind)))
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let template = async |told: &[&str], more: &[&str]| -> Result<String> {
        let whole = ["template", "weighted-share", &chart, "--namespace", operator::NAMESPACE];
        kubectl::run("helm", &[&whole, told, more].concat(), "").await
    };
    // Or Helm asks the API server itself, as `helm install` does.
    for told in [&told[..], &["--dry-run=server"]] {
        let objects = documents(&template(told, &[]).await?)?;
        let policies = objects.iter().filter(|object| is_policy(object)).count();
        // What pods start with, and what they are to say of that: each with its binding.
        let wanted = if serves_policy { 4 } else { 0 };
        ensure!(policies == wanted, "{told:?}: {policies} of {POLICY} and its binding");
    }

    // What the objects are in, and whose pods they are; nothing else need be there.
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": operator::NAMESPACE}});
    kubectl::apply(&namespace.to_string()).await?;
    let account = template(&told, &["--show-only", "templates/serviceaccount.yaml"]).await?;
    kubectl::apply(&account).await?;

    let dry = ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
    for values in
        ["replicas=2", "metrics.exposed=true,networkPolicy.enabled=true,liveUpdate.enabled=true"]
    {
        let manifests = template(&told, &["--set", values]).await?;
        let applied = kubectl::run("kubectl", &dry, &manifests).await?;
        println!("{values}: {} objects", applied.lines().count());
        ensure!(applied.lines().count() == documents(&manifests)?.len(), "{applied}");
    }
    let chart = operator::charts().join("weighted-share-crds").display().to_string();
    let manifests = kubectl::run("helm", &["template", "crds", &chart, told[0]], "").await?;
    // We applied them under another name.
    let dry = [&dry[..], &["--force-conflicts"]].concat();
    kubectl::run("kubectl", &dry, &manifests).await?;
    here.place.leave().await
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn new_pods_start_inside_the_pool_where_the_policy_is_served() -> Result<()> {
    let here = Here::prepare().await?;
    let chart = operator::charts().join("weighted-share").display().to_string();
    let version = format!("--kube-version={}", here.version);
    let arguments =
        ["template", "weighted-share", &chart, &version, "--set", "admissionPolicy.enabled=true"];
    let objects = documents(&kubectl::run("helm", &arguments, "").await?)?;
    let objects = objects.into_iter().filter(is_policy).map(|it| it.to_string());
    let manifests = objects.collect::<Vec<_>>().join("\n---\n");
    let strict = ["apply", "--server-side", "--warnings-as-errors", "-f", "-"];
    // The definition of its parameters; the types of expressions are checked when it is created.
    kubectl::run("kubectl", &["apply", "--server-side", "--force-conflicts", "-f", CRDS], "")
        .await?;
    let applied = kubectl::run("kubectl", &strict, &manifests).await;
    if here.place.minor < 36 {
        let refused = applied.err().context("the policy is taken")?.to_string();
        ensure!(refused.contains("no matches for kind"), "{refused}");
        return here.place.leave().await;
    }
    applied?;
    let policy = ["get", "mutatingadmissionpolicy", "-o", "json"];
    let policies: Value = serde_json::from_str(&kubectl::run("kubectl", &policy, "").await?)?;
    for policy in policies["items"].as_array().context("items")? {
        let warnings = &policy["status"]["typeChecking"]["expressionWarnings"];
        println!("status: {}", policy["status"]);
        ensure!(warnings.is_null(), "{warnings}");
    }

    let start = json!([{"member": "web", "request": {"cpu": "100m", "memory": "64Mi"}}]);
    here.apply(json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "StartProfile",
        "metadata": {"name": "pool"},
        "spec": {"starts": {"app=web": start}},
    }))
    .await?;
    let asks = json!({"requests": {"cpu": "300m", "memory": "128Mi"}});
    let pod = |app: &str| {
        let spec = pod_spec(json!([container("main", asks.clone())]));
        serde_json::from_value::<Pod>(bare_pod("pod", app, spec))
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let asked = async |app: &str| -> Result<[u64; 2]> {
        let pod = cluster::Pod::read(&here.pods().create(&dry, &pod(app)?).await?);
        Ok([pod.charge(Resource::Cpu), pod.charge(Resource::Memory)])
    };
    // It takes a moment until the API server sees its own policies.
    eventually(MINUTE, || async {
        let lowered = asked("web").await?;
        ensure!(lowered == [100, 64 << 20], "{lowered:?}");
        Ok(())
    })
    .await?;
    let other = asked("db").await?;
    ensure!(other == [300, 128 << 20], "a pod of no member: {other:?}");
    // Helm would take them for another release's.
    kubectl::run("kubectl", &["delete", "-f", "-"], &manifests).await?;
    here.place.leave().await
}
