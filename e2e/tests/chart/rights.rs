//! The rights of the controller, and those for people.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::rendered;

/// Whether an object's rules allow changes to pods, start profiles, virtual machines, and quotas.
fn changes_workloads(object: &Value) -> [bool; 4] {
    ["pods/resize", "startprofiles", "virtualmachines", "resourcequotas"].map(|resource| {
        object["rules"].as_array().into_iter().flatten().any(|rule| {
            rule["resources"].to_string().contains(&format!("\"{resource}\""))
                && rule["verbs"].to_string().contains("patch")
        })
    })
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_pilot_changes_workloads_only_in_its_namespaces() -> Result<()> {
    let all = rendered(&["liveUpdate.enabled=true", "trees.enforce=true"]).await?;
    let everywhere = &all["ClusterRole weighted-share"];
    ensure!(changes_workloads(everywhere) == [true; 4], "{}", everywhere["rules"]);
    let by_default = rendered(&[]).await?;
    let by_default = changes_workloads(&by_default["ClusterRole weighted-share"]);
    ensure!(by_default == [true, true, false, false], "{by_default:?}");
    ensure!(!all.contains_key("Role weighted-share-actuate"), "{:?}", all.keys());

    let values = ["liveUpdate.enabled=true", "trees.enforce=true", "namespaces.include={shop}"];
    let pilot = rendered(&values).await?;
    let everywhere = &pilot["ClusterRole weighted-share"];
    ensure!(changes_workloads(everywhere) == [false; 4], "{}", everywhere["rules"]);
    for kind in ["Role", "RoleBinding"] {
        let object = &pilot[&format!("{kind} weighted-share-actuate")];
        ensure!(object["metadata"]["namespace"] == "shop", "{object}");
    }
    let there = &pilot["Role weighted-share-actuate"];
    ensure!(changes_workloads(there) == [true; 4], "{}", there["rules"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn without_rbac_there_is_no_role_and_no_binding() -> Result<()> {
    let values = ["rbac.create=false", "metrics.exposed=true", "namespaces.include={shop}"];
    let all = rendered(&values).await?;
    let of_rbac = |object: &&Value| object["apiVersion"] == "rbac.authorization.k8s.io/v1";
    ensure!(all.values().filter(of_rbac).count() == 0, "{:?}", all.keys());
    ensure!(all.contains_key("Service weighted-share-metrics"), "{:?}", all.keys());
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn the_roles_for_people_join_those_of_the_cluster_unless_told_otherwise() -> Result<()> {
    let joins = |object: &Value| -> Vec<String> {
        let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
        let roles = labels.filter_map(|(key, value)| {
            let role = key.strip_prefix("rbac.authorization.k8s.io/aggregate-to-")?;
            (value == "true").then(|| role.to_owned())
        });
        roles.collect()
    };
    let (by_default, apart) =
        (rendered(&[]).await?, rendered(&["rbac.aggregateClusterRoles=false"]).await?);
    for (name, wanted) in [
        ("ClusterRole weighted-share-view", vec!["admin", "edit", "view"]),
        ("ClusterRole weighted-share-edit", vec!["admin", "edit"]),
    ] {
        let roles = joins(&by_default[name]);
        ensure!(roles == wanted, "{name}: {roles:?}");
        let roles = joins(&apart[name]);
        ensure!(roles.is_empty(), "{name}: {roles:?}");
        ensure!(apart[name]["rules"] == by_default[name]["rules"], "{name}: other rules");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn the_rights_are_those_of_the_service_account_that_the_pods_use() -> Result<()> {
    for (values, name, is_created) in [
        (vec![], "weighted-share", true),
        (vec!["serviceAccount.name=shares"], "shares", true),
        (vec!["serviceAccount.create=false"], "default", false),
        (vec!["serviceAccount.create=false", "serviceAccount.name=theirs"], "theirs", false),
    ] {
        let more = ["namespaces.include={shop}", "serviceAccount.annotations.role=shares"];
        let all = rendered(&[&more[..], &values].concat()).await?;
        let mut bindings = 0;
        for (key, object) in &all {
            if let Some(subjects) = object["subjects"].as_array() {
                ensure!(subjects.len() == 1 && subjects[0]["name"] == name, "{key}: {object}");
                bindings += 1;
            }
        }
        ensure!(bindings == 3, "{bindings} bindings");
        for user in [super::pod_of(&all), &all["Pod weighted-share-plan"]["spec"]] {
            ensure!(user["serviceAccountName"] == name, "{values:?}: {user}");
        }
        let account = all.get(&format!("ServiceAccount {name}"));
        ensure!(account.is_some() == is_created, "{values:?}: {:?}", all.keys());
        let annotation = account.map(|it| &it["metadata"]["annotations"]["role"]);
        ensure!(annotation.is_none_or(|it| it == "shares"), "{account:?}");
    }
    Ok(())
}
