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
    engine::{Notice, PoolRef},
};

/// Publishes a notice on a pool.
///
/// # Errors
/// When the API server does not take it.
pub async fn publish(
    client: &Client,
    now: Timestamp,
    pool: &PoolRef,
    notice: Notice,
) -> kube::Result<()> {
    let api: Api<Event> = Api::namespaced(client.clone(), &pool.namespace);
    api.create(&PostParams::default(), &event(pool, notice, now)).await.map(drop)
}

/// Whether trying again may help: not where the API server says no. (A conflict, of a quota that counts events, passes: a name
/// is never the same twice.)
#[must_use]
pub fn may_pass(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if status.code < 500 && ![409, 429].contains(&status.code))
}

fn event(pool: &PoolRef, notice: Notice, now: Timestamp) -> Event {
    // As long as the API server takes.
    let note: String = notice.note.chars().take(1000).collect();
    Event {
        metadata: ObjectMeta {
            namespace: Some(pool.namespace.clone()),
            name: Some(format!("{}.{:x}", pool.name, now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        regarding: Some(ObjectReference {
            api_version: Some("weightedshare.dev/v1alpha1".to_owned()),
            kind: Some("WeightedShare".to_owned()),
            name: Some(pool.name.clone()),
            namespace: Some(pool.namespace.clone()),
            uid: Some(pool.uid.clone()),
            resource_version: Some(pool.resource_version.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        action: Some("Reconcile".to_owned()),
        reason: Some(notice.reason),
        note: Some(note),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}
