//! The watches of the API server, as one stream of events.

use std::{collections::BTreeSet, fmt::Debug};

use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core,
};
use kube::{
    Api, Client,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::warn;

use super::optional::{self, watch_where_served};
use crate::{
    api::WeightedShare,
    cluster::{
        Event, Kept, Key, KubeVirt, VerticalPodAutoscaler, VirtualMachine, VirtualMachineInstance,
    },
};

/// How long a watch goes on before it is taken up anew, from where it was. A connection that died unnoticed is left
/// shortly after, and no decision rests for longer on what no longer is so.
const WATCH_SECONDS: u32 = 60;
/// How many objects come with one answer to a list: what is read of them is kept, the answer is not.
const PAGE: u32 = 250;
/// How many events wait for the loop at most. Where it is busy, the watches wait.
const WAITING: usize = 1024;

/// How many kinds are watched: as many lists are waited for at the start.
pub const KINDS: usize = 15;

/// Begins to watch, each kind in a task of its own: what an object is read as, the loop does not wait for. The tasks end
/// with `tasks`.
pub fn watch(client: &Client, tasks: &mut JoinSet<()>) -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(WAITING);
    let mut watches = Watches { client, tasks, sender };
    watches.add::<DeserializeGuard<WeightedShare>>();
    watches.add::<core::Pod>();
    watches.add::<core::Node>();
    watches.add::<PartialObjectMeta<apps::Deployment>>();
    watches.add::<apps::ReplicaSet>();
    watches.add::<apps::StatefulSet>();
    watches.add::<apps::DaemonSet>();
    watches.add::<batch::Job>();
    watches.add::<core::ResourceQuota>();
    watches.add::<core::LimitRange>();
    watches.add::<autoscaling::HorizontalPodAutoscaler>();
    watches.add_where_served::<VerticalPodAutoscaler>();
    watches.add_where_served::<VirtualMachine>();
    watches.add_where_served::<VirtualMachineInstance>();
    watches.add_where_served::<KubeVirt>();
    events
}

struct Watches<'w> {
    client: &'w Client,
    tasks: &'w mut JoinSet<()>,
    sender: mpsc::Sender<Event>,
}

impl Watches<'_> {
    fn add<K>(&mut self)
    where
        K: Kept + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
        self.spawn(watcher(Api::<K>::all(self.client.clone()), config));
    }

    /// As `add`, of a kind that the cluster may not have.
    fn add_where_served<K>(&mut self)
    where
        K: Kept + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        self.spawn(watch_where_served::<K>(self.client, optional::POLL));
    }

    fn spawn<K>(
        &mut self,
        events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    ) where
        K: Kept + Debug + Send + 'static,
    {
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(events.default_backoff());
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => read(event, &mut listed),
                    Err(error) => {
                        warn!(kind = %K::kind(&()), %error, "the watch broke and is taken up again");
                        None
                    }
                };
                if let Some(event) = event
                    && sender.send(event).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

/// What an event says. `listed` are the objects of the list that is being read.
fn read<K: Kept>(event: watcher::Event<K>, listed: &mut BTreeSet<Key>) -> Option<Event> {
    match event {
        watcher::Event::Init => {
            listed.clear();
            None
        }
        watcher::Event::InitApply(object) => {
            let key = object.key();
            listed.insert(key.clone());
            Some(Event::Applied(key, object.read()))
        }
        watcher::Event::InitDone => Some(Event::Listed(K::KIND, std::mem::take(listed))),
        watcher::Event::Apply(object) => Some(Event::Applied(object.key(), object.read())),
        watcher::Event::Delete(object) => Some(Event::Deleted(object.key())),
    }
}
