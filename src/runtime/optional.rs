//! Watches of kinds that a cluster may not have, or not yet, or not any more.

use std::{collections::VecDeque, fmt::Debug, time::Duration};

use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::info;

/// How often it is asked whether the cluster has the kind by now. Pools whose members may be of it stand still meanwhile.
pub(super) const POLL: Duration = Duration::from_secs(10);

/// Watches a kind wherever it is served: it is looked for every `poll` while it is not, without a word, and there are no
/// objects of it then.
pub(super) fn watch_where_served<K>(
    client: &Client,
    poll: Duration,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let optional = Optional {
        api: Api::<K>::all(client.clone()),
        poll,
        asked: false,
        events: None,
        told: VecDeque::new(),
    };
    stream::unfold(optional, |mut optional| async {
        let event = optional.next().await;
        Some((event, optional))
    })
}

struct Optional<K> {
    api: Api<K>,
    poll: Duration,
    /// Whether the kind is served was asked at least once.
    asked: bool,
    /// The watch, while the kind is served.
    events: Option<BoxStream<'static, watcher::Result<Event<K>>>>,
    /// What is to be told first.
    told: VecDeque<Event<K>>,
}

impl<K> Optional<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn next(&mut self) -> watcher::Result<Event<K>> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(event);
            }
            match &mut self.events {
                Some(events) => match events.next().await {
                    Some(Err(error)) if is_not_served(&error) => self.none("is no longer served"),
                    Some(event) => return event,
                    None => self.events = None,
                },
                None => self.look_for_it().await?,
            }
        }
    }

    async fn look_for_it(&mut self) -> watcher::Result<()> {
        let first = !std::mem::replace(&mut self.asked, true);
        if !first {
            sleep(self.poll).await;
        }
        match self.api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => {
                info!(kind = %K::kind(&()), "the cluster serves this kind, so it is watched");
                self.events = Some(watcher(self.api.clone(), watcher::Config::default()).boxed());
            }
            // Who may not look does without, too.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                if first {
                    self.none(if status.code == 404 {
                        "is not served"
                    } else {
                        "may not be listed"
                    });
                }
            }
            Err(error) => {
                // The stream waits by itself after an error.
                self.asked = !first;
                return Err(watcher::Error::InitialListFailed(error));
            }
        }
        Ok(())
    }

    /// Says that there are no objects.
    fn none(&mut self, what: &str) {
        info!(kind = %K::kind(&()), "the kind {what}, and is checked again from time to time");
        self.events = None;
        self.told.extend([Event::Init, Event::InitDone]);
    }
}

/// Whether the API server does not know the kind.
fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 404)
        }
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::NoResourceVersion => false,
    }
}
