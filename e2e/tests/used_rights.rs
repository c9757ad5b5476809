//! The operator may do what it does, and nothing else: what its roles grant, against all that it asked of the API server in
//! the tests before this one. It is the last by its name.

mod support;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, audit, kubectl, operator};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A verb on a resource of an API group.
type Right = (String, String, String);

/// What the log of these tests does not show, and why it is granted.
const UNSEEN: [[&str; 3]; 3] = [
    // A pod whose resize had no answer: the test `chaos` kills the API server, on a cluster of its own.
    ["", "pods", "get"],
    // More sockets or memory for a machine: the test `plug` takes ten minutes.
    ["kubevirt.io", "virtualmachines", "patch"],
    // A patch that makes an object takes both verbs, and is logged as patch.
    ["weightedshare.dev", "startprofiles", "create"],
];
/// Set where all tests run: a part of them does not use all of it.
const ALL: &str = "ALL_TESTS";

/// What the charts grant the operator, as the tests install it.
async fn granted() -> Result<BTreeSet<Right>> {
    let chart = operator::charts().join("weighted-share").display().to_string();
    let template = ["template", "weighted-share", &chart, "--no-hooks", "--set"];
    let values = "metrics.exposed=true,liveUpdate.enabled=true";
    let text = kubectl::run("helm", &[&template[..], &[values]].concat(), "").await?;
    let mut rights = BTreeSet::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        let own = object["metadata"]["name"] == "weighted-share";
        for rule in object["rules"].as_array().into_iter().flatten().filter(|_| own) {
            let texts = |key: &str| {
                let list = rule[key].as_array().cloned().unwrap_or_default();
                list.into_iter().filter_map(|it| it.as_str().map(str::to_owned)).collect::<Vec<_>>()
            };
            for group in texts("apiGroups") {
                for resource in texts("resources") {
                    rights.extend(
                        texts("verbs").into_iter().map(|it| (group.clone(), resource.clone(), it)),
                    );
                }
            }
        }
    }
    ensure!(rights.len() > 30, "{rights:?}");
    Ok(rights)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_right_is_used_and_nothing_else_is_asked_for() -> Result<()> {
    let cluster = Cluster::from_env();
    let requests = audit::requests(&cluster.own()?.audit_log(), Timestamp::UNIX_EPOCH)?;
    // `helm test` runs `plan` in its name, which asks the controller as a user would.
    let is_ours =
        |it: &&audit::Request| it.user == operator::USER && it.from_pod != "weighted-share-plan";
    let ours: Vec<_> = requests.iter().filter(is_ours).collect();
    ensure!(
        !ours.is_empty(),
        "the operator has asked for nothing: run other tests before this one"
    );
    let granted = granted().await?;
    let right = |it: &audit::Request| (it.group.clone(), it.resource.clone(), it.verb.clone());
    // Where the operator was just installed, or goes, its roles may be the younger ones.
    let refused: Vec<_> =
        ours.iter().filter(|it| it.code == 403 && !granted.contains(&right(it))).collect();
    ensure!(refused.is_empty(), "it asks for what it may not: {refused:?}");
    let used: BTreeSet<Right> = ours.iter().map(|it| right(it)).collect();
    let more: Vec<&Right> = used.difference(&granted).collect();
    ensure!(more.is_empty(), "it does what the chart does not grant: {more:?}");
    ensure!(!used.iter().any(|(_, resource, _)| resource == "secrets"), "it reads Secrets");

    let is_unexplained =
        |(group, resource, verb): &&&Right| !UNSEEN.contains(&[&**group, resource, verb]);
    let idle: Vec<&Right> = granted.difference(&used).collect();
    let idle: Vec<_> = idle.iter().filter(is_unexplained).collect();
    println!(
        "{} requests of the operator used {} of {} rights; not used: {idle:?}",
        ours.len(),
        used.len(),
        granted.len()
    );
    let all = std::env::var_os(ALL).context("");
    ensure!(all.is_err() || idle.is_empty(), "these rights are not needed: {idle:?}");
    Ok(())
}
