//! A machine that uses all of its virtual CPUs is given one more socket, and one that uses nearly all of its memory more of
//! that, where their members say so: one at a time, and not while anything stands in the way. It takes a quarter of an hour,
//! as the controller looks for ten minutes first.

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
use support::{Bench, MINUTE, cpu_share, eventually, exporter, ledger::Ledger, of};
use tokio::time::{Instant, sleep};

/// How long the controller looks before it acts, and some more.
const PATIENCE: Duration = Duration::from_secs(16 * 60);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn machines_that_are_short_are_given_more_one_at_a_time() -> Result<()> {
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

    // The guest of one uses all of its CPU; that of the other, as KubeVirt's metrics say, nearly all of its memory.
    let virt = StandIn::new(&bench.client, &bench.namespace);
    let here = |shape| Shape { pod: json!({"nodeName": "node-1"}), ..shape };
    let busy = json!({"image": guest::IMAGE, "env": [{"name": "PINNED", "value": "1"}]});
    let first = virt.start("vm", &here(Shape { compute: busy, ..Shape::idle("vm", 1) })).await?;
    let second = virt.start("db", &here(Shape::idle("db", 1))).await?;
    for machine in ["vm", "db"] {
        virt.say(machine, conditions(&["LiveMigratable"])).await?;
    }
    show_memory(&bench, "db", 940).await?;
    let member = |name: &str, what: &str| {
        let target =
            json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": name});
        json!({"name": name, "targetRef": target, "liveUpdate": {what: true}})
    };
    let ledger = Ledger::of(bench.pods(), "kubevirt.io=virt-launcher", 2500);
    let mut members = json!([member("vm", "cpuSockets"), member("db", "memory")]);
    members[1]["max"] = json!({"cpu": "300m"});
    bench.pool("pool", "2500m", members).await?;

    let began = Instant::now();
    for (name, sockets, memory) in [("vm", Some(2), None), ("db", None, Some("1Gi"))] {
        let told = eventually(PATIENCE, || async {
            let status = bench.status("pool", |_| true).await?;
            let told = of(&status, name).recommendations.first().cloned();
            told.with_context(|| format!("nothing is recommended: {:?}", of(&status, name)))
        })
        .await?;
        println!("recommended after {:.0?}: {told:?}", began.elapsed());
        ensure!(told.cpu_sockets == sockets, "{told:?}");
        let more = told.guest_memory.map(|memory| memory.to_string());
        ensure!(more.as_deref() == memory, "{told:?}");
    }
    // One is asked for more; meanwhile the other is not.
    let first_asked = one_is_asked(&bench).await?;
    println!("{first_asked:?} asked after {:.0?}", began.elapsed());
    ensure!(began.elapsed() > Duration::from_secs(9 * 60), "it started less than ten minutes ago");
    for turn in 0..2 {
        let given = if turn == 0 { first_asked } else { one_is_asked(&bench).await? };
        println!("{given:?} has its turn after {:.0?}", began.elapsed());
        sleep(MINUTE / 2).await;
        ensure!(one_is_asked(&bench).await? == given, "two at a time");
        match given {
            Asked::Sockets => {
                let owned = owned(&bench, "vm", "weightedshare-sockets").await?;
                ensure!(owned == ["spec.template.spec.domain.cpu.sockets"], "{owned:?}");
                // KubeVirt plugs it in by a migration.
                virt.plug("vm", json!({"cpu": {"sockets": 2}})).await?;
                virt.say("vm", conditions(&["LiveMigratable", "HotVCPUChange"])).await?;
                let to = Shape { pod: json!({"nodeName": "fake-0"}), ..Shape::idle("vm", 2) };
                let moving = virt.migrate("vm", &to).await?;
                sleep(MINUTE / 2).await;
                if turn == 0 {
                    let memory = asked(&bench, "db", "/memory/guest").await?;
                    ensure!(memory == "128Mi", "two at a time: the other was asked for {memory}");
                }
                virt.hand_over(&moving, &first).await?;
                virt.say("vm", conditions(&["LiveMigratable"])).await?;
            }
            Asked::Memory => {
                let owned = owned(&bench, "db", "weightedshare-memory").await?;
                ensure!(owned == ["spec.template.spec.domain.memory.guest"], "{owned:?}");
                virt.plug("db", json!({"memory": {"guest": "1Gi"}})).await?;
                virt.say("db", conditions(&["LiveMigratable", "HotMemoryChange"])).await?;
                let to = Shape { pod: json!({"nodeName": "fake-0"}), ..Shape::idle("db", 1) };
                let moving = virt.migrate("db", &to).await?;
                show_memory(&bench, "db", 500).await?;
                virt.hand_over(&moving, &second).await?;
                virt.say("db", conditions(&["LiveMigratable"])).await?;
            }
        }
    }

    // With two virtual CPUs it can have more of the pool.
    eventually(MINUTE, || async {
        let status = bench.settled("pool").await?;
        let share = cpu_share(&status, "vm");
        ensure!(share > 1500, "its share is {share}m");
        Ok(())
    })
    .await?;
    sleep(MINUTE).await;
    ensure!(asked(&bench, "vm", "/cpu/sockets").await? == 2, "it was given more than one");
    ensure!(asked(&bench, "db", "/memory/guest").await? == "1Gi", "it was given more than once");
    ledger.was_kept().await?;
    for machine in ["vm", "db"] {
        virt.stop(machine).await?;
    }
    bench.end().await?;
    drop(nodes);
    kubevirt::uninstall().await
}

/// Shows, as KubeVirt does, that a guest uses so many thousandths of its memory.
async fn show_memory(bench: &Bench, machine: &str, used: u32) -> Result<()> {
    let labels = format!("{{name=\"{machine}\"}}");
    let metrics = format!(
        "kubevirt_vmi_memory_available_bytes{labels} 1000\n\
         kubevirt_vmi_memory_usable_bytes{labels} {}",
        1000 - used
    );
    let mut pod = exporter(&format!("metrics-{used}"), "metrics", &metrics);
    pod["spec"]["nodeName"] = json!("node-1");
    let before = ["-n", &bench.namespace, "delete", "pod", "-l", "app=metrics", "--now"];
    kubectl::run("kubectl", &before, "").await?;
    bench.apply(pod).await
}

/// What a VirtualMachine is asked for, and its instance does not have yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Sockets,
    Memory,
}

/// Waits until one of the machines is asked for more than its instance has.
async fn one_is_asked(bench: &Bench) -> Result<Asked> {
    eventually(PATIENCE, || async {
        for (name, pointer, what) in
            [("vm", "/cpu/sockets", Asked::Sockets), ("db", "/memory/guest", Asked::Memory)]
        {
            let get = ["-n", &bench.namespace, "get", "vmi", name, "-o", "json"];
            let vmi: Value = serde_json::from_str(&kubectl::run("kubectl", &get, "").await?)?;
            let has = vmi.pointer(&format!("/spec/domain{pointer}")).context("no such field")?;
            if asked(bench, name, pointer).await? != *has {
                return Ok(what);
            }
        }
        anyhow::bail!("no machine is given more")
    })
    .await
}

/// What a VirtualMachine asks for in its domain.
async fn asked(bench: &Bench, name: &str, pointer: &str) -> Result<Value> {
    let vm = machine(bench, name).await?;
    let pointer = format!("/spec/template/spec/domain{pointer}");
    vm.pointer(&pointer).cloned().with_context(|| format!("{name} has no {pointer}"))
}

fn conditions(types: &[&str]) -> Value {
    let condition = |type_: &&str| json!({"type": type_, "status": "True"});
    json!({"conditions": types.iter().map(condition).collect::<Vec<_>>()})
}

async fn machine(bench: &Bench, name: &str) -> Result<Value> {
    let get = ["-n", &bench.namespace, "get", "vm", name, "-o", "json", "--show-managed-fields"];
    Ok(serde_json::from_str(&kubectl::run("kubectl", &get, "").await?)?)
}

/// The fields of a VirtualMachine that belong to `manager`, as paths.
async fn owned(bench: &Bench, name: &str, manager: &str) -> Result<Vec<String>> {
    let vm = machine(bench, name).await?;
    let mut managers = vm["metadata"]["managedFields"].as_array().into_iter().flatten();
    let theirs = managers.find(|it| it["manager"] == manager);
    let theirs = theirs.with_context(|| format!("nothing is {manager}'s"))?;
    Ok(leaves(&theirs["fieldsV1"]))
}

/// The paths of all fields in what managedFields has.
fn leaves(fields: &Value) -> Vec<String> {
    let inner = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    let paths = inner.flat_map(|(name, below)| {
        let name = name.trim_start_matches("f:");
        match leaves(below) {
            below if below.is_empty() => vec![name.to_owned()],
            below => below.into_iter().map(|path| format!("{name}.{path}")).collect(),
        }
    });
    paths.collect()
}
