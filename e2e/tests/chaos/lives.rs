//! What no resize may do to a pod: restart a container, or end it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::record::{Version, Versions};

/// How many pods lived, none of which ever failed, and none of whose containers ever became another one.
///
/// # Errors
/// With the first that did.
pub fn undisturbed(pods: &Versions<Pod>) -> Result<usize> {
    let mut lives: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (at, (_, version)) in pods {
        let Version::Is(pod) = version else { continue };
        let containers = lives.entry(pod.uid().unwrap_or_default()).or_default();
        let Some(status) = &pod.status else { continue };
        let name = pod.name_any();
        // Who is told to end may end badly.
        let ends = pod.metadata.deletion_timestamp.is_some();
        ensure!(
            status.phase.as_deref() != Some("Failed") || ends,
            "{name} failed at the resourceVersion {at}: {:?} {:?}",
            status.reason,
            status.message
        );
        for container in status.container_statuses.iter().flatten() {
            // A kubelet that is killed between making a container and starting it makes another one: nothing that ran was stopped.
            let before = container.last_state.as_ref();
            let has_ended = before.is_some_and(|it| it.terminated.is_some());
            ensure!(
                container.restart_count == 0 || !has_ended,
                "{name} was restarted at {at}: {container:?}"
            );
            let state = container.state.as_ref();
            let runs = state.is_some_and(|it| it.running.is_some() || it.terminated.is_some());
            if let Some(id) = container.container_id.as_ref().filter(|_| runs) {
                let known = containers.entry(container.name.clone()).or_insert_with(|| id.clone());
                ensure!(known == id, "{name} had the container {known}, and {id} at {at}");
            }
        }
    }
    Ok(lives.len())
}
