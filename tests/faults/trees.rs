//! Some scenarios have their pools in a tree: what these share changes, and the tree itself is edited.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    amounts::amount,
    rng::Rng,
    scenario::{MI, NAMESPACE, OTHER, Scenario, cores, mebibytes},
    steps::Step,
};

/// The name of the tree.
pub const NAME: &str = "tree";

impl Scenario {
    /// The scenario with its pools in a tree.
    pub fn planted(seed: u64) -> Self {
        let (mut scenario, mut rng) = (Self::new(seed), Rng::of(seed, 11));
        scenario.plant(&mut rng);
        scenario
    }

    fn plant(&mut self, rng: &mut Rng) {
        let sum = |resource: &str| -> Option<u64> {
            self.pools.iter().map(|it| amount(resource, &it["spec"]["capacity"][resource])).sum()
        };
        let mut capacity = json!({});
        if let Some(cpu) = sum("cpu") {
            capacity["cpu"] = cores(cpu * rng.range(70, 130) / 100);
        }
        if let Some(memory) = sum("memory") {
            capacity["memory"] = mebibytes((memory * rng.range(80, 130) / 100).max(256 * MI));
        }
        self.tree = Some(json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
            "metadata": {"name": NAME, "generation": 1},
            "spec": {
                "capacity": capacity,
                "sharing": {
                    "lendPercent": rng.of_list(&[75, 100, 50, 0]),
                    "surplus": rng.of_list(&["Release", "Spread"]),
                },
                "members": members(rng, &capacity),
            },
        }));
        for pool in &mut self.pools {
            let spec = pool["spec"].as_object_mut();
            spec.into_iter().for_each(|spec| drop(spec.remove("capacity")));
            pool["spec"]["capacityFrom"] = json!({"clusterWeightedShare": {"name": NAME}});
            pool["spec"]["weight"] = (rng.range(1, 8) * 50).into();
            pool["spec"]["expandable"] = rng.percent(30).into();
            if rng.percent(50) {
                // What its namespace lends.
                pool["spec"]["sharing"]["lendPercent"] = Value::Null;
            }
        }
        for (_, step) in &mut self.steps {
            if let Step::Edit { spec, .. } = step
                && !spec["capacity"].is_null()
            {
                *spec = json!({"weight": rng.range(1, 8) * 50});
            }
        }
        let busy = self.busy().as_millis() as u64;
        for _ in 0..rng.range(0, 2) {
            let spec = match rng.percent(50) {
                true => json!({"members": members(rng, &capacity)}),
                false => {
                    let cpu = amount("cpu", &capacity["cpu"]).unwrap_or_default();
                    json!({"capacity": {"cpu": cores(cpu * rng.range(80, 150) / 100)}})
                }
            };
            let at = Duration::from_millis(rng.range(1000, busy.max(2000)));
            self.steps.push((at, Step::EditTree { spec }));
        }
        self.steps.sort_by_key(|(at, _)| *at);
        // Who holds what in the end depends on the way there, and on what is done in the other namespace.
        (self.comparable, self.isolated) = (false, false);
    }
}

/// The members of the tree: a namespace each.
fn members(rng: &mut Rng, capacity: &Value) -> Value {
    let cpu = amount("cpu", &capacity["cpu"]).unwrap_or_default();
    let member = |namespace: &str| {
        let mut member =
            json!({"name": namespace, "weight": rng.range(1, 10) * 50, "namespaces": [namespace]});
        if rng.percent(40) {
            member["min"] = json!({"cpu": cores(cpu * rng.range(5, 40) / 100)});
        }
        if rng.percent(20) {
            member["max"] = json!({"cpu": cores(cpu * rng.range(40, 100) / 100)});
        }
        member
    };
    [NAMESPACE, OTHER].map(member).into_iter().collect()
}
