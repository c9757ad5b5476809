//! What the controller writes, as it writes it: status and finalizer, and resizes of pods.

use anyhow::{Context, Result, bail, ensure};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use weightedshare::{
    actuate::send,
    api::WeightedShareStatus,
    cluster::{self, FIELD_MANAGER},
    engine::{PodResize, RefusalKind},
    share::Resource,
};

use crate::{
    Here, play_node,
    support::{member, pool},
};

#[tokio::test]
#[ignore = "needs an API server"]
async fn a_status_and_a_finalizer_are_written() -> Result<()> {
    let here = Here::prepare().await?;
    let pools = here.place.pools();
    let members = json!([member("a", 100)]);
    here.apply(pool("pool", json!({"cpu": "6"}), members)).await?;
    let generation = pools.get("pool").await?.metadata.generation;

    // As a turn does.
    let status: WeightedShareStatus = serde_json::from_value(json!({
        "observedGeneration": generation,
        "capacity": {"cpu": "6"},
        "allocated": {"cpu": "1500m"},
        "memberCount": 1,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Settled", "message": "Well.",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "members": [{"name": "a", "weight": 100, "pods": 1, "state": "Settled", "share": {"cpu": "6"}}],
    }))?;
    let kind = json!({"apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare", "status": status});
    let (patch, ours) = (Patch::Apply(&kind), PatchParams::apply(FIELD_MANAGER).force());
    let written = pools.patch_status("pool", &ours, &patch).await.context("the status")?;
    ensure!(written.status.as_ref() == Some(&status), "{:?}", written.status);
    let managers = written.metadata.managed_fields.iter().flatten();
    let of_status = managers.filter(|it| it.subresource.as_deref() == Some("status"));
    let of_status: Vec<_> = of_status.filter_map(|it| it.manager.as_deref()).collect();
    ensure!(of_status == [FIELD_MANAGER], "{of_status:?}");
    let again = pools.patch_status("pool", &ours, &patch).await?;
    ensure!(again.resource_version() == written.resource_version(), "an equal status is no write");
    ensure!(again.metadata.generation == generation, "a status is no edit");

    // On just the version that was seen.
    let finalizers = |version: Option<String>, names: &[&str]| {
        Patch::Merge(json!({"metadata": {"resourceVersion": version, "finalizers": names}}))
    };
    let ours =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let seen = again.resource_version();
    let finalizer = "weightedshare.dev/e2e";
    let held = finalizers(seen.clone(), &[finalizer]);
    let held = pools.patch_metadata("pool", &ours, &held).await.context("the finalizer")?;
    ensure!(held.finalizers() == [finalizer], "{:?}", held.finalizers());
    let outdated = pools.patch_metadata("pool", &ours, &finalizers(seen, &[])).await;
    let Err(kube::Error::Api(refusal)) = outdated else { bail!("{outdated:?}") };
    ensure!(refusal.code == 409, "{refusal:?}");
    pools.delete("pool", &Default::default()).await?;
    let ending = pools.get("pool").await?;
    ensure!(ending.metadata.deletion_timestamp.is_some(), "{:?}", ending.metadata);
    let free = finalizers(ending.resource_version(), &[]);
    pools.patch_metadata("pool", &ours, &free).await?;
    ensure!(pools.get_opt("pool").await?.is_none(), "the pool is there still");
    here.place.leave().await
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn pods_are_resized() -> Result<()> {
    let here = Here::prepare().await?;
    let resources = here.client().list_core_api_resources("v1").await?.resources;
    let resize = resources.iter().find(|resource| resource.name == "pods/resize");
    let resize = resize.context("there is no pods/resize")?;
    ensure!(resize.kind == "Pod" && resize.verbs == ["get", "patch", "update"], "{resize:?}");

    play_node().await?;
    let burstable = json!({"requests": {"cpu": "300m", "memory": "128Mi"}});
    for (name, runs) in [("starting", false), ("running", true)] {
        let mut pod = here.pod(name, &burstable, runs).await?;
        for (resource, amount) in
            [(Resource::Cpu, 800), (Resource::Memory, 256 << 20), (Resource::Cpu, 100)]
        {
            let seen = cluster::Pod::read(&pod);
            let resize = PodResize::to(&seen, resource, &[amount], |_| None).context("it moves")?;
            // Tried out first, and as where nothing can come in between.
            for first_try in [Some(&seen), None] {
                // The first one has made a new version of it.
                let resize = PodResize {
                    resource_version: pod.resource_version().context("a version")?,
                    ..resize.clone()
                };
                pod = send(here.client(), &resize, first_try).await?;
            }
            let asked = cluster::Pod::read(&pod).containers[0].held[resource].requested;
            ensure!(asked == amount, "{name}: {asked} of {resource} is asked for, not {amount}");
            let outdated = send(here.client(), &resize, None).await;
            let Err(refusal) = outdated else { bail!("{name}: an outdated resize is taken") };
            ensure!(refusal.kind == RefusalKind::Outdated, "{refusal:?}");
        }
        ensure!(pod.metadata.generation == Some(4), "{name}: {:?}", pod.metadata.generation);
        println!("{name}: {:?}", pod.spec.map(|spec| spec.containers[0].resources.clone()));
    }

    let sure = json!({"cpu": "300m", "memory": "128Mi"});
    let sure = json!({"requests": sure, "limits": sure});
    let pod = here.pod("guaranteed", &sure, true).await?;
    let seen = cluster::Pod::read(&pod);
    let alone = PodResize::to(&seen, Resource::Cpu, &[500], |_| None).context("it moves")?;
    let refusal = send(here.client(), &alone, None).await.err().context("without its limit")?;
    println!("Guaranteed, a request without its limit: {:?}: {}", refusal.kind, refusal.message);
    let both = PodResize::to(&seen, Resource::Cpu, &[500], |_| Some(500)).context("it moves")?;
    let pod = cluster::Pod::read(&send(here.client(), &both, None).await?);
    ensure!(pod.containers[0].limit[Resource::Cpu] == Some(500), "{:?}", pod.containers);

    for runs in [false, true] {
        let name = format!("nothing-asked-{runs}");
        let seen = cluster::Pod::read(&here.pod(&name, &json!({}), runs).await?);
        let resize = PodResize::to(&seen, Resource::Cpu, &[100], |_| None).context("it moves")?;
        let refused = send(here.client(), &resize, None).await;
        let refusal = refused.err().context("a BestEffort pod is resized")?;
        println!("BestEffort: {:?}: {}", refusal.kind, refusal.message);
        ensure!(refusal.kind == RefusalKind::Refused, "{refusal:?}");
    }
    here.place.leave().await
}
