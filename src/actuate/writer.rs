//! Sends what was planned: a few writes at a time, never two about the same, one namespace after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::warn;

use super::{
    events,
    lanes::{Lane, Lanes},
    queue::Ended,
    report_pace::ReportPace,
    write::{Answer, Failure, Key, Write, send},
};
use crate::{
    api::StartProfileSpec,
    cluster::{Cluster, PoolId, Requests},
    engine::{Deletion, Notice, Plan, PodResize, PoolPlan, TreePlan},
    runtime::{Clock, Serving},
};

/// The wait after a first failure; it doubles with each further one, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(120);
/// The longest wait after no answer or a 5xx, so that writes resume soon after an outage.
const LONGEST_UNANSWERED: Duration = Duration::from_secs(10);
/// A call that took longer was held up by something: a webhook, most often.
const LATE: Duration = Duration::from_secs(2);

/// What is to be written, and what is on its way.
pub struct Writer {
    client: Client,
    clock: Clock,
    serving: Serving,
    /// What is to be written, as the latest plan has it. What is on its way is not among it.
    wanted: BTreeMap<Key, Write>,
    /// What of it belongs to each pool, so that a new plan replaces it; with None, to pods of no pool, by namespace.
    of_pools: BTreeMap<PoolId, BTreeSet<Key>>,
    of_orphans: BTreeMap<String, BTreeSet<Key>>,
    /// The order in which it is sent.
    lanes: Lanes<Key>,
    queued: BTreeSet<(Lane, Key)>,
    /// What is not sent before its time.
    delayed: BTreeSet<(Instant, Key)>,
    /// What is on its way, and since when.
    busy: BTreeMap<Key, (Lane, Write, Instant)>,
    calls: FuturesUnordered<BoxFuture<'static, (Key, Result<Answer, Failure>)>>,
    /// How often a write failed in a row, and when it is tried again.
    failures: BTreeMap<Key, (u32, Instant)>,
    /// How often pools are reported on.
    pace: ReportPace,
    /// With what new pods start, as it was written last.
    new_pods: BTreeMap<PoolId, Arc<StartProfileSpec>>,
    /// How many events there were.
    number: u64,
}

impl Writer {
    /// One that has nothing to write yet.
    #[must_use]
    pub fn new(client: Client, clock: Clock, serving: Serving) -> Self {
        Self {
            client,
            clock,
            serving,
            wanted: BTreeMap::new(),
            of_pools: BTreeMap::new(),
            of_orphans: BTreeMap::new(),
            lanes: Lanes::default(),
            queued: BTreeSet::new(),
            delayed: BTreeSet::new(),
            busy: BTreeMap::new(),
            calls: FuturesUnordered::new(),
            failures: BTreeMap::new(),
            pace: ReportPace::default(),
            new_pods: BTreeMap::new(),
            number: 0,
        }
    }

    /// Takes over a plan: what an earlier one had for the same pools and is not on its way is forgotten. What is on its way
    /// is charged in the cluster until it is known what became of it.
    pub fn submit(&mut self, plan: Plan, cluster: &mut Cluster) {
        for id in &plan.gone {
            self.forget_pool(id);
            self.new_pods.remove(id);
            self.pace.forget(id);
        }
        for (id, pool) in plan.pools {
            self.submit_pool(&id, pool, cluster);
        }
        let earlier = std::mem::take(&mut self.of_orphans);
        for key in earlier.into_values().flatten() {
            self.forget(&key);
        }
        for (name, TreePlan { tree, status, is_reported, notices }) in plan.trees {
            for notice in self.pace.tree_notices(&name, notices, Instant::now()) {
                self.publish(String::new(), events::on_tree(&tree), notice);
            }
            let key = Key::TreeStatus(name.clone());
            match is_reported {
                true => self.forget(&key),
                false => drop(self.want(key, Write::TreeStatus { name, status })),
            }
        }
        for (namespace, quota) in plan.quotas {
            self.want(Key::Quota(namespace.clone()), Write::Quota { namespace, quota });
        }
        for (namespace, resizes) in plan.restores {
            let keys = self.want_resizes(None, resizes, cluster);
            self.of_orphans.insert(namespace, keys);
        }
        for (id, deletion) in plan.deletions {
            self.submit_deletion(&id, deletion);
        }
        if let Some(plug) = plan.hotplug {
            let key = Key::Hotplug(plug.namespace.clone());
            self.want(key, Write::Hotplug(plug));
        }
    }

    fn submit_pool(&mut self, id: &PoolId, plan: PoolPlan, cluster: &Cluster) {
        self.forget_pool(id);
        let PoolPlan { pool, finalizer, resizes, status, is_reported, notices, new_pods, .. } =
            plan;
        let mut keys = BTreeSet::new();
        if finalizer {
            let write = Write::Finalizer { pool: pool.clone(), ours: true };
            keys.insert(self.want(Key::Finalizer(id.clone()), write));
        }
        keys.extend(self.want_resizes(Some(id), resizes, cluster));
        if let Some(new_pods) = new_pods.filter(|it| self.new_pods.get(id) != Some(it)) {
            let write = Write::StartProfile { id: id.clone(), pool: pool.clone(), new_pods };
            keys.insert(self.want(Key::StartProfile(id.clone()), write));
        }
        if !is_reported {
            let write = Write::Status { id: id.clone(), pool: pool.clone(), status };
            keys.insert(self.want(Key::Status(id.clone()), write));
        }
        self.of_pools.insert(id.clone(), keys);
        for notice in self.pace.notices(id, notices, Instant::now()) {
            self.publish(id.namespace.clone(), events::on_pool(&pool), notice);
        }
    }

    /// Queues an event with the other writes of a namespace. The name is empty for cluster-scoped objects.
    fn publish(&mut self, namespace: String, on: ObjectReference, notice: Notice) {
        self.number += 1;
        self.want(Key::Event(namespace, self.number), Write::Event { on: Box::new(on), notice });
    }

    fn submit_deletion(&mut self, id: &PoolId, deletion: Deletion) {
        self.forget_pool(id);
        let Deletion { pool, notice, done } = deletion;
        let mut keys = BTreeSet::new();
        let nothing = StartProfileSpec::default();
        if self.new_pods.get(id).is_none_or(|told| **told != nothing) {
            // Pods that come now belong to no pool.
            let new_pods = Arc::new(nothing);
            let write = Write::StartProfile { id: id.clone(), pool: pool.clone(), new_pods };
            keys.insert(self.want(Key::StartProfile(id.clone()), write));
        }
        if let Some(notice) = notice {
            let write = Write::Farewell { id: id.clone(), pool: pool.clone(), notice };
            keys.insert(self.want(Key::Farewell(id.clone()), write));
        }
        if done {
            let write = Write::Finalizer { pool, ours: false };
            keys.insert(self.want(Key::Finalizer(id.clone()), write));
        }
        self.of_pools.insert(id.clone(), keys);
    }

    /// Wants the resizes of pods. What gives room is sent before what takes it.
    fn want_resizes(
        &mut self,
        pool: Option<&PoolId>,
        mut resizes: Vec<PodResize>,
        cluster: &Cluster,
    ) -> BTreeSet<Key> {
        resizes.sort_by_key(PodResize::grows);
        let mut of_pods: BTreeMap<Key, Vec<PodResize>> = BTreeMap::new();
        for resize in resizes {
            let key = Key::Pod(resize.namespace.clone(), resize.uid.clone());
            of_pods.entry(key).or_default().push(resize);
        }
        let mut of_pods: Vec<(Key, Vec<PodResize>)> = of_pods.into_iter().collect();
        // One that does both comes after those that only shrink, and before those that only grow.
        of_pods.sort_by_key(|(_, resizes)| {
            let grows = resizes.iter().filter(|it| it.grows()).count();
            (grows > 0, grows == resizes.len())
        });
        let want = |(key, resizes): (Key, Vec<PodResize>)| {
            let adds = cluster.limits(key.namespace()).adds();
            let seen = cluster.pod(&resizes[0].namespace, &resizes[0].pod).filter(|_| adds);
            let first_try = seen.cloned().map(Box::new);
            self.want(key, Write::Resizes { pool: pool.cloned(), resizes, first_try })
        };
        of_pods.into_iter().map(want).collect()
    }

    /// Forgets what an earlier plan wanted for a pool.
    fn forget_pool(&mut self, id: &PoolId) {
        for key in self.of_pools.remove(id).into_iter().flatten() {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        // What became of a write without an answer is looked up whatever is planned next.
        if !matches!(self.wanted.get(key), Some(Write::ReadBack { .. })) {
            self.wanted.remove(key);
        }
    }

    fn want(&mut self, key: Key, write: Write) -> Key {
        self.wanted.insert(key.clone(), write);
        self.enqueue(&key);
        key
    }

    /// Lets a write that is wanted wait for its turn, or for its time. What is on its way waits for its answer first.
    fn enqueue(&mut self, key: &Key) {
        if self.busy.contains_key(key) || !self.wanted.contains_key(key) {
            return;
        }
        let now = Instant::now();
        match self.not_before(key).filter(|at| *at > now) {
            Some(at) => drop(self.delayed.insert((at, key.clone()))),
            None => {
                let lane = self.lane(key);
                if self.queued.insert((lane, key.clone())) {
                    self.lanes.push(lane, key.namespace(), key.clone());
                }
            }
        }
    }

    /// When a write that is wanted may be sent. None: at once.
    fn not_before(&self, key: &Key) -> Option<Instant> {
        let retry = self.failures.get(key).map(|(_, at)| *at);
        let paced = match self.wanted.get(key) {
            Some(Write::Status { id, status, .. }) => self.pace.next_status(id, status),
            Some(Write::TreeStatus { name, .. }) => self.pace.next_tree_status(name),
            _ => None,
        };
        retry.max(paced)
    }

    /// The lane of a write that is wanted. A status that is overtaken by one of another lane waits in both.
    fn lane(&self, key: &Key) -> Lane {
        match key {
            Key::Pod(..) => Lane::Resizes,
            Key::Finalizer(_) | Key::Farewell(_) | Key::Hotplug(_) | Key::Quota(_) => Lane::Others,
            Key::StartProfile(_) | Key::Event(..) => Lane::Reports,
            Key::TreeStatus(_) => Lane::Reports,
            Key::Status(_) => match self.wanted.get(key) {
                Some(Write::Status { status, .. }) if status.is_reconciling() => Lane::Progress,
                _ => Lane::Reports,
            },
        }
    }

    /// Sends what can be sent: it is charged in the cluster from now on.
    pub fn start(&mut self, cluster: &mut Cluster) {
        let now = Instant::now();
        while let Some((_, key)) = self.delayed.first().filter(|(at, _)| *at <= now).cloned() {
            self.delayed.pop_first();
            self.enqueue(&key);
        }
        while let Some((lane, key)) = self.lanes.next(now) {
            self.queued.remove(&(lane, key.clone()));
            // What is on its way waits for its answer first; and what a later plan does not want any more is not sent.
            let wanted = if self.busy.contains_key(&key) { None } else { self.wanted.remove(&key) };
            let Some(mut write) = wanted else {
                self.lanes.done(lane, key.namespace(), Ended::Unneeded);
                continue;
            };
            match &mut write {
                Write::Resizes { resizes, .. } => {
                    use_newest_version(cluster, resizes);
                    set_in_flight(cluster, resizes, true);
                }
                Write::Status { id, .. } => self.pace.sent_status(id, now),
                Write::TreeStatus { name, .. } => self.pace.sent_tree_status(name, now),
                _ => {}
            }
            self.busy.insert(key.clone(), (lane, write.clone(), now));
            let call = send(self.client.clone(), self.clock.clone(), self.serving.clone(), write);
            self.calls.push(call.map(|answer| (key, answer)).boxed());
        }
    }

    /// Waits for the next answer, or until something can be sent that was to wait.
    pub async fn next(&mut self) -> Option<Answer> {
        let delayed = self.delayed.first().map(|(at, _)| *at);
        let due = delayed.into_iter().chain(self.lanes.due(Instant::now())).min();
        tokio::select! {
            Some((key, answer)) = self.calls.next() => Some(self.end(&key, answer)),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => None,
            else => std::future::pending().await,
        }
    }

    /// Sends nothing more, and waits for the answers to what is on its way.
    pub async fn finish(mut self) {
        while self.calls.next().await.is_some() {}
    }

    /// Takes note of what became of a write.
    fn end(&mut self, key: &Key, answer: Result<Answer, Failure>) -> Answer {
        let Some((lane, write, began)) = self.busy.remove(key) else { return Answer::Other };
        let how = match &answer {
            Ok(answer) if answer.is_throttled() => Ended::Throttled,
            Err(failure) if failure.throttled => Ended::Throttled,
            Ok(Answer::Unknown { .. }) => Ended::Late,
            _ if began.elapsed() > LATE => Ended::Late,
            _ => Ended::InTime,
        };
        self.lanes.done(lane, key.namespace(), how);
        if matches!(answer, Err(_) | Ok(Answer::Unknown { .. })) {
            self.serving.telemetry.write_failed(began.elapsed());
        }
        let answer = match answer {
            Ok(answer) => self.note(key, answer),
            Err(Failure { why, unanswered, .. }) => {
                let longest = if unanswered { LONGEST_UNANSWERED } else { LONGEST_RETRY };
                let wait = self.retry(key, longest);
                warn!(seconds = wait.as_secs(), "a write failed, and will be tried again: {why}");
                if self.is_still_wanted(key) {
                    self.wanted.entry(key.clone()).or_insert(write);
                }
                Answer::Other
            }
        };
        self.enqueue(key);
        answer
    }

    /// Whether the latest plan still needs a write that failed.
    fn is_still_wanted(&self, key: &Key) -> bool {
        match key {
            // Resizes without an answer are looked up, whatever the plan. What a tree is to say, and its quotas, a later plan replaces.
            Key::Pod(..) | Key::TreeStatus(_) | Key::Quota(_) => true,
            Key::Finalizer(id) | Key::Status(id) | Key::StartProfile(id) | Key::Farewell(id) => {
                self.of_pools.get(id).is_some_and(|keys| keys.contains(key))
            }
            // Later plans repeat a hotplug. An event is sent once.
            Key::Hotplug(_) | Key::Event(..) => false,
        }
    }

    /// Takes note of an answer.
    fn note(&mut self, key: &Key, answer: Answer) -> Answer {
        match answer {
            Answer::Unknown { pool, asked, sent } => {
                // It is looked up after a while, and stays charged meanwhile.
                self.retry(key, LONGEST_UNANSWERED);
                let write = Write::ReadBack { pool, resizes: asked, sent };
                self.wanted.insert(key.clone(), write);
                return Answer::Other;
            }
            // The watch shows the new version soon, or the API server has less to do.
            Answer::Resized { refused: Some(ref refusal), .. } if !refusal.kind.is_final() => {
                self.retry(key, LONGEST_RETRY);
            }
            Answer::StartProfile(ref id, ref told) => {
                self.failures.remove(key);
                self.new_pods.insert(id.clone(), told.clone());
            }
            _ => drop(self.failures.remove(key)),
        }
        answer
    }

    /// Delays a write, longer with each failure, up to `longest`.
    fn retry(&mut self, key: &Key, longest: Duration) -> Duration {
        let times = self.failures.get(key).map_or(0, |(times, _)| *times);
        let wait = FIRST_RETRY.saturating_mul(1 << times.min(10)).min(longest);
        let now = Instant::now();
        // Failures of writes that no plan has wanted since are forgotten.
        self.failures.retain(|_, (_, at)| *at + LONGEST_RETRY > now);
        self.failures.insert(key.clone(), (times + 1, now + wait));
        wait
    }
}

/// Names a pod's newest version where it differs from the version that was decided on in nothing that a decision reads: the API
/// server would refuse the older one.
fn use_newest_version(cluster: &Cluster, resizes: &mut [PodResize]) {
    for resize in resizes {
        let pod = cluster.pod(&resize.namespace, &resize.pod).filter(|pod| pod.uid == resize.uid);
        if let Some(pod) = pod.filter(|_| !cluster.has_changed(&resize.namespace, &resize.pod)) {
            resize.resource_version.clone_from(&pod.resource_version);
        }
    }
}

/// What resizes of one pod ask for is charged from now on, or not any more.
pub fn set_in_flight(cluster: &mut Cluster, resizes: &[PodResize], in_flight: bool) {
    let Some(first) = resizes.first() else { return };
    let requests = resizes.iter().flat_map(|resize| {
        let of =
            |it: &crate::engine::ContainerResize| (it.name.clone(), resize.resource, it.request);
        resize.containers.iter().map(of)
    });
    let requests = in_flight.then(|| Requests {
        uid: first.uid.clone(),
        description: first.to_string(),
        requests: requests.collect(),
    });
    cluster.set_in_flight(&first.namespace, &first.pod, requests);
}
