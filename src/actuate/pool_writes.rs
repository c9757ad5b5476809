//! What is written to a pool, or beside it: its finalizer, its status, and its StartProfile.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    api::{
        ClusterWeightedShare, ClusterWeightedShareStatus, StartProfile, StartProfileSpec,
        WeightedShare, WeightedShareStatus,
    },
    cluster::FIELD_MANAGER,
    engine::{FINALIZER, PoolRef},
};

/// Adds our finalizer, or takes it away, on just the version that was seen. A pool that changed meanwhile, or is gone, is left
/// as it is: the watch brings it again.
///
/// # Errors
/// When the API server does not take it.
pub async fn finalizer(client: &Client, pool: &PoolRef, ours: bool) -> kube::Result<()> {
    let others = pool.finalizers.iter().filter(|it| *it != FINALIZER).map(String::as_str);
    let finalizers: Vec<&str> = others.chain(ours.then_some(FINALIZER)).collect();
    let patch = json!({"metadata": {
        "resourceVersion": pool.resource_version,
        "finalizers": finalizers,
    }});
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api(client, pool).patch_metadata(&pool.name, &params, &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        answer => answer.map(drop),
    }
}

/// Writes the status. Returns the pool as the API server shows it, which keeps whole seconds.
///
/// # Errors
/// When the API server does not take it.
pub async fn status(
    client: &Client,
    pool: &PoolRef,
    status: &WeightedShareStatus,
) -> kube::Result<WeightedShare> {
    let patch = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api = api(client, pool);
    api.patch_status(&pool.name, &params, &Patch::Apply(patch)).await
}

/// Writes the status of a ClusterWeightedShare. Returns the object as the API server shows it. None: it is gone.
///
/// # Errors
/// When the API server does not take it.
pub async fn tree_status(
    client: &Client,
    name: &str,
    status: &ClusterWeightedShareStatus,
) -> kube::Result<Option<ClusterWeightedShare>> {
    let patch = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api: Api<ClusterWeightedShare> = Api::all(client.clone());
    match api.patch_status(name, &params, &Patch::Apply(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        answer => answer.map(Some),
    }
}

/// Writes what new pods of the pool start with, beside the pool: it goes when the pool does.
///
/// # Errors
/// When the API server does not take it.
pub async fn start_profile(
    client: &Client,
    pool: &PoolRef,
    spec: &StartProfileSpec,
) -> kube::Result<()> {
    let name = &pool.name;
    let told = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "StartProfile",
        "metadata": {"name": name, "ownerReferences": [{
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "name": name,
            "uid": pool.uid,
        }]},
        "spec": spec,
    });
    let api: Api<StartProfile> = Api::namespaced(client.clone(), &pool.namespace);
    match api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(told)).await {
        // A cluster with the definitions of an earlier version: its pods start as their templates say. In a namespace that
        // is being deleted, no pod starts any more.
        Err(kube::Error::Api(status)) if status.code == 404 || is_ending(&status) => Ok(()),
        answer => answer.map(drop),
    }
}

/// Whether the API server makes nothing new, as the namespace is being deleted.
fn is_ending(status: &kube::core::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

fn api(client: &Client, pool: &PoolRef) -> Api<WeightedShare> {
    Api::namespaced(client.clone(), &pool.namespace)
}
