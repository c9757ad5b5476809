//! What else holds on a node with cgroup v2, by its own kernel: new pods, memory limits, and pods of two classes.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::kubectl;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, bare_pod, container, deployment, eventually, holds, identity,
    judge::{Judge, percent},
    member, pod_spec, pool, spinning,
};

/// How long CPU time is measured.
const WINDOW: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_start_grow_and_stand_beside_each_other_on_cgroup_v2() -> Result<()> {
    let bench = Bench::new("cgroup-v2").await?;
    let judge = Judge::start(&bench.cluster).await?;
    new_pods_start_with_their_share(&bench, &judge).await.context("new pods")?;
    memory_limits_follow_their_requests(&bench, &judge).await.context("memory limits")?;
    weights_hold_inside_a_class_only(&bench, &judge).await.context("two classes")?;
    bench.end_with_all().await
}

/// A Deployment is scaled up: the weight of the new pod is that of its share from its start, in the kernel too.
async fn new_pods_start_with_their_share(bench: &Bench, judge: &Judge) -> Result<()> {
    let asks = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "16Mi"}});
    let spec = judge.put(pod_spec(json!([container("main", asks("300m"))])));
    bench.apply(deployment("grows", 1, spec)).await?;
    bench.pool("grows", "300m", json!([member("grows", 100)])).await?;
    bench.settled("grows").await?;
    let scale = ["-n", &bench.namespace, "scale", "deployment", "grows", "--replicas=3"];
    // Each owns 100m, and a new pod of one is known to own half of 300m, of two a third.
    kubectl::run("kubectl", &scale, "").await?;
    let pods = eventually(3 * MINUTE, || bench.holding("grows", &[100; 3])).await?;
    let pods: Vec<&Pod> = pods.iter().collect();
    let weights = judge.weights(&pods).await?;
    ensure!(weights == [4; 3], "the weights of 100m are {weights:?}");
    let lowered = pods.iter().filter(|pod| pod.metadata.annotations.is_some()).count();
    println!("three pods of 100m weigh {weights:?}; {lowered} of them started with less than 300m");
    ensure!(lowered >= 2, "only {lowered} pods started inside the pool");
    bench.pools().delete("grows", &Default::default()).await?;
    let delete = ["-n", &bench.namespace, "delete", "deployment", "grows"];
    kubectl::run("kubectl", &delete, "").await.map(drop)
}

/// The limits of a pod go up and down with its requests, without a restart: in memory.max.
async fn memory_limits_follow_their_requests(bench: &Bench, judge: &Judge) -> Result<()> {
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}});
    let spec = judge.put(pod_spec(json!([container("main", resources)])));
    bench.apply(deployment("memory", 1, spec)).await?;
    let before = eventually(2 * MINUTE, || bench.running("memory", 1)).await?;
    let mut only = member("memory", 100);
    only["limitPolicy"] = json!("Ratio");
    for mebibytes in [48_u64, 96, 40] {
        let capacity = json!({"memory": format!("{mebibytes}Mi")});
        bench.apply(pool("memory", capacity, json!([only]))).await?;
        // What it uses is measured before a limit is lowered.
        let limit = (2 * mebibytes) << 20;
        eventually(3 * MINUTE, || async {
            let file = judge.cgroup(&before[0])?.file("memory", "memory.max");
            let told = judge.read(&[file]).await?.remove(0);
            ensure!(told == limit.to_string(), "memory.max is {told}, not {limit}");
            Ok(())
        })
        .await?;
        println!("{mebibytes}Mi requested: memory.max is {limit}");
    }
    let after = bench.running("memory", 1).await?;
    ensure!(identity(&before) == identity(&after), "the pod was restarted");
    bench.pools().delete("memory", &Default::default()).await?;
    let delete = ["-n", &bench.namespace, "delete", "deployment", "memory"];
    kubectl::run("kubectl", &delete, "").await.map(drop)
}

/// A Guaranteed pod stands beside the cgroup of all Burstable pods, and its limit is its request: the condition says that
/// weights do not hold between the two.
async fn weights_hold_inside_a_class_only(bench: &Bench, judge: &Judge) -> Result<()> {
    let mut sure = spinning("300m");
    sure["resources"]["limits"] = json!({"cpu": "300m", "memory": "16Mi"});
    let put = |name: &str, container: Value| {
        bare_pod(name, name, judge.put(pod_spec(json!([container]))))
    };
    bench.apply(put("sure", sure)).await?;
    bench.apply(put("burst", spinning("100m"))).await?;
    let mut pods = Vec::new();
    for name in ["sure", "burst"] {
        pods.extend(eventually(2 * MINUTE, || bench.running(name, 1)).await?);
    }
    bench.pool("mixed", "400m", json!([member("sure", 300), member("burst", 100)])).await?;
    let status = bench.status("mixed", |status| holds(status, "MixedClasses")).await?;
    let said = status.conditions.iter().find(|it| it.type_ == "MixedClasses");
    let pods: Vec<&Pod> = pods.iter().collect();
    let (says, got) = (percent(&[300, 100]), judge.percent(&pods, WINDOW).await?);
    println!("by shares {says:.1?} %, the kernel gave {got:.1?} %");
    println!("{}", said.context("a condition")?.message);
    ensure!(got[1] > 50.0, "the Burstable pod is not given what is left: {got:.1?} %");
    Ok(())
}
