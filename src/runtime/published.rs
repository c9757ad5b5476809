//! The pools and trees as they were seen last, for what shows them: metrics and the dashboard.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    api::{ClusterWeightedShare, WeightedShare},
    cluster::PoolId,
};

/// The pools that can be read, the oldest first.
pub type PublishedPools = Published<PoolId, WeightedShare>;
/// The ClusterWeightedShares that can be read, by name.
pub type PublishedTrees = Published<String, ClusterWeightedShare>;

/// Objects as they were seen last. Cheap to copy: all copies are one.
#[derive(Debug)]
pub struct Published<K, T>(Arc<Mutex<Known<K, T>>>);

/// None: this process does not lead, and knows of none.
type Known<K, T> = Option<BTreeMap<K, Arc<T>>>;

impl<K: Clone + Ord, T: Clone> Published<K, T> {
    /// This process leads, and knows of objects from now on.
    pub fn begin(&self) {
        self.known().get_or_insert_default();
    }

    /// An object is so now; or it is gone.
    pub fn set(&self, key: &K, object: Option<&T>) {
        let mut known = self.known();
        let known = known.get_or_insert_default();
        match object {
            Some(object) => drop(known.insert(key.clone(), Arc::new(object.clone()))),
            None => drop(known.remove(key)),
        }
    }

    /// All of them, in order. None: this process does not lead, and knows of none.
    #[must_use]
    pub fn all(&self) -> Option<Vec<Arc<T>>> {
        self.known().as_ref().map(|known| known.values().cloned().collect())
    }

    fn known(&self) -> MutexGuard<'_, Known<K, T>> {
        // Nothing panics while it is held; what it holds would be whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Clone for Published<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> Default for Published<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
