//! The ResourceQuotas that keep namespaces of a tree to their part.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use crate::{
    cluster::{ENFORCED_QUOTA, FIELD_MANAGER},
    engine::EnforcedQuota,
    share::Resource,
};

/// Writes our quota into a namespace, or removes it. A namespace that is gone has none.
///
/// # Errors
/// When the API server does not take it. One of others, of the same name, is left as it is.
pub async fn enforce(
    client: &Client,
    namespace: &str,
    quota: Option<&EnforcedQuota>,
) -> kube::Result<()> {
    let api: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let done = match quota {
        Some(quota) => write(&api, quota).await,
        None => remove(&api).await,
    };
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done,
    }
}

async fn write(
    api: &Api<ResourceQuota>,
    EnforcedQuota { tree, hard }: &EnforcedQuota,
) -> kube::Result<()> {
    let mut requests = serde_json::Map::new();
    for resource in Resource::ALL {
        if let Some(amount) = hard.get(resource) {
            requests.insert(format!("requests.{resource}"), resource.quantity(amount).into());
        }
    }
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": ENFORCED_QUOTA, "ownerReferences": [{
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "ClusterWeightedShare",
            "name": tree.name,
            "uid": tree.uid,
        }]},
        "spec": {"hard": requests},
    });
    // Not by force: fields that others set stay theirs.
    let params = PatchParams::apply(FIELD_MANAGER);
    api.patch(ENFORCED_QUOTA, &params, &Patch::Apply(quota)).await.map(drop)
}

/// Removes just the quota that is there, if it is ours.
async fn remove(api: &Api<ResourceQuota>) -> kube::Result<()> {
    let quota = api.get(ENFORCED_QUOTA).await?;
    if crate::cluster::Quota::read(&quota).is_none_or(|it| it.of_tree.is_none()) {
        return Ok(());
    }
    let preconditions = Preconditions { uid: quota.uid(), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    api.delete(ENFORCED_QUOTA, &params).await.map(drop)
}
