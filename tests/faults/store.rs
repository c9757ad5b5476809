//! The objects, each with the version of its last change, and the log that watches are served from.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::amounts::text;

/// The kinds that are kept, by their plural. Of all others there are none.
const KINDS: [&str; 14] = [
    "clusterweightedshares",
    "daemonsets",
    "deployments",
    "events",
    "leases",
    "limitranges",
    "nodes",
    "pods",
    "replicasets",
    "resourcequotas",
    "runtimeclasses",
    "startprofiles",
    "statefulsets",
    "weightedshares",
];

pub type Kind = &'static str;
/// Kind, namespace, name.
pub type Key = (Kind, String, String);

pub fn kind(plural: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| *kind == plural)
}

/// A change, as watches tell it.
pub struct Logged {
    pub version: u64,
    /// When, since the beginning.
    pub at: Duration,
    pub key: Key,
    pub event: &'static str,
    pub object: Arc<Value>,
    line: OnceLock<Bytes>,
}

impl Logged {
    /// The line of a watch.
    pub fn line(&self) -> Bytes {
        let line = || {
            let event = json!({"type": self.event, "object": &*self.object});
            Bytes::from(format!("{event}\n"))
        };
        self.line.get_or_init(line).clone()
    }
}

#[derive(Default)]
pub struct Store {
    pub version: u64,
    /// How much time has passed.
    pub now: Duration,
    pub objects: BTreeMap<Key, Arc<Value>>,
    pub log: Vec<Arc<Logged>>,
    /// Watches from before it get 410 Gone.
    pub compacted: u64,
    uids: u64,
}

impl Store {
    pub fn key(kind: Kind, object: &Value) -> Key {
        let meta = |field| text(&object["metadata"], field).to_owned();
        (kind, meta("/namespace"), meta("/name"))
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        let from = (kind, String::new(), String::new());
        self.objects
            .range(from..)
            .take_while(move |(key, _)| key.0 == kind)
            .map(|(_, object)| object)
    }

    /// Keeps an object with a new version; one that is new gets a UID too.
    pub fn put(&mut self, kind: Kind, mut object: Value) -> Arc<Value> {
        self.version += 1;
        let key = Self::key(kind, &object);
        let event = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = self.version.to_string().into();
        if event == "ADDED" {
            self.uids += 1;
            meta["uid"] = format!("uid-{}", self.uids).into();
            if meta["generation"].is_null() {
                meta["generation"] = 1.into();
            }
        }
        let object = Arc::new(object);
        self.objects.insert(key.clone(), object.clone());
        self.note(key, event, object.clone());
        object
    }

    /// Changes an object, if it is there and is not the same afterwards.
    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let before = self.objects.get(key)?.clone();
        let mut object = (*before).clone();
        change(&mut object);
        if object == *before { Some(before) } else { Some(self.put(key.0, object)) }
    }

    pub fn remove(&mut self, key: &Key) {
        if let Some(object) = self.objects.remove(key) {
            self.version += 1;
            let mut object = (*object).clone();
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.note(key.clone(), "DELETED", Arc::new(object));
        }
    }

    fn note(&mut self, key: Key, event: &'static str, object: Arc<Value>) {
        let (version, at) = (self.version, self.now);
        self.log.push(Arc::new(Logged { version, at, key, event, object, line: OnceLock::new() }));
    }

    /// The first change of a kind after a version, and not before a place in the log.
    pub fn next(&self, kind: Kind, from: usize) -> Option<(usize, Arc<Logged>)> {
        let found = self.log[from..].iter().position(|logged| logged.key.0 == kind)?;
        Some((from + found, self.log[from + found].clone()))
    }

    /// The objects of a kind as they were at a version.
    pub fn at(&self, kind: Kind, version: u64) -> Vec<Arc<Value>> {
        if version >= self.version {
            return self.of_kind(kind).cloned().collect();
        }
        let mut objects = BTreeMap::new();
        for logged in self.log.iter().filter(|it| it.key.0 == kind && it.version <= version) {
            match logged.event {
                "DELETED" => objects.remove(&logged.key),
                _ => objects.insert(logged.key.clone(), logged.object.clone()),
            };
        }
        objects.into_values().collect()
    }

    /// The version that was the last at a time.
    pub fn version_at(&self, at: Duration) -> u64 {
        let place = self.log.partition_point(|logged| logged.at <= at);
        place.checked_sub(1).map_or(0, |last| self.log[last].version)
    }

    pub fn place_after(&self, version: u64) -> usize {
        self.log.partition_point(|logged| logged.version <= version)
    }
}

/// Changes the spec: the generation says so.
pub fn bump(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    object["metadata"]["generation"] = (generation + 1).into();
}
