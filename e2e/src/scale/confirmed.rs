//! What the nodes have confirmed: one watch of all pods, and how long it takes until they have what they are to have.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use futures::StreamExt;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use kube::{
    Api, Client, ResourceExt,
    core::{ApiResource, Object},
    runtime::watcher::{self, Event},
};
use serde::Deserialize;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use weightedshare::share::MilliCpu;

use super::setting::{PodName, Target};

/// What pods have, followed in the background until it is dropped.
pub struct Confirmed {
    state: Arc<State>,
    watch: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    pods: Mutex<Pods>,
    changed: Notify,
}

#[derive(Default)]
struct Pods {
    /// What each has, in millicores, and since when.
    held: HashMap<PodName, (u64, Instant)>,
    /// The millicores that each pod should get, and the pods that do not have them yet.
    wanted: HashMap<PodName, u64>,
    missing: HashSet<PodName>,
}

/// What is read of a pod: no more, as this is to cost little beside what is measured.
#[derive(Clone, Debug, Deserialize)]
struct Spec {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
struct ContainerStatus {
    resources: Option<Resources>,
}

#[derive(Clone, Debug, Deserialize)]
struct Resources {
    #[serde(default)]
    requests: HashMap<String, Quantity>,
}

impl Confirmed {
    /// Begins to watch.
    #[must_use]
    pub fn watch(client: &Client) -> Self {
        let state = Arc::<State>::default();
        let resource = ApiResource::erase::<Pod>(&());
        let pods = Api::<Object<Spec, Status>>::all_with(client.clone(), &resource);
        let watch = tokio::spawn(follow(pods, Arc::clone(&state)));
        Self { state, watch }
    }

    /// From now on, these are to have so much.
    pub fn expect(&self, wanted: impl IntoIterator<Item = Target>) {
        let mut pods = self.state.lock();
        pods.wanted = wanted.into_iter().collect();
        let Pods { held, wanted, missing } = &mut *pods;
        let has =
            |name: &PodName, wanted: u64| held.get(name).is_some_and(|(held, _)| *held == wanted);
        let missed = wanted.iter().filter(|(name, wanted)| !has(name, **wanted));
        *missing = missed.map(|(name, _)| name.clone()).collect();
    }

    /// Waits until they have it.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn met(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.state.changed.notified();
            let missing: Vec<PodName> = {
                let pods = self.state.lock();
                if pods.missing.is_empty() {
                    return Ok(());
                }
                pods.missing.iter().take(3).cloned().collect()
            };
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                bail!("after {patience:?}, pods have not what they should: {missing:?} and others")
            }
        }
    }

    /// When what this pod has changed last.
    pub fn changed(&self, pod: &PodName) -> Option<Instant> {
        self.state.lock().held.get(pod).map(|(_, since)| *since)
    }

    /// What this pod has, in millicores.
    pub fn held(&self, pod: &PodName) -> Option<u64> {
        self.state.lock().held.get(pod).map(|(held, _)| *held)
    }
}

impl Drop for Confirmed {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, pod: &Object<Spec, Status>) {
        let statuses = pod.status.iter().flat_map(|status| &status.container_statuses);
        let requests = statuses.flat_map(|status| &status.resources);
        let cpu = requests.filter_map(|resources| resources.requests.get("cpu"));
        let held: Option<u64> = cpu.map(|cpu| cpu.0.parse::<MilliCpu>().ok().map(|it| it.0)).sum();
        let Some(held) = held.filter(|held| *held > 0) else { return };
        let name = (pod.namespace().unwrap_or_default(), pod.name_any());
        let mut pods = self.lock();
        if pods.held.get(&name).is_some_and(|(before, _)| *before == held) {
            return;
        }
        pods.held.insert(name.clone(), (held, Instant::now()));
        match pods.wanted.get(&name) {
            Some(wanted) if *wanted != held => drop(pods.missing.insert(name)),
            Some(_) => drop(pods.missing.remove(&name)),
            None => {}
        }
        drop(pods);
        self.changed.notify_waiters();
    }
}

async fn follow(pods: Api<Object<Spec, Status>>, state: Arc<State>) {
    let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => state.take(&pod),
            Ok(Event::Delete(_) | Event::Init | Event::InitDone) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
