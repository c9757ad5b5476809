//! What the tests of the operator have in common: a namespace with pods of their own, and questions about them.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

pub mod judge;
pub mod ledger;
pub mod replicas;
pub mod tenants;
pub mod tier;

use std::{future::Future, time::Duration};

use anyhow::{Result, ensure};
use e2e::{Cluster, cpu_time, image, kubectl, operator};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep},
};
use weightedshare::{
    api::{MemberStatus, WeightedShare, WeightedShareStatus},
    cluster,
    share::Resource,
};

pub const MINUTE: Duration = Duration::from_secs(60);

/// A namespace of one test, on a cluster where the operator runs.
pub struct Bench {
    pub cluster: Cluster,
    pub client: Client,
    pub namespace: String,
    ended: bool,
}

impl Drop for Bench {
    /// A test that failed leaves nothing behind that takes CPU from those after it.
    fn drop(&mut self) {
        let delete = |what: &[&str]| {
            let mut command = std::process::Command::new("kubectl");
            let _ = command.arg("delete").args(what).arg("--wait=false").status();
        };
        if !self.ended {
            delete(&["weightedshares", "--all", "--namespace", &self.namespace]);
            delete(&["namespace", &self.namespace]);
        }
    }
}

impl Bench {
    /// Installs the operator once for all tests of the process, and makes the namespace.
    pub async fn new(namespace: &str) -> Result<Self> {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let cluster = Cluster::from_env();
        INSTALLED.get_or_try_init(|| operator::install(&cluster)).await?;
        let manifest =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        kubectl::apply(&manifest.to_string()).await?;
        let client = cluster.client().await?;
        Ok(Self { cluster, client, namespace: namespace.to_owned(), ended: false })
    }

    /// Applies an object to the namespace, with `kubectl apply`.
    pub async fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = json!(self.namespace);
        kubectl::apply(&object.to_string()).await
    }

    /// Applies a pool with a capacity in CPU.
    pub async fn pool(&self, name: &str, cpu: &str, members: Value) -> Result<()> {
        self.apply(pool(name, json!({"cpu": cpu}), members)).await
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn pools(&self) -> Api<WeightedShare> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The running pods with the label `app`, by name, once there are `count`.
    pub async fn running(&self, app: &str, count: usize) -> Result<Vec<Pod>> {
        let selector = ListParams::default().labels(&format!("app={app}"));
        eventually(MINUTE, || async {
            let mut pods = self.pods().list(&selector).await?.items;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            pods.sort_by_key(ResourceExt::name_any);
            let ready = pods.iter().filter(|pod| is_running(pod)).count();
            ensure!(
                ready == count && pods.len() == count,
                "{app}: {ready} of {} pods run",
                pods.len()
            );
            Ok(pods)
        })
        .await
    }

    /// The status of a pool, once it is `as_wanted`.
    pub async fn status(
        &self,
        pool: &str,
        as_wanted: impl Fn(&WeightedShareStatus) -> bool,
    ) -> Result<WeightedShareStatus> {
        eventually(MINUTE, || async {
            let object = self.pools().get(pool).await?;
            let status = object.status.unwrap_or_default();
            let seen = status.observed_generation == object.metadata.generation;
            ensure!(
                seen && as_wanted(&status),
                "{pool}: {}",
                serde_json::to_string_pretty(&status)?
            );
            Ok(status)
        })
        .await
    }

    /// The status of a pool once it is Ready.
    pub async fn settled(&self, pool: &str) -> Result<WeightedShareStatus> {
        self.status(pool, |status| holds(status, "Ready")).await
    }

    /// The status of a pool once it is Ready and `as_wanted`: where something else than the spec has changed, a status that is
    /// Ready may still be one of before.
    pub async fn settled_with(
        &self,
        pool: &str,
        as_wanted: impl Fn(&WeightedShareStatus) -> bool,
    ) -> Result<WeightedShareStatus> {
        self.status(pool, |status| holds(status, "Ready") && as_wanted(status)).await
    }

    /// Waits until the CPU requests of the pods with the label are these, actually, and returns the pods.
    pub async fn holding(&self, app: &str, milli: &[u64]) -> Result<Vec<Pod>> {
        eventually(MINUTE, || async {
            let pods = self.running(app, milli.len()).await?;
            let held: Vec<u64> = pods.iter().map(|pod| actual(pod, "main")).collect();
            ensure!(held == milli, "{app} holds {held:?}, not {milli:?}");
            Ok(pods)
        })
        .await
    }

    /// A pod of another namespace comes that fits beside the `template` millicores which the pod web of this one started with, and 50m
    /// more. It runs, and web still holds what it started with.
    pub async fn gives_room(&self, other: &Self, spec: Value, template: u64) -> Result<()> {
        other.apply(bare_pod("small", "small", spec)).await?;
        other.running("small", 1).await?;
        let held = cpu_charge(&self.running("web", 1).await?[0]);
        ensure!((template..=template + 50).contains(&held), "it holds {held}m of {template}m");
        Ok(())
    }

    /// The CPU that the first node has beside the pods of other namespaces, in millicores, once none of them is ending. Those of
    /// a namespace that is ending are, too: they may just not have been told yet.
    pub async fn room(&self) -> Result<u64> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.list(&ListParams::default()).await?.items.remove(0);
        let allocatable = cluster::Node::read(&node).allocatable[Resource::Cpu];
        let all: Api<Pod> = Api::all(self.client.clone());
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let others = eventually(MINUTE, || async {
            let mut ending = namespaces.list(&ListParams::default()).await?.items;
            ending.retain(|namespace| namespace.metadata.deletion_timestamp.is_some());
            let ends = |pod: &cluster::Pod| {
                pod.terminating || ending.iter().any(|it| it.name_any() == pod.namespace)
            };
            let pods = all.list(&ListParams::default()).await?.items;
            let read: Vec<cluster::Pod> = pods.iter().map(cluster::Pod::read).collect();
            let other = |pod: &&cluster::Pod| pod.namespace != self.namespace && !pod.finished;
            ensure!(!read.iter().filter(other).any(ends), "other pods are ending");
            Ok(read.iter().filter(other).map(|pod| pod.charge(Resource::Cpu)).sum::<u64>())
        })
        .await?;
        Ok(allocatable - others)
    }

    /// Deletes the namespace with all that is in it, and waits until it is gone.
    pub async fn end_with_all(mut self) -> Result<()> {
        self.ended = true;
        let delete = ["delete", "namespace", &self.namespace, "--wait", "--timeout=60s"];
        kubectl::run("kubectl", &delete, "").await.map(drop)
    }

    /// Deletes the namespace with all that is in it, without waiting.
    pub async fn end(mut self) -> Result<()> {
        self.ended = true;
        // In one call, as some may be about to go.
        self.pools().delete_collection(&Default::default(), &ListParams::default()).await?;
        kubectl::run("kubectl", &["delete", "namespace", &self.namespace, "--wait=false"], "")
            .await?;
        Ok(())
    }
}

/// A WeightedShare that may fill its node, and in which every member holds what it owns, used or not.
pub fn pool(name: &str, capacity: Value, members: Value) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name},
        "spec": {"capacity": capacity, "sharing": {"strategy": "Isolated", "nodeReservePercent": 0}, "members": members},
    })
}

/// A member by the label `app`.
pub fn member(app: &str, weight: u32) -> Value {
    json!({"name": app, "weight": weight, "selector": {"matchLabels": {"app": app}}})
}

/// A container that only waits.
pub fn container(name: &str, resources: Value) -> Value {
    json!({
        "name": name,
        "image": image::BUSYBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"],
        "resources": resources,
    })
}

/// A container that uses all the CPU that it gets, on every core.
pub fn spinning(cpu: &str) -> Value {
    let mut container = container("main", json!({"requests": {"cpu": cpu, "memory": "16Mi"}}));
    let script = "trap 'kill 0; exit 0' TERM; for i in $(seq $(nproc)); do (while :; do :; done) & done; wait";
    container["command"] = json!(["sh", "-c", script]);
    container
}

/// The spec of a pod.
pub fn pod_spec(containers: Value) -> Value {
    json!({"terminationGracePeriodSeconds": 1, "containers": containers})
}

/// A Deployment whose pods have the label `app` with its name.
pub fn deployment(app: &str, replicas: u32, spec: Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": spec},
        },
    })
}

/// A pod with the label `app`.
pub fn bare_pod(name: &str, app: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}}, "spec": spec})
}

/// A bare pod that shows these metrics to Prometheus.
pub fn exporter(name: &str, app: &str, metrics: &str) -> Value {
    let mut server = container("main", json!({"requests": {"cpu": "10m", "memory": "16Mi"}}));
    let script = "mkdir -p /tmp/www && echo \"$METRICS\" > /tmp/www/metrics && exec busybox httpd -f -p 8080 -h /tmp/www";
    server["command"] = json!(["sh", "-c", script]);
    server["env"] = json!([{"name": "METRICS", "value": metrics}]);
    let mut pod = bare_pod(name, app, pod_spec(json!([server])));
    pod["metadata"]["annotations"] =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"});
    pod
}

/// Whether the condition is True.
pub fn holds(status: &WeightedShareStatus, condition: &str) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition && it.status == "True")
}

/// The member of a status.
pub fn of<'a>(status: &'a WeightedShareStatus, member: &str) -> &'a MemberStatus {
    status.members.iter().find(|it| it.name == member).expect("the member is in the status")
}

/// The share of CPU that a member has, in millicores.
pub fn cpu_share(status: &WeightedShareStatus, member: &str) -> u64 {
    of(status, member).share.cpu.expect("the pool divides cpu").0
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// The CPU request that the kubelet enforces for a container, in millicores.
pub fn actual(pod: &Pod, container: &str) -> u64 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses
        .filter(|status| status.name == container)
        .filter_map(|status| status.resources.as_ref()?.requests.as_ref()?.get("cpu"))
        .map(|quantity| quantity.0.parse::<weightedshare::share::MilliCpu>().expect("a quantity").0)
        .sum()
}

/// What Kubernetes charges for the pod, in millicores.
pub fn cpu_charge(pod: &Pod) -> u64 {
    cluster::Pod::read(pod).charge(Resource::Cpu)
}

/// UID and restarts of each pod: what a resize must never change.
pub fn identity(pods: &[Pod]) -> Vec<(String, i32)> {
    let restarts = |pod: &Pod| {
        let statuses =
            pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.map(|status| status.restart_count).sum()
    };
    pods.iter().map(|pod| (pod.uid().unwrap_or_default(), restarts(pod))).collect()
}

/// The parts of the CPU time that the kernel gives each pod in the next `window`, in percent of what they get together.
pub async fn cpu_percent(pods: &[&Pod], window: Duration) -> Result<Vec<f64>> {
    let read = || -> Result<Vec<u64>> {
        pods.iter().map(|pod| cpu_time::cgroup(pod)?.cpu_time()).collect()
    };
    let before = read()?;
    sleep(window).await;
    let used: Vec<u64> =
        read()?.into_iter().zip(before).map(|(after, before)| after - before).collect();
    let all: u64 = used.iter().sum();
    Ok(used.into_iter().map(|used| 100.0 * used as f64 / all as f64).collect())
}

/// Tries until it is so, or the time is over.
pub async fn eventually<T, F: Future<Output = Result<T>>>(
    limit: Duration,
    attempt: impl Fn() -> F,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
            result => return result,
        }
    }
}
