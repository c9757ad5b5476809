//! What the policy costs those that create pods.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::kubectl;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    DRY_RUN, POLICY, admitted, asks, pod,
    support::{Bench, MINUTE, cpu_charge, eventually, member, tier::Tier},
};

/// How long the policy delays the creation of a pod in a namespace with ten pools of 100 members, the default bound.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn it_adds_little_to_the_creation_of_a_pod() -> Result<()> {
    if Tier::Nightly.is_left_out() {
        return Ok(());
    }
    let bench = Bench::new("many-pools").await?;
    for pool in 0..10 {
        let mut members: Vec<Value> =
            (0..99).map(|i| member(&format!("m-{pool}-{i}"), 100)).collect();
        members.push(json!({"name": "all", "selector": {"matchLabels": {"all": "pools"}}}));
        bench.pool(&format!("pool-{pool}"), "100", json!(members)).await?;
    }
    let mut sizes = Vec::new();
    for pool in 0..10 {
        let told = eventually(MINUTE, || async {
            let told = bench.new_pods().get(&format!("pool-{pool}")).await?;
            ensure!(told.spec.starts.len() == 100, "{} starts", told.spec.starts.len());
            Ok(told)
        });
        sizes.push(serde_json::to_string(&told.await?)?.len());
    }
    println!(
        "what is read of each pool has {} to {} bytes",
        sizes.iter().min().unwrap_or(&0),
        sizes.iter().max().unwrap_or(&0)
    );
    let of_none = pod("alone", json!([asks(json!({"cpu": "300m"}))]));
    let of_one = pod("m-3-77", json!([asks(json!({"cpu": "150"}))]));
    let mut of_all = of_one.clone();
    of_all["metadata"]["labels"]["all"] = json!("pools");
    let cases = [("of no pool", of_none), ("of one pool", of_one), ("of ten pools", of_all)];

    let binding = ["mutatingadmissionpolicybinding", POLICY];
    let saved =
        kubectl::run("kubectl", &[&["get", "-o", "json"], &binding[..]].concat(), "").await?;
    let mut saved: Value = serde_json::from_str(&saved)?;
    for field in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"] {
        saved["metadata"].as_object_mut().context("metadata")?.remove(field);
    }
    // As its installer does: who else owned its fields would keep the next upgrade from them.
    let create = ["apply", "--server-side", "--field-manager=helm", "-f", "-"];
    let mut took: [[Vec<Duration>; 2]; 3] = Default::default();
    // Off and on in turn, so that what else the machine does falls on both.
    for _ in 0..2 {
        for on in [false, true] {
            match on {
                true => kubectl::run("kubectl", &create, &saved.to_string()).await?,
                false => kubectl::run("kubectl", &[&["delete"], &binding[..]].concat(), "").await?,
            };
            eventually(MINUTE, || async {
                let lowered = cpu_charge(&admitted(&bench.pods(), &cases[1].1).await?) < 150_000;
                ensure!(lowered == on, "the policy is not {}", if on { "on" } else { "off" });
                Ok(())
            })
            .await?;
            for _ in 0..100 {
                for (i, (_, pod)) in cases.iter().enumerate() {
                    let pod: Pod = serde_json::from_value(pod.clone())?;
                    let began = Instant::now();
                    bench.pods().create(&DRY_RUN(), &pod).await?;
                    took[i][usize::from(on)].push(began.elapsed());
                }
            }
        }
    }
    for ((what, _), took) in cases.iter().zip(&mut took) {
        took.iter_mut().for_each(|took| took.sort_unstable());
        let at = |on: usize, percent: usize| {
            took[on][took[on].len() * percent / 100].as_secs_f64() * 1e3
        };
        let added = |percent| at(1, percent) - at(0, percent);
        println!(
            "a pod {what}: median {:.2} ms without the policy, {:.2} ms with it (+{:.2}); 95 of 100 within {:.2} ms \
             and {:.2} ms (+{:.2}); {} each",
            at(0, 50),
            at(1, 50),
            added(50),
            at(0, 95),
            at(1, 95),
            added(95),
            took[0].len()
        );
        // 20 ms is the aim, on a machine that does nothing else. Ten pools that match one pod may cost
        // more.
        ensure!(
            *what == "of ten pools" || added(50) <= 60.0,
            "{what}: the policy adds {:.1} ms",
            added(50)
        );
    }
    bench.end().await
}
