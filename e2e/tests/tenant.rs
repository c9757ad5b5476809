//! What a person with the role `edit` in one namespace can do, and what not: the lines of SECURITY.md.

mod support;

use anyhow::{Result, ensure};
use e2e::kubectl;
use serde_json::{Value, json};
use support::{Bench, container, deployment, member, pod_spec, tenants::Tenant};
use weightedshare::api::MemberState;

/// A pool in a namespace, which takes whatever pods have a label.
fn pool(namespace: &str, cpu: &str) -> Value {
    let mut pool = support::pool("pool", json!({"cpu": cpu}), json!([member("web", 100)]));
    pool["metadata"]["namespace"] = json!(namespace);
    pool["spec"]["sharing"]["strategy"] = json!("Isolated");
    pool
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_tenant_shares_out_what_is_his_and_reaches_nothing_else() -> Result<()> {
    let (own, others) = (Bench::new("tenant").await?, Bench::new("others").await?);
    own.cluster.own()?;
    let tenant = Tenant::of(&own).await?;
    let web = || pod_spec(json!([container("main", json!({"requests": {"cpu": "50m"}}))]));
    own.apply(deployment("web", 1, web())).await?;
    others.apply(deployment("web", 1, web())).await?;
    let theirs = others.running("web", 1).await?;

    // They write pools in their namespace, with the cluster's own role, and none elsewhere.
    let apply = ["apply", "-f", "-"];
    tenant.run(&apply, &pool("tenant", "300m")).await?;
    tenant.is_forbidden(&apply, &pool("others", "300m")).await?;
    tenant.is_forbidden(&["get", "ws", "--all-namespaces"], &Value::Null).await?;
    own.holding("web", &[300]).await?;

    // What the controller keeps for itself, they cannot reach: what new pods start with, its lease, its metrics.
    tenant.is_forbidden(&["get", "startprofiles", "--namespace=tenant"], &Value::Null).await?;
    tenant
        .is_forbidden(&["delete", "startprofiles", "pool", "--namespace=tenant"], &Value::Null)
        .await?;
    let lease = ["delete", "lease", "weighted-share", "--namespace=weighted-share-system"];
    tenant.is_forbidden(&lease, &Value::Null).await?;
    tenant.is_forbidden(&["get", "--raw", "/metrics"], &Value::Null).await?;

    // A quota on their namespace holds, however large they make their pool.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": {"hard": {"requests.cpu": "500m"}},
    });
    own.apply(quota).await?;
    tenant.run(&apply, &pool("tenant", "100")).await?;
    let status = own.status("pool", |it| it.members[0].reason == "QuotaFull").await?;
    ensure!(status.members[0].state == Some(MemberState::Settled), "{status:?}");
    let quota = ["get", "quota", "quota", "--namespace=tenant", "-o", "jsonpath={.status.used}"];
    println!("of their quota of 500m is used: {}", kubectl::run("kubectl", &quota, "").await?);

    // The others' pods have the same labels, and noticed nothing.
    let still = others.running("web", 1).await?;
    ensure!(support::identity(&still) == support::identity(&theirs), "their pod is another");
    others.holding("web", &[50]).await?;
    others.end().await?;
    own.end().await
}
