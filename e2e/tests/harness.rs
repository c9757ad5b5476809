//! What the harness promises to the other tests: `cargo run -p e2e -- run -- cargo test --workspace
//! --test harness -- --ignored`.

use std::{process::Command, str::FromStr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    Cluster, audit, binaries,
    cgroups::{Cgroup, Cgroups, CpuWeight, QosClass},
    cpu_time,
    image::{self, Image, Layer},
    kwok::{self, FakeNodes},
    prometheus,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_reaches_the_api_server_at_its_service_address() -> Result<()> {
    let cluster = Cluster::from_env();
    let mut layer = Layer::new();
    layer.file("kubectl", 0o755, std::fs::read(binaries::program("kubectl")?)?)?;
    let image = Image::new("weightedshare.dev/e2e/kubectl:1", layer)?
        .user("65532:65532")
        .entrypoint(&["/kubectl"]);
    cluster.import(&image).await?;

    let pods = pods(&cluster.client().await?);
    let mut pod = pod("in-cluster", "auth whoami", json!({}));
    pod["spec"]["containers"][0]["image"] = json!(image.name());
    pod["spec"]["containers"][0]["command"] = Value::Null;
    pod["spec"]["containers"][0]["args"] = json!(["auth", "whoami"]);
    create(&pods, pod, "Succeeded").await?;
    let log = kubectl("logs in-cluster")?;
    delete(&pods, "in-cluster").await?;
    ensure!(log.contains("system:serviceaccount:default:default"), "{log}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_kernel_weighs_a_pod_by_its_request_before_and_after_a_resize() -> Result<()> {
    let cluster = Cluster::from_env();
    let pods = pods(&cluster.client().await?);
    let began = Timestamp::now();
    let resources = json!({"requests": {"cpu": "200m", "memory": "16Mi"}});
    let running = create(&pods, pod("spins", "while :; do :; done", resources), "Running").await?;
    let cgroup = cgroup(&running)?;

    let before = cgroup.cpu_time()?;
    sleep(Duration::from_secs(2)).await;
    let used = cgroup.cpu_time()? - before;
    ensure!((100_000_000..4_000_000_000).contains(&used), "{used} ns in 2 s");
    ensure!(weighs(&cgroup, 204)?, "{:?}", cgroup.cpu_weight());

    let container = json!({"name": "main", "resources": {"requests": {"cpu": "400m"}}});
    let patch = Patch::Strategic(json!({"spec": {"containers": [container]}}));
    pods.patch_resize("spins", &PatchParams::default(), &patch).await?;
    let resized = wait(&pods, "spins", |pod| actual_cpu(pod) == Some("400m")).await?;
    ensure!(weighs(&cgroup, 409)?, "{:?}", cgroup.cpu_weight());
    ensure!(restarts(&resized) == 0, "it was restarted");

    // The events of a request are written before it is answered.
    let writes = audit::writes(&cluster.own()?.audit_log(), began)?;
    let ours =
        writes.iter().filter(|write| write.resource == "pods/resize" && write.name == "spins");
    let ours: Vec<_> = ours.collect();
    ensure!(ours.len() == 1 && ours[0].took_effect() && ours[0].user == "admin", "{ours:?}");
    ensure!(ours[0].verb == "patch", "{ours:?}");

    // On a cluster that is not ours the kubelet is asked, which reads the same account now and then.
    let client = cluster.client().await?;
    let told = retry(MINUTE, async || {
        let told = cpu_time::of_kubelets(&client, std::slice::from_ref(&resized)).await?;
        told.into_values().next().filter(|told| told.used > 0).context("no CPU time yet")
    })
    .await?;
    let read = cgroup.cpu_time()?;
    // The kubelet's sum has what its sandbox took to start, too, which is much on a busy machine.
    ensure!(told.used <= 2 * read, "the kubelet tells {} ns, the kernel {read} ns", told.used);

    let log = kubectl("exec spins -- cat /etc/passwd")?;
    ensure!(log.starts_with("root:"), "{log}");
    let top = retry(MINUTE * 2, async || kubectl("top pod spins --no-headers")).await?;
    ensure!(top.starts_with("spins"), "{top}");
    if cluster.run_dir().is_some() {
        // Both of the kubelet's endpoints are scraped.
        for job in ["cadvisor", "resource"] {
            let query = format!(
                r#"container_cpu_usage_seconds_total{{job="{job}",namespace="default",pod="spins",container="main"}} > 0"#
            );
            retry(MINUTE, async || {
                let found = prometheus::ask(&query).await?;
                let series = found["result"].as_array();
                ensure!(series.is_some_and(|series| series.len() == 1), "{job}: {found}");
                Ok(())
            })
            .await?;
        }
    }
    delete(&pods, "spins").await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn fake_nodes_answer_resizes() -> Result<()> {
    let cluster = Cluster::from_env();
    let nodes = FakeNodes::start(&cluster, 3, "8", "32Gi").await?;
    let pods = pods(&cluster.client().await?);
    let resize = async |name: &str, cpu: &str| {
        let container = json!({"name": "main", "resources": {"requests": {"cpu": cpu}}});
        let patch = Patch::Strategic(json!({"spec": {"containers": [container]}}));
        pods.patch_resize(name, &PatchParams::default(), &patch).await
    };
    let fake = |name: &str, annotations: Value| {
        let mut pod = pod(name, "true", json!({"requests": {"cpu": "100m"}}));
        let (key, value) = kwok::FAKE;
        pod["metadata"]["annotations"] = annotations;
        pod["spec"]["nodeSelector"] = json!({key: value});
        pod["spec"]["tolerations"] = json!([{"key": key, "operator": "Exists"}]);
        pod
    };

    create(&pods, fake("fast", json!({})), "Running").await?;
    resize("fast", "300m").await?;
    wait(&pods, "fast", |pod| actual_cpu(pod) == Some("300m") && has_caught_up(pod)).await?;

    create(&pods, fake("slow", json!({kwok::RESIZE_AFTER: "4s"})), "Running").await?;
    let began = Instant::now();
    resize("slow", "300m").await?;
    wait(&pods, "slow", |pod| actual_cpu(pod) == Some("300m")).await?;
    ensure!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());

    create(&pods, fake("full", json!({kwok::RESIZE: "Deferred"})), "Running").await?;
    resize("full", "300m").await?;
    let deferred = wait(&pods, "full", is_pending).await?;
    ensure!(actual_cpu(&deferred) == Some("100m"), "{:?}", actual_cpu(&deferred));
    let room = json!({"metadata": {"annotations": {kwok::RESIZE: null}}});
    pods.patch("full", &PatchParams::default(), &Patch::Merge(room)).await?;
    wait(&pods, "full", |pod| actual_cpu(pod) == Some("300m") && !is_pending(pod)).await?;

    for name in ["fast", "slow", "full"] {
        delete(&pods, name).await?;
    }
    drop(nodes);
    Ok(())
}

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), "default")
}

fn pod(name: &str, script: &str, resources: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main",
                "image": image::BUSYBOX,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", script],
                "resources": resources,
            }],
        },
    })
}

async fn create(pods: &Api<Pod>, pod: Value, phase: &str) -> Result<Pod> {
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let name = pod.metadata.name.context("name")?;
    wait(pods, &name, |pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(phase))
        .await
}

async fn delete(pods: &Api<Pod>, name: &str) -> Result<()> {
    pods.delete(name, &DeleteParams::default()).await?;
    retry(MINUTE, async || match pods.get_opt(name).await? {
        Some(_) => bail!("{name} is still there"),
        None => Ok(()),
    })
    .await
}

async fn wait(pods: &Api<Pod>, name: &str, is: impl Fn(&Pod) -> bool) -> Result<Pod> {
    retry(MINUTE, async || {
        let pod = pods.get(name).await?;
        ensure!(is(&pod), "{name}: {}", serde_json::to_string(&pod.status)?);
        Ok(pod)
    })
    .await
}

async fn retry<T>(limit: Duration, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
            result => return result,
        }
    }
}

fn kubectl(arguments: &str) -> Result<String> {
    let output = Command::new("kubectl").args(arguments.split(' ')).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "kubectl {arguments}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

fn cgroup(pod: &Pod) -> Result<Cgroup> {
    let uid = pod.metadata.uid.as_deref().context("uid")?;
    let class = pod.status.as_ref().and_then(|s| s.qos_class.as_deref()).context("QoS class")?;
    Ok(Cgroups::detect()?.pod(QosClass::from_str(class)?, uid))
}

fn weighs(cgroup: &Cgroup, shares: u64) -> Result<bool> {
    Ok(cgroup.cpu_weight()?
        == match Cgroups::detect()?.version() {
            e2e::cgroups::Version::V1 => CpuWeight::Shares(shares),
            e2e::cgroups::Version::V2 => CpuWeight::Weight(1 + (shares - 2) * 9999 / 262_142),
        })
}

fn actual_cpu(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    Some(status.resources.as_ref()?.requests.as_ref()?.get("cpu")?.0.as_str())
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).sum()
}

fn has_caught_up(pod: &Pod) -> bool {
    pod.metadata.generation == pod.status.as_ref().and_then(|status| status.observed_generation)
}

fn is_pending(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "PodResizePending")
}
