//! The pools that are divided together, and the trees that they are in.

use std::collections::BTreeMap;

use super::{Engine, in_hand::Tick};
use crate::{
    cluster::{Changes, PoolId},
    engine::{
        division,
        pacing::Ledger,
        shares::{Shares, include_borrowed},
        stabilize::{self, Granting},
        tree_division::{self, Pools},
        tree_plan::{self, Noticed, TreePlan},
        tree_room::{self, TreeSums},
    },
};

impl Engine {
    /// Shares what pools own that are divided together, and decides what their pods are granted.
    pub(super) fn grant<'a>(
        &mut self,
        tick: &mut Tick<'_, 'a>,
        together: Vec<PoolId>,
    ) -> Vec<(PoolId, Granting<'a>)> {
        let Tick { view, in_hand, dividing, trees, .. } = tick;
        let shares =
            division::share(view, &together, dividing, trees, &self.rooms, &mut self.dividers);
        let granting = together.iter().zip(shares).filter_map(|(id, shares)| {
            let members = dividing.get(id)?.members.clone();
            let memory = std::mem::take(&mut in_hand.get_mut(id)?.known.grants);
            Some(Granting::new(members, shares, memory))
        });
        let mut granting: Vec<Granting> = granting.collect();
        let place = together.first().and_then(|id| view.forest.place(id));
        let edition = place.map(|it| view.forest.edition(view.cluster, it.tree));
        let bounded = place.and_then(|it| {
            let dividing = trees.get(&it.tree)?;
            Some(tree_division::bounded(view.forest.tree(it.tree)?, dividing, &together))
        });
        let (edition, bounded) = (edition.unwrap_or_default(), bounded.unwrap_or_default());
        stabilize::decide(view, &mut granting, &edition, &bounded);
        if place.is_some() {
            granting.iter_mut().for_each(|it| include_borrowed(&mut it.shares));
        }
        together.into_iter().zip(granting).collect()
    }

    /// Plans what ClusterWeightedShares are to say for which something may have changed, and notes what room their trees have.
    pub(super) fn plan_trees(
        &mut self,
        tick: &Tick,
        changes: &Changes,
        noticed: &mut Noticed,
        ledger: &mut Ledger,
    ) -> BTreeMap<String, TreePlan> {
        let Tick { view, in_hand, dividing, trees, .. } = tick;
        let acts = |id: &&PoolId| dividing.get(*id).is_some_and(|pool| !pool.observes());
        let divided = in_hand.iter().filter_map(|(id, it)| Some((id, &it.divided.as_ref()?.0)));
        let acting: BTreeMap<&PoolId, &Shares> = divided.filter(|(id, _)| acts(id)).collect();
        let mut plans = BTreeMap::new();
        for (index, tree) in view.forest.trees() {
            if let Some(dividing) = trees.get(&index) {
                let sums = TreeSums::by_resource(tree, dividing, &acting);
                ledger.set_tree(index, tree_room::rooms(dividing, &sums));
                plans.extend(tree_plan::plan(view, tree, dividing, &sums, noticed));
            } else if tree.pools().next().is_none()
                && (changes.forest || tree.parts.iter().any(|(it, _)| changes.trees.contains(it)))
            {
                let nothing =
                    tree_division::own(view, index, &mut Pools::new(), &mut self.dividers);
                let sums = TreeSums::by_resource(tree, &nothing, &acting);
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
        plans
    }
}
