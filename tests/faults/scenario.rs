//! What happens in a run when nothing goes wrong: nodes, pools, pods, and steps in time. All of it follows from a seed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    kubelet::{NEVER, NODE},
    rng::Rng,
};

pub const NAMESPACE: &str = "shop";

/// The classes of pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    Burstable,
    Limited,
    Guaranteed,
    BestEffort,
}

/// A member's pods, all of one template.
#[derive(Clone, Debug)]
pub struct App {
    pub name: String,
    pub shape: Shape,
    pub cpu: u64,
    pub memory: u64,
    pub limit: u64,
    pub side: bool,
    pub init: bool,
    pub never: bool,
    pub pods: u64,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// A merge patch of a pool's spec.
    Edit {
        pool: String,
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
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub nodes: Vec<(String, u64, u64)>,
    pub apps: Vec<App>,
    pub pools: Vec<Value>,
    /// App, pod, node.
    pub pods: Vec<(usize, String, String)>,
    pub usage: Option<BTreeMap<String, (u64, u64)>>,
    /// What a quota lets all pods request: CPU, memory.
    pub quota: Option<(u64, u64)>,
    pub page_size: usize,
    pub steps: Vec<(Duration, Step)>,
    /// How long nothing happens after the last step.
    pub rest: Duration,
    /// The last time of it, in which nothing may be written.
    pub quiet: Duration,
    /// Where the end does not depend on the way there.
    pub comparable: bool,
}

pub const MI: u64 = 1 << 20;

impl App {
    pub fn template(&self) -> Value {
        let main = |share: u64| {
            let (cpu, memory) = (self.cpu * share / 100, self.memory * share / 100 / MI);
            let requests = json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")});
            let limits = match self.shape {
                Shape::Guaranteed => requests.clone(),
                _ => {
                    json!({"cpu": format!("{}m", cpu * self.limit / 100), "memory": format!("{}Mi", memory * self.limit / 100)})
                }
            };
            match self.shape {
                Shape::BestEffort => json!({}),
                Shape::Burstable => json!({"requests": requests}),
                Shape::Limited | Shape::Guaranteed => {
                    json!({"requests": requests, "limits": limits})
                }
            }
        };
        let container =
            |name: &str, share| json!({"name": name, "image": "app", "resources": main(share)});
        let containers = match self.side {
            true => vec![container("main", 75), container("side", 25)],
            false => vec![container("main", 100)],
        };
        let mut spec = json!({"containers": containers});
        if self.init {
            spec["initContainers"] = json!([container("prepare", 50)]);
        }
        spec
    }

    pub fn pod(&self, name: &str, node: &str) -> Value {
        let mut annotations = json!({NODE: node});
        if self.never {
            annotations[NEVER] = "yes".into();
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": NAMESPACE, "labels": {"app": self.name}, "annotations": annotations,
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": self.name, "uid": self.name, "controller": true,
                }],
            },
            "spec": self.template(),
            "status": {"phase": "Pending", "qosClass": class_of(self.shape)},
        })
    }

    pub fn replica_set(&self) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "selector": {"matchLabels": {"app": self.name}},
                "template": {"metadata": {"labels": {"app": self.name}}, "spec": self.template()},
            },
        })
    }
}

fn class_of(shape: Shape) -> &'static str {
    match shape {
        Shape::Guaranteed => "Guaranteed",
        Shape::BestEffort => "BestEffort",
        _ => "Burstable",
    }
}

pub fn cores(milli: u64) -> Value {
    format!("{milli}m").into()
}

pub fn mebibytes(bytes: u64) -> Value {
    format!("{}Mi", bytes / MI).into()
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::of(seed, 1);
        let measured = rng.percent(40);
        let crowded = rng.percent(25);
        let with_memory = rng.percent(30);
        let mut apps = Vec::new();
        let mut left = rng.range(2, 7);
        while left > 0 && apps.len() < 5 {
            let pods = rng.range(1, 3).min(left);
            left -= pods;
            apps.push(app(&mut rng, apps.len(), pods));
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
            let (cpu, memory) = (of(&|app| app.cpu), of(&|app| app.memory));
            match crowded {
                true => (cpu * 13 / 10 + 300, memory * 13 / 10 + 512 * MI),
                false => (cpu * 3 + 8000, memory * 3 + 16384 * MI),
            }
        };
        let nodes: Vec<_> = nodes.iter().map(|it| (it.clone(), room(it).0, room(it).1)).collect();
        let mut pools = pools(&mut rng, &apps, with_memory);
        // What came later to this has a source of its own, so that seeds keep their meaning.
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
        let mut scenario = Self {
            seed,
            nodes,
            comparable: !crowded
                && !policed
                && quota.is_none()
                && apps.iter().all(|app| {
                    !app.never && !(app.shape == Shape::Guaranteed && (with_memory || measured))
                }),
            apps,
            pools,
            pods,
            usage,
            quota,
            page_size: *rng.of_list(&[1, 2, 500, 500]),
            steps: Vec::new(),
            rest: Duration::from_secs(if measured { 1500 } else { 700 }),
            quiet: Duration::from_secs(200),
        };
        scenario.steps(&mut rng);
        scenario
    }

    fn steps(&mut self, rng: &mut Rng) {
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

    /// Until when something happens.
    pub fn busy(&self) -> Duration {
        self.steps.last().map_or(Duration::from_secs(5), |(at, _)| *at)
    }
}

fn app(rng: &mut Rng, i: usize, pods: u64) -> App {
    let shape = match rng.range(0, 99) {
        0..45 => Shape::Burstable,
        45..70 => Shape::Limited,
        70..90 => Shape::Guaranteed,
        _ => Shape::BestEffort,
    };
    let requests = shape != Shape::BestEffort;
    App {
        name: format!("app{i}"),
        shape,
        cpu: if requests { rng.range(4, 60) * 20 } else { 0 },
        memory: if requests { rng.range(2, 32) * 32 * MI } else { 0 },
        limit: rng.range(12, 40) * 10,
        side: rng.percent(25),
        init: rng.percent(15),
        never: rng.percent(3),
        pods,
    }
}

fn usage(rng: &mut Rng, app: &App) -> (u64, u64) {
    // Under what could be taken for throttled.
    (rng.range(5, 85) * app.cpu.max(100) / 100, rng.range(10, 80) * app.memory.max(64 * MI) / 100)
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

fn sharing(rng: &mut Rng) -> Value {
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
        member["targetRef"] =
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app.name});
    }
    if rng.percent(40) {
        member["min"] = json!({"cpu": cores(capacity * rng.range(2, 20) / 100)});
    }
    if rng.percent(20) {
        member["max"] = json!({"cpu": cores(capacity * rng.range(25, 90) / 100)});
    }
    member
}

/// A change of a pool's spec.
fn edit(rng: &mut Rng, pool: &Value) -> Value {
    let capacity =
        super::amounts::amount("cpu", &pool["spec"]["capacity"]["cpu"]).unwrap_or_default();
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
