//! What became of pools and trees, by the events on them. Pure.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    jiff::Timestamp,
};
use serde::Serialize;

use super::{age::age, table::Table};
use crate::cluster::FIELD_MANAGER;

/// Something that happened to a pool or a tree.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryEntry {
    /// When it happened.
    pub time: Timestamp,
    /// Normal or Warning.
    #[serde(rename = "type")]
    pub type_: String,
    /// One word for programs.
    pub reason: String,
    /// The namespace of the pool. Empty: it is a tree.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// WeightedShare or ClusterWeightedShare.
    pub kind: String,
    /// The name of the pool or tree.
    pub name: String,
    /// What happened.
    pub message: String,
}

/// The events of all objects, or of those with a name, the newest last. The API server keeps them for an hour, if it is not told otherwise.
#[must_use]
pub fn history(events: &[Event], name: Option<&str>) -> Vec<HistoryEntry> {
    let ours = events
        .iter()
        .filter(|event| event.reporting_controller.as_deref() == Some(FIELD_MANAGER))
        .filter_map(HistoryEntry::of);
    let mut entries: Vec<HistoryEntry> =
        ours.filter(|entry| name.is_none_or(|name| entry.name == name)).collect();
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
            format!("{}/{}", entry.kind, entry.name),
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
            kind: regarding(|it| &it.kind),
            name: regarding(|it| &it.name),
            message: text(&event.note),
        })
    }
}
