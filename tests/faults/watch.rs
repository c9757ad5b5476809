//! Watches: what changed after a version, line by line.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{
    cluster::{Cluster, Cut, Shared, with},
    fault::{Fault, within},
    server::{Answer, Call},
    store::{Kind, Logged},
};

struct Watch {
    shared: Shared,
    instance: usize,
    kind: Kind,
    /// The next place in the log.
    place: usize,
    /// How often all watches had been cut when it began.
    cuts: usize,
    /// Its first version is too old.
    expired: bool,
    /// Until when it runs.
    ends: Instant,
    /// When the last event was told: none comes before it.
    told: Instant,
    changed: Receiver<u64>,
    bookmark: Instant,
    /// It said what it had to say.
    over: bool,
}

enum Next {
    Line(Bytes),
    /// Nothing until then, or until something changes.
    Wait(Instant),
    End,
}

const BOOKMARKS: Duration = Duration::from_secs(60);

pub fn watch(shared: &Shared, instance: usize, kind: Kind, call: &Call) -> Answer {
    let now = Instant::now();
    let from = call.asks("resourceVersion").and_then(|it| it.parse().ok()).unwrap_or(0);
    let seconds = call.asks("timeoutSeconds").and_then(|it| it.parse().ok()).unwrap_or(290);
    let watch = with(shared, |cluster| Watch {
        shared: shared.clone(),
        instance,
        kind,
        place: cluster.store.place_after(from),
        cuts: cluster.cuts.len(),
        expired: from < cluster.store.compacted || missed(cluster, kind, from),
        ends: now + Duration::from_secs(seconds),
        told: now,
        changed: cluster.changed.subscribe(),
        bookmark: now + BOOKMARKS,
        over: false,
    });
    let lines = stream::unfold(watch, |mut watch| async {
        let line = watch.line().await?;
        Some((Ok::<_, io::Error>(Frame::data(line)), watch))
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

fn gone_line() -> Bytes {
    let status = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    }});
    Bytes::from(format!("{status}\n"))
}

impl Watch {
    async fn line(&mut self) -> Option<Bytes> {
        loop {
            self.changed.mark_unchanged();
            let shared = self.shared.clone();
            match with(&shared, |cluster| self.next(cluster)) {
                Next::Line(line) => return Some(line),
                Next::End => return None,
                Next::Wait(until) => {
                    tokio::select! {
                        biased;
                        changed = self.changed.changed() => changed.ok()?,
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    fn next(&mut self, cluster: &mut Cluster) -> Next {
        let now = Instant::now();
        if self.over || now >= self.ends {
            return Next::End;
        }
        let mut cuts = cluster.cuts.get(self.cuts..).unwrap_or_default().iter();
        if self.expired || cuts.any(|cut| cut.kind.is_none_or(|it| it == self.kind)) {
            self.over = true;
            let gone = |cut: &Cut| cut.gone && cut.kind.is_none_or(|it| it == self.kind);
            let expired = self.expired || cluster.cuts[self.cuts..].iter().any(gone);
            return if expired { Next::Line(gone_line()) } else { Next::End };
        }
        while let Some((place, logged)) = cluster.store.next(self.kind, self.place) {
            if dropped(cluster, self.kind, logged.at) {
                self.place = place + 1;
                continue;
            }
            let due = cluster.began + logged.at + late(cluster, self.kind, logged.at);
            let deaf = cluster.instances[self.instance].deaf_until;
            let due = due.max(self.told).max(deaf.unwrap_or(self.told));
            if due > now {
                return Next::Wait(due.min(self.ends));
            }
            self.place = place + 1;
            self.told = due;
            cluster.saw_event(self.instance, &logged);
            return Next::Line(twice(cluster, &logged));
        }
        if now >= self.bookmark {
            self.bookmark = now + BOOKMARKS;
            let version = cluster.store.version.to_string();
            let bookmark = json!({"type": "BOOKMARK", "object": {
                "kind": "Bookmark", "apiVersion": "v1", "metadata": {"resourceVersion": version},
            }});
            return Next::Line(Bytes::from(format!("{bookmark}\n")));
        }
        Next::Wait(self.bookmark.min(self.ends))
    }
}

fn twice(cluster: &Cluster, logged: &Logged) -> Bytes {
    let doubled = cluster.faults.iter().any(|fault| match fault {
        Fault::Doubled { at, lasts } => within(cluster.elapsed(), *at, *lasts),
        _ => false,
    });
    let line = logged.line();
    if doubled { Bytes::from([&line[..], &line[..]].concat()) } else { line }
}

/// How late an event is told.
fn late(cluster: &Cluster, kind: Kind, told: Duration) -> Duration {
    let of = |fault: &Fault| match fault {
        Fault::Late { kind: which, at, lasts, by } if within(told, *at, *lasts) => {
            which.is_none_or(|it| it == kind).then_some(*by)
        }
        _ => None,
    };
    cluster.faults.iter().filter_map(of).max().unwrap_or(Duration::from_millis(2))
}

fn dropped(cluster: &Cluster, kind: Kind, told: Duration) -> bool {
    cluster.faults.iter().any(|fault| match fault {
        Fault::Dropped { kind: which, at, lasts } => *which == kind && within(told, *at, *lasts),
        _ => false,
    })
}

/// Whether a version lies before the end of a time of which no watch tells.
fn missed(cluster: &Cluster, kind: Kind, version: u64) -> bool {
    cluster.faults.iter().any(|fault| match fault {
        Fault::Dropped { kind: which, at, lasts } => {
            let end = *at + *lasts;
            *which == kind && cluster.elapsed() >= end && version < cluster.store.version_at(end)
        }
        _ => false,
    })
}
