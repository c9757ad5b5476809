//! New pods start inside the pool: what the API server makes of them by the policy that the chart installs.

mod cost;
mod started;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::kubectl;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, bare_pod, container, deployment, eventually, identity, member, pod_spec,
    tier::Tier,
};
use tokio::time::Instant;
use weightedshare::{api::StartProfile, share::MilliCpu};

const POLICY: &str = "weighted-share-new-pods";
const DRY_RUN: fn() -> PostParams = || PostParams { dry_run: true, ..PostParams::default() };

/// A member that owns so much at most.
fn bounded(app: &str, max: Value) -> Value {
    let mut member = member(app, 100);
    member["max"] = max;
    member
}

/// A pod of the member `app`, with these containers.
fn pod(app: &str, containers: Value) -> Value {
    bare_pod("pod", app, pod_spec(containers))
}

fn asks(requests: Value) -> Value {
    container("main", json!({"requests": requests}))
}

/// The pod that the API server would make of it.
async fn admitted(pods: &Api<Pod>, pod: &Value) -> Result<Pod> {
    let pod = serde_json::from_value(pod.clone())?;
    pods.create(&DRY_RUN(), &pod).await.context("create a pod")
}

/// Request and limit of each container, as `cpu/memory` with `-` where there is none; then the class.
fn resources(pod: &Pod) -> String {
    let amounts = |of: Option<&std::collections::BTreeMap<String, _>>| {
        let amount = |name: &str| {
            let quantity: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity> =
                of.and_then(|of| of.get(name));
            quantity.map_or("-", |quantity| quantity.0.as_str()).to_owned()
        };
        format!("{}/{}", amount("cpu"), amount("memory"))
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut all: Vec<String> = containers
        .map(|container| {
            let resources = container.resources.as_ref();
            let requests = amounts(resources.and_then(|it| it.requests.as_ref()));
            match amounts(resources.and_then(|it| it.limits.as_ref())).as_str() {
                "-/-" => requests,
                limits => format!("{requests} of {limits}"),
            }
        })
        .collect();
    all.extend(pod.status.as_ref().and_then(|status| status.qos_class.clone()));
    all.join(", ")
}

impl Bench {
    fn new_pods(&self) -> Api<StartProfile> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Waits until the policy knows that pods with this key start with so much.
    async fn starting(&self, pool: &str, key: &str, cpu: u64) -> Result<()> {
        eventually(MINUTE, || async {
            let told = self.new_pods().get(pool).await?;
            let starts = told.spec.starts.get(key).into_iter().flatten();
            let is: Vec<_> = starts.map(|start| start.request.cpu).collect();
            ensure!(is == [Some(MilliCpu(cpu))], "{key} starts with {is:?}");
            Ok(())
        })
        .await?;
        // The API server's own watch sees it a moment later.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_kind_of_pod_is_lowered_as_far_as_it_can_be_given_back() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    let bench = Bench::new("new-pods").await?;
    let max = json!({"cpu": "100m", "memory": "64Mi"});
    let selected = json!({"name": "tier", "max": {"cpu": "40m"}, "selector": {"matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["gold", "silver"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]}});
    let mut web = bounded("web", max);
    web["containers"] = json!([{"name": "agent", "mode": "Off"}]);
    let members = json!([web, selected]);
    let capacity = json!({"cpu": "1", "memory": "1Gi"});
    bench.apply(support::pool("pool", capacity, members)).await?;
    bench.starting("pool", "app=web", 100).await?;

    let one = |resources: Value| pod("web", json!([container("main", resources)]));
    let both = |amounts: Value| one(json!({"requests": amounts, "limits": amounts}));
    let with = |mut pod: Value, key: &str, value: Value| {
        pod["spec"][key] = value;
        pod
    };
    let labelled = |mut pod: Value, labels: Value| {
        pod["metadata"]["labels"] = labels;
        pod
    };
    let restarting = |resource: &str| {
        let mut container = asks(json!({"cpu": "300m", "memory": "128Mi"}));
        container["resizePolicy"] =
            json!([{"resourceName": resource, "restartPolicy": "RestartContainer"}]);
        pod("web", json!([container]))
    };
    let mut sidecar = asks(json!({"cpu": "30m"}));
    (sidecar["name"], sidecar["restartPolicy"]) = (json!("proxy"), json!("Always"));
    let mut setup = asks(json!({"cpu": "90m"}));
    setup["name"] = json!("setup");
    let plain = || one(json!({"requests": {"cpu": "300m", "memory": "128Mi"}}));
    let cases = [
        ("requests", plain(), "100m/64Mi, Burstable"),
        (
            "what is less already",
            one(json!({"requests": {"cpu": "30m", "memory": "16Mi"}})),
            "30m/16Mi, Burstable",
        ),
        (
            "containers in proportion",
            pod("web", {
                let mut second = asks(json!({"cpu": "100m"}));
                second["name"] = json!("second");
                let mut third = container("third", json!({}));
                third["name"] = json!("third");
                json!([asks(json!({"cpu": "0.3", "memory": "1Gi"})), second, third])
            }),
            "75m/64Mi, 25m/-, -/-, Burstable",
        ),
        (
            "a container that the member leaves alone",
            pod("web", {
                let mut agent = asks(json!({"cpu": "60m"}));
                agent["name"] = json!("agent");
                json!([asks(json!({"cpu": "300m"})), agent])
            }),
            "40m/-, 60m/-, Burstable",
        ),
        (
            "critical for the cluster",
            with(plain(), "priorityClassName", json!("system-node-critical")),
            "300m/128Mi, Burstable",
        ),
        (
            "Guaranteed: CPU alone, with its limit",
            both(json!({"cpu": "500m", "memory": "128Mi"})),
            "100m/128Mi of 100m/128Mi, Guaranteed",
        ),
        ("BestEffort", one(json!({})), "-/-, BestEffort"),
        (
            "a limit is no request, and stays",
            one(json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "1", "memory": "128Mi"}})),
            "100m/64Mi of 1/128Mi, Burstable",
        ),
        (
            "beside a sidecar, and after setup",
            with(plain(), "initContainers", json!([sidecar, setup])),
            "90m/64Mi, Burstable",
        ),
        ("CPU that restarts", restarting("cpu"), "300m/64Mi, Burstable"),
        ("memory that restarts", restarting("memory"), "100m/128Mi, Burstable"),
        (
            "resources of the pod as a whole",
            with(plain(), "resources", json!({"requests": {"cpu": "1"}})),
            "300m/128Mi, Burstable",
        ),
        (
            "a launcher whose machine is not known",
            labelled(plain(), json!({"app": "web", "kubevirt.io": "virt-launcher"})),
            "300m/128Mi, Burstable",
        ),
        ("another label", labelled(plain(), json!({"app": "db"})), "300m/128Mi, Burstable"),
        ("one of the values", labelled(plain(), json!({"tier": "gold"})), "40m/128Mi, Burstable"),
        (
            "not all requirements",
            labelled(plain(), json!({"tier": "gold", "old": ""})),
            "300m/128Mi, Burstable",
        ),
        (
            "two members: the first by name",
            labelled(plain(), json!({"tier": "gold", "app": "web"})),
            "40m/128Mi, Burstable",
        ),
    ];
    for (what, pod, wanted) in &cases {
        let is = resources(&admitted(&bench.pods(), pod).await?);
        println!("{what:40} {is}");
        ensure!(is == *wanted, "{what}: {is}, not {wanted}");
    }
    let lowered = admitted(&bench.pods(), &plain()).await?;
    ensure!(lowered.annotations()["weightedshare.dev/lowered"] == "cpu,memory", "{lowered:?}");
    let started = |pod: &Pod| pod.annotations().get("weightedshare.dev/started").cloned();
    ensure!(started(&lowered).as_deref() == Some("cpu=100m,memory=67108864"), "{lowered:?}");
    let elsewhere: Api<Pod> = Api::namespaced(bench.client.clone(), "default");
    let is = resources(&admitted(&elsewhere, &plain()).await?);
    ensure!(is == "300m/128Mi, Burstable", "in a namespace without pools: {is}");

    // A pod is the StatefulSet's that controls it, whatever its labels; a Deployment's by its ReplicaSet's name.
    let targets = ["StatefulSet", "Deployment"].map(|kind| {
        let target = json!({"apiVersion": "apps/v1", "kind": kind, "name": "web"});
        json!({"name": kind.to_lowercase(), "max": {"cpu": "70m"}, "targetRef": target})
    });
    bench.pool("pool", "1", json!(targets)).await?;
    bench.starting("pool", "Deployment/web", 70).await?;
    for (version, kind, name, wanted) in [
        ("apps/v1", "StatefulSet", "web", 70),
        ("apps/v1", "StatefulSet", "web-5c9f", 300),
        ("apps.kruise.io/v1beta1", "StatefulSet", "web", 300),
        ("apps/v1", "ReplicaSet", "web-5c9f", 70),
        ("apps/v1", "ReplicaSet", "web-2", 300),
        ("apps/v1", "ReplicaSet", "web", 300),
        ("example.com/v1", "ReplicaSet", "web-5c9f", 300),
    ] {
        let mut owned = labelled(plain(), json!({"pod-template-hash": "5c9f"}));
        let uid = "11111111-2222-3333-4444-555555555555";
        owned["metadata"]["ownerReferences"] = json!([
            {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true}
        ]);
        let is = support::cpu_charge(&admitted(&bench.pods(), &owned).await?);
        ensure!(is == wanted, "{version} {kind} {name}: {is}m, not {wanted}m");
    }

    // In Observe nothing is changed.
    let observe = json!({"spec": {"mode": "Observe", "members": [member("web", 100)]}});
    bench.pools().patch("pool", &PatchParams::default(), &Patch::Merge(observe)).await?;
    eventually(MINUTE, || async {
        let told = bench.new_pods().get("pool").await?;
        ensure!(told.spec.starts.is_empty(), "{:?}", told.spec);
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let is = support::cpu_charge(&admitted(&bench.pods(), &plain()).await?);
    ensure!(is == 300, "a pool that observes: {is}m");
    bench.end().await
}

/// The launcher pod of a virtual machine, as KubeVirt makes it, less what this node has not.
fn launcher() -> Value {
    let mut compute = asks(json!({"cpu": "200m", "memory": "1284Mi", "ephemeral-storage": "50M"}));
    compute["name"] = json!("compute");
    let limits = json!({"cpu": "15m", "memory": "60M"});
    let log = container(
        "guest-console-log",
        json!({"requests": {"cpu": "5m", "memory": "35M"}, "limits": limits}),
    );
    let mut pod = pod("db", json!([compute, log]));
    pod["metadata"]["labels"] = json!({
        "app": "db",
        "kubevirt.io": "virt-launcher",
        "kubevirt.io/created-by": "0fe71a5e-bd8d-4e1c-9f0c-c4b2e4d2c6a1",
        "vm.kubevirt.io/name": "db",
    });
    pod
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn of_a_launcher_pod_the_cpu_of_the_machine_is_lowered_alone() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    let bench = Bench::new("launchers").await?;
    // As the controller writes it where it knows machines.
    let request = json!({"cpu": "55m", "memory": "64Mi"});
    let told = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "StartProfile",
        "metadata": {"name": "pool"},
        "spec": {
            "virtualMachines": true,
            "starts": {"app=db": [{"member": "db", "request": request}]},
        },
    });
    bench.apply(told).await?;
    let is = eventually(MINUTE, || async {
        let is = resources(&admitted(&bench.pods(), &launcher()).await?);
        ensure!(!is.starts_with("200m"), "{is}");
        Ok(is)
    })
    .await?;
    println!("{is}");
    ensure!(is == "50m/1284Mi, 5m/35M of 15m/60M, Burstable", "{is}");
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn ten_pods_at_once_start_inside_the_pool_and_go_back_when_it_goes() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    let bench = Bench::new("at-once").await?;
    let spec = || pod_spec(json!([asks(json!({"cpu": "300m", "memory": "16Mi"}))]));
    bench
        .pool("pool", "500m", json!([bounded("web", json!({"cpu": "250m"})), member("one", 100)]))
        .await?;
    bench.starting("pool", "app=web", 250).await?;

    // It starts with just its share, and is never resized.
    bench.apply(deployment("web", 1, spec())).await?;
    let first = bench.holding("web", &[250]).await?;
    ensure!(first[0].metadata.generation == Some(1), "it was resized: {:?}", first[0].metadata);
    bench.starting("pool", "app=web", 125).await?;

    let before = bench.pods().list(&ListParams::default()).await?;
    let version = before.metadata.resource_version.unwrap_or_default();
    let began = Instant::now();
    kubectl::run("kubectl", &["-n", "at-once", "scale", "deployment", "web", "--replicas=10"], "")
        .await?;
    // All versions of all pods, as they come, until every pod holds its share.
    let mut held = std::collections::BTreeMap::new();
    let mut charges = Vec::new();
    for pod in &before.items {
        held.insert(pod.name_any(), support::cpu_charge(pod));
    }
    let mut events =
        Box::pin(bench.pods().watch(&WatchParams::default().timeout(60), &version).await?);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(pod) => {
                let starts = support::cpu_charge(&pod);
                ensure!(starts <= 125, "{} starts with {starts}m", pod.name_any());
                held.insert(pod.name_any(), starts);
            }
            WatchEvent::Modified(pod) => {
                held.insert(pod.name_any(), support::cpu_charge(&pod));
            }
            _ => continue,
        }
        charges.push((began.elapsed().as_millis(), held.len(), held.values().sum::<u64>()));
        if held.len() == 10 && held.values().all(|&cpu| cpu == 25) {
            break;
        }
    }
    let most = charges.iter().max_by_key(|(_, _, charge)| *charge).context("no pod came")?;
    let last = charges.last().context("no pod came")?;
    println!(
        "ten pods at once, in a pool of 500m: they are charged {}m at most ({} pods, after {} ms; 3000m without the \
         policy), and the member's 250m from {} ms on",
        most.2, most.1, most.0, last.0
    );
    ensure!(last.2 == 250, "they hold {held:?}");
    ensure!(most.2 <= 250 + 9 * 125, "they were charged {}m", most.2);
    let all = bench.holding("web", &[25; 10]).await?;
    bench.settled("pool").await?;

    // A pod that started with less, and was never resized, goes back to its template as the others do.
    bench.apply(deployment("one", 1, spec())).await?;
    bench.holding("one", &[250]).await?;
    kubectl::run("kubectl", &["-n", "at-once", "scale", "deployment", "web", "--replicas=1"], "")
        .await?;
    bench.running("web", 1).await?;
    kubectl::run("kubectl", &["-n", "at-once", "delete", "ws", "pool"], "").await?;
    let one = bench.holding("one", &[300]).await?;
    let web = bench.holding("web", &[300]).await?;
    ensure!(identity(&all).contains(&identity(&web)[0]) && identity(&one)[0].1 == 0, "a restart");
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_chart_installs_the_policies_where_the_server_has_it() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/weighted-share");
    let policies = async |more: &[&str]| -> Result<usize> {
        let arguments = [&["template", "weighted-share", chart], more].concat();
        let manifests = kubectl::run("helm", &arguments, "").await?;
        let count = |what: &str| manifests.matches(what).count();
        // The controller believes what the policies write, and nothing else.
        ensure!(count("--admission-policy") == count("\nkind: ValidatingAdmissionPolicy\n"));
        Ok(count("\nkind: MutatingAdmissionPolicy\n"))
    };
    let served = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
    ensure!(policies(&[]).await? == 0, "of a server nothing is known");
    ensure!(policies(&[served]).await? == 2, "the server has it");
    ensure!(
        policies(&[served, "--set", "admissionPolicy.enabled=false"]).await? == 0,
        "switched off"
    );
    ensure!(policies(&["--set", "admissionPolicy.enabled=true"]).await? == 2, "switched on");
    Ok(())
}
