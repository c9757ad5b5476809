//! The operator's own pods, and which of them leads.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    audit::{self, Request},
    kubectl, operator,
};
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{Api, api::ListParams};
use tokio::time::{Instant, sleep};

use super::{Bench, MINUTE, eventually};

/// The name of its process.
pub const PROCESS: &str = "weightedshare";

/// The operator's pods and their lease.
pub struct Replicas {
    pub pods: Api<Pod>,
    leases: Api<Lease>,
}

impl Replicas {
    pub fn of(bench: &Bench) -> Self {
        let (client, namespace) = (bench.client.clone(), operator::NAMESPACE);
        let pods = Api::namespaced(client.clone(), namespace);
        Self { pods, leases: Api::namespaced(client, namespace) }
    }

    /// Who leads: the identity in the lease.
    pub async fn holder(&self) -> Result<String> {
        let spec = self.leases.get("weighted-share").await?.spec.context("a lease")?;
        spec.holder_identity.filter(|holder| !holder.is_empty()).context("there is no leader")
    }

    /// The leader, once there is one, with its pod.
    pub async fn leader(&self) -> Result<(String, Pod)> {
        let holder = eventually(MINUTE, || self.holder()).await?;
        let pod = self.pods.get(holder.split('_').next().unwrap_or_default()).await?;
        Ok((holder, pod))
    }

    /// Waits for another leader, and says which one, and how long that took.
    pub async fn followed(&self, before: &str) -> Result<(String, Duration)> {
        let began = Instant::now();
        while began.elapsed() < MINUTE {
            match self.holder().await {
                Ok(holder) if holder != before => return Ok((holder, began.elapsed())),
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
        bail!("no leader followed {before} within a minute")
    }

    /// Waits until two pods are ready, and returns them.
    pub async fn whole(&self, limit: Duration) -> Result<Vec<Pod>> {
        let selector = ListParams::default().labels("app.kubernetes.io/name=weighted-share");
        eventually(limit, || async {
            let mut pods = self.pods.list(&selector).await?.items;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            let ready = |pod: &&Pod| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                conditions
                    .into_iter()
                    .flatten()
                    .any(|it| it.type_ == "Ready" && it.status == "True")
            };
            let count = pods.iter().filter(ready).count();
            ensure!(count == 2 && pods.len() == 2, "{count} of {} pods are ready", pods.len());
            Ok(pods)
        })
        .await
    }

    /// What a pod answers.
    pub async fn ask(&self, pod: &str, port: u16, path: &str) -> Result<String> {
        let namespace = operator::NAMESPACE;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{path}");
        kubectl::run("kubectl", &["get", "--raw", &path], "").await
    }
}

/// What the operator wrote since then, its lease apart.
pub fn written(bench: &Bench, since: Timestamp) -> Result<Vec<Request>> {
    let mut writes = audit::writes(&bench.cluster.own()?.audit_log(), since)?;
    writes.retain(Request::is_of_operator);
    Ok(writes)
}
