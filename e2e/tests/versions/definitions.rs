//! The definitions of the kinds, and how `kubectl get` shows a pool.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use e2e::{Cluster, kubectl};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition as Condition,
};
use kube::Api;
use serde_json::{Value, json};

use crate::{
    CRDS, Here, documents, meant,
    support::{MINUTE, eventually},
};

#[tokio::test]
#[ignore = "needs an API server"]
async fn the_definitions_are_taken_as_they_are() -> Result<()> {
    let cluster = Cluster::from_env();
    let (client, meant) = (cluster.client().await?, meant()?);
    println!("Kubernetes {} for {meant}", cluster.version(&client).await?);
    // Created, not updated: what was there already is not looked at again.
    let delete = ["delete", "-f", CRDS, "--ignore-not-found", "--timeout=60s"];
    kubectl::run("kubectl", &delete, "").await?;
    // The rules' cost is part of it.
    kubectl::run("kubectl", &["create", "--warnings-as-errors", "-f", CRDS], "").await?;

    let crds: Api<CustomResourceDefinition> = Api::all(client);
    for definition in documents(&std::fs::read_to_string(CRDS)?)? {
        let name = definition["metadata"]["name"].as_str().context("a name")?;
        let conditions = eventually(MINUTE, || async {
            let status = crds.get(name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let established = |it: &Condition| it.type_ == "Established" && it.status == "True";
            ensure!(conditions.iter().any(established), "{name}: {conditions:?}");
            Ok(conditions)
        })
        .await?;
        let types: BTreeSet<_> = conditions
            .iter()
            .filter(|condition| condition.status == "True")
            .map(|condition| &*condition.type_)
            .collect();
        ensure!(
            types == BTreeSet::from(["Established", "NamesAccepted"]),
            "{name}: {conditions:?}"
        );
        println!("{name}: {types:?}");
    }

    let here = Here::prepare().await?;
    let spec = json!({"capacity": {"cpu": "6", "memory": "12Gi"}});
    if let Err(status) = here.place.create(&spec, false).await? {
        bail!("{}", status.message);
    }
    eventually(MINUTE, || here.apply(start_profile())).await?;
    for (what, more, wanted) in [
        ("ws", &[][..], "NAME MODE MEMBERS CPU ALLOC LENT READY REASON AGE"),
        (
            "ws",
            &["-o", "wide"],
            "NAME MODE MEMBERS CPU ALLOC LENT MEMORY MEMORY ALLOC MEMORY LENT READY REASON AGE MESSAGE",
        ),
        ("startprofile", &[], "NAME VIRTUAL MACHINES AGE"),
    ] {
        let arguments = [&["get", what, "-n", &here.place.namespace], more].concat();
        let table = kubectl::run("kubectl", &arguments, "").await?;
        let header = table.lines().next().unwrap_or_default();
        let header = header.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(header == wanted, "{header}");
    }
    let group = here.client().list_api_group_resources("weightedshare.dev/v1alpha1").await?;
    for (plural, singular) in
        [("startprofiles", "startprofile"), ("weightedshares", "weightedshare")]
    {
        let kind = group.resources.iter().find(|it| it.name == plural).context(plural)?;
        ensure!(kind.singular_name == singular, "{kind:?}");
        ensure!(kind.categories == Some(vec!["weighted-sharing".into()]), "{kind:?}");
    }
    here.place.leave().await
}

fn start_profile() -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "StartProfile",
        "metadata": {"name": "pool"},
        "spec": {},
    })
}
