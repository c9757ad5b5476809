//! The loop: events change the model, and some milliseconds later one decision follows. It never waits for the API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use k8s_openapi::api::core::v1 as core;
use kube::Client;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug_span, field, info, warn};

use super::{Clock, Serving, watches};
use crate::{
    actuate::{Answer, Writer, set_in_flight},
    api::{Member, WeightedShare},
    cluster::{Bounds, Changes, Cluster, Event, Kind, Object, Pod, PoolId},
    engine::{Engine, History, Plan, PodResize, PoolPlan, Remembered},
    metrics::{Asked, Freshness, MemberKey, Metrics, Objective, Questions, Said, poll},
};

/// Events that come together are answered by one decision. It follows so soon after the first, however many come after it.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Looks at each decision: tests hold it against one from nothing. Says how long deciding is to take, where time is not real.
pub type Check = Box<dyn FnMut(&Before<'_>, &Engine, &Plan, &History) -> Duration + Send>;

/// What a decision rested on.
pub struct Before<'b> {
    /// The cluster.
    pub cluster: &'b Cluster,
    /// What is measured.
    pub metrics: &'b Metrics,
    /// What was remembered.
    pub history: History,
    /// The time.
    pub now: crate::engine::Now,
}

/// What a run of the controller takes.
pub struct Run {
    /// The API server.
    pub client: Client,
    /// What measures.
    pub sources: Vec<Asked>,
    /// Tells the time. It is to begin when this process leads, not before: what it reads then is at least as new as the last
    /// write of the leader before it.
    pub clock: Clock,
    /// What the controller tells of itself, and whether it may write.
    pub serving: Serving,
    /// How much one namespace may have.
    pub bounds: Bounds,
    /// Looks at each decision.
    pub check: Option<Check>,
}

/// Runs until `shutdown`, then waits for the writes that are on their way.
pub async fn run(run: Run, shutdown: impl Future<Output = ()> + Send + 'static) {
    let Run { client, sources, clock, serving, bounds, check } = run;
    let client = serving.leadership.guard(&client);
    let mut tasks = JoinSet::new();
    let (mut events, unlisted) = watches::watch(&client, &mut tasks);
    let mut metrics = Metrics::default();
    for asked in &sources {
        metrics.expect(asked.source.name(), asked.usage, asked.performance);
    }
    let (questions, asked) = watch::channel(Questions::default());
    let mut said = poll(sources, &asked, &mut tasks);
    serving.pools.begin();
    serving.trees.begin();
    let history =
        History::growing_from(clock.moment().steady + serving.leadership.others_may_write_for());
    let mut control = Control {
        cluster: Cluster::bounded(bounds),
        metrics,
        engine: Engine::default(),
        history,
        writer: Writer::new(client, clock.clone(), serving.clone()),
        unlisted,
        unreadable: BTreeMap::new(),
        measuring: BTreeMap::new(),
        objectives: BTreeMap::new(),
        questions,
        clock,
        serving,
        check,
    };
    let recall = control.serving.recall.clone();
    let mut asked = recall.asked.lock().await;
    let mut due: Option<Instant> = None;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let soon = |due: Option<Instant>| {
            let soon = Instant::now() + DEBOUNCE;
            Some(due.map_or(soon, |due| due.min(soon)))
        };
        tokio::select! {
            // A decision that is due comes before more events.
            biased;
            () = &mut shutdown => break,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = control.decide().await.map(|wait| Instant::now() + wait);
            }
            answer = control.writer.next() => {
                if let Some(answer) = answer {
                    control.note(answer);
                    due = soon(due);
                }
                control.writer.start(&mut control.cluster);
            }
            event = events.recv() => match event {
                Some(event) => {
                    control.apply(event);
                    due = soon(due);
                }
                None => break,
            },
            Some(said) = said.recv() => {
                if control.measure(said) {
                    due = soon(due);
                }
            }
            Some(question) = asked.recv() => {
                let Control { cluster, metrics, history, clock, .. } = &control;
                // The client may have disconnected.
                let _ = question.send(Remembered::of(cluster, metrics, history, clock.now()));
            }
        }
    }
    control.writer.finish().await;
}

/// What the loop holds.
struct Control {
    cluster: Cluster,
    metrics: Metrics,
    engine: Engine,
    history: History,
    writer: Writer,
    /// The kinds whose objects were not listed yet.
    unlisted: BTreeSet<Kind>,
    /// The versions of the pools that cannot be read: each is told of once.
    unreadable: BTreeMap<PoolId, String>,
    /// What each source was said to be worth last.
    measuring: BTreeMap<&'static str, Freshness>,
    /// What the members of pools ask for; no pool without any.
    objectives: BTreeMap<PoolId, Vec<Objective>>,
    questions: watch::Sender<Questions>,
    clock: Clock,
    serving: Serving,
    check: Option<Check>,
}

impl Control {
    /// Takes in what a watch says.
    fn apply(&mut self, event: Event) {
        if let Event::Listed(kind, _) = &event {
            self.unlisted.remove(kind);
        }
        if let Event::Applied(_, Object::UnreadablePool(meta, why)) = &event {
            self.tell_of_unreadable(&PoolId::of(meta), meta.resource_version.as_deref(), why);
        }
        if let Event::Applied(key, Object::UnreadableTree(_, why)) = &event {
            warn!(
                tree = %key.name,
                "the ClusterWeightedShare cannot be read: {why}: correct it, or use the same version of the CRD and the controller",
            );
        }
        self.cluster.apply(event);
    }

    /// Takes in what a source says. Whether that is news.
    fn measure(&mut self, said: Said) -> bool {
        let Said { source, readings } = said;
        let news = self.metrics.take(source, readings);
        let now = self.clock.now();
        let worth = self.metrics.freshness_of(source, now);
        let turned = self.measuring.get(source) != Some(&worth);
        if turned {
            match &worth {
                Freshness::Fresh => info!(source, "measurements are up to date"),
                Freshness::Stale(why) | Freshness::Absent(why) => warn!(source, "{why}"),
            }
            self.measuring.insert(source, worth);
        }
        self.ask();
        news || turned
    }

    /// Lets the sources know what to ask, and how often.
    fn ask(&self) {
        let intervals = self.metrics.intervals();
        let objectives = self.objectives.values().flatten().cloned().collect();
        let questions = Questions { objectives, intervals };
        self.questions.send_if_modified(|asked| {
            let differs = *asked != questions;
            *asked = questions;
            differs
        });
    }

    /// Decides, and hands the plan over. Returns after which time to decide again. None: not all kinds were listed yet.
    async fn decide(&mut self) -> Option<Duration> {
        if !self.unlisted.is_empty() {
            return None;
        }
        self.serving.health.filled();
        let (began, in_progress) = (Instant::now(), self.serving.health.turn());
        let now = self.clock.moment();
        let changes = self.cluster.take_changes();
        self.publish(&changes);
        let mut news = self.metrics.take_news();
        for (namespace, name) in changes.pods.iter().chain(&news.pods) {
            if let Some(pod) = self.cluster.pod(namespace, name) {
                self.metrics.note_held(pod, now.wall);
            }
        }
        news.pods.retain(|(namespace, name)| self.cluster.pod(namespace, name).is_some());
        let before = self.check.is_some().then(|| self.history.clone());
        let span = debug_span!("decide", pools = field::Empty);
        let plan = span.in_scope(|| {
            self.engine.decide(
                &self.cluster,
                &self.metrics,
                &changes,
                &news,
                &mut self.history,
                now,
            )
        });
        let decided = plan.pools.len();
        span.record("pools", decided);
        if let (Some(check), Some(history)) = (&mut self.check, before) {
            let before = Before { cluster: &self.cluster, metrics: &self.metrics, history, now };
            let took = check(&before, &self.engine, &plan, &self.history);
            if !took.is_zero() {
                sleep(took).await;
            }
        }
        for pool in plan.pools.values() {
            for (resource, waited) in &pool.reclaimed {
                self.serving.telemetry.taken_back(*resource, *waited);
            }
        }
        let seen = plan.used.iter().filter_map(|(id, used)| {
            let PoolPlan { pool, status, .. } = self.engine.planned(id)?;
            Some((pool.uid.as_str(), &**status, used.as_slice()))
        });
        self.serving.dashboard.saw(seen, now.wall);
        let wake_after = plan.wake_after;
        self.writer.submit(plan, &mut self.cluster);
        self.writer.start(&mut self.cluster);
        self.ask();
        drop(in_progress);
        self.serving.telemetry.decided(decided, began.elapsed());
        wake_after
    }

    /// Shows the pools and trees that changed, and takes note of what their members ask for.
    fn publish(&mut self, changes: &Changes) {
        for name in changes.trees.iter().chain(&changes.tree_statuses) {
            let tree = self.cluster.tree(name).filter(|tree| tree.unreadable.is_none());
            self.serving.trees.set(name, tree.map(|tree| &tree.object));
        }
        for id in &changes.pools {
            let pool = self.cluster.pool(id).filter(|pool| pool.unreadable.is_none());
            self.serving.pools.set(id, pool.map(|pool| &pool.object));
            let live = pool.filter(|pool| pool.is_live());
            let objectives = live.map(|pool| objectives(id, &pool.object)).unwrap_or_default();
            match objectives.is_empty() {
                true => drop(self.objectives.remove(id)),
                false => drop(self.objectives.insert(id.clone(), objectives)),
            }
        }
    }

    /// Takes in what became of a write.
    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Resized { pool, asked, sent, pod, refused } => {
                self.landed(&asked, pod.as_deref());
                let now = self.clock.moment();
                if self.is_there(&asked) {
                    self.history.resized(pool.as_ref(), &asked, sent, refused.as_ref(), now);
                } else {
                    // The pod is forgotten already: what is noted of it now would stay for ever.
                    self.history.note(pool);
                }
            }
            Answer::ReadBack { pool, asked, pod } => {
                self.landed(&asked, pod.as_deref());
                self.history.note(pool);
            }
            Answer::Status(id, status, shown) => {
                self.history.reported(&id, &status);
                self.cluster.set_status(&id, &shown);
            }
            Answer::TreeStatus(name, shown) => self.cluster.set_tree_status(&name, &shown),
            Answer::Farewell(id) => self.history.said_farewell(&id),
            Answer::StartProfile(..) | Answer::Unknown { .. } | Answer::Other => {}
        }
    }

    /// It is known what became of the resizes of a pod, and how the pod is now.
    fn landed(&mut self, asked: &[PodResize], pod: Option<&core::Pod>) {
        set_in_flight(&mut self.cluster, asked, false);
        if let Some(pod) = pod {
            self.cluster.answered(Pod::read(pod));
        }
    }

    /// Whether the pod that these resizes are of is there.
    fn is_there(&self, asked: &[PodResize]) -> bool {
        asked.first().is_some_and(|asked| {
            let pod = self.cluster.pod(&asked.namespace, &asked.pod);
            pod.is_some_and(|pod| pod.uid == asked.uid)
        })
    }

    /// Logs each version of a pool that cannot be read, once.
    fn tell_of_unreadable(&mut self, id: &PoolId, version: Option<&str>, why: &str) {
        let version = version.unwrap_or_default();
        if self.unreadable.get(id).is_none_or(|known| known != version) {
            self.unreadable.insert(id.clone(), version.to_owned());
            warn!(
                namespace = %id.namespace, pool = %id.name,
                "the pool cannot be read: {why}: correct it, or use the same version of the CRD and the controller",
            );
        }
    }
}

/// What the members of a pool ask for.
fn objectives(id: &PoolId, pool: &WeightedShare) -> Vec<Objective> {
    let of = |member: &Member| {
        let query = member.objective.as_ref()?.query.clone();
        let member = MemberKey {
            namespace: id.namespace.clone(),
            pool: id.name.clone(),
            member: member.name.clone(),
        };
        Some(Objective { member, query })
    };
    pool.spec.members.iter().filter_map(of).collect()
}
