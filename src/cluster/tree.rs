//! A ClusterWeightedShare of the model.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::api::{ClusterWeightedShare, ClusterWeightedShareSpec, ClusterWeightedShareStatus};

/// A tree as it was seen last: a ClusterWeightedShare.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The object. Of one that cannot be read, the metadata only.
    pub object: ClusterWeightedShare,
    /// Why it cannot be read.
    pub unreadable: Option<String>,
    /// The version of the last status that we wrote, and the status as the API server answered it, until the watch shows
    /// one that is at least as new.
    written: Option<(u64, ClusterWeightedShareStatus)>,
}

impl Tree {
    /// A tree that can be read.
    #[must_use]
    pub fn new(object: ClusterWeightedShare) -> Self {
        Self { object, unreadable: None, written: None }
    }

    /// A tree that cannot be read.
    #[must_use]
    pub fn unreadable(metadata: ObjectMeta, why: String) -> Self {
        let object = ClusterWeightedShare { metadata, ..ClusterWeightedShare::default() };
        Self { unreadable: Some(why), ..Self::new(object) }
    }

    /// What is read of it: all that a division depends on, and what a status names.
    pub(super) fn read(&self) -> (Option<&str>, Option<i64>, Option<&ClusterWeightedShareSpec>) {
        let meta = &self.object.metadata;
        let spec = self.unreadable.is_none().then_some(&self.object.spec);
        (meta.uid.as_deref(), meta.generation, spec)
    }

    /// Takes over the status that was written to the tree that this one replaces, if what is seen now is older.
    pub(super) fn succeed(&mut self, before: &Self) {
        let same = self.object.metadata.uid == before.object.metadata.uid;
        if let Some((version, status)) = before.written.as_ref().filter(|_| same) {
            self.set_status(*version, status.clone());
        }
    }

    /// Sets the status that we wrote, as the API server answered it with this version of the object.
    pub(super) fn set_status(&mut self, version: u64, status: ClusterWeightedShareStatus) {
        if self.version().is_none_or(|seen| seen < version) {
            self.object.status = Some(status.clone());
            self.written = Some((version, status));
        }
    }

    fn version(&self) -> Option<u64> {
        self.object.resource_version()?.parse().ok()
    }
}
