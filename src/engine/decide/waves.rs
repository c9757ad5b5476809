//! Which pools are divided together: those for which something may have changed, and, in waves, the others that this concerns.

use std::collections::BTreeSet;

use super::{Engine, dirty, in_hand::Tick};
use crate::{
    cluster::{Changes, PoolId},
    engine::{View, division, pool_plan, stabilize::Granting},
};

impl Engine {
    /// Divides the pools in hand, the `tied` ones, and all that share a contested node with them.
    pub(super) fn divide(&mut self, tick: &mut Tick, tied: BTreeSet<PoolId>) {
        let mut wave = tick.not_in_hand(tied);
        loop {
            self.own(tick, wave);
            // A node may have been touched by a pool that is gone: so also after an empty wave.
            let tied = self.rooms.settle(&tick.view, &mut self.dividers.pools);
            wave = tick.not_in_hand(tied);
            if wave.is_empty() {
                wave = self.lend_in_trees(tick);
            }
            if wave.is_empty() {
                wave = self.share(tick);
            }
            if wave.is_empty() {
                return;
            }
        }
    }

    /// Works out what these pools own, if nodes set no limit, and those for which that changes what their tree gives them.
    pub(super) fn own(&mut self, tick: &mut Tick, mut pools: BTreeSet<PoolId>) {
        while !pools.is_empty() {
            // Decided for alone, a pool would take the room that the others have under their quota, or in their branch.
            pools = dirty::with_who_shares(&tick.view, &self.standing, pools);
            for id in &pools {
                tick.take_in_hand(id);
            }
            let Tick { view, dividing, trees, .. } = tick;
            let (rooms, dividers) = (&mut self.rooms, &mut self.dividers);
            let moved = division::own(view, dividing, trees, &pools, rooms, dividers);
            pools = tick.not_in_hand(moved);
        }
    }

    /// Lends what is idle in the trees of the pools that are not shared yet. Returns the other pools that this concerns.
    fn lend_in_trees(&mut self, tick: &mut Tick) -> BTreeSet<PoolId> {
        let together = tick.view.forest.together(tick.undivided());
        let Tick { view, dividing, trees, .. } = tick;
        let (rooms, dividers) = (&self.rooms, &mut self.dividers);
        let changed = division::lend_in_trees(view, &together, dividing, trees, rooms, dividers);
        tick.not_in_hand(changed)
    }

    /// Marks the nodes whose charges, allocatable or reserved room changed. Returns the pools whose growth that may affect.
    pub(super) fn touch_nodes(&mut self, view: &View, changes: &Changes) -> BTreeSet<PoolId> {
        let (before, now) = (&self.reserved, view.reserved);
        let differs = |node: &&String| before.get(*node) != now.get(*node);
        let reserved = before.keys().chain(now.keys()).filter(differs);
        let touched = reserved.chain(&changes.nodes).chain(&changes.charged);
        let touched = touched.inspect(|node| self.rooms.touch(node));
        // If a node has and had room for all pending growth, a change there affects no pool.
        self.growth.tied(view, touched.map(String::as_str))
    }

    /// Shares what the pools in hand own. Returns the other pools that this concerns: they want to grow where there is too little for
    /// all, or give room to pods of their tree.
    fn share<'a>(&mut self, tick: &mut Tick<'_, 'a>) -> BTreeSet<PoolId> {
        let mut nodes: BTreeSet<String> = BTreeSet::new();
        let mut others = BTreeSet::new();
        for together in tick.view.forest.together(tick.undivided()) {
            let (granted, shifted) = self.grant(tick, together);
            others.extend(shifted);
            for (id, granted) in granted {
                let Granting { members, shares, memory, decided, .. } = granted;
                nodes.extend(self.growth.nodes_of(&id).map(str::to_owned));
                self.growth.set(&id, pool_plan::wanted(&members, &shares));
                nodes.extend(self.growth.nodes_of(&id).map(str::to_owned));
                if let Some(in_hand) = tick.in_hand.get_mut(&id) {
                    in_hand.known.grants = memory;
                    in_hand.divided = Some((shares, decided));
                }
            }
        }
        others.extend(self.growth.tied(&tick.view, nodes.iter().map(String::as_str)));
        others.extend(self.tied_in_trees(tick));
        tick.not_in_hand(others)
    }
}
