//! Events: what happened, on the object that it happened to, for `kubectl describe`.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    cluster::FIELD_MANAGER,
    engine::{Notice, PoolRef, TreeRef},
};

/// The namespace for events of cluster-scoped objects.
const CLUSTER_SCOPED: &str = "default";

/// Publishes a notice on an object.
///
/// # Errors
/// When the API server does not take it.
pub async fn publish(
    client: &Client,
    now: Timestamp,
    on: &ObjectReference,
    notice: Notice,
) -> kube::Result<()> {
    let event = event(on, notice, now);
    let namespace = event.metadata.namespace.as_deref().unwrap_or(CLUSTER_SCOPED);
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &event).await.map(drop)
}

/// A pool, as events name it.
#[must_use]
pub fn on_pool(pool: &PoolRef) -> ObjectReference {
    ObjectReference {
        namespace: Some(pool.namespace.clone()),
        ..reference("WeightedShare", &pool.name, &pool.uid, &pool.resource_version)
    }
}

/// A ClusterWeightedShare, as events name it.
#[must_use]
pub fn on_tree(tree: &TreeRef) -> ObjectReference {
    reference("ClusterWeightedShare", &tree.name, &tree.uid, &tree.resource_version)
}

fn reference(kind: &str, name: &str, uid: &str, version: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("weightedshare.dev/v1alpha1".to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        resource_version: Some(version.to_owned()),
        ..ObjectReference::default()
    }
}

/// Whether trying again may help: not where the API server says no. (A conflict, of a quota that counts events, passes: a name
/// is never the same twice.)
#[must_use]
pub fn may_pass(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if status.code < 500 && ![409, 429].contains(&status.code))
}

fn event(on: &ObjectReference, notice: Notice, now: Timestamp) -> Event {
    // As long as the API server takes.
    let note: String = notice.note.chars().take(1000).collect();
    let name = on.name.as_deref().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            namespace: Some(on.namespace.clone().unwrap_or_else(|| CLUSTER_SCOPED.to_owned())),
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        regarding: Some(on.clone()),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        action: Some("Reconcile".to_owned()),
        reason: Some(notice.reason),
        note: Some(note),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}
