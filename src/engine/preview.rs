//! The division of all pools at once, from nothing: what a plan of files shows, and what tests look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use k8s_openapi::jiff::Timestamp;

use super::{
    View,
    backoff::Backoff,
    division::{self, Dividing},
    field_conflicts::FieldConflicts,
    membership::Membership,
    node_rooms::NodeRooms,
    pending_pods::Reserved,
    pool_members::PoolMembers,
    remembered::Remembered,
    shares::Shares,
    stabilize,
};
use crate::{
    cluster::{Changes, Cluster, PoolId},
    metrics::Metrics,
    share::Divider,
};

/// What a division of all pools takes beside the cluster and what is measured: nothing is remembered, but for what a leader told.
#[derive(Debug, Default)]
pub struct Preview {
    /// Whose pods are.
    pub membership: Membership,
    /// Room that is kept free on nodes.
    pub reserved: Reserved,
    /// Resizes that went wrong.
    pub backoff: Backoff,
    /// Managers that keep setting what we set.
    pub conflicts: FieldConflicts,
    /// What pods were granted last.
    pub grants: stabilize::Memory,
    /// What the leader remembers. Its shares are taken as they are.
    pub remembered: Remembered,
}

/// A pool with its members, and its division.
pub type DividedPool<'a> = (Rc<PoolMembers<'a>>, Shares<'a>);

impl Preview {
    /// Finds out whose the pods of a cluster are.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut preview = Self::default();
        preview.membership.update(cluster, &Changes::all(cluster));
        preview
    }

    /// What the division rests on.
    #[must_use]
    pub fn view<'a>(
        &'a self,
        cluster: &'a Cluster,
        metrics: &'a Metrics,
        now: Timestamp,
    ) -> View<'a> {
        let Self { reserved, backoff, conflicts, .. } = self;
        View { cluster, metrics, reserved, backoff, conflicts, may_grow: true, now }
    }

    /// What the members and pods of all pools own, if nodes set no limit, and what they have on nodes.
    #[must_use]
    pub fn own<'a>(
        &'a self,
        view: &View<'a>,
        divider: &mut Divider,
    ) -> (BTreeMap<PoolId, Dividing<'a>>, NodeRooms) {
        let live = view.cluster.pools().filter(|(_, pool)| pool.is_live());
        let mut pools: BTreeMap<PoolId, Dividing> = live
            .map(|(id, pool)| {
                let members = PoolMembers::of(view, &self.membership, id, &pool.object);
                (id.clone(), Dividing::new(view, members, &self.grants))
            })
            .collect();
        let all: BTreeSet<PoolId> = pools.keys().cloned().collect();
        let mut rooms = NodeRooms::default();
        division::own(view, &mut pools, &all, &mut rooms, divider);
        (pools, rooms)
    }

    /// Divides all pools, the oldest first.
    #[must_use]
    pub fn divide<'a>(&'a self, view: &View<'a>) -> Vec<DividedPool<'a>> {
        let mut divider = Divider::default();
        let (mut pools, mut rooms) = self.own(view, &mut divider);
        rooms.settle(view, &mut divider);
        let divided = pools.iter_mut().map(|(id, pool)| {
            let mut shares = division::share(view, id, pool, &rooms, &mut divider);
            self.remembered.grant(&mut shares);
            (pool.members.clone(), shares)
        });
        divided.collect()
    }
}
