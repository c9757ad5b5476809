//! A machine that uses all of its virtual CPUs is given one more socket, where its member says so: one at a time, and not
//! while anything stands in the way. It takes a quarter of an hour, as the controller looks for ten minutes first.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    guest, kubectl,
    kubevirt::{self, Shape, StandIn},
    kwok::FakeNodes,
};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{Bench, MINUTE, cpu_share, eventually, of};
use tokio::time::{Instant, sleep};

/// How long the controller looks before it acts, and some more.
const PATIENCE: Duration = Duration::from_secs(16 * 60);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_machine_that_is_short_of_virtual_cpus_is_given_one_more() -> Result<()> {
    let bench = Bench::new("plug").await?;
    bench.cluster.import(&guest::image()?).await?;
    kubevirt::install().await?;
    kubevirt::updates_live().await?;
    let nodes = FakeNodes::start(&bench.cluster, 1, "8", "32Gi").await?;
    let node: Api<Node> = Api::all(bench.client.clone());
    let takes_machines = json!({
        "metadata": {"labels": {"kubevirt.io/schedulable": "true"}}, "spec": {"taints": null},
    });
    node.patch("fake-0", &PatchParams::default(), &Patch::Merge(takes_machines)).await?;

    let virt = StandIn::new(&bench.client, &bench.namespace);
    let shape = Shape {
        compute: json!({"image": guest::IMAGE, "env": [{"name": "PINNED", "value": "1"}]}),
        pod: json!({"nodeName": "node-1"}),
        ..Shape::idle("vm", 1)
    };
    let first = virt.start("vm", &shape).await?;
    virt.say("vm", conditions(&["LiveMigratable"])).await?;
    let target = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm"});
    let vm = json!({"name": "vm", "targetRef": target, "liveUpdate": {"cpuSockets": true}});
    bench.pool("pool", "1500m", json!([vm])).await?;

    let began = Instant::now();
    let told = eventually(PATIENCE, || async {
        let status = bench.status("pool", |_| true).await?;
        let told = of(&status, "vm").recommendations.first().cloned();
        told.with_context(|| format!("nothing is recommended: {:?}", of(&status, "vm")))
    })
    .await?;
    println!("recommended after {:.0?}: {told:?}", began.elapsed());
    ensure!(told.cpu_sockets == Some(2), "{told:?}");
    eventually(PATIENCE, || async {
        let sockets = sockets(&bench).await?;
        ensure!(sockets == 2, "it has {sockets} sockets");
        Ok(())
    })
    .await?;
    println!("given after {:.0?}", began.elapsed());
    ensure!(began.elapsed() > Duration::from_secs(9 * 60), "it started less than ten minutes ago");
    ensure!(owned(&bench).await? == cpu(json!({"f:sockets": {}})), "more than the sockets is ours");

    // KubeVirt plugs it in by a migration; meanwhile nothing else is done.
    virt.plug("vm", 2).await?;
    virt.say("vm", conditions(&["LiveMigratable", "HotVCPUChange"])).await?;
    let to = Shape { pod: json!({"nodeName": "fake-0"}), ..Shape::idle("vm", 2) };
    let moving = virt.migrate("vm", &to).await?;
    virt.hand_over(&moving, &first).await?;
    virt.say("vm", conditions(&["LiveMigratable"])).await?;
    // With two virtual CPUs it can have all of the pool.
    eventually(MINUTE, || async {
        let status = bench.settled("pool").await?;
        let share = cpu_share(&status, "vm");
        ensure!(share == 1500, "its share is {share}m");
        Ok(())
    })
    .await?;
    sleep(MINUTE).await;
    ensure!(sockets(&bench).await? == 2, "it was given more than one");
    virt.stop("vm").await?;
    bench.end().await?;
    nodes.remove().await?;
    kubevirt::uninstall().await
}

fn conditions(types: &[&str]) -> Value {
    let condition = |type_: &&str| json!({"type": type_, "status": "True"});
    json!({"conditions": types.iter().map(condition).collect::<Vec<_>>()})
}

async fn machine(bench: &Bench) -> Result<Value> {
    let get = ["-n", &bench.namespace, "get", "vm", "vm", "-o", "json", "--show-managed-fields"];
    Ok(serde_json::from_str(&kubectl::run("kubectl", &get, "").await?)?)
}

/// How many sockets the VirtualMachine asks for.
async fn sockets(bench: &Bench) -> Result<u64> {
    let vm = machine(bench).await?;
    vm["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"].as_u64().context("no sockets")
}

/// What of the VirtualMachine is the controller's.
async fn owned(bench: &Bench) -> Result<Value> {
    let vm = machine(bench).await?;
    let mut managers = vm["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours =
        managers.find(|it| it["manager"] == "weightedshare-sockets").context("nothing is ours")?;
    Ok(ours["fieldsV1"].clone())
}

/// Fields of the CPU in the template of a VirtualMachine, as managedFields has them.
fn cpu(fields: Value) -> Value {
    json!({"f:spec": {"f:template": {"f:spec": {"f:domain": {"f:cpu": fields}}}}})
}
