//! What became of pools, by the events on them. Pure.

use std::fmt::Write;

use k8s_openapi::{api::events::v1::Event, jiff::Timestamp};

use crate::cluster::FIELD_MANAGER;

/// The events of all pools, or of one, oldest first. The API server keeps them for an hour, if it is not told otherwise.
#[must_use]
pub fn history(events: &[Event], pool: Option<&str>) -> String {
    let mut told: Vec<(Timestamp, &Event)> = events
        .iter()
        .filter(|event| event.reporting_controller.as_deref() == Some(FIELD_MANAGER))
        .filter(|event| pool.is_none_or(|pool| regarding(event).1 == pool))
        .filter_map(|event| Some((event.event_time.as_ref()?.0, event)))
        .collect();
    told.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, event) in told {
        let ((namespace, name), at) = (regarding(event), at.strftime("%F %T"));
        let mark = if event.type_.as_deref() == Some("Warning") { "!" } else { " " };
        let (reason, note) = (text_of(&event.reason), text_of(&event.note));
        let _ = writeln!(text, "{at} {mark} {namespace}/{name}  {reason}: {note}");
    }
    match text.is_empty() {
        true => "No events found. (Kubernetes keeps events for about an hour.)\n".to_owned(),
        false => text,
    }
}

fn regarding(event: &Event) -> (&str, &str) {
    let object = event.regarding.as_ref();
    let part = |part: fn(&k8s_openapi::api::core::v1::ObjectReference) -> &Option<String>| {
        object.and_then(|object| part(object).as_deref()).unwrap_or_default()
    };
    (part(|it| &it.namespace), part(|it| &it.name))
}

fn text_of(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}
