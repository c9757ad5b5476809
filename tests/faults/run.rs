//! One run: a scenario, the controller, and what goes wrong.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use weightedshare::{
    cluster::Bounds,
    metrics::{Asked, MetricsApi},
    runtime::{self, Clock, Run, Serving},
};

use super::{
    amounts::text,
    app::App,
    cluster::{Cluster, Cut, Instance, Shared, Write, with},
    fault::Fault,
    finish::{self, End},
    from_nothing, kubelet,
    oracle::{Oracle, Violation},
    plant::Bug,
    scenario::{FOREIGN, NAMESPACE, Scenario, Step, cores, mebibytes},
    server,
    store::bump,
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
    let mut running = vec![start(&shared, bug, None)];
    let crash = with(&shared, |cluster| cluster.crash.clone());
    let mut steps = scenario.steps.iter();
    let mut events = cuts(faults);
    if let Some(at) = second {
        events = vec![(at, Event::Join), (at + OVERLAP, Event::Leave)];
    }
    let mut next = steps.next();
    let end = began + scenario.busy() + scenario.rest;
    loop {
        let step = next.map_or(end, |(at, _)| began + *at + Duration::from_secs(3));
        let event = events.first().map_or(end, |(at, _)| began + *at);
        let until = step.min(event).min(end);
        tokio::select! {
            biased;
            () = crash.notified() => {
                abort(&shared, &running[0]);
                sleep(with(&shared, |cluster| cluster.down)).await;
                running[0] = start(&shared, bug, None);
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
                        Event::Join => running.push(start(&shared, bug, None)),
                        Event::Leave => {
                            let which = scenario.seed as usize % running.len();
                            running.swap_remove(which).abort();
                        }
                        Event::Cut(cut) => with(&shared, |cluster| cluster.cut(cut)),
                        Event::Restart(age, late) => {
                            abort(&shared, &running[0]);
                            running[0] = start(&shared, bug, Some((age, late)));
                        }
                    }
                }
            }
        }
    }
    let dead = running.iter().any(JoinHandle::is_finished) || kubelets.is_finished();
    running.iter().for_each(JoinHandle::abort);
    kubelets.abort();
    with(&shared, |cluster| {
        if dead {
            cluster.violate(Oracle::Alive, "a task ended by itself".to_owned());
        }
        finish::judge(cluster, scenario, like);
        Outcome {
            writes: std::mem::take(&mut cluster.writes),
            violations: std::mem::take(&mut cluster.violations),
            end: finish::end(cluster),
            settled: finish::is_settled(cluster),
        }
    })
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

/// An instance crashes.
fn abort(shared: &Shared, running: &JoinHandle<()>) {
    running.abort();
    with(shared, |cluster| cluster.crashed = Some(Instant::now()));
}

/// Something that a fault does at a time of its own.
enum Event {
    Cut(Cut),
    Restart(Duration, Duration),
    /// A second controller starts.
    Join,
    /// One of two controllers ends.
    Leave,
}

fn cuts(faults: &[Fault]) -> Vec<(Duration, Event)> {
    let of = |fault: &Fault| match fault {
        Fault::Cut { at, gone } => Some((*at, Event::Cut(Cut { kind: None, gone: *gone }))),
        Fault::Dropped { kind, at, lasts } => {
            Some((*at + *lasts, Event::Cut(Cut { kind: Some(*kind), gone: true })))
        }
        Fault::StaleList { at, age, late } => Some((*at, Event::Restart(*age, *late))),
        _ => None,
    };
    let mut cuts: Vec<_> = faults.iter().filter_map(of).collect();
    cuts.sort_by_key(|(at, _)| *at);
    cuts
}

/// Starts an instance of the controller.
pub fn start(
    shared: &Shared,
    bug: Option<Bug>,
    stale: Option<(Duration, Duration)>,
) -> JoinHandle<()> {
    let instance = with(shared, |cluster| {
        let lists =
            stale.map(|(age, _)| cluster.store.version_at(cluster.elapsed().saturating_sub(age)));
        let deaf_until = stale.map(|(_, late)| Instant::now() + late);
        cluster.instances.push(Instance { lists, deaf_until, ..Instance::default() });
        cluster.instances.len() - 1
    });
    let client = server::client(shared, instance, bug);
    let metrics = Asked {
        source: Box::new(MetricsApi::new(client.clone())),
        every: Duration::from_secs(15),
        usage: true,
        performance: false,
    };
    let clock = shared.clone();
    let clock = Clock::new(move || with(&clock, Cluster::shown));
    let serving = Serving::default();
    // As a lease would tell it.
    if let Some(before) = with(shared, |cluster| cluster.crashed) {
        serving.leadership.succeeds(before);
    }
    let run = Run {
        client,
        sources: vec![metrics],
        clock,
        serving,
        bounds: Bounds::default(),
        check: Some(from_nothing::check(shared)),
    };
    tokio::spawn(runtime::run(run, std::future::pending()))
}

pub fn populate(cluster: &mut Cluster, scenario: &Scenario) {
    cluster.page_size = scenario.page_size;
    cluster.usage = scenario.usage.clone();
    for (name, cpu, memory) in &scenario.nodes {
        cluster.store.put("nodes", json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"allocatable": {"cpu": format!("{cpu}m"), "memory": memory.to_string(), "pods": "110"}},
        }));
    }
    for (plural, workload) in scenario.apps.iter().flat_map(App::workloads) {
        cluster.store.put(plural, workload);
    }
    for (pod, (_, memory)) in cluster.usage.iter().flatten() {
        cluster.used.push((Duration::ZERO, pod.clone(), *memory));
    }
    if cluster.faults.iter().any(|fault| matches!(fault, Fault::Storm { .. })) {
        let node = &scenario.nodes[0].0;
        let requests = json!({"requests": {"cpu": "1m", "memory": "1Mi"}});
        cluster.store.put("pods", json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": NOISE, "namespace": FOREIGN, "annotations": {kubelet::NODE: node}},
            "spec": {"containers": [{"name": "main", "image": "noise", "resources": requests}]},
            "status": {"phase": "Pending", "qosClass": "Burstable"},
        }));
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
    for pool in &scenario.pools {
        cluster.store.put("weightedshares", pool.clone());
    }
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
