//! Edits at the root of a tree that has all pools, against a bare loop of the same resizes.

use std::{collections::BTreeSet, time::Instant};

use anyhow::Result;
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use weightedshare::api::ClusterWeightedShare;

use super::{
    PATIENCE, Scale,
    edits::Bare,
    leader::Leader,
    median,
    setting::{EACH, Heavier, PODS_OF_POOL, PoolName, Sharing, TREE, Target, pods_of},
};

impl Scale {
    /// All pools are put into a tree of two members, with half of the namespaces each, and the weights of the two are edited: a
    /// single edit resizes every pod.
    pub(super) async fn edit_tree(&mut self, bare: Bare) -> Result<()> {
        let namespaces: BTreeSet<String> =
            self.setting.pools.iter().map(|pool| pool.namespace.clone()).collect();
        let (first, second): (Vec<String>, Vec<String>) =
            namespaces.into_iter().partition(|name| is_first(name));
        if first.len() != second.len() {
            return Ok(());
        }
        let trees: Api<ClusterWeightedShare> = Api::all(self.client.clone());
        let capacity = EACH * (PODS_OF_POOL * self.setting.pools.len()) as u64;
        let put = async |heavier: Heavier| {
            let [weight, other] = heavier.weights();
            let tree = json!({
                "apiVersion": "weightedshare.dev/v1alpha1",
                "kind": "ClusterWeightedShare",
                "metadata": {"name": TREE},
                "spec": {"capacity": {"cpu": format!("{capacity}m")}, "members": [
                    {"name": "first", "weight": weight, "namespaces": first},
                    {"name": "second", "weight": other, "namespaces": second},
                ]},
            });
            let params = PatchParams::apply("weightedshare-scale").force();
            trees.patch(TREE, &params, &Patch::Apply(tree)).await
        };
        put(Heavier::None).await?;
        self.confirmed.expect(held_in_tree(&self.setting.pools, Heavier::None));
        self.setting.put(&self.setting.pools, Heavier::None, Sharing::InTree).await?;
        self.confirmed.met(PATIENCE).await?;

        let since = Timestamp::now();
        let (mut took, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..self.edits {
            let heavier = self.turn();
            self.confirmed.expect(held_in_tree(&self.setting.pools, heavier));
            let (began, before) = (Instant::now(), Leader::find()?.cpu_time()?);
            put(heavier).await?;
            self.confirmed.met(PATIENCE).await?;
            took.push(began.elapsed().as_secs_f64());
            cpu.push((Leader::find()?.cpu_time()? - before).as_secs_f64());
        }
        let took = median(took);
        self.report.add("edit at the root of a tree: settled after", took, "s", None);
        self.report.add("  against the bare loop", took / bare.all, "x", Some(1.3));
        self.report.add("  CPU time of the controller", median(cpu), "s", None);
        self.count_writes(since, "  writes for each resize", Some(1.3)).await
    }
}

/// Whether a namespace is of the first member.
fn is_first(namespace: &str) -> bool {
    let number = namespace.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
    number.is_some_and(|number| number.is_multiple_of(2))
}

/// What each pod of these pools has in the end, in millicores.
fn held_in_tree(pools: &[PoolName], heavier: Heavier) -> Vec<Target> {
    let [first, second] = heavier.held();
    let of_pool = |pool: &PoolName| {
        let held = if is_first(&pool.namespace) { first } else { second };
        let namespace = pool.namespace.clone();
        pods_of(pool).map(|(name, _)| ((namespace.clone(), name), held)).collect::<Vec<_>>()
    };
    pools.iter().flat_map(of_pool).collect()
}
