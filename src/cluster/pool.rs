//! A pool of the model, and the order of pools.

use std::{cmp::Ordering, ops::Deref, sync::Arc};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};
use kube::ResourceExt;

use super::bounds::{Excess, Size};
use crate::api::{WeightedShare, WeightedShareStatus};

/// A pool. The order is by age, then by namespace and name: the oldest has the first claim on a pod. Cheap to copy: copies share
/// what they say.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct PoolId(Arc<PoolName>);

/// What tells one pool from another.
#[derive(Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PoolName {
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A pool as it was seen last.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The object. Of one that cannot be read, the metadata only.
    pub object: WeightedShare,
    /// Why it cannot be read.
    pub unreadable: Option<String>,
    /// Which bound of its namespace it is over.
    pub excess: Option<Excess>,
    /// What it counts for in that.
    pub(super) size: Size,
    /// The version of the last status that we wrote, and the status as the API server answered it, until the watch shows
    /// one that is at least as new.
    written: Option<(u64, WeightedShareStatus)>,
}

impl PoolId {
    /// The identity of a pool.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self(Arc::new(PoolName {
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            namespace: text(&meta.namespace),
            name: text(&meta.name),
        }))
    }
}

impl Deref for PoolId {
    type Target = PoolName;

    fn deref(&self) -> &PoolName {
        &self.0
    }
}

// Most comparisons are of a copy with what it was copied from.
impl Ord for PoolId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for PoolId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Pool {
    /// A pool that can be read.
    #[must_use]
    pub fn new(object: WeightedShare) -> Self {
        let size = Size::of(&object);
        Self { object, unreadable: None, excess: None, size, written: None }
    }

    /// A pool that cannot be read.
    #[must_use]
    pub fn unreadable(metadata: ObjectMeta, why: String) -> Self {
        let object = WeightedShare { metadata, ..WeightedShare::default() };
        Self { unreadable: Some(why), ..Self::new(object) }
    }

    /// Whether it is divided: it can be read, is not over a bound of its namespace, and is not being deleted.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.unreadable.is_none() && self.excess.is_none() && !self.is_deleted()
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Takes over the status that was written to the pool that this one replaces, if what is seen now is older.
    pub(super) fn succeed(&mut self, before: &Self) {
        let same = self.object.metadata.uid == before.object.metadata.uid;
        if let Some((version, status)) = before.written.as_ref().filter(|_| same)
            && self.version().is_none_or(|now| now < *version)
        {
            self.set_status(*version, status.clone());
        }
    }

    /// Sets the status that we wrote, as the API server answered it with this version of the object.
    pub(super) fn set_status(&mut self, version: u64, status: WeightedShareStatus) {
        if self.version().is_none_or(|seen| seen < version) {
            self.object.status = Some(status.clone());
            self.written = Some((version, status));
        }
    }

    fn version(&self) -> Option<u64> {
        self.object.resource_version()?.parse().ok()
    }
}
