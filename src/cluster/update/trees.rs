//! How events change trees of pools, and what they have to do with namespaces.

use std::collections::BTreeMap;

use super::{Cluster, Pool, Tree};
use crate::api::ClusterWeightedShare;

impl Cluster {
    /// Notes the status that we wrote to a tree, which is `shown` in the answer of the API server.
    pub fn set_tree_status(&mut self, name: &str, shown: &ClusterWeightedShare) {
        let version = shown.metadata.resource_version.as_ref().and_then(|it| it.parse().ok());
        let tree = self.trees.get_mut(name);
        if let Some(tree) = tree.filter(|it| it.object.metadata.uid == shown.metadata.uid)
            && let (Some(version), Some(status)) = (version, &shown.status)
        {
            tree.set_status(version, status.clone());
            self.changes.tree_statuses.insert(name.to_owned());
        }
    }

    pub(super) fn put_tree(&mut self, name: &str, tree: Option<Tree>) {
        let before = self.trees.remove(name);
        match before.as_ref().map(Tree::read) == tree.as_ref().map(Tree::read) {
            true => self.changes.tree_statuses.insert(name.to_owned()),
            false => {
                self.changes.forest = true;
                self.changes.trees.insert(name.to_owned())
            }
        };
        if let Some(mut tree) = tree {
            before.iter().for_each(|before| tree.succeed(before));
            self.trees.insert(name.to_owned(), tree);
        }
    }

    pub(super) fn put_labels(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        let namespace = self.namespaces.entry(name.to_owned()).or_default();
        self.changes.forest |= namespace.labels != labels;
        namespace.labels = labels;
        if namespace.is_empty() {
            self.namespaces.remove(name);
        }
    }
}

/// Whether a pool has a place in a tree.
pub(super) fn is_in_tree(pool: Option<&Pool>) -> bool {
    place(pool).is_some()
}

/// A pool's place in a tree, and what it is there.
pub(super) fn place(pool: Option<&Pool>) -> Option<(&str, Option<u32>, bool)> {
    let spec = &pool.filter(|pool| pool.is_live())?.object.spec;
    Some((spec.tree()?, spec.weight, spec.expandable))
}
