//! One run: a scenario, the controller, and what goes wrong.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use super::{
    amounts::text,
    app::{App, HOST},
    cluster::{Cluster, Cut, Shared, Write, with},
    fault::Fault,
    finish::{self, End},
    kubelet,
    life::{self, Life},
    oracle::{Oracle, Violation},
    planned,
    plant::Bug,
    scenario::{FOREIGN, MI, NAMESPACE, Scenario, cores, mebibytes},
    server,
    steps::Step,
    store::{Store, bump},
    trees,
};

/// What became of a run.
pub struct Outcome {
    pub writes: Vec<Write>,
    pub violations: Vec<Violation>,
    pub end: End,
    /// All pods have their shares in the end.
    pub settled: bool,
}

/// For how long two lead at once, where they do: far longer than a lease lets them.
const OVERLAP: Duration = Duration::from_secs(60);

/// Runs a scenario in virtual time. Where a second controller joins at some time, one of the two is gone a minute later.
pub fn run(
    scenario: &Scenario,
    faults: &[Fault],
    bug: Option<Bug>,
    second: Option<Duration>,
    like: Option<&End>,
) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else {
        unreachable!("a runtime without threads and sockets can always be built")
    };
    runtime.block_on(drive(scenario, faults, bug, second, like))
}

async fn drive(
    scenario: &Scenario,
    faults: &[Fault],
    bug: Option<Bug>,
    second: Option<Duration>,
    like: Option<&End>,
) -> Outcome {
    let shared: Shared = Arc::new(Mutex::new(Cluster::new(scenario.seed, faults.to_vec())));
    with(&shared, |cluster| populate(cluster, scenario));
    let began = with(&shared, |cluster| cluster.began);
    let kubelets = tokio::spawn(kubelet::run(shared.clone(), scenario.seed));
    faults.iter().for_each(|fault| storm(&shared, fault));
    sleep_until(began + Duration::from_secs(3)).await;
    // A scenario whose steps were all in the other namespace has none left, and may be measured all the same.
    let is_at_rest = scenario.steps.is_empty() && scenario.at_rest().is_some();
    // What is lost of memory that is bounded is lost for good, so what goes wrong may lead elsewhere.
    let is_at_rest = is_at_rest && (faults.is_empty() || !scenario.is_contended());
    let planned = is_at_rest.then(|| with(&shared, |cluster| planned::plan(cluster)));
    let mut running = vec![Life::start(&shared, bug, None)];
    // They do not lead any more, and do not know it yet.
    let mut deposed: Vec<Life> = Vec::new();
    let crash = with(&shared, |cluster| cluster.crash.clone());
    let mut steps = scenario.steps.iter();
    let mut events = events(faults);
    if let Some(at) = second {
        events = vec![(at, Event::Join), (at + OVERLAP, Event::Leave)];
    }
    let mut next = steps.next();
    let end = began + scenario.busy() + scenario.rest + tried_again(faults);
    loop {
        let step = next.map_or(end, |(at, _)| began + *at + Duration::from_secs(3));
        let event = events.first().map_or(end, |(at, _)| began + *at);
        let until = step.min(event).min(end);
        tokio::select! {
            biased;
            () = crash.notified() => {
                running[0].crash(&shared);
                sleep(with(&shared, |cluster| cluster.down)).await;
                running[0] = Life::start(&shared, bug, None);
            }
            () = sleep_until(until) => {
                if until == end {
                    break;
                }
                if until == step {
                    if let Some((_, step)) = next {
                        take(&shared, scenario, step);
                    }
                    next = steps.next();
                } else {
                    let (_, event) = events.remove(0);
                    match event {
                        Event::Join => running.push(Life::start(&shared, bug, None)),
                        Event::Leave => {
                            let which = scenario.seed as usize % running.len();
                            running.swap_remove(which);
                        }
                        Event::Cut(cut) => with(&shared, |cluster| cluster.cut(cut)),
                        Event::Restart(age, late) => {
                            running[0].crash(&shared);
                            running[0] = Life::start(&shared, bug, Some((age, late)));
                        }
                        Event::Resign(pause) => {
                            running[0].resign(&shared).await;
                            sleep(pause).await;
                            running[0] = Life::start(&shared, bug, None);
                        }
                        Event::Depose => {
                            let next = Life::start(&shared, bug, None);
                            deposed.push(std::mem::replace(&mut running[0], next));
                        }
                        Event::GiveUp => deposed.clear(),
                    }
                }
            }
        }
    }
    let dead = running.iter().any(Life::is_over) || kubelets.is_finished();
    drop((running, deposed));
    kubelets.abort();
    with(&shared, |cluster| {
        if dead {
            cluster.violate(Oracle::Alive, "a task ended by itself".to_owned());
        }
        finish::judge(cluster, scenario, like);
        if let Some(planned) = planned {
            planned::judge(cluster, planned);
        }
        Outcome {
            writes: std::mem::take(&mut cluster.writes),
            violations: std::mem::take(&mut cluster.violations),
            end: finish::end(cluster),
            settled: finish::is_settled(cluster),
        }
    })
}

/// How long it takes until a resize is tried again that a node could not carry out.
fn tried_again(faults: &[Fault]) -> Duration {
    let fails = faults.iter().any(|fault| matches!(fault, Fault::FailingShrinks { .. }));
    if fails { Duration::from_secs(600) } else { Duration::ZERO }
}

/// The pod that a storm of events is of.
const NOISE: &str = "noise";

/// Patches a pod that belongs to no pool 60 times a second, if the fault is a storm.
fn storm(shared: &Shared, fault: &Fault) {
    let (shared, Fault::Storm { at, lasts }) = (shared.clone(), fault.clone()) else { return };
    tokio::spawn(async move {
        let began = with(&shared, |cluster| cluster.began);
        sleep_until(began + at).await;
        let key = ("pods", FOREIGN.to_owned(), NOISE.to_owned());
        for count in 0..lasts.as_secs() * 60 {
            with(&shared, |cluster| {
                cluster.store.change(&key, |pod| {
                    pod["metadata"]["annotations"]["count"] = count.to_string().into();
                });
            });
            sleep(Duration::from_millis(17)).await;
        }
    });
}

/// Something that a fault does at a time of its own.
enum Event {
    Cut(Cut),
    Restart(Duration, Duration),
    /// A second controller starts.
    Join,
    /// One of two controllers ends.
    Leave,
    /// The controller ends as it is told, and another one begins some time later.
    Resign(Duration),
    /// Another controller leads.
    Depose,
    /// Those that do not lead any more have noticed.
    GiveUp,
}

fn events(faults: &[Fault]) -> Vec<(Duration, Event)> {
    let of = |fault: &Fault| match fault {
        Fault::Cut { at, gone } => vec![(*at, Event::Cut(Cut { kind: None, gone: *gone }))],
        Fault::Dropped { kind, at, lasts } => {
            vec![(*at + *lasts, Event::Cut(Cut { kind: Some(*kind), gone: true }))]
        }
        Fault::StaleList { at, age, late } => vec![(*at, Event::Restart(*age, *late))],
        Fault::Resigns { at, pause } => vec![(*at, Event::Resign(*pause))],
        Fault::Deposed { at, lingers } => {
            let next = *at + life::lease().duration();
            vec![(next, Event::Depose), (next + *lingers, Event::GiveUp)]
        }
        _ => Vec::new(),
    };
    let mut events: Vec<_> = faults.iter().flat_map(of).collect();
    events.sort_by_key(|(at, _)| *at);
    events
}

pub fn populate(cluster: &mut Cluster, scenario: &Scenario) {
    cluster.page_size = scenario.page_size;
    cluster.bounds.node_memory_grow_percent = scenario.memory_grows;
    cluster.usage = scenario.usage.clone();
    for (name, cpu, memory) in &scenario.nodes {
        cluster.store.put("nodes", json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {HOST: name}},
            "status": {"allocatable": {"cpu": format!("{cpu}m"), "memory": memory.to_string(), "pods": "110"}},
        }));
    }
    for (plural, workload) in scenario.apps.iter().flat_map(App::objects) {
        cluster.store.put(plural, workload);
    }
    for (pod, (_, memory)) in cluster.usage.iter().flatten() {
        cluster.used.push((Duration::ZERO, pod.clone(), *memory));
    }
    if cluster.faults.iter().any(|fault| matches!(fault, Fault::Storm { .. })) {
        let node = &scenario.nodes[0].0;
        cluster.store.put("pods", stranger(NOISE, node, 1, MI));
    }
    for (app, pod, node) in &scenario.pods {
        cluster.store.put("pods", scenario.apps[*app].pod(pod, node));
    }
    if let Some((cpu, memory)) = scenario.quota {
        let hard = json!({"requests.cpu": cores(cpu), "requests.memory": mebibytes(memory)});
        cluster.store.put(
            "resourcequotas",
            json!({
                "apiVersion": "v1", "kind": "ResourceQuota",
                "metadata": {"name": "quota", "namespace": NAMESPACE},
                "spec": {"hard": hard}, "status": {"hard": hard},
            }),
        );
    }
    if let Some(ratio) = scenario.ratio {
        let most = json!({"cpu": ratio.to_string(), "memory": ratio.to_string()});
        cluster.store.put(
            "limitranges",
            json!({
                "apiVersion": "v1", "kind": "LimitRange",
                "metadata": {"name": "ratio", "namespace": NAMESPACE},
                "spec": {"limits": [{"type": "Container", "maxLimitRequestRatio": most}]},
            }),
        );
    }
    if let Some(tree) = &scenario.tree {
        cluster.store.put("clusterweightedshares", tree.clone());
    }
    for pool in &scenario.pools {
        cluster.store.put("weightedshares", pool.clone());
    }
}

/// A pod that belongs to no pool.
fn stranger(name: &str, node: &str, cpu: u64, memory: u64) -> Value {
    let requests = json!({"requests": {"cpu": cores(cpu), "memory": memory.to_string()}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": FOREIGN},
        "spec": {
            "nodeSelector": {HOST: node},
            "containers": [{"name": "main", "image": "stranger", "resources": requests}],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    })
}

/// Does what a step says.
fn take(shared: &Shared, scenario: &Scenario, step: &Step) {
    let key = |kind, name: &str| {
        let pool = scenario.pools.iter().find(|pool| pool["metadata"]["name"] == name);
        let app = name.split('-').next().unwrap_or_default();
        let app = scenario.apps.iter().find(|it| it.name == app).map(|app| app.namespace);
        let namespace = pool.map(|pool| text(pool, "/metadata/namespace")).or(app);
        (kind, namespace.unwrap_or(NAMESPACE).to_owned(), name.to_owned())
    };
    with(shared, |cluster| match step {
        Step::Edit { pool, spec } => {
            cluster.store.change(&key("weightedshares", pool), |pool| {
                let before = pool["spec"].clone();
                server::merge(&mut pool["spec"], spec);
                if pool["spec"] != before {
                    bump(pool);
                }
            });
        }
        Step::EditTree { spec } => {
            let key = ("clusterweightedshares", String::new(), trees::NAME.to_owned());
            cluster.store.change(&key, |tree| {
                let before = tree["spec"].clone();
                server::merge(&mut tree["spec"], spec);
                if tree["spec"] != before {
                    bump(tree);
                }
            });
        }
        Step::Add { app, pod, node } => {
            cluster.store.put("pods", scenario.apps[*app].pod(pod, node));
        }
        Step::Delete { pod } => cluster.delete(&key("pods", pod)),
        Step::Recreate { app, pod, node } => {
            let (key, anew) = (key("pods", pod), scenario.apps[*app].pod(pod, node));
            cluster.delete(&key);
            let shared = shared.clone();
            tokio::spawn(async move {
                while with(&shared, |cluster| cluster.store.objects.contains_key(&key)) {
                    sleep(Duration::from_millis(50)).await;
                }
                with(&shared, |cluster| cluster.store.put("pods", anew));
            });
        }
        Step::DeletePool { pool } => cluster.delete(&key("weightedshares", pool)),
        Step::SizeNode { node, cpu, memory } => {
            let key = ("nodes", String::new(), node.clone());
            cluster.store.change(&key, |node| {
                node["status"]["allocatable"]["cpu"] = cores(*cpu);
                node["status"]["allocatable"]["memory"] = memory.to_string().into();
            });
        }
        Step::LoseNode { node } => {
            let there =
                cluster.store.of_kind("pods").filter(|pod| text(pod, "/spec/nodeName") == node);
            let there: Vec<_> = there.map(|pod| Store::key("pods", pod)).collect();
            cluster.store.remove(&("nodes", String::new(), node.clone()));
            there.iter().for_each(|key| cluster.delete(key));
        }
        Step::AddStranger { pod, node, cpu, memory } => {
            cluster.store.put("pods", stranger(pod, node, *cpu, *memory));
        }
        Step::Use { pod, cpu, memory } => {
            let now = cluster.elapsed();
            if let Some(usage) = &mut cluster.usage {
                usage.insert(pod.clone(), (*cpu, *memory));
                cluster.used.push((now, pod.clone(), *memory));
            }
        }
    });
}

/// The writes of a run, one a line.
pub fn log(writes: &[Write]) -> String {
    let mut log = String::new();
    for write in writes {
        let short = match write.what.contains("/events") {
            true => text(&write.body, "/note").to_owned(),
            false => write.body.to_string().chars().take(400).collect(),
        };
        let told = write.told.as_deref().unwrap_or_default();
        let _ = writeln!(
            log,
            "  {:3} {:9.3} s #{} {} {} {told} {short}",
            write.number,
            write.at.as_secs_f64(),
            write.instance,
            write.code,
            write.what
        );
    }
    log
}
