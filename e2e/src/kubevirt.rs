//! KubeVirt as far as other controllers see it: its kinds, and a stand-in for virt-controller that makes machines, their
//! instances and launcher pods, and moves them from node to node. Labels, owners, containers and requests are those that
//! KubeVirt 1.9 gives them.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
        ValidationDirective,
    },
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{image, kubectl};

/// Names a file with KubeVirt's own definitions, to be used in place of ours.
const CRDS: &str = "KUBEVIRT_CRDS";

const MIGRATION: &str = "VirtualMachineInstanceMigration";

/// How many virtual CPUs share what one CPU is requested for.
const ALLOCATION_RATIO: u32 = 10;

/// Installs the kinds.
///
/// # Errors
/// When they cannot be applied, or are not served in time.
pub async fn install() -> Result<()> {
    kubectl::apply(include_str!("../manifests/kubevirt-crds.yaml")).await?;
    if let Some(file) = std::env::var_os(CRDS) {
        let file = file.to_str().context("KUBEVIRT_CRDS is not UTF-8")?;
        let replace = ["apply", "--server-side", "--force-conflicts", "-f", file];
        kubectl::run("kubectl", &replace, "").await?;
    }
    let wait = ["wait", "crd", "--for=condition=Established", "--timeout=60s"];
    let kinds = ["kubevirts", "virtualmachines", "virtualmachineinstances"];
    let kinds = kinds.map(|kind| format!("{kind}.kubevirt.io"));
    let wait: Vec<&str> = wait.into_iter().chain(kinds.iter().map(String::as_str)).collect();
    kubectl::run("kubectl", &wait, "").await.map(drop)
}

/// Sets KubeVirt up so that it changes machines that run, by live migration.
///
/// # Errors
/// When it cannot be applied.
pub async fn updates_live() -> Result<()> {
    let kubevirt = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": "default"},
        "spec": {
            "configuration": {"vmRolloutStrategy": "LiveUpdate"},
            "workloadUpdateStrategy": {"workloadUpdateMethods": ["LiveMigrate"]},
        },
    });
    kubectl::apply(&kubevirt.to_string()).await
}

/// Removes the kinds, and with them all machines.
///
/// # Errors
/// When they cannot be removed.
pub async fn uninstall() -> Result<()> {
    let delete = ["delete", "-f", "-", "--ignore-not-found", "--wait=true"];
    kubectl::run("kubectl", &delete, include_str!("../manifests/kubevirt-crds.yaml"))
        .await
        .map(drop)
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its virtual CPUs.
    pub vcpus: u32,
    /// The labels of the machine, which its launcher pods carry too.
    pub labels: Value,
    /// What runs in its container `compute`: image, command and so on.
    pub compute: Value,
    /// What else there is in the spec of the pod, such as a node's name.
    pub pod: Value,
}

impl Shape {
    /// A machine whose launcher only waits.
    #[must_use]
    pub fn idle(app: &str, vcpus: u32) -> Self {
        let script = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";
        Self {
            vcpus,
            labels: json!({"app": app}),
            compute: json!({"image": image::BUSYBOX, "command": ["sh", "-c", script]}),
            pod: json!({}),
        }
    }
}

/// A machine on its way to another node.
#[derive(Clone, Debug)]
pub struct Move {
    /// The pod that it goes to.
    pub target: Pod,
    machine: String,
    /// The migration, and its UID.
    name: String,
    job: String,
}

/// Who makes the machines of a namespace.
#[derive(Clone)]
pub struct StandIn {
    client: Client,
    namespace: String,
}

impl StandIn {
    /// For one namespace.
    #[must_use]
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self { client: client.clone(), namespace: namespace.to_owned() }
    }

    /// Makes a machine that runs, with its instance and a launcher pod.
    ///
    /// # Errors
    /// When the API server refuses one of them.
    pub async fn start(&self, name: &str, shape: &Shape) -> Result<Pod> {
        let template =
            json!({"metadata": {"labels": shape.labels}, "spec": {"domain": domain(shape.vcpus)}});
        let vm = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"name": name},
            "spec": {"runStrategy": "Always", "template": template},
        });
        let vm = self.create("VirtualMachine", vm).await?;
        self.run(&vm, shape).await
    }

    /// Starts a machine that was stopped.
    ///
    /// # Errors
    /// When the API server refuses what that takes.
    pub async fn restart(&self, name: &str, shape: &Shape) -> Result<Pod> {
        let vm = self.api("VirtualMachine").get(name).await?;
        self.run(&vm, shape).await
    }

    async fn run(&self, vm: &DynamicObject, shape: &Shape) -> Result<Pod> {
        let name = &vm.name_any();
        let vmi = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {
                "name": name, "labels": shape.labels,
                "ownerReferences": [owner("VirtualMachine", vm)],
            },
            "spec": {"domain": domain(shape.vcpus)},
        });
        self.create("VirtualMachineInstance", vmi).await?;
        let pod = self.launch(name, shape, None).await?;
        let node = shape.pod["nodeName"].as_str().unwrap_or_default();
        let pods = json!({pod.uid().unwrap_or_default(): node});
        self.say(name, json!({"phase": "Running", "nodeName": node, "activePods": pods})).await?;
        let running =
            json!({"status": {"created": true, "ready": true, "printableStatus": "Running"}});
        let vms = self.api("VirtualMachine");
        vms.patch_status(name, &strictly(), &Patch::Merge(running)).await?;
        Ok(pod)
    }

    /// Changes the domain of a running machine, as after a hot-plug.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn plug(&self, name: &str, domain: Value) -> Result<()> {
        let patch = json!({"spec": {"domain": domain}});
        let vmis = self.api("VirtualMachineInstance");
        vmis.patch(name, &strictly(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Begins to move a machine: a migration, and a second launcher pod.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn migrate(&self, name: &str, shape: &Shape) -> Result<Move> {
        // No machine runs, and moves, in the second in which its pod was made: that is how exactly a pod tells its age.
        sleep(Duration::from_millis(1_100)).await;
        let migration = json!({
            "apiVersion": "kubevirt.io/v1", "kind": MIGRATION,
            "metadata": {
                "name": format!("{name}-{}", Timestamp::now().as_millisecond()),
                "labels": {"kubevirt.io/vmi-name": name},
            },
            "spec": {"vmiName": name},
        });
        let migration = self.create(MIGRATION, migration).await?;
        let job = migration.uid().unwrap_or_default();
        let target = self.launch(name, shape, Some(&job)).await?;
        let migration = Move { name: migration.name_any(), job, machine: name.to_owned(), target };
        self.report(&migration, "Scheduling", json!({"startTimestamp": Timestamp::now()})).await?;
        Ok(migration)
    }

    /// The machine runs in its new pod from now on, and the one that it ran `from` is done.
    ///
    /// # Errors
    /// When the API server refuses to be told.
    pub async fn hand_over(&self, migration: &Move, from: &Pod) -> Result<()> {
        let target = &migration.target;
        let target = self.pods().get(&target.name_any()).await?;
        let node = target.spec.as_ref().and_then(|it| it.node_name.clone()).unwrap_or_default();
        let pods =
            json!({from.uid().unwrap_or_default(): null, target.uid().unwrap_or_default(): node});
        self.say(&migration.machine, json!({"nodeName": node, "activePods": pods})).await?;
        let done = json!({
            "completed": true, "endTimestamp": Timestamp::now(),
            "sourcePod": from.name_any(), "targetNode": node,
        });
        self.report(migration, "Succeeded", done).await?;
        self.end(from).await
    }

    /// The move failed: the new pod is done, and the machine stays where it is.
    ///
    /// # Errors
    /// When the API server refuses to be told.
    pub async fn fail(&self, migration: &Move) -> Result<()> {
        let failed = json!({"completed": true, "failed": true, "endTimestamp": Timestamp::now()});
        self.report(migration, "Failed", failed).await?;
        self.end(&migration.target).await
    }

    /// Says how a move stands, on the migration and on the machine's instance.
    async fn report(&self, migration: &Move, phase: &str, mut state: Value) -> Result<()> {
        state["migrationUid"] = json!(migration.job);
        state["targetPod"] = json!(migration.target.name_any());
        self.say(&migration.machine, json!({"migrationState": state})).await?;
        let status = json!({"status": {"phase": phase, "migrationState": state}});
        let migrations = self.api(MIGRATION);
        migrations.patch_status(&migration.name, &strictly(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// A launcher pod is done.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn end(&self, pod: &Pod) -> Result<()> {
        let params = DeleteParams::default().grace_period(1);
        self.pods().delete(&pod.name_any(), &params).await.map(drop).context("end a launcher pod")
    }

    /// Stops a machine: its instance goes, and with that its pod.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let vmis = self.api("VirtualMachineInstance");
        vmis.delete(name, &DeleteParams::foreground()).await?;
        let stopped =
            json!({"status": {"created": false, "ready": false, "printableStatus": "Stopped"}});
        let vms = self.api("VirtualMachine");
        vms.patch_status(name, &strictly(), &Patch::Merge(stopped)).await?;
        Ok(())
    }

    /// Merges something into the status of an instance.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn say(&self, name: &str, status: Value) -> Result<()> {
        let status = json!({"status": status});
        // KubeVirt's definition has no subresource for it.
        let vmis = self.api("VirtualMachineInstance");
        vmis.patch(name, &strictly(), &Patch::Merge(status)).await?;
        Ok(())
    }

    async fn launch(&self, name: &str, shape: &Shape, migration: Option<&str>) -> Result<Pod> {
        let vmi = self.api("VirtualMachineInstance").get(name).await?;
        let mut labels = shape.labels.clone();
        labels["kubevirt.io"] = json!("virt-launcher");
        labels["kubevirt.io/created-by"] = json!(vmi.uid());
        labels["vmi.kubevirt.io/id"] = json!(name);
        labels["vm.kubevirt.io/name"] = json!(name);
        if let Some(job) = migration {
            labels["kubevirt.io/migrationJobUID"] = json!(job);
        }
        let milli = shape.vcpus * 1000 / ALLOCATION_RATIO;
        let mut compute = shape.compute.clone();
        compute["name"] = json!("compute");
        compute["imagePullPolicy"] = json!("Never");
        compute["resources"] = json!({"requests": {"cpu": format!("{milli}m"), "memory": "192Mi"}});
        let console = json!({
            "name": "guest-console-log", "image": image::BUSYBOX, "imagePullPolicy": "Never",
            "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"],
            "restartPolicy": "Always",
            "resources": {"requests": {"cpu": "5m", "memory": "35M"}, "limits": {"cpu": "15m", "memory": "60M"}},
        });
        let mut spec = json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "containers": [compute],
            "initContainers": [console],
        });
        for (key, value) in shape.pod.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let pod = json!({
            "metadata": {
                "generateName": format!("virt-launcher-{name}-"),
                "labels": labels,
                "ownerReferences": [owner("VirtualMachineInstance", &vmi)],
            },
            "spec": spec,
        });
        let pod = serde_json::from_value(pod)?;
        self.pods().create(&PostParams::default(), &pod).await.context("make a launcher pod")
    }

    async fn create(&self, kind: &str, object: Value) -> Result<DynamicObject> {
        let name = object["metadata"]["name"].as_str().context("an object with a name")?;
        let params = PatchParams { field_manager: Some("virt-controller".into()), ..strictly() };
        self.api(kind)
            .patch(name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("make a {kind}"))
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("kubevirt.io", "v1", kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Fields that the kind does not have are refused, not dropped.
fn strictly() -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() }
}

fn domain(vcpus: u32) -> Value {
    json!({
        "cpu": {"cores": 1, "sockets": vcpus, "maxSockets": 4 * vcpus, "threads": 1},
        "memory": {"guest": "128Mi", "maxGuest": "4Gi"},
        "devices": {},
    })
}

fn owner(kind: &str, of: &DynamicObject) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": kind, "name": of.name_any(), "uid": of.uid(),
        "controller": true, "blockOwnerDeletion": true,
    })
}
