//! What somebody can do who has the role `edit` in one namespace, and what not: the lines of SECURITY.md.

mod support;

use anyhow::{Context, Result, ensure};
use e2e::kubectl;
use serde_json::{Value, json};
use support::{Bench, container, deployment, member, pod_spec};
use weightedshare::api::MemberState;

const TENANT: &str = "system:serviceaccount:tenant:developer";

/// What kubectl says to the tenant.
async fn as_tenant(arguments: &[&str], input: &Value) -> Result<String> {
    let who = format!("--as={TENANT}");
    let input = if input.is_null() { String::new() } else { input.to_string() };
    kubectl::run("kubectl", &[&[&*who], arguments].concat(), &input).await
}

async fn is_forbidden(arguments: &[&str], input: &Value) -> Result<()> {
    let refused = as_tenant(arguments, input).await.err();
    let refused = refused.with_context(|| format!("{arguments:?} is allowed"))?.to_string();
    ensure!(refused.contains("Forbidden") || refused.contains("forbidden"), "{refused}");
    Ok(())
}

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
    let (his, others) = (Bench::new("tenant").await?, Bench::new("others").await?);
    his.cluster.own()?;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "developer"}});
    his.apply(account).await?;
    let bind = ["create", "rolebinding", "developer", "--clusterrole=edit", "--namespace=tenant"];
    kubectl::run("kubectl", &[&bind[..], &["--serviceaccount=tenant:developer"]].concat(), "")
        .await?;
    let web = || pod_spec(json!([container("main", json!({"requests": {"cpu": "50m"}}))]));
    his.apply(deployment("web", 1, web())).await?;
    others.apply(deployment("web", 1, web())).await?;
    let theirs = others.running("web", 1).await?;

    // He writes pools in his namespace, with the cluster's own role, and none elsewhere.
    let apply = ["apply", "-f", "-"];
    as_tenant(&apply, &pool("tenant", "300m")).await?;
    is_forbidden(&apply, &pool("others", "300m")).await?;
    is_forbidden(&["get", "ws", "--all-namespaces"], &Value::Null).await?;
    his.holding("web", &[300]).await?;

    // What the controller keeps for itself, he cannot reach: what new pods start with, its lease, its metrics.
    is_forbidden(&["get", "startprofiles", "--namespace=tenant"], &Value::Null).await?;
    is_forbidden(&["delete", "startprofiles", "pool", "--namespace=tenant"], &Value::Null).await?;
    let lease = ["delete", "lease", "weighted-share", "--namespace=weighted-share-system"];
    is_forbidden(&lease, &Value::Null).await?;
    is_forbidden(&["get", "--raw", "/metrics"], &Value::Null).await?;

    // A quota on his namespace holds, however large he makes his pool.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": {"hard": {"requests.cpu": "500m"}},
    });
    his.apply(quota).await?;
    as_tenant(&apply, &pool("tenant", "100")).await?;
    let status = his.status("pool", |it| it.members[0].reason == "QuotaFull").await?;
    ensure!(status.members[0].state == Some(MemberState::Settled), "{status:?}");
    let quota = ["get", "quota", "quota", "--namespace=tenant", "-o", "jsonpath={.status.used}"];
    println!("of his quota of 500m is used: {}", kubectl::run("kubectl", &quota, "").await?);

    // The others' pods have his pods' labels, and noticed nothing.
    let still = others.running("web", 1).await?;
    ensure!(support::identity(&still) == support::identity(&theirs), "their pod is another");
    others.holding("web", &[50]).await?;
    others.end().await?;
    his.end().await
}
