//! What is done in the course of a run.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    amounts::amount,
    rng::Rng,
    scenario::{Scenario, cores, sharing, usage},
};

#[derive(Clone, Debug)]
pub enum Step {
    /// A merge patch of a pool's spec.
    Edit {
        pool: String,
        spec: Value,
    },
    /// A merge patch of the tree's spec.
    EditTree {
        spec: Value,
    },
    Add {
        app: usize,
        pod: String,
        node: String,
    },
    Delete {
        pod: String,
    },
    /// Deletes a pod and makes one of the same name as soon as it is gone.
    Recreate {
        app: usize,
        pod: String,
        node: String,
    },
    DeletePool {
        pool: String,
    },
    Use {
        pod: String,
        cpu: u64,
        memory: u64,
    },
    /// A node can allocate so much from now on.
    SizeNode {
        node: String,
        cpu: u64,
        memory: u64,
    },
    /// A node is gone at once; its pods are removed later.
    LoseNode {
        node: String,
    },
    /// A pod that belongs to no pool, in a namespace of its own.
    AddStranger {
        pod: String,
        node: String,
        cpu: u64,
        memory: u64,
    },
}

impl Scenario {
    pub fn add_steps(&mut self, rng: &mut Rng) {
        let mut at = Duration::from_secs(rng.range(2, 30));
        let (mut alive, mut deleted) = (self.pods.clone(), Vec::new());
        for i in 0..rng.range(1, 5) {
            let pool = rng.of_list(&self.pools).clone();
            let name = pool["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let step = match rng.range(0, 99) {
                0..40 if !deleted.contains(&name) => {
                    Step::Edit { spec: edit(rng, &pool), pool: name }
                }
                40..55 => {
                    let app = rng.range(0, self.apps.len() as u64 - 1) as usize;
                    let (pod, node) = (
                        format!("{}-new{i}", self.apps[app].name),
                        rng.of_list(&self.nodes).0.clone(),
                    );
                    alive.push((app, pod.clone(), node.clone()));
                    Step::Add { app, pod, node }
                }
                55..65 if alive.len() > 1 => {
                    let which = rng.range(0, alive.len() as u64 - 1) as usize;
                    Step::Delete { pod: alive.remove(which).1 }
                }
                65..80 if !alive.is_empty() => {
                    let (app, pod, node) = rng.of_list(&alive).clone();
                    Step::Recreate { app, pod, node }
                }
                80..86 if !deleted.contains(&name) => {
                    deleted.push(name.clone());
                    Step::DeletePool { pool: name }
                }
                _ if self.usage.is_some() && !alive.is_empty() => {
                    let (app, pod, _) = rng.of_list(&alive).clone();
                    let (cpu, memory) = usage(rng, &self.apps[app]);
                    Step::Use { pod, cpu, memory }
                }
                _ => continue,
            };
            self.steps.push((at, step));
            at += Duration::from_millis(rng.range(1000, 40_000));
        }
        if self.usage.is_some() {
            // What demand moves depends on the way there; an edit is carried out to the unit.
            let pool = rng.of_list(&self.pools).clone();
            let name = pool["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.comparable &= !deleted.contains(&name) && self.pools.len() == 1;
            if !deleted.contains(&name) {
                let at = at + Duration::from_secs(900);
                self.steps.push((
                    at,
                    Step::Edit { spec: json!({"sharing": {"headroomPercent": 21}}), pool: name },
                ));
            }
        }
    }

    /// What happens to nodes, and pods of others: they come and go, and need room.
    pub fn add_steps_of_nodes(&mut self, rng: &mut Rng) {
        if !rng.percent(25) {
            return;
        }
        // Who is where, and with how much, depends on the way there.
        (self.crowded, self.comparable) = (true, false);
        let busy = self.busy().as_millis() as u64;
        for i in 0..rng.range(1, 3) {
            let (node, cpu, memory) = rng.of_list(&self.nodes).clone();
            let step = match rng.range(0, 99) {
                0..40 => {
                    let part = rng.range(40, 130);
                    Step::SizeNode { node, cpu: cpu * part / 100, memory: memory * part / 100 }
                }
                40..55 if self.nodes.len() > 1 => Step::LoseNode { node },
                _ => Step::AddStranger {
                    pod: format!("stranger-{i}"),
                    node,
                    cpu: cpu * rng.range(5, 40) / 100,
                    memory: memory * rng.range(5, 40) / 100,
                },
            };
            self.steps.push((Duration::from_millis(rng.range(1000, busy.max(2000))), step));
        }
        self.steps.sort_by_key(|(at, _)| *at);
    }
}

/// A change of a pool's spec.
fn edit(rng: &mut Rng, pool: &Value) -> Value {
    let capacity = amount("cpu", &pool["spec"]["capacity"]["cpu"]).unwrap_or_default();
    match rng.range(0, 9) {
        0..4 => json!({"capacity": {"cpu": cores(capacity * rng.range(90, 200) / 100)}}),
        4..8 => {
            let mut members = pool["spec"]["members"].clone();
            for member in members.as_array_mut().into_iter().flatten() {
                member["weight"] = (rng.range(1, 20) * 25).into();
            }
            json!({"members": members})
        }
        8 => {
            let mut members = pool["spec"]["members"].clone();
            for member in members.as_array_mut().into_iter().flatten() {
                member["min"] = json!({"cpu": cores(capacity * rng.range(0, 15) / 100)});
                if let Some(member) = member.as_object_mut() {
                    member.remove("max");
                }
            }
            json!({"members": members})
        }
        _ => json!({"sharing": sharing(rng)}),
    }
}
