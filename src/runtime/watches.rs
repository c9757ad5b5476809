//! The watches of the API server, as one stream of events.

use std::collections::BTreeSet;

use futures::{Stream, StreamExt};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use tracing::warn;

use super::optional::{self, watch_where_served};
use crate::cluster::{EachKind, Event, Kept, Key, Kind, each_kind};

/// How long a watch goes on before it is taken up anew, from where it was. A connection that died unnoticed is left
/// shortly after, and no decision rests for longer on what no longer is so.
const WATCH_SECONDS: u32 = 60;
/// How many objects come with one answer to a list: what is read of them is kept, the answer is not.
const PAGE: u32 = 250;
/// How many events wait for the loop at most. Where it is busy, the watches wait.
const WAITING: usize = 1024;

/// Begins to watch, each kind in a task of its own: what an object is read as, the loop does not wait for. The tasks end
/// with `tasks`. Returns the events, and the kinds whose lists are still to come.
pub fn watch(client: &Client, tasks: &mut JoinSet<()>) -> (mpsc::Receiver<Event>, BTreeSet<Kind>) {
    let (sender, events) = mpsc::channel(WAITING);
    let mut watches = Watches { client, tasks, sender, kinds: BTreeSet::new() };
    each_kind(&mut watches);
    (events, watches.kinds)
}

struct Watches<'w> {
    client: &'w Client,
    tasks: &'w mut JoinSet<()>,
    sender: mpsc::Sender<Event>,
    kinds: BTreeSet<Kind>,
}

impl EachKind for Watches<'_> {
    fn always<K: Kept>(&mut self) {
        let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
        self.spawn(watcher(Api::<K>::all(self.client.clone()), config));
    }

    fn where_served<K: Kept>(&mut self) {
        self.spawn(watch_where_served::<K>(self.client, optional::POLL));
    }
}

impl Watches<'_> {
    fn spawn<K: Kept>(
        &mut self,
        events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    ) {
        self.kinds.insert(K::KIND);
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(events.default_backoff());
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => read(event, &mut listed),
                    Err(error) => {
                        warn!(kind = %K::kind(&()), %error, "the watch failed, and is restarted");
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
