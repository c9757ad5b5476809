//! What we ask of an API server, on each version of Kubernetes that is supported: `make versions` runs this once for each,
//! and all of `schema.rs` with it. There is no node, and nothing that outlives the run.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod chart;
mod definitions;
mod program;
#[path = "../schema.rs"]
mod schema;
#[path = "../support/mod.rs"]
mod support;
mod writes;

use anyhow::{Context, Result};
use e2e::{binaries::api_servers::ApiServer, kubectl};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use schema::Place;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{bare_pod, container, pod_spec};

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/weightedshares.yaml");
const NODE: &str = "played";

/// What we know of the API server, and a namespace on it.
struct Here {
    place: Place,
    version: String,
}

impl Here {
    async fn prepare() -> Result<Self> {
        let version = meant()?;
        let here = Self { place: Place::prepare().await?, version };
        // The controller manager makes it elsewhere, and no pod is created without.
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        here.apply(account).await?;
        Ok(here)
    }

    fn client(&self) -> &Client {
        &self.place.client
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client().clone(), &self.place.namespace)
    }

    /// Applies an object to the namespace, with `kubectl apply`.
    async fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = json!(self.place.namespace);
        kubectl::apply(&object.to_string()).await
    }

    /// A pod on the node that is played, with `resources`; one that runs has the status that a kubelet gives it.
    async fn pod(&self, name: &str, resources: &Value, runs: bool) -> Result<Pod> {
        let mut spec = pod_spec(json!([container("main", resources.clone())]));
        spec["nodeName"] = json!(NODE);
        let pod = serde_json::from_value(bare_pod(name, name, spec))?;
        let pod = self.pods().create(&PostParams::default(), &pod).await.context("create a pod")?;
        if runs { self.carry_out(name).await } else { Ok(pod) }
    }

    /// The pod runs with what it asks for: its status is what a kubelet makes of that.
    async fn carry_out(&self, name: &str) -> Result<Pod> {
        let pod = self.pods().get(name).await?;
        let (generation, container) =
            (pod.metadata.generation, &pod.spec.context("a spec")?.containers[0]);
        let requests = container.resources.as_ref().and_then(|it| it.requests.as_ref());
        let status = json!({"status": {
            "phase": "Running",
            "observedGeneration": generation,
            "conditions": [{"type": "Ready", "status": "True", "observedGeneration": generation}],
            "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                "resources": container.resources, "allocatedResources": requests,
            }],
        }});
        let patch = Patch::Merge(status);
        self.pods().patch_status(name, &PatchParams::default(), &patch).await.context("its status")
    }
}

/// The version that this run is for.
fn meant() -> Result<String> {
    let version = std::env::var(ApiServer::VARIABLE);
    version.context("which version is tested? These tests are run by `make versions`")
}

/// The node that is played: it is there, and that is all.
async fn play_node() -> Result<()> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    kubectl::apply(&node.to_string()).await?;
    let room = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    let status =
        json!({"status": {"capacity": room, "allocatable": room, "conditions": ready}}).to_string();
    let arguments = ["patch", "node", NODE, "--subresource=status", "--type=merge", "-p", &status];
    kubectl::run("kubectl", &arguments, "").await.map(drop)
}

/// The objects in a text of several documents.
fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
