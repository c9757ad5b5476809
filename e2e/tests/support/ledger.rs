//! What the pods of a pool are charged together, at every moment of a test.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    runtime::{watcher, watcher::Event},
};
use tokio::task::JoinHandle;
use weightedshare::{cluster, share::Resource};

/// Watches what pods are charged together until it is asked.
pub struct Ledger(JoinHandle<Result<()>>);

impl Ledger {
    /// Watches the pods that a label selector names, in a pool of so many millicores.
    pub fn of(pods: Api<Pod>, selector: &str, pool: u64) -> Self {
        let watched = watcher::Config::default().labels(selector);
        Self(tokio::spawn(no_grow_beyond(pool, pods, watched)))
    }

    /// Whether no resize ever took them above the pool, or further above.
    pub async fn was_kept(self) -> Result<()> {
        self.0.abort();
        match self.0.await {
            Ok(result) => result,
            Err(error) => {
                ensure!(error.is_cancelled(), "{error}");
                Ok(())
            }
        }
    }
}

async fn no_grow_beyond(pool: u64, pods: Api<Pod>, watched: watcher::Config) -> Result<()> {
    let mut known = BTreeMap::<String, u64>::new();
    let mut changes = watcher::watcher(pods, watched).boxed();
    while let Some(event) = changes.try_next().await? {
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let read = cluster::Pod::read(&pod);
                let charge = if read.finished { 0 } else { read.charge(Resource::Cpu) };
                let before = known.insert(pod.uid().unwrap_or_default(), charge);
                let all: u64 = known.values().sum();
                let grown = before.is_some_and(|before| before < charge);
                ensure!(
                    !grown || all <= pool,
                    "{} grows, and {known:?} is more than {pool}m",
                    pod.name_any()
                );
            }
            Event::Delete(pod) => drop(known.remove(&pod.uid().unwrap_or_default())),
            Event::Init | Event::InitDone => {}
        }
    }
    Ok(())
}
