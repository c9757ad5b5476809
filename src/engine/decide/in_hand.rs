//! The pools in the middle of a decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::PoolId,
    engine::{
        Now, View, departed,
        division::{Dividing, Trees},
        dynamic_weights,
        forest::TreeIndex,
        history::PoolHistory,
        membership::Membership,
        pool_members::PoolMembers,
        shares::Shares,
        tree_division::Pools,
    },
};

/// A pool in the middle of a decision.
pub(super) struct InHand<'a> {
    pub known: PoolHistory,
    pub before: PoolHistory,
    /// Its shares, and whether dividing it decided anything new. None: it is not divided yet.
    pub divided: Option<(Shares<'a>, bool)>,
}

/// What a decision works with.
pub(super) struct Tick<'t, 'a> {
    pub view: View<'a>,
    pub now: Now,
    pub membership: &'a Membership,
    pub histories: &'t mut BTreeMap<PoolId, PoolHistory>,
    pub in_hand: BTreeMap<PoolId, InHand<'a>>,
    pub dividing: Pools<'a>,
    pub trees: Trees,
    /// The trees in which something was granted.
    pub granted: BTreeSet<TreeIndex>,
}

impl<'a> Tick<'_, 'a> {
    /// Begins to decide for a pool, if it is live.
    pub fn take_in_hand(&mut self, id: &PoolId) {
        if self.in_hand.contains_key(id) {
            return;
        }
        let Some((id, pool)) = self.view.live_pool(id) else { return };
        let uid = pool.object.metadata.uid.as_deref().unwrap_or_default();
        let known = self.histories.remove(id).filter(|known| known.uid == uid);
        let mut known =
            known.unwrap_or_else(|| PoolHistory { uid: uid.to_owned(), ..PoolHistory::default() });
        let before = known.clone();
        let mut members = PoolMembers::of(&self.view, self.membership, id, &pool.object);
        members.departed = departed::departed(&self.view, self.membership, id, &known);
        dynamic_weights::update(&self.view, &mut members, &mut known.weights);
        let dividing = Dividing::new(&self.view, members, &known.grants);
        self.dividing.insert(id.clone(), dividing);
        self.in_hand.insert(id.clone(), InHand { known, before, divided: None });
    }

    /// The pools in hand that are not divided yet.
    pub fn undivided(&self) -> BTreeSet<PoolId> {
        let undivided = self.in_hand.iter().filter(|(_, it)| it.divided.is_none());
        undivided.map(|(id, _)| id.clone()).collect()
    }

    /// Those of these pools that are not in hand.
    pub fn not_in_hand(&self, mut pools: BTreeSet<PoolId>) -> BTreeSet<PoolId> {
        pools.retain(|id| !self.in_hand.contains_key(id));
        pools
    }
}
