//! The loads of one run: begun, measured, ended.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    demand::{self, WINDOW},
    measured::{Counters, Sampled, Work},
    place::Place,
    setting::{NAMESPACE, Run, Variant},
};
use crate::{
    kubectl,
    requests::{self, Requests},
};

/// How long loads run before it counts.
const SETTLES: Duration = Duration::from_secs(30);
/// VPA has to have seen each of them for a while.
const VPA_SETTLES: Duration = Duration::from_secs(150);
/// How often it is looked at what pods request.
const LOOKS: Duration = Duration::from_secs(5);
/// How long pods may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many answers tell what one costs.
const PROBES: u32 = 50;

/// Loads that run.
pub struct Loads<'p> {
    client: Client,
    place: &'p Place,
    run: Run,
    requests: Requests,
    users: JoinHandle<()>,
}

impl Drop for Loads<'_> {
    fn drop(&mut self) {
        self.users.abort();
    }
}

impl<'p> Loads<'p> {
    /// Starts the pods, and then users ask the service.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn begin(client: &Client, place: &'p Place, run: Run) -> Result<Self> {
        let manifests = run.manifests(place);
        let deployments = manifests.iter().filter(|it| it["kind"] == "Deployment");
        let replicas = |it: &serde_json::Value| it["spec"]["replicas"].as_u64().unwrap_or(0);
        let count = deployments.map(replicas).sum::<u64>();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        kubectl::apply(&list.to_string()).await?;
        let pods = running(client, usize::try_from(count)?).await?;
        let service = pods.iter().find(|pod| app(pod) == "service").context("no service")?;
        let address = service.status.as_ref().and_then(|status| status.pod_ip.as_ref());
        let address = SocketAddr::new(address.context("no address")?.parse()?, 8080);
        let cost = cost(place, service, address).await?;
        let requests = Requests::begin(address);
        let users = tokio::spawn(demand::follow(requests.rate(), run.seed, place.cores, cost));
        Ok(Self { client: client.clone(), place, run, requests, users })
    }

    /// Lets them settle, and then measures.
    ///
    /// # Errors
    /// When the API server or the kernel does not tell.
    pub async fn measure(&self) -> Result<Work> {
        sleep(if self.run.variant == Variant::Vpa { VPA_SETTLES } else { SETTLES }).await;
        let end = Instant::now() + WINDOW;
        let given_up = self.requests.given_up();
        let before = Counters::read(self.place, &self.pods().await?).await?;
        let mut sampled = Sampled::default();
        while Instant::now() + LOOKS < end {
            sampled.add(&self.client, self.place, &self.pods().await?).await?;
            sleep(LOOKS).await;
        }
        tokio::time::sleep_until(end).await;
        let after = Counters::read(self.place, &self.pods().await?).await?;
        let answers = self.requests.quantiles(WINDOW, [0.5, 0.99, 0.999]);
        let given_up = self.requests.given_up() - given_up;
        let answers = (answers.context("no request was answered")?, given_up);
        Ok(Work::between(&before, &after, &sampled, answers, (self.run, self.place.cores)))
    }

    /// The pods of the loads, as they are now. One that ends is none of them any more.
    async fn pods(&self) -> Result<Vec<Pod>> {
        let mut pods = list(&self.client).await?;
        pods.retain(|pod| app(pod) != "neighbour" && pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// Deletes them, and waits until they are gone.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn end(self) -> Result<()> {
        clear_away().await
    }
}

/// Deletes the namespace with all that is in it, and waits until it is gone.
///
/// # Errors
/// When kubectl fails.
pub async fn clear_away() -> Result<()> {
    let delete = ["delete", "namespace", NAMESPACE, "--wait", "--timeout=120s"];
    kubectl::run("kubectl", &delete, "").await.map(drop)
}

/// The load that a pod is of.
pub fn app(pod: &Pod) -> &str {
    pod.labels().get("app").map_or("", String::as_str)
}

/// The pods that there are.
///
/// # Errors
/// When the API server does not tell.
pub async fn list(client: &Client) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    Ok(pods.list(&ListParams::default()).await?.items)
}

/// All pods, once so many run.
///
/// # Errors
/// When they do not.
pub async fn running(client: &Client, count: usize) -> Result<Vec<Pod>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pods = list(client).await?;
        let phase =
            |pod: &&Pod| pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
        let run = pods.iter().filter(phase).count();
        if run == count && pods.len() == count {
            return Ok(pods);
        }
        let seconds = PATIENCE.as_secs();
        ensure!(Instant::now() < deadline, "{run} of {count} pods run after {seconds} s");
        sleep(Duration::from_millis(200)).await;
    }
}

/// The CPU time that an answer takes, in seconds: machines differ.
async fn cost(place: &Place, service: &Pod, address: SocketAddr) -> Result<f64> {
    let used = async || anyhow::Ok(place.counted(&[service]).await?.0[0].used);
    let before = used().await?;
    for _ in 0..PROBES {
        requests::ask(address).await?;
    }
    Ok((used().await? - before) as f64 / 1e9 / f64::from(PROBES))
}
