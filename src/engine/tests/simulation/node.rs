//! One node with one pool, driven by the real code: use is measured, divided, calmed, resized, and scheduled by the kernel
//! into use again. A step is a second.

use k8s_openapi::jiff::SignedDuration;

use super::{super::*, service::Service};
use crate::{
    engine::{
        dynamic_weights::{Weights, update},
        grants::Memory,
    },
    metrics::{MemberKey, NodeReading, ObjectiveReading},
    simulate::kernel::{Task, schedule},
};

/// What a pod would use if it were alone at some second, in millicores.
pub type Load = Box<dyn Fn(u64) -> f64>;

/// How long the kubelet takes for a resize, in seconds.
const RESIZE: u64 = 1;
/// How often it refreshes the weight of a QoS class.
const REFRESH: u64 = 60;

pub struct Sim {
    pub pool: WeightedShare,
    pub pods: Vec<SimPod>,
    /// What the pool has, in millicores; and what its pods can use of the node.
    pub cores: u64,
    pub node: u64,
    /// Every how many seconds use is measured, and so many times that later it is known.
    pub interval: u64,
    pub lag: u64,
    /// Whether it is measured, too, how long pods wait.
    pub waiting: bool,
    /// In these seconds nothing is measured.
    pub outage: std::ops::Range<u64>,
    pub second: u64,
    pub resizes: u64,
    burstable: f64,
    measured: Metrics,
    on_the_way: std::collections::VecDeque<(u64, Readings)>,
    memory: Memory,
    pub weights: Weights,
    /// The weight that the first member works out to.
    pub weight: u32,
    /// The first member, where it answers requests: its load is what they take.
    pub service: Option<Service>,
    /// What the division wanted last, before it was calmed.
    pub wanted: Vec<u64>,
    pub fair: Vec<u64>,
}

pub struct SimPod {
    pub pod: Pod,
    pub load: Load,
    /// CPU time that the kernel gave: in all, and since it was last measured, in millicore seconds.
    pub got: f64,
    since: f64,
    /// For how many seconds it wanted more than it got, since that was last measured.
    waited: f64,
    /// Resizes that the kubelet has not carried out yet: when it does.
    resized: Option<u64>,
    pub resizes: u64,
}

impl Sim {
    /// A node that the pool has to itself, with one pod for each member: its name, weight and load.
    pub fn new(cores: u64, members: Vec<(String, u64, Load)>) -> Self {
        let specs: Vec<Value> =
            members.iter().map(|(name, weight, _)| member(name, *weight)).collect();
        let even = cores / members.len() as u64;
        let pods = members.into_iter().map(|(name, _, load)| SimPod {
            pod: pod(&name, &name, even),
            load,
            got: 0.0,
            since: 0.0,
            waited: 0.0,
            resized: None,
            resizes: 0,
        });
        let mut measured = Metrics::default();
        measured.expect("metrics", true, false);
        measured.expect("objectives", false, true);
        Self {
            pool: pool("pool", 0, cores, Value::Array(specs)),
            pods: pods.collect(),
            cores,
            node: cores,
            interval: 15,
            lag: 0,
            waiting: false,
            outage: 0..0,
            second: 0,
            resizes: 0,
            burstable: cores as f64,
            measured,
            on_the_way: std::collections::VecDeque::new(),
            memory: Memory::default(),
            weights: Weights::default(),
            weight: 0,
            service: None,
            wanted: Vec::new(),
            fair: Vec::new(),
        }
    }

    pub fn run(&mut self, seconds: u64) {
        self.run_with(seconds, |_| {});
    }

    /// Runs, and calls `each` at the end of every interval: what was decided in it is done by then.
    pub fn run_with(&mut self, seconds: u64, mut each: impl FnMut(&Self)) {
        for _ in 0..seconds {
            if self.second.is_multiple_of(self.interval) && self.second > 0 {
                each(self);
            }
            let news = self.measure();
            let carried_out = self.kubelet();
            if news || carried_out || self.second == 0 {
                self.turn();
            }
            self.kernel();
            self.second += 1;
        }
    }

    pub fn held(&self, i: usize) -> u64 {
        self.pods[i].pod.charge(Resource::Cpu)
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
            + SignedDuration::from_hours(1)
            + SignedDuration::from_secs(self.second as i64)
    }

    /// Measures what was used since the last time. Whether something came in.
    fn measure(&mut self) -> bool {
        if self.second > 0 && self.second.is_multiple_of(self.interval) {
            let at = self.now();
            let mut node = NodeReading { name: "n1".into(), at, ..NodeReading::default() };
            let mut readings = Readings::default();
            for pod in &mut self.pods {
                let cpu = (std::mem::take(&mut pod.since) / self.interval as f64 * 1e6) as u64;
                node.used.cpu += cpu;
                let waited = std::mem::take(&mut pod.waited) * 1000.0 / self.interval as f64;
                readings.pods.push(PodReading {
                    namespace: "shop".into(),
                    name: pod.pod.name.clone(),
                    at,
                    used: PerResource { cpu: Some(cpu), memory: Some(0) },
                    waiting: self.waiting.then_some(waited as u16),
                    guest: None,
                });
            }
            readings.nodes.push(node);
            if let Some(service) = &self.service {
                let member = MemberKey {
                    namespace: "shop".into(),
                    pool: "pool".into(),
                    member: self.pods[0].pod.name.clone(),
                };
                let value = service.query(self.second).ok_or_else(|| "no number".to_owned());
                readings.objectives.push(ObjectiveReading { member, at, value });
            }
            if !self.outage.contains(&self.second) {
                self.on_the_way.push_back((self.second + self.lag * self.interval, readings));
            }
        }
        let mut news = false;
        while self.on_the_way.front().is_some_and(|(known, _)| *known <= self.second) {
            let (_, mut readings) = self.on_the_way.pop_front().unwrap();
            let objectives = std::mem::take(&mut readings.objectives);
            news |= self.measured.take("metrics", Ok(readings));
            self.measured.take("objectives", Ok(Readings { objectives, ..Readings::default() }));
        }
        news
    }

    /// Carries resizes out. Whether there was any.
    fn kubelet(&mut self) -> bool {
        if self.second.is_multiple_of(REFRESH) {
            self.burstable = self.pods.iter().map(|pod| pod.pod.charge(Resource::Cpu) as f64).sum();
        }
        let mut any = false;
        for pod in &mut self.pods {
            if pod.resized.is_some_and(|done| done <= self.second) {
                pod.resized = None;
                let held = &mut pod.pod.containers[0].held.cpu;
                held.admitted = held.requested;
                any = true;
            }
        }
        any
    }

    /// Observe, weigh, divide, calm, actuate.
    fn turn(&mut self) {
        let now = self.now();
        let pods: Vec<Pod> = self.pods.iter().map(|pod| pod.pod.clone()).collect();
        let charged: u64 = pods.iter().map(|pod| pod.charge(Resource::Cpu)).sum();
        assert!(charged <= self.cores, "{charged}m are charged at {} s", self.second);
        pods.iter().for_each(|pod| self.measured.note_held(pod, now));
        let seen = Scene {
            metrics: self.measured.clone(),
            now,
            ..scene(std::slice::from_ref(&self.pool), &pods, self.node - charged)
        }
        .seen();
        let (view, mut pool) = (seen.view(), seen.members().swap_remove(0));
        update(&view, &mut pool, &mut self.weights);
        self.weight = pool.members[0].weight;
        let (pool, mut divided) = seen.divide_one(pool);
        let cpu = divided.cpu.as_ref().unwrap();
        // One pod a member, in the order of the pods.
        self.wanted = cpu.pods().map(|pod| pod.granted()).collect();
        self.fair = cpu.pods().map(|pod| pod.fair()).collect();
        grant(&view, &pool, &mut divided, &mut self.memory);
        for resize in towards_shares(pool.id, &divided, &mut Ledger::new(&view)) {
            let pod = self.pods.iter_mut().find(|pod| pod.pod.name == resize.pod).unwrap();
            pod.pod.containers[0].held.cpu.requested = resize.to;
            pod.resized = Some(self.second + RESIZE);
            pod.resizes += 1;
            self.resizes += 1;
        }
    }

    fn kernel(&mut self) {
        let second = self.second;
        let task = |pod: &SimPod| Task {
            qos: pod.pod.qos,
            request: pod.pod.containers[0].held.cpu.admitted as f64,
            wants: (pod.load)(second).min(self.node as f64),
            limit: pod.pod.containers[0].limit.cpu.map(|limit| limit as f64),
        };
        let mut tasks: Vec<Task> = self.pods.iter().map(task).collect();
        let node = self.node as f64;
        if let Some(service) = &mut self.service {
            tasks[0].wants = node;
            let could = schedule(&tasks, node, self.burstable)[0];
            // Each answer runs on one of two cores, beside half of what else runs.
            let others = tasks[1..].iter().filter(|task| task.wants > 0.0);
            let others = others.map(|task| task.request).sum::<f64>() / 2.0;
            let each = node / 2000.0 * tasks[0].request / (tasks[0].request + others);
            let did = service.run(second, could / 1000.0, each);
            tasks[0].wants = did.used * 1000.0;
            self.pods[0].waited += did.waited;
        }
        let got = schedule(&tasks, node, self.burstable);
        for ((pod, got), task) in self.pods.iter_mut().zip(got).zip(tasks) {
            pod.waited += if got < task.wants { 1.0 } else { 0.0 };
            pod.got += got;
            pod.since += got;
        }
    }
}
