//! Nodes that are not there: kwok answers for them, resizes included.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use tokio::process::Command;

use crate::{
    binaries, certificates,
    cluster::Cluster,
    control_plane::option,
    node_object::NodeObject,
    process::{Process, Processes},
};

/// On a pod: its resizes end in this, `Deferred` or `Infeasible`, as long as it stands.
pub const RESIZE: &str = "e2e.weightedshare.dev/resize";
/// On a pod: its resizes take this long, as in `3s`.
pub const RESIZE_AFTER: &str = "e2e.weightedshare.dev/resize-after";
/// The label, and the taint, of every fake node. Pods that are to run there must tolerate it.
pub const FAKE: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

const PATIENCE: Duration = Duration::from_secs(60);
const STAGES: &str = include_str!("../manifests/kwok-stages.yaml");

/// kwok, and the nodes that it plays: `fake-0` and so on. Dropping it ends kwok, and deletes its nodes and their pods.
pub struct FakeNodes {
    // Ends kwok when it is dropped.
    processes: Processes,
    // Declared after kwok, so they are deleted once it has ended.
    objects: Vec<NodeObject>,
    nodes: Api<Node>,
    cpu: String,
    memory: String,
}

impl FakeNodes {
    /// Starts kwok and makes `count` nodes, each with that much CPU and memory.
    ///
    /// # Errors
    /// When kwok does not come up, or the API server refuses.
    pub async fn start(cluster: &Cluster, count: usize, cpu: &str, memory: &str) -> Result<Self> {
        let run_dir = cluster.own()?;
        let client = cluster.client().await?;
        let stages = run_dir.path("kwok-stages.yaml");
        std::fs::write(&stages, STAGES)?;

        let processes = Processes::default();
        processes
            .add(kwok(&certificates::kubeconfig(run_dir, "kwok"), &stages, &run_dir.logs())?)
            .await;
        let (cpu, memory) = (cpu.to_owned(), memory.to_owned());
        let (nodes, objects) = (Api::all(client), Vec::new());
        let mut fakes = Self { processes, objects, nodes, cpu, memory };
        fakes.join(count).await?;
        Ok(fakes)
    }

    /// Makes more nodes, and waits until all are Ready.
    ///
    /// # Errors
    /// When the API server refuses, or kwok does not answer for them.
    pub async fn join(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let node = node(self.objects.len(), &self.cpu, &self.memory)?;
            self.objects.push(NodeObject::of(&node.name_any()));
            self.nodes.create(&PostParams::default(), &node).await?;
        }
        let all = self.objects.len();
        let probe = async || {
            let list = self.nodes.list(&fake()).await?;
            match list.items.iter().filter(|node| is_ready(node)).count() {
                ready if ready >= all => Ok(()),
                ready => bail!("{ready} of {all} are Ready"),
            }
        };
        self.processes.wait_for("kwok", "has its nodes Ready", PATIENCE, probe).await
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.objects.len()
    }

    /// Deletes the nodes that joined last. No pod may be there.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn leave(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let Some(object) = self.objects.pop() else { return Ok(()) };
            self.nodes.delete(object.name(), &DeleteParams::default()).await?;
            object.keep();
        }
        Ok(())
    }
}

fn kwok(kubeconfig: &Path, stages: &Path, logs: &Path) -> Result<Process> {
    let (key, value) = FAKE;
    let mut command = Command::new(binaries::program("kwok")?);
    option(&mut command, "kubeconfig", kubeconfig);
    option(&mut command, "config", stages);
    command.arg("--manage-all-nodes=false");
    command.arg(format!("--manage-nodes-with-label-selector={key}={value}"));
    command.args(["--node-lease-duration-seconds=40", "--cidr=10.97.0.0/16"]);
    Process::start("kwok", logs, command)
}

fn fake() -> ListParams {
    let (key, value) = FAKE;
    ListParams::default().labels(&format!("{key}={value}"))
}

fn node(index: usize, cpu: &str, memory: &str) -> Result<Node> {
    let (key, value) = FAKE;
    let name = format!("fake-{index}");
    let size = json!({"cpu": cpu, "memory": memory, "pods": "500"});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {key: value, "kubernetes.io/hostname": name}},
        "spec": {"taints": [{"key": key, "value": value, "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size},
    }))?)
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}
