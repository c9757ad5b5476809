//! `weightedshare plan` says what the controller does: of the cluster, and of its objects in a file.

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use support::{Bench, container, deployment, eventually, member, pod_spec};
use tokio::process::Command;
use weightedshare::api::WeightedShareStatus;

/// What decisions rest on, as a user would dump it.
const KINDS: &str = "weightedshares,pods,nodes,deployments,replicasets,statefulsets,daemonsets,controllerrevisions,jobs,limitranges,services";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_plan_is_what_the_controller_does() -> Result<()> {
    let bench = Bench::new("plan").await?;
    let spec = |cpu: &str, limit: Option<&str>| {
        let mut resources = json!({"requests": {"cpu": cpu, "memory": "32Mi"}});
        if let Some(limit) = limit {
            resources["limits"] = json!({"cpu": limit});
        }
        pod_spec(json!([container("main", resources)]))
    };
    for (name, replicas, limit) in
        [("front", 2, None), ("back", 1, Some("150m")), ("tail", 3, None)]
    {
        bench.apply(deployment(name, replicas, spec("20m", limit))).await?;
    }
    let nothing = pod_spec(json!([container("main", json!({}))]));
    bench.apply(deployment("odd", 1, nothing)).await?;
    for (name, replicas) in [("front", 2), ("back", 1), ("tail", 3), ("odd", 1)] {
        bench.running(name, replicas).await?;
    }

    let mut greedy = member("front", 300);
    greedy["min"] = json!({"cpu": "200m", "memory": "100Mi"});
    let mut per_replica = member("tail", 30);
    per_replica["weightPer"] = json!("Replica");
    per_replica["minPerPod"] = json!({"cpu": "31m"});
    let mut absent = member("absent", 100);
    absent["max"] = json!({"cpu": "1"});
    let members = json!([greedy, member("back", 200), per_replica, member("odd", 500), absent]);
    // The second pool is given what the node has: that must not change between the plan and the resizes.
    bench.room().await?;
    // Once inside the node, and once more than it holds.
    for (i, cpu) in ["701m", "64"].into_iter().enumerate() {
        let capacity = json!({"cpu": cpu, "memory": "256Mi"});
        let mut pool = support::pool("pool", capacity, members.clone());
        pool["spec"]["sharing"] = json!({"strategy": "Isolated", "nodeReservePercent": 7});
        pool["spec"]["mode"] = json!("Observe");
        bench.apply(pool.clone()).await?;
        let (plan, observed) = in_step(&bench).await?;
        let fits = cpu != "64";
        let tight = observed.members.iter().any(|member| member.reason == "NodeFull");
        let unplaceable = observed.members.iter().any(|member| member.unplaceable.cpu.is_some());
        ensure!(fits != unplaceable, "a pool of {cpu}: {observed:?}");
        ensure!(!tight, "a pool that observes says so first: {observed:?}");
        let changes = run(&["plan", "--exit-code", "-n", "plan"]).await;
        ensure!(changes.is_ok(), "a pool that observes changes nothing: {changes:?}");

        pool["spec"]["mode"] = json!("Auto");
        bench.apply(pool).await?;
        let (_, done) = in_step(&bench).await?;
        ensure!(done.members.iter().any(|member| member.reason == "NodeFull") != fits, "{done:?}");
        let pods: Vec<Pod> = bench.pods().list(&ListParams::default()).await?.items;
        for pod in pods {
            let held = support::cpu_charge(&pod);
            let planned = planned(&plan, &pod.name_any())?;
            ensure!(held == planned["cpu"]["to"], "{} holds {held}m: {planned}", pod.name_any());
        }
        println!("pool {} of 2: the plan is what was done", i + 1);
    }
    let changes = run(&["plan", "--exit-code", "-n", "plan"]).await?;
    ensure!(changes.contains("Pool plan/pool"), "{changes}");
    // The controller was asked what it remembers.
    let plan = Command::new(operator::binary()).args(["plan", "-n", "plan"]).output().await?;
    let told = String::from_utf8_lossy(&plan.stderr);
    ensure!(plan.status.success() && !told.contains("could not be asked"), "{told}");
    let story =
        run(&["explain", "-n", "plan", &bench.running("back", 1).await?[0].name_any()]).await?;
    ensure!(story.contains("belongs to member back of pool pool"), "{story}");
    bench.end().await
}

/// The plan for the cluster and the status of the pool, once nothing moves: the plan is also that for the cluster's
/// objects in a file, and the status says the same.
async fn in_step(bench: &Bench) -> Result<(Value, WeightedShareStatus)> {
    eventually(support::MINUTE, || async {
        let status = bench.settled("pool").await?;
        let live = pool(&run(&["plan", "-A", "-o", "json"]).await?, &bench.namespace)?;
        let dump = kubectl::run("kubectl", &["get", KINDS, "-A", "-o", "yaml"], "").await?;
        let filed = pool(&plan_of(&dump).await?, &bench.namespace)?;
        ensure!(live == filed, "the cluster: {live}\nits objects: {filed}");
        agree(&live, &status)?;
        Ok((live, status))
    })
    .await
}

async fn plan_of(manifests: &str) -> Result<String> {
    let binary = operator::binary().display().to_string();
    kubectl::run(&binary, &["plan", "-o", "yaml", "-f", "-"], manifests).await
}

/// The status says of each member what the plan says.
fn agree(plan: &Value, status: &WeightedShareStatus) -> Result<()> {
    let planned: BTreeMap<&str, &Value> = plan["members"]
        .as_array()
        .context("members")?
        .iter()
        .filter_map(|member| Some((member["name"].as_str()?, member)))
        .collect();
    ensure!(planned.len() == status.members.len(), "{plan}");
    for member in &status.members {
        let plan = planned.get(&*member.name).context("a member is missing in the plan")?;
        let cpu = |amount: weightedshare::api::Resources| amount.cpu.map(|cpu| cpu.0);
        let memory = |amount: weightedshare::api::Resources| amount.memory.map(|memory| memory.0);
        let said = json!({
            "weight": member.weight, "effectiveWeight": member.effective_weight, "pods": member.pods,
            "cpu": {"demand": cpu(member.demand), "fair": cpu(member.fair), "share": cpu(member.share)},
            "memory": {
                "demand": memory(member.demand), "fair": memory(member.fair), "share": memory(member.share),
            },
            "state": member.state, "reason": member.reason,
        });
        let mut plan = Value::clone(plan);
        plan.as_object_mut().context("a member")?.remove("name");
        ensure!(said == plan, "{}: the status says {said}, the plan {plan}", member.name);
    }
    Ok(())
}

/// The plan of the pool in the namespace, from JSON or YAML.
fn pool(text: &str, namespace: &str) -> Result<Value> {
    let plan: Value = serde_yaml_ng::from_str(text).with_context(|| text.to_owned())?;
    let pools = plan["pools"].as_array().context("pools")?;
    pools.iter().find(|pool| pool["namespace"] == namespace).cloned().context("no such pool")
}

fn planned<'p>(plan: &'p Value, pod: &str) -> Result<&'p Value> {
    let pods = plan["pods"].as_array().context("pods")?;
    pods.iter().find(|it| it["name"] == pod).with_context(|| format!("{pod} is not in {plan}"))
}

async fn run(arguments: &[&str]) -> Result<String> {
    kubectl::run(&operator::binary().display().to_string(), arguments, "").await
}
