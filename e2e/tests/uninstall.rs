//! The operator leaves a cluster as it found it, but for what Kubernetes does not let anybody take back.

mod support;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use e2e::{Cluster, kubectl, operator};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use support::{Bench, MINUTE, bare_pod, container, deployment, eventually, member, pod_spec};
use tokio::time::Instant;

const NAMESPACE: &str = "uninstall";

/// What comes and goes by itself, or stays by the chart's policy (the CRD).
const ASIDE: [&str; 6] = [
    "customresourcedefinitions.apiextensions.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
];

/// Everything in the cluster, by kind, namespace and name: what its users wrote, without what only says how it stands.
async fn everything() -> Result<BTreeMap<String, Value>> {
    let kinds = ["api-resources", "--verbs=list", "-o", "name"];
    let kinds = kubectl::run("kubectl", &kinds, "").await?;
    let mut all = BTreeMap::new();
    for kind in kinds.split_whitespace().filter(|kind| !ASIDE.contains(kind)) {
        // What is measured differs by the second.
        if kind.ends_with("metrics.k8s.io") {
            continue;
        }
        let list = kubectl::run("kubectl", &["get", kind, "-A", "-o", "json"], "").await?;
        let list: Value = serde_json::from_str(&list)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let meta = &item["metadata"];
            let key =
                format!("{kind} {}/{}", meta["namespace"].as_str().unwrap_or("-"), meta["name"]);
            let mut item = item.clone();
            for moving in ["resourceVersion", "generation", "managedFields"] {
                item["metadata"].as_object_mut().map(|meta| meta.remove(moving));
            }
            item.as_object_mut().map(|item| item.remove("status"));
            all.insert(key, item);
        }
    }
    Ok(all)
}

/// Waits until what the tests before this one had is gone: it would go while this one looks.
async fn alone() -> Result<()> {
    let ending =
        ["get", "namespaces", "-o", "yaml", "--field-selector", "status.phase=Terminating"];
    eventually(2 * MINUTE, || async {
        let ending = kubectl::run("kubectl", &ending, "").await?;
        ensure!(!ending.contains("Terminating"), "these do not end: {ending}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn uninstalling_leaves_the_cluster_as_it_was_but_for_what_the_events_list() -> Result<()> {
    let cluster = Cluster::from_env();
    alone().await?;
    operator::uninstall(&cluster).await?;
    // The namespace of the operator is the user's to delete.
    let namespaces = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": operator::NAMESPACE}},
    ]});
    kubectl::apply(&namespaces.to_string()).await?;
    let requests = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "32Mi"}});
    let sure = json!({"cpu": "40m", "memory": "32Mi"});
    let ratio = json!({"requests": sure, "limits": {"cpu": "80m", "memory": "64Mi"}});
    let two = json!([container("main", requests("40m")), container("side", requests("10m"))]);
    let of = |resources: Value| pod_spec(json!([container("main", resources)]));
    let deployments = [
        deployment("plain", 2, of(requests("40m"))),
        deployment("sure", 1, of(json!({"requests": sure, "limits": sure}))),
        deployment("ratio", 1, of(ratio)),
        deployment("two", 1, pod_spec(two)),
        deployment("capped", 1, of(requests("40m"))),
        bare_pod("alone", "alone", of(requests("40m"))),
    ];
    for mut object in deployments {
        object["metadata"]["namespace"] = json!(NAMESPACE);
        kubectl::apply(&object.to_string()).await?;
    }
    let wait = ["-n", NAMESPACE, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"];
    eventually(MINUTE, || async { kubectl::run("kubectl", &wait, "").await }).await?;
    let before = everything().await?;

    let bench = Bench::new(NAMESPACE).await?;
    let mut members: Vec<Value> =
        ["plain", "sure", "ratio", "two", "capped", "alone"].map(|app| member(app, 100)).into();
    members[2]["limitPolicy"] = json!("Ratio");
    members[4]["limitPolicy"] = json!("Cap");
    bench.apply(support::pool("pool", json!({"cpu": "900m"}), json!(members))).await?;
    bench.settled("pool").await?;
    let resized = everything().await?;
    let differs = |after: &BTreeMap<String, Value>, kind: &str| -> Vec<String> {
        let keys = after.keys().chain(before.keys()).filter(|key| key.starts_with(kind));
        let mut keys: Vec<String> =
            keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    let touched = differs(&resized, &format!("pods {NAMESPACE}/"));
    ensure!(touched.len() == 7, "all pods were resized: {touched:?}");

    let began = Instant::now();
    bench.pools().delete("pool", &DeleteParams::default()).await?;
    eventually(2 * MINUTE, || async {
        ensure!(bench.pools().get_opt("pool").await?.is_none(), "the pool is still there");
        Ok(())
    })
    .await?;
    let took = began.elapsed();
    ensure!(took < Duration::from_secs(90), "the pool took {took:?} to go");
    let events = kubectl::run("kubectl", &["-n", NAMESPACE, "get", "events"], "").await?;
    operator::uninstall(&cluster).await?;
    let after = eventually(MINUTE, || async {
        let after = everything().await?;
        let ours = after.keys().filter(|key| !before.contains_key(*key)).collect::<Vec<_>>();
        ensure!(ours.is_empty(), "these are left: {ours:?}");
        Ok(after)
    })
    .await?;

    let left = differs(&after, "");
    println!("the pool went in {:.1} s; what is not as it was: {left:?}", took.as_secs_f64());
    let expected = |key: &String| key.contains("\"alone\"") || key.contains("\"capped-");
    ensure!(left.len() == 2 && left.iter().all(expected), "{left:#?}");
    ensure!(events.contains("NotReleased"), "{events}");
    let told = events.lines().find(|line| line.contains("NotReleased")).unwrap_or_default();
    ensure!(told.contains("alone (") && told.contains("capped-"), "{told}");
    bench.end().await
}
