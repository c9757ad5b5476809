//! All that there is in one run: the objects, what the controller saw of them and wrote, and what is wrong with that.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use weightedshare::cluster::Bounds;

use super::{
    amounts::{limit, parts, text},
    fault::{Fault, within},
    oracle::Violation,
    progress::Progress,
    server::Call,
    store::{Key, Kind, Logged, Store},
};

pub type Shared = Arc<Mutex<Cluster>>;

/// The grace period of pods, in seconds: a kubelet may take longer.
const GRACE: u64 = 1;

/// A write of the controller.
#[derive(Clone, Debug)]
pub struct Write {
    pub number: usize,
    pub at: Duration,
    pub instance: usize,
    pub what: String,
    pub body: Value,
    pub code: u16,
    pub told: Option<String>,
}

impl Write {
    pub fn is_resize(&self) -> bool {
        self.what.ends_with("/resize")
    }

    pub fn made(&self) -> bool {
        self.code == 200
    }
}

/// The end of watches.
pub struct Cut {
    /// Of one kind, or of all.
    pub kind: Option<Kind>,
    /// Their versions are too old.
    pub gone: bool,
}

/// What an instance of the controller was told of an object, and when. None: that it is gone.
type Told = Vec<(Duration, Option<Arc<Value>>)>;

/// One life of the controller.
#[derive(Default)]
pub struct Instance {
    pub told: BTreeMap<Key, Told>,
    /// When it had its first list of a kind: no turn knows less than that.
    pub listed: BTreeMap<Kind, Duration>,
    /// What it lists was so at this version.
    pub lists: Option<u64>,
    /// Its watches tell nothing until then.
    pub deaf_until: Option<Instant>,
}

/// What pods use: millicores and bytes, by name.
pub type Usage = BTreeMap<String, (u64, u64)>;

pub struct Cluster {
    pub seed: u64,
    pub began: Instant,
    pub store: Store,
    pub faults: Vec<Fault>,
    /// What the controller is set up with.
    pub bounds: Bounds,
    pub page_size: usize,
    pub pages: BTreeMap<String, (u64, Vec<Arc<Value>>)>,
    /// What pods use. None: it is not measured.
    pub usage: Option<Usage>,
    /// The memory that pods used, from when on.
    pub used: Vec<(Duration, String, u64)>,
    /// What was measured last before nothing was measured any more, and when.
    measured: Option<(i64, Usage)>,
    /// What was decided so far.
    pub progress: Progress,
    pub instances: Vec<Instance>,
    pub writes: Vec<Write>,
    /// When nodes said that a pod can never be resized.
    pub refusals: Vec<Duration>,
    pub violations: Vec<Violation>,
    pub cuts: Vec<Cut>,
    pub changed: watch::Sender<u64>,
    pub crash: Arc<Notify>,
    /// How long the controller is down after the crash.
    pub down: Duration,
    /// How long ago the write was sent that is carried out now: a webhook held it.
    pub held_for: Duration,
    /// When the instance before last led, if it did not give its lease back.
    pub led_until: Option<Instant>,
    /// A planted bug did what it does only once.
    planted: bool,
    numbered: usize,
    asked: u64,
    ticks: i64,
}

/// Looks at the cluster, or changes it; who waits for changes is told.
pub fn with<R>(shared: &Shared, act: impl FnOnce(&mut Cluster) -> R) -> R {
    let mut cluster = shared.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.store.now = cluster.elapsed();
    let before = (cluster.store.version, cluster.cuts.len());
    let result = act(&mut cluster);
    if (cluster.store.version, cluster.cuts.len()) != before {
        cluster.changed.send_modify(|changes| *changes += 1);
    }
    result
}

impl Cluster {
    pub fn new(seed: u64, faults: Vec<Fault>) -> Self {
        Self {
            seed,
            began: Instant::now(),
            store: Store::default(),
            faults,
            bounds: Bounds::default(),
            page_size: usize::MAX,
            pages: BTreeMap::new(),
            usage: None,
            used: Vec::new(),
            measured: None,
            progress: Progress::default(),
            instances: Vec::new(),
            writes: Vec::new(),
            refusals: Vec::new(),
            violations: Vec::new(),
            cuts: Vec::new(),
            changed: watch::Sender::new(0),
            crash: Arc::default(),
            down: Duration::ZERO,
            held_for: Duration::ZERO,
            led_until: None,
            planted: false,
            numbered: 0,
            asked: 0,
            ticks: 0,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time that everybody but the controller goes by.
    pub fn time(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_767_225_600) + self.elapsed()
    }

    /// What the controller's clock shows: never the same twice.
    pub fn shown(&mut self) -> Timestamp {
        self.ticks += 1;
        let now = self.elapsed();
        let jump = |fault: &Fault| match fault {
            Fault::Jump { at, seconds, back } => {
                let lasts = back.unwrap_or(Duration::MAX - *at);
                within(now, *at, lasts).then_some(*seconds)
            }
            _ => None,
        };
        let jumps: i64 = self.faults.iter().filter_map(jump).sum();
        self.time() + SignedDuration::from_secs(jumps) + SignedDuration::from_nanos(self.ticks)
    }

    /// How long a decision takes now.
    pub fn deciding(&self) -> Duration {
        let now = self.elapsed();
        let slow = self.faults.iter().find_map(|fault| match fault {
            Fault::SlowDecisions { at, lasts, by } if within(now, *at, *lasts) => Some(*by),
            _ => None,
        });
        slow.unwrap_or_default()
    }

    /// How long a decision takes at most.
    pub fn slowest_decision(&self) -> Duration {
        let slow = self.faults.iter().filter_map(|fault| match fault {
            Fault::SlowDecisions { by, .. } => Some(*by),
            _ => None,
        });
        slow.max().unwrap_or_default()
    }

    pub fn number(&mut self) -> usize {
        self.numbered += 1;
        self.numbered - 1
    }

    pub fn requests(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    pub fn crash(&mut self, down: Duration) -> Arc<Notify> {
        self.down = down;
        self.crash.clone()
    }

    /// Whether a planted bug does what it does only once, after so many resizes.
    pub fn once(&mut self, after: usize) -> bool {
        let resizes = self.writes.iter().filter(|write| write.is_resize()).count();
        let now = !self.planted && resizes > after;
        self.planted |= now;
        now
    }

    /// All watches end, or those of one kind.
    pub fn cut(&mut self, cut: Cut) {
        self.cuts.push(cut);
    }

    pub fn store_at(&self, kind: Kind, version: u64) -> Vec<Arc<Value>> {
        self.store.at(kind, version)
    }

    /// What `metrics.k8s.io` says: it measures every 15 seconds.
    pub fn metrics(&mut self, nodes: bool) -> Option<Value> {
        let usage = self.usage.as_ref()?;
        let (elapsed, at) = (self.elapsed(), self.time().as_second() / 15 * 15);
        let stale = self.faults.iter().any(|fault| match fault {
            Fault::StaleMetrics { at, lasts } => within(elapsed, *at, *lasts),
            _ => false,
        });
        if !stale {
            self.measured = Some((at, usage.clone()));
        }
        let (at, usage) = self.measured.clone().unwrap_or_else(|| (at, usage.clone()));
        let at = Timestamp::from_second(at).ok()?.to_string();
        let amounts = |(cpu, memory): (u64, u64)| json!({"cpu": format!("{cpu}m"), "memory": memory.to_string()});
        let running: Vec<(&Arc<Value>, (u64, u64))> = self
            .store
            .of_kind("pods")
            .filter(|pod| text(pod, "/status/phase") == "Running")
            .filter_map(|pod| Some((pod, capped(pod, *usage.get(text(pod, "/metadata/name"))?))))
            .collect();
        let pod = |(pod, used): &(&Arc<Value>, (u64, u64))| {
            let container = &pod["spec"]["containers"][0]["name"];
            json!({
                "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
                "timestamp": at, "window": "15s",
                "containers": [{"name": container, "usage": amounts(*used)}],
            })
        };
        let node = |node: &Arc<Value>| {
            let name = text(node, "/metadata/name");
            let there = running.iter().filter(|(pod, _)| text(pod, "/spec/nodeName") == name);
            let sum = there.fold((0, 0), |sum, (_, used)| (sum.0 + used.0, sum.1 + used.1));
            json!({"metadata": {"name": name}, "timestamp": at, "window": "15s", "usage": amounts(sum)})
        };
        let items: Vec<Value> = match nodes {
            true => self.store.of_kind("nodes").map(node).collect(),
            false => running.iter().map(pod).collect(),
        };
        Some(
            json!({"kind": "List", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}),
        )
    }

    /// The version that an instance's lists are of.
    pub fn listed_version(&self, instance: usize) -> u64 {
        let instance = &self.instances[instance];
        let deaf = instance.deaf_until.is_some_and(|until| Instant::now() < until);
        instance.lists.filter(|_| deaf).unwrap_or(self.store.version)
    }

    /// What is told first of all: objects that are not listed any more are gone.
    pub fn saw_list(&mut self, instance: usize, kind: Kind, items: &[Arc<Value>], first: bool) {
        let now = self.elapsed();
        let Instance { told, listed, .. } = &mut self.instances[instance];
        let began = *listed.entry(kind).or_insert(now);
        if !first && now - began < Duration::from_millis(100) {
            listed.insert(kind, now);
        }
        if first {
            let of_kind = told.iter_mut().filter(|(key, _)| key.0 == kind);
            of_kind.for_each(|(_, told)| told.push((now, None)));
        }
        for item in items {
            told.entry(Store::key(kind, item)).or_default().push((now, Some(item.clone())));
        }
    }

    pub fn saw_event(&mut self, instance: usize, logged: &Logged) {
        let now = self.elapsed();
        let object = (logged.event != "DELETED").then(|| logged.object.clone());
        let told = self.instances[instance].told.entry(logged.key.clone()).or_default();
        told.push((now, object));
    }

    pub fn note(
        &mut self,
        instance: usize,
        number: usize,
        call: &Call,
        code: u16,
        told: Option<String>,
    ) {
        let at = self.elapsed();
        let tried = if call.asks("dryRun").is_some() { ", tried out" } else { "" };
        let what = format!("{} {}{tried}", call.method, call.path);
        self.writes.push(Write { number, at, instance, what, body: call.json(), code, told });
    }

    /// Deletes an object; what has finalizers, and a pod that runs, goes later.
    pub fn delete(&mut self, key: &Key) {
        let due = self.time() + Duration::from_secs(GRACE);
        let waits = self.store.objects.get(key).is_some_and(|it| waits(it) || key.0 == "pods");
        if waits {
            self.store.change(key, |object| {
                if object["metadata"]["deletionTimestamp"].is_null() {
                    object["metadata"]["deletionTimestamp"] = due.to_string().into();
                    object["metadata"]["deletionGracePeriodSeconds"] = GRACE.into();
                }
            });
        } else {
            self.collect(key);
        }
    }

    /// Lets an object go that is being deleted and has no finalizer left.
    pub fn finish(&mut self, key: &Key) {
        let object = self.store.objects.get(key);
        if object.is_some_and(|it| !it["metadata"]["deletionTimestamp"].is_null() && !waits(it)) {
            self.collect(key);
        }
    }

    /// Removes an object, and what it owns.
    fn collect(&mut self, key: &Key) {
        self.store.remove(key);
        if key.0 == "weightedshares" {
            self.store.remove(&("startprofiles", key.1.clone(), key.2.clone()));
        }
    }
}

/// What a pod uses that would use so much: no more CPU than the limits of its regular containers. Its sidecars sleep.
fn capped(pod: &Value, (cpu, memory): (u64, u64)) -> (u64, u64) {
    let containers = parts(&pod["spec"]).iter();
    let most = containers.map(|it| limit(it, "cpu")).sum::<Option<u64>>();
    (most.map_or(cpu, |most| cpu.min(most)), memory)
}

fn waits(object: &Value) -> bool {
    !super::amounts::list(object, "/metadata/finalizers").is_empty()
}
