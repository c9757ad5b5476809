//! The pools that are divided together, and the trees that they are in.

use std::collections::BTreeSet;

use super::{Engine, in_hand::Tick};
use crate::{
    cluster::{Changes, PoolId},
    engine::{
        Plan, View, division, enforced_quotas,
        forest::{Tree, TreeIndex},
        joint_grants::Beside,
        pacing::Ledger,
        shares::include_borrowed,
        stabilize::{self, Granting},
        standing::Standing,
        tree_division::{self, DividingTree, Pools},
        tree_plan::{self, Noticed},
        tree_room::{self, TreeSums},
    },
    share::PerResource,
};

impl Engine {
    /// Shares what pools own that are divided together, and decides what their pods are granted. Returns the other pools of their
    /// tree of which that takes something.
    pub(super) fn grant<'a>(
        &mut self,
        tick: &mut Tick<'_, 'a>,
        together: Vec<PoolId>,
    ) -> (Vec<(PoolId, Granting<'a>)>, BTreeSet<PoolId>) {
        let Tick { view, in_hand, dividing, .. } = tick;
        let shares = division::share(view, &together, dividing, &self.rooms, &mut self.dividers);
        let granting = together.iter().zip(shares).filter_map(|(id, shares)| {
            let members = dividing.get(id)?.members.clone();
            let memory = std::mem::take(&mut in_hand.get_mut(id)?.known.grants);
            Some(Granting::new(members, shares, memory))
        });
        let mut granting: Vec<Granting> = granting.collect();
        let place = together.first().and_then(|id| view.forest.place(id));
        let shifted = match place {
            Some(place) => self.grant_in_tree(tick, place.tree, &together, &mut granting),
            None => {
                stabilize::decide(view, &mut granting, &[], &[], &Beside::default());
                BTreeSet::new()
            }
        };
        (together.into_iter().zip(granting).collect(), shifted)
    }

    /// Decides what the pods of pools of one tree are granted, beside the others of the tree on the same nodes. Returns the pools of
    /// these that are to give something.
    fn grant_in_tree(
        &mut self,
        tick: &mut Tick,
        index: TreeIndex,
        together: &[PoolId],
        granting: &mut [Granting],
    ) -> BTreeSet<PoolId> {
        let Tick { view, trees, granted, .. } = tick;
        let standing = self.standing.entry(index).or_default();
        let mut shifted = BTreeSet::new();
        if granted.insert(index) {
            let edition = view.forest.edition(view.cluster, index);
            let tree = view.forest.tree(index).zip(trees.get(&index));
            let bounded = tree.map(|(tree, it)| tree_division::bounded(tree, it, together));
            let bounded = bounded.unwrap_or_default();
            let beside = standing.beside(granting, view.now);
            let shifts = stabilize::decide(view, granting, &edition, &bounded, &beside);
            shifted = standing.shift(&shifts, view.now);
        } else {
            // Their grants were decided together with those of the tree's first pools.
            for (id, granting) in together.iter().zip(&mut *granting) {
                stabilize::carry_out(view, granting, &standing.granted(id));
            }
        }
        for (id, granting) in together.iter().zip(granting) {
            include_borrowed(&mut granting.shares);
            standing.set(id, granting);
        }
        shifted
    }

    /// Forgets trees that still number many nodes that are gone. The next decision is then for all of their pools.
    pub(super) fn forget_gone_nodes(&mut self, view: &View) {
        const SPARE: usize = 64;
        let gone = |(index, tree): (&TreeIndex, &DividingTree)| {
            let most = SPARE + 2 * view.cluster.nodes().count();
            (tree_division::numbered(tree) > most).then_some(*index)
        };
        for index in self.trees.iter().filter_map(gone).collect::<Vec<_>>() {
            self.trees.remove(&index);
            self.standing.remove(&index);
        }
    }

    /// The pools of the trees in which something was granted that want to grow where their tree has too little for all.
    pub(super) fn tied_in_trees(&mut self, tick: &Tick) -> BTreeSet<PoolId> {
        let mut tied = BTreeSet::new();
        for index in &tick.granted {
            let tree = tick.view.forest.tree(*index).zip(tick.trees.get(index));
            if let (Some((tree, dividing)), Some(standing)) = (tree, self.standing.get_mut(index)) {
                let sums = sums(tick, tree, dividing, standing);
                tied.extend(standing.tied(tree, &tree_room::rooms(dividing, &sums)));
            }
        }
        tied
    }

    /// Plans what ClusterWeightedShares are to say for which something may have changed, and their quotas; and notes what room their
    /// trees have.
    pub(super) fn plan_trees(
        &mut self,
        tick: &Tick,
        changes: &Changes,
        noticed: &mut Noticed,
        ledger: &mut Ledger,
        plan: &mut Plan,
    ) {
        let Tick { view, in_hand, trees, granted, .. } = tick;
        let Plan { trees: plans, quotas, .. } = plan;
        let decided_in: BTreeSet<&str> = in_hand.keys().map(|id| &*id.namespace).collect();
        if changes.forest {
            quotas.extend(enforced_quotas::left_behind(view));
        }
        for (index, tree) in view.forest.trees() {
            let decided = granted.contains(&index).then(|| trees.get(&index)).flatten();
            if let (Some(dividing), Some(standing)) = (decided, self.standing.get(&index)) {
                let sums = sums(tick, tree, dividing, standing);
                let mut rooms = tree_room::rooms(dividing, &sums);
                let others = tree.pools().filter(|(_, id)| !in_hand.contains_key(*id));
                standing.take_off(tree, &mut rooms, others);
                ledger.set_tree(index, rooms);
                quotas.extend(enforced_quotas::plan(view, tree, dividing, &sums, &decided_in));
                plans.extend(tree_plan::plan(view, tree, dividing, &sums, noticed));
            } else if tree.pools().next().is_none()
                && (changes.forest || tree.parts.iter().any(|(it, _)| changes.trees.contains(it)))
            {
                let mut nothing = DividingTree::default();
                let (mut pools, dividers) = (Pools::new(), &mut self.dividers);
                tree_division::own(view, index, &mut nothing, &mut pools, dividers);
                let sums = TreeSums::by_resource(tree, &nothing, |_| None);
                plans.extend(tree_plan::plan(view, tree, &nothing, &sums, noticed));
            }
        }
        let faulty =
            view.forest.faulty().filter(|it| changes.forest || changes.trees.contains(*it));
        plans.extend(tree_plan::plan_faulty(view, faulty, noticed));
        tree_plan::forget(view, &changes.trees, noticed);
        for name in
            changes.tree_statuses.iter().filter(|it| !plans.contains_key(*it)).collect::<Vec<_>>()
        {
            plans.extend(tree_plan::retell(view, name, noticed).map(|plan| (name.clone(), plan)));
        }
    }
}

/// The sums of a tree, over its pools in mode Auto.
fn sums(
    tick: &Tick,
    tree: &Tree,
    dividing: &DividingTree,
    standing: &Standing,
) -> PerResource<Option<TreeSums>> {
    let acts = |id: &PoolId| !tree_division::observes(&tick.view, id);
    TreeSums::by_resource(tree, dividing, |id| acts(id).then(|| standing.sums(id)).flatten())
}
