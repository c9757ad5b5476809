//! From a document to the objects in it: lists are taken apart, and each object is found out.

use serde_json::{Map, Value};

use super::{
    ManifestError, Place, Problem,
    kind::Kind,
    schema::{in_quotes, in_words},
};
use crate::{
    cluster::{self, Kept},
    metrics::{NodeMetrics, PodMetrics},
};

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// Where it stands.
    pub place: Place,
    /// The object.
    pub object: T,
}

/// An object of a kind that a plan reads, or the kind of one that it leaves out.
#[derive(Clone, Debug)]
pub enum Object {
    /// One that the model keeps.
    Kept(cluster::Key, Box<cluster::Object>),
    /// What a pod uses.
    PodMetrics(Box<PodMetrics>),
    /// What a node uses.
    NodeMetrics(Box<NodeMetrics>),
    /// The kind of one that is left out.
    Other(String),
}

impl Object {
    /// An object as the model keeps it.
    pub(super) fn kept(object: impl Kept) -> Self {
        Self::Kept(object.key(), Box::new(object.read()))
    }
}

/// What was found in some text so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Vec<Located<Object>>,
    pub(super) errors: Vec<ManifestError>,
}

/// What a list says of items that do not say it themselves.
#[derive(Clone, Copy)]
struct Inherited<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl Found {
    /// Takes in a document.
    pub(super) fn document(&mut self, place: &Place, value: Value) {
        self.value(place, value, None);
    }

    pub(super) fn error(&mut self, place: &Place, field: impl Into<String>, problem: Problem) {
        self.errors.push(ManifestError { place: place.clone(), field: field.into(), problem });
    }

    fn value(&mut self, place: &Place, value: Value, inherited: Option<Inherited>) {
        let Value::Object(mut map) = value else {
            return self.error(place, "", Problem::NotAnObject { found: in_words(&value) });
        };
        if let Some(Inherited { api_version, kind }) = inherited {
            for (name, said) in [("apiVersion", api_version), ("kind", kind)] {
                map.entry(name).or_insert_with(|| said.into());
            }
        }
        let kind = match text(&map, "kind") {
            Ok(Some(kind)) if kind.chars().all(|c| c.is_ascii_alphanumeric()) => kind.to_owned(),
            Ok(Some(kind)) => {
                let problem = Problem::NotAKind { found: kind.to_owned() };
                return self.error(place, "kind", problem);
            }
            Ok(None) => return self.error(place, "kind", Problem::NoKind),
            Err(problem) => return self.error(place, "kind", problem),
        };
        match list_of(&kind, &map) {
            Some(item_kind) => self.list(place, &item_kind, map),
            None => self.object(&place.object(&*kind), &kind, map),
        }
    }

    fn list(&mut self, place: &Place, item_kind: &str, mut list: Map<String, Value>) {
        let items = match list.remove("items") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let remedy = "write the objects, each after a dash".into();
                let problem = wrong_type(&other, "a list", remedy);
                return self.error(place, "items", problem);
            }
        };
        let api_version = list.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        // A list of all kinds says nothing of its items.
        let inherited =
            (!item_kind.is_empty()).then_some(Inherited { api_version, kind: item_kind });
        for (index, item) in items.into_iter().enumerate() {
            self.value(&place.item(index + 1), item, inherited);
        }
    }

    fn object(&mut self, place: &Place, name: &str, map: Map<String, Value>) {
        let api_version = match text(&map, "apiVersion") {
            Ok(Some(version)) => version,
            Ok(None) => {
                let expected = Kind::named(name).map_or("v1".into(), Kind::api_version);
                return self.error(place, "apiVersion", Problem::NoApiVersion { expected });
            }
            Err(problem) => return self.error(place, "apiVersion", problem),
        };
        match Kind::find(api_version, name) {
            Ok(Some(kind)) => self.known(place, kind, map),
            Ok(None) => self
                .objects
                .push(Located { place: place.clone(), object: Object::Other(name.to_owned()) }),
            Err(problem @ Problem::UnknownKind { .. }) => self.error(place, "kind", problem),
            Err(problem) => self.error(place, "apiVersion", problem),
        }
    }

    fn known(&mut self, place: &Place, kind: &Kind, mut map: Map<String, Value>) {
        let name = match metadata(kind, &mut map) {
            Ok(name) => name,
            Err((field, problem)) => return self.error(place, field, problem),
        };
        let place = place.object(format!("{} {name}", kind.name));
        match kind.read(Value::Object(map)) {
            Ok(object) => self.objects.push(Located { place, object }),
            Err(wrong) => {
                for (field, problem) in wrong {
                    self.error(&place, field, problem);
                }
            }
        }
    }
}

/// The kind of the items, if this is a list; empty for a list of all kinds.
fn list_of(kind: &str, map: &Map<String, Value>) -> Option<String> {
    let item = kind.strip_suffix("List")?;
    let is_list = item.is_empty() || Kind::named(item).is_some() || map.contains_key("items");
    is_list.then(|| item.to_owned())
}

/// The name of an object, with its namespace, which is `default` unless it says another one.
fn metadata(kind: &Kind, map: &mut Map<String, Value>) -> Result<String, (&'static str, Problem)> {
    const NAME: &str = "metadata.name";
    const NAMESPACE: &str = "metadata.namespace";
    let metadata = match map.get_mut("metadata") {
        None | Some(Value::Null) => return Err((NAME, Problem::NoName)),
        Some(Value::Object(metadata)) => metadata,
        Some(other) => {
            let remedy = "write fields with their values, such as name: web".into();
            return Err(("metadata", wrong_type(other, "a mapping", remedy)));
        }
    };
    let name = match text(metadata, "name").map_err(|problem| (NAME, problem))? {
        Some(name) if is_dns(name, 253, true) => name.to_owned(),
        Some(name) => return Err((NAME, not_a_name(name, NAME_HAS))),
        None if metadata.contains_key("generateName") => {
            return Err((NAME, Problem::GeneratedName));
        }
        None => return Err((NAME, Problem::NoName)),
    };
    if !kind.namespaced {
        metadata.remove("namespace");
        return Ok(name);
    }
    let namespace = text(metadata, "namespace");
    let namespace = namespace.map_err(|problem| (NAMESPACE, problem))?;
    let namespace = namespace.unwrap_or("default").to_owned();
    if !is_dns(&namespace, 63, false) {
        return Err((NAMESPACE, not_a_name(&namespace, NAMESPACE_HAS)));
    }
    let full = format!("{namespace}/{name}");
    metadata.insert("namespace".into(), namespace.into());
    Ok(full)
}

/// What the name of an object may have in it.
const NAME_HAS: &str = "at most 253 lower-case letters, digits, - and .";
/// What the name of a namespace may have in it.
const NAMESPACE_HAS: &str = "at most 63 lower-case letters, digits and -";

fn not_a_name(found: &str, how: &'static str) -> Problem {
    Problem::NotAName { found: found.to_owned(), how }
}

/// Whether a name can stand in the DNS, as those of all kinds that are read can.
fn is_dns(name: &str, most: usize, dots: bool) -> bool {
    let inside = |c: u8| c == b'-' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().all(inside)
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= most && (dots || !name.contains('.')) && name.split('.').all(label)
}

/// A text that says something; nothing, if it is empty or not there.
fn text<'a>(map: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, Problem> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(&**text).filter(|text| !text.is_empty())),
        Some(other @ (Value::Array(_) | Value::Object(_))) => {
            Err(wrong_type(other, "a string", "write one word".into()))
        }
        Some(other) => Err(wrong_type(other, "a string", in_quotes(other))),
    }
}

fn wrong_type(found: &Value, expected: &'static str, remedy: String) -> Problem {
    Problem::WrongType { found: in_words(found), expected, remedy }
}
