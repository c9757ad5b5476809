//! What happens in a run when nothing goes wrong: nodes, pools, pods, and steps in time (`steps`). All of it follows from a seed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    app::{App, Shape},
    rng::Rng,
    steps::Step,
};

pub const NAMESPACE: &str = "shop";
/// Where the second pool is, in some scenarios.
pub const OTHER: &str = "blog";
/// Where pods are that no pool may touch.
pub const FOREIGN: &str = "else";

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// With what came later.
    pub grown: bool,
    pub nodes: Vec<(String, u64, u64)>,
    pub apps: Vec<App>,
    pub pools: Vec<Value>,
    /// The tree that the pools take their capacity from.
    pub tree: Option<Value>,
    /// App, pod, node.
    pub pods: Vec<(usize, String, String)>,
    pub usage: Option<BTreeMap<String, (u64, u64)>>,
    /// What a quota lets all pods request: CPU, memory.
    pub quota: Option<(u64, u64)>,
    /// How many times its request a limit may be, in the first namespace.
    pub ratio: Option<u64>,
    pub page_size: usize,
    /// The controller's `--node-memory-grow-percent`.
    pub memory_grows: u8,
    pub steps: Vec<(Duration, Step)>,
    /// How long nothing happens after the last step.
    pub rest: Duration,
    /// The last time of it, in which nothing may be written.
    pub quiet: Duration,
    /// Where the end does not depend on the way there.
    pub comparable: bool,
    /// Nothing in the other namespace depends on what is done in the first one, nor on when, unless nodes are crowded.
    pub isolated: bool,
    /// Nodes have little more room than what there is at first.
    pub crowded: bool,
}

pub const MI: u64 = 1 << 20;

pub fn cores(milli: u64) -> Value {
    format!("{milli}m").into()
}

pub fn mebibytes(bytes: u64) -> Value {
    format!("{}Mi", bytes / MI).into()
}

impl Scenario {
    /// All that there is by now.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, true)
    }

    /// Without what came later: the seeds that found something once have that to find.
    pub fn as_it_was(seed: u64) -> Self {
        Self::with(seed, false)
    }

    fn with(seed: u64, grown: bool) -> Self {
        let mut rng = Rng::of(seed, 1);
        let measured = rng.percent(40);
        let crowded = rng.percent(25);
        let with_memory = rng.percent(30);
        let mut apps = Vec::new();
        let mut left = rng.range(2, 7);
        while left > 0 && apps.len() < 5 {
            let pods = rng.range(1, 3).min(left);
            left -= pods;
            apps.push(App::any(&mut rng, apps.len(), pods));
        }
        // What came later has sources of its own, so that seeds keep their meaning.
        let mut world = Rng::of(seed, 3);
        let kinds: [&'static str; 4] = ["ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"];
        apps.iter_mut().for_each(|app| app.kind = *world.of_list(&kinds));
        let mut odd = Rng::of(seed, 5);
        if grown {
            apps.iter_mut().for_each(|app| app.add_what_is_not_resized(&mut odd));
        }
        if grown {
            let mut whole = Rng::of(seed, 8);
            apps.iter_mut().for_each(|app| app.set_at_pod_level(&mut whole));
        }
        let nodes = rng.range(1, 3);
        let nodes: Vec<String> = (0..nodes).map(|i| format!("node-{i}")).collect();
        let mut pods = Vec::new();
        for (i, app) in apps.iter().enumerate() {
            for k in 0..app.pods {
                pods.push((i, format!("{}-{k}", app.name), rng.of_list(&nodes).clone()));
            }
        }
        let room = |node: &String| {
            let of = |amount: &dyn Fn(&App) -> u64| -> u64 {
                pods.iter()
                    .filter(|(_, _, on)| on == node)
                    .map(|(app, _, _)| amount(&apps[*app]))
                    .sum()
            };
            let (cpu, memory) =
                (of(&|app| app.cpu + app.beside().0), of(&|app| app.memory + app.beside().1));
            match crowded {
                true => (cpu * 13 / 10 + 300, memory * 13 / 10 + 512 * MI),
                false => (cpu * 3 + 8000, memory * 3 + 16384 * MI),
            }
        };
        let nodes: Vec<_> = nodes.iter().map(|it| (it.clone(), room(it).0, room(it).1)).collect();
        let mut pools = pools(&mut rng, &apps, with_memory);
        if pools.len() == 2 && world.percent(50) {
            pools[1]["metadata"]["namespace"] = OTHER.into();
            apps.iter_mut().skip(1).step_by(2).for_each(|app| app.namespace = OTHER);
        }
        let mut more = Rng::of(seed, 2);
        let policed = more.percent(15);
        if policed {
            police(&mut more, &mut pools);
        }
        let quota = more.percent(15).then(|| {
            let of = |amount: &dyn Fn(&App) -> u64| -> u64 {
                apps.iter().map(|app| amount(app) * app.pods).sum()
            };
            let mut most = |sum: u64| sum * more.range(100, 180) / 100;
            (most(of(&|app| app.cpu)), most(of(&|app| app.memory)))
        });
        let usage = measured.then(|| {
            pods.iter().map(|(app, pod, _)| (pod.clone(), usage(&mut rng, &apps[*app]))).collect()
        });
        // Its memory only grows, so the end depends on when there was room.
        let goes_one_way = |app: &App| app.shape == Shape::Guaranteed && (with_memory || measured);
        let ratio = ratio(&mut Rng::of(seed, 9), &apps).filter(|_| grown);
        let mut scenario = Self {
            seed,
            grown,
            nodes,
            comparable: !crowded
                && !policed
                && quota.is_none()
                && !apps.iter().any(|app| app.never || goes_one_way(app)),
            isolated: quota.is_none()
                && !(policed && with_memory)
                && !apps.iter().any(|app| app.namespace == OTHER && goes_one_way(app)),
            crowded,
            apps,
            pools,
            tree: None,
            pods,
            usage,
            quota,
            ratio,
            page_size: *rng.of_list(&[1, 2, 500, 500]),
            memory_grows: if grown {
                *Rng::of(seed, 6).of_list(&[0, 0, 40, 100, 100])
            } else {
                100
            },
            steps: Vec::new(),
            rest: Duration::from_secs(if measured { 1500 } else { 700 }),
            quiet: Duration::from_secs(200),
        };
        scenario.add_steps(&mut rng);
        if grown {
            scenario.add_steps_of_nodes(&mut Rng::of(seed, 4));
        }
        scenario
    }

    /// Whether memory limits may go down: only what is measured goes down, of pods whose limits follow.
    pub fn lowers_memory_limits(&self) -> bool {
        let divides = |pool: &Value| !pool["spec"]["capacity"]["memory"].is_null();
        let follows = |pool: &Value| {
            let members = pool["spec"]["members"].as_array().into_iter().flatten();
            members.into_iter().any(|it| ["Ratio", "Cap"].iter().any(|of| it["limitPolicy"] == *of))
        };
        let guaranteed = || self.apps.iter().any(|app| app.shape == Shape::Guaranteed);
        self.usage.is_some()
            && self.pools.iter().any(divides)
            && (guaranteed() || self.pools.iter().any(follows))
    }

    /// The scenario without what is done to the pools and pods of a namespace. None: all are in one, or what is done in one can
    /// be felt in the other.
    pub fn without_steps_of(&self, namespace: &str) -> Option<Self> {
        let apart = self.apps.iter().any(|app| app.namespace == OTHER);
        if !apart || !self.isolated {
            return None;
        }
        let of_pool = |name: &str| {
            let pool = self.pools.iter().find(|pool| pool["metadata"]["name"] == name);
            pool.is_some_and(|pool| pool["metadata"]["namespace"] == namespace)
        };
        let of_pod = |name: &str| self.is_in(name, namespace);
        let mut without = self.clone();
        without.steps.retain(|(_, step)| match step {
            Step::Edit { pool, .. } | Step::DeletePool { pool } => !of_pool(pool),
            Step::Add { pod, .. }
            | Step::Delete { pod }
            | Step::Recreate { pod, .. }
            | Step::Use { pod, .. } => !of_pod(pod),
            Step::EditTree { .. }
            | Step::SizeNode { .. }
            | Step::LoseNode { .. }
            | Step::AddStranger { .. } => true,
        });
        (without.steps.len() < self.steps.len()).then_some(without)
    }

    /// Whether the pods of a namespace are those of the beginning, on nodes that stay as they are, and lend nothing.
    pub fn keeps_pods_of(&self, namespace: &str) -> bool {
        let changes = |(_, step): &(Duration, Step)| match step {
            Step::SizeNode { .. } | Step::LoseNode { .. } => true,
            Step::Add { pod, .. } | Step::Delete { pod } | Step::Recreate { pod, .. } => {
                self.is_in(pod, namespace)
            }
            _ => false,
        };
        self.usage.is_none() && !self.steps.iter().any(changes)
    }

    /// Whether a pod is in a namespace: its name begins with that of its app.
    fn is_in(&self, pod: &str, namespace: &str) -> bool {
        let app = pod.split('-').next().unwrap_or_default();
        self.apps.iter().any(|it| it.name == app && it.namespace == namespace)
    }

    /// Whether what one namespace has on a node can leave less for the other.
    pub fn is_contended(&self) -> bool {
        let divides_memory = |pool: &Value| !pool["spec"]["capacity"]["memory"].is_null();
        self.crowded || self.memory_grows < 100 && self.pools.iter().any(divides_memory)
    }

    /// Until when something happens.
    pub fn busy(&self) -> Duration {
        self.steps.last().map_or(Duration::from_secs(5), |(at, _)| *at)
    }
}

pub fn usage(rng: &mut Rng, app: &App) -> (u64, u64) {
    // Under what could be taken for throttled.
    (rng.range(5, 85) * app.cpu.max(100) / 100, rng.range(10, 80) * app.memory.max(64 * MI) / 100)
}

/// A ratio that the pods of the first namespace keep: each must have requests and limits.
fn ratio(rng: &mut Rng, apps: &[App]) -> Option<u64> {
    let there = apps.iter().filter(|app| app.namespace == NAMESPACE);
    let of = |app: &App| match app.shape {
        Shape::Limited if !app.whole => Some(app.limit.div_ceil(100)),
        Shape::Guaranteed if !app.whole => Some(1),
        _ => None,
    };
    let most = there.map(of).collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    rng.percent(60).then(|| most + rng.range(0, 2))
}

fn pools(rng: &mut Rng, apps: &[App], with_memory: bool) -> Vec<Value> {
    let count = if apps.len() > 1 && rng.percent(35) { 2 } else { 1 };
    let mut pools = Vec::new();
    for i in 0..count {
        let of_pool: Vec<&App> = apps.iter().skip(i).step_by(count).collect();
        let cpu: u64 = of_pool.iter().map(|app| app.cpu * app.pods).sum();
        let memory: u64 = of_pool.iter().map(|app| app.memory * app.pods).sum();
        let capacity = (cpu * rng.range(60, 220) / 100).max(200);
        let mut spec = json!({"capacity": {"cpu": cores(capacity)}, "sharing": sharing(rng)});
        if with_memory {
            spec["capacity"]["memory"] =
                mebibytes((memory * rng.range(80, 160) / 100).max(256 * MI));
        }
        let members: Vec<Value> = of_pool.iter().map(|app| member(rng, app, capacity)).collect();
        spec["members"] = members.into();
        pools.push(json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {
                "name": format!("pool{i}"), "namespace": NAMESPACE,
                "creationTimestamp": format!("2025-12-31T00:00:0{i}Z"),
            },
            "spec": spec,
        }));
    }
    pools
}

/// Says of some members what becomes of limits.
fn police(rng: &mut Rng, pools: &mut [Value]) {
    for pool in pools {
        for member in pool["spec"]["members"].as_array_mut().into_iter().flatten() {
            member["limitPolicy"] = (*rng.of_list(&["Keep", "Ratio", "Cap"])).into();
        }
    }
}

pub fn sharing(rng: &mut Rng) -> Value {
    json!({
        "strategy": rng.of_list(&["Weighted", "Weighted", "Isolated"]),
        "surplus": rng.of_list(&["Release", "Spread"]),
        "lendPercent": rng.of_list(&[75, 100, 50, 0]),
        "nodeReservePercent": rng.of_list(&[0, 10]),
    })
}

fn member(rng: &mut Rng, app: &App, capacity: u64) -> Value {
    let mut member = json!({
        "name": app.name,
        "weight": rng.range(1, 10) * 50,
        "weightPer": rng.of_list(&["Member", "Member", "Replica"]),
    });
    if rng.percent(70) {
        member["selector"] = json!({"matchLabels": {"app": app.name}});
    } else {
        member["targetRef"] = json!({"apiVersion": "apps/v1", "kind": app.kind, "name": app.name});
    }
    if rng.percent(40) {
        member["min"] = json!({"cpu": cores(capacity * rng.range(2, 20) / 100)});
    }
    if rng.percent(20) {
        member["max"] = json!({"cpu": cores(capacity * rng.range(25, 90) / 100)});
    }
    member
}
