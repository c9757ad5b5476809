//! What became of pools, by the events on them. Pure.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    jiff::Timestamp,
};
use serde::Serialize;

use super::{age::age, table::Table};
use crate::cluster::FIELD_MANAGER;

/// Something that happened to a pool.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryEntry {
    /// When it happened.
    pub time: Timestamp,
    /// Normal or Warning.
    #[serde(rename = "type")]
    pub type_: String,
    /// One word for programs.
    pub reason: String,
    /// The namespace of the pool.
    pub namespace: String,
    /// The name of the pool.
    pub pool: String,
    /// What happened.
    pub message: String,
}

/// The events of all pools, or of one, the newest last. The API server keeps them for an hour, if it is not told otherwise.
#[must_use]
pub fn history(events: &[Event], pool: Option<&str>) -> Vec<HistoryEntry> {
    let ours = events
        .iter()
        .filter(|event| event.reporting_controller.as_deref() == Some(FIELD_MANAGER))
        .filter_map(HistoryEntry::of);
    let mut entries: Vec<HistoryEntry> =
        ours.filter(|entry| pool.is_none_or(|pool| entry.pool == pool)).collect();
    entries.sort_by_key(|entry| entry.time);
    entries
}

/// Events as a table, as `kubectl events` prints them. Without a namespace in common, each line names its own.
#[must_use]
pub fn table(
    entries: &[HistoryEntry],
    now: Timestamp,
    with_namespaces: bool,
    headers: bool,
) -> String {
    if entries.is_empty() {
        return "No events found. (Kubernetes keeps events for about an hour.)\n".to_owned();
    }
    let columns = ["NAMESPACE", "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    let first = usize::from(!with_namespaces);
    let mut rows = Table::of(headers, &columns[first..]);
    for entry in entries {
        let row = [
            entry.namespace.clone(),
            age(entry.time, now),
            entry.type_.clone(),
            entry.reason.clone(),
            format!("WeightedShare/{}", entry.pool),
            entry.message.clone(),
        ];
        rows.0.push(row[first..].to_vec());
    }
    rows.print_left()
}

impl HistoryEntry {
    fn of(event: &Event) -> Option<Self> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let object = event.regarding.as_ref();
        let regarding = |part: fn(&ObjectReference) -> &Option<String>| {
            object.map(part).map(text).unwrap_or_default()
        };
        Some(Self {
            time: event.event_time.as_ref()?.0,
            type_: text(&event.type_),
            reason: text(&event.reason),
            namespace: regarding(|it| &it.namespace),
            pool: regarding(|it| &it.name),
            message: text(&event.note),
        })
    }
}
