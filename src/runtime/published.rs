//! The pools as they were seen last, for what shows them: metrics and the dashboard.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{api::WeightedShare, cluster::PoolId};

/// The pools that can be read. Cheap to copy: all copies are one.
#[derive(Clone, Debug, Default)]
pub struct PublishedPools(Arc<Mutex<Known>>);

/// None: this process does not lead, and knows of none.
type Known = Option<BTreeMap<PoolId, Arc<WeightedShare>>>;

impl PublishedPools {
    /// This process leads, and knows of pools from now on.
    pub fn begin(&self) {
        self.pools().get_or_insert_default();
    }

    /// A pool is so now; or it is gone.
    pub fn set(&self, id: &PoolId, pool: Option<&WeightedShare>) {
        let mut pools = self.pools();
        let pools = pools.get_or_insert_default();
        match pool {
            Some(pool) => drop(pools.insert(id.clone(), Arc::new(pool.clone()))),
            None => drop(pools.remove(id)),
        }
    }

    /// All of them, the oldest first. None: this process does not lead, and knows of none.
    #[must_use]
    pub fn all(&self) -> Option<Vec<Arc<WeightedShare>>> {
        self.pools().as_ref().map(|pools| pools.values().cloned().collect())
    }

    fn pools(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held; what it holds would be whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
