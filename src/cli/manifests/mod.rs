//! Manifests as typed objects: what `weightedshare plan` looks at instead of a cluster.
//!
//! `source` reads files, `document` cuts a text into documents, `object` takes lists apart and finds
//! out what each object is, and `kind` and `own_kind` read it: a pool or a tree by the `schema` and the
//! `rules` of its CRD, the others by their types (`typed`). Only `source` touches the file system.

mod document;
mod error;
mod field;
mod kind;
mod object;
mod own_kind;
mod quantity;
mod rules;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod typed;

use std::collections::{BTreeMap, HashMap};

pub use error::{ManifestError, ManifestErrors, Place, Problem};
use object::Found;
pub use object::{Located, Object};
pub use source::read;

use super::Looked;
use crate::{
    cluster::{Cluster, Event},
    metrics::{Metrics, NodeMetrics, PodMetrics},
};

/// All objects of some manifests, each with a namespace where its kind has one, and each once.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The objects. The pools hold to their schema and to all its rules.
    pub cluster: Cluster,
    pod_metrics: Vec<PodMetrics>,
    node_metrics: Vec<NodeMetrics>,
    /// How many objects of other kinds were left out.
    pub others: BTreeMap<String, usize>,
}

/// Reads the objects of one text, YAML or JSON; `source` is what errors call it.
///
/// # Errors
/// All that is wrong with it, if anything is.
pub fn parse(source: &str, text: &str) -> Result<Vec<Located<Object>>, ManifestErrors> {
    let mut found = Found::default();
    parse_into(&mut found, source, text);
    if found.errors.is_empty() { Ok(found.objects) } else { Err(ManifestErrors(found.errors)) }
}

fn parse_into(found: &mut Found, source: &str, text: &str) {
    let place = Place::source(source);
    for (index, document) in document::documents(source, text).into_iter().enumerate() {
        let place = place.document(index + 1);
        match document {
            Ok(value) => found.document(&place, value),
            Err(problem) => found.error(&place, "", problem),
        }
    }
}

impl Manifests {
    /// Sorts objects by kind.
    ///
    /// # Errors
    /// When some object is there twice.
    pub fn sort(objects: Vec<Located<Object>>) -> Result<Self, ManifestErrors> {
        Self::from_found(Found { objects, errors: Vec::new() })
    }

    fn from_found(found: Found) -> Result<Self, ManifestErrors> {
        let mut manifests = Self::default();
        let mut errors = found.errors;
        let mut places: HashMap<String, Place> = HashMap::new();
        for Located { place, object } in found.objects {
            let name = place.object.clone().unwrap_or_default();
            let known = !matches!(object, Object::Other(_));
            if let Some(first) = places.get(&name).filter(|_| known) {
                let problem = Problem::Twice { first: first.clone() };
                errors.push(ManifestError { place, field: String::new(), problem });
            } else {
                places.insert(name, place);
                manifests.add(object);
            }
        }
        if errors.is_empty() { Ok(manifests) } else { Err(ManifestErrors(errors)) }
    }

    /// The objects, with what pods and nodes use.
    #[must_use]
    pub fn looked(self) -> Looked {
        let metrics = Metrics::written_down(&self.pod_metrics, &self.node_metrics);
        Looked { cluster: self.cluster, metrics, ..Looked::default() }
    }

    fn add(&mut self, object: Object) {
        match object {
            Object::Kept(key, object) => self.cluster.apply(Event::Applied(key, *object)),
            Object::PodMetrics(metrics) => self.pod_metrics.push(*metrics),
            Object::NodeMetrics(metrics) => self.node_metrics.push(*metrics),
            Object::Other(kind) => *self.others.entry(kind).or_default() += 1,
        }
    }
}
