//! What pods and nodes use, and what pods wait for, as cAdvisor in the kubelet and KubeVirt tell Prometheus.

use std::{
    array,
    collections::{BTreeMap, HashMap},
};

use futures::{StreamExt, future::BoxFuture, stream};
use k8s_openapi::jiff::Timestamp;
use prometheus_http_query::response::{Data, InstantVector};
use tracing::warn;

use super::{
    PrometheusOptions,
    client::{Client, QueryError},
};
use crate::{
    metrics::{NodeReading, Objective, PodReading, Readings, Source, SourceError},
    share::{PerResource, Resource},
};

/// The biggest answer: some 200,000 pods.
const ANSWER: usize = 64 << 20;

/// Containers of pods.
const PODS: &str = r#"pod!="",container!="",container!="POD""#;
/// The kubelet tells of containers at /metrics/cadvisor and at /metrics/resource, and some ask for both.
const ONCE: &str = "max by (namespace, pod, container)";

/// Our questions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Question {
    /// Cores that a pod uses.
    Cpu,
    /// Bytes that a pod uses.
    Memory,
    /// When the CPU of a pod was measured. (The time of an answer is that of the question.)
    CpuTime,
    /// When the memory of a pod was measured.
    MemoryTime,
    /// The part of its periods in which a container's limit stopped it: the largest of a pod.
    Throttled,
    /// The part of the time that a container's tasks waited for a processor: the largest of a pod. All zero on cgroup v1.
    Pressure,
    /// Cores that a virtual machine uses.
    MachineCpu,
    /// The part of the time that a vCPU was ready and did not run: the largest of a virtual machine.
    MachineDelay,
    /// The part of its memory that the guest of a virtual machine uses: what it cannot free.
    MachineMemory,
    /// Cores that a node uses.
    NodeCpu,
    /// Bytes that a node uses.
    NodeMemory,
    /// When a node was measured.
    NodeTime,
}

impl Question {
    const COUNT: usize = 12;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Cpu,
        Self::Memory,
        Self::CpuTime,
        Self::MemoryTime,
        Self::Throttled,
        Self::Pressure,
        Self::MachineCpu,
        Self::MachineDelay,
        Self::MachineMemory,
        Self::NodeCpu,
        Self::NodeMemory,
        Self::NodeTime,
    ];

    /// In PromQL. Between the last two samples, as a mean of minutes would hide who wakes; two minutes hold two where
    /// Prometheus scrapes every minute.
    pub(super) fn promql(self) -> String {
        let pods = PODS;
        match self {
            Self::Cpu => cpu_of_pods("irate", "2m"),
            Self::Memory => {
                format!(
                    "sum by (namespace, pod) ({ONCE} (container_memory_working_set_bytes{{{pods}}}))"
                )
            }
            Self::CpuTime => format!(
                "max by (namespace, pod) (timestamp(container_cpu_usage_seconds_total{{{pods}}}))"
            ),
            Self::MemoryTime => format!(
                "max by (namespace, pod) (timestamp(container_memory_working_set_bytes{{{pods}}}))"
            ),
            Self::Throttled => format!(
                "max by (namespace, pod) (irate(container_cpu_cfs_throttled_periods_total{{{pods}}}[2m]) \
                 / irate(container_cpu_cfs_periods_total{{{pods}}}[2m]))"
            ),
            Self::Pressure => format!(
                "max by (namespace, pod) (irate(container_pressure_cpu_waiting_seconds_total{{{pods}}}[2m]))"
            ),
            Self::MachineCpu => {
                "sum by (namespace, name) (irate(kubevirt_vmi_cpu_usage_seconds_total[2m]))"
                    .to_owned()
            }
            Self::MachineDelay => {
                "max by (namespace, name) (irate(kubevirt_vmi_vcpu_delay_seconds_total[2m]))"
                    .to_owned()
            }
            Self::MachineMemory => "max by (namespace, name) \
                 (1 - kubevirt_vmi_memory_usable_bytes / kubevirt_vmi_memory_available_bytes)"
                .to_owned(),
            Self::NodeCpu => of_nodes("sum", |cpu, _, only| format!("irate({cpu}{only}[2m])")),
            Self::NodeMemory => of_nodes("sum", |_, memory, only| format!("{memory}{only}")),
            Self::NodeTime => of_nodes("max", |cpu, _, only| format!("timestamp({cpu}{only})")),
        }
    }
}

/// What pods used, for a range of the past: the mean of each step, as that stands for all of it. Two minutes hold two samples where
/// Prometheus scrapes every minute.
pub(super) fn recorded_promql(resource: Resource, step: u32) -> String {
    match resource {
        Resource::Cpu => cpu_of_pods("rate", &format!("{}s", step.max(120))),
        Resource::Memory => Question::Memory.promql(),
    }
}

/// Cores that pods use, by a function over a range.
fn cpu_of_pods(rate: &str, range: &str) -> String {
    format!(
        "sum by (namespace, pod) ({ONCE} ({rate}(container_cpu_usage_seconds_total{{{PODS}}}[{range}])))"
    )
}

/// A question about each node: as cAdvisor tells, and where that says nothing of nodes, as it does where the kubelet asks its
/// runtime, as the kubelet's `/metrics/resource` tells. Made of the names of their metrics of CPU and memory, and their labels.
fn of_nodes(aggregate: &str, question: impl Fn(&str, &str, &str) -> String) -> String {
    let by = format!("{aggregate} by (node, instance)");
    let cadvisor = question(
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        r#"{id="/"}"#,
    );
    let kubelet = question("node_cpu_usage_seconds_total", "node_memory_working_set_bytes", "");
    format!("{by} ({cadvisor}) or {by} ({kubelet})")
}

/// The answers, in the order of the questions. An empty one where Prometheus knows no such metric.
#[derive(Clone, Debug)]
pub(super) struct Answers([Vec<InstantVector>; Question::COUNT]);

impl Default for Answers {
    fn default() -> Self {
        Self(array::from_fn(|_| Vec::new()))
    }
}

impl Answers {
    pub(super) fn put(&mut self, question: Question, answer: Vec<InstantVector>) {
        self.0[question as usize] = answer;
    }

    /// The finite values by two labels.
    fn by(&self, question: Question, labels: [&str; 2]) -> impl Iterator<Item = (Key, f64)> {
        by(&self.0[question as usize], labels)
    }

    /// Nodes by the label `node`, or by the host that was scraped.
    fn nodes(&self, question: Question) -> BTreeMap<String, f64> {
        let named = self.by(question, ["node", "instance"]).map(|((node, instance), value)| {
            let host = instance.rsplit_once(':').map_or(&*instance, |(host, _)| host);
            (if node.is_empty() { host.to_owned() } else { node }, value)
        });
        named.filter(|(name, _)| !name.is_empty()).collect()
    }

    /// What they say together.
    pub(super) fn readings(&self) -> Readings {
        let pods = self.pods();
        let (cpu, memory) = (self.nodes(Question::NodeCpu), self.nodes(Question::NodeMemory));
        let nodes = self.nodes(Question::NodeTime).into_iter().filter_map(|(name, at)| {
            let used = PerResource {
                cpu: nanocores(*cpu.get(&name)?),
                memory: bytes(*memory.get(&name)?),
            };
            Some(NodeReading { at: timestamp(at)?, used, name })
        });
        Readings { pods, nodes: nodes.collect(), objectives: Vec::new() }
    }

    fn pods(&self) -> Vec<PodReading> {
        let mut pods: BTreeMap<Key, (Option<f64>, PodReading)> = BTreeMap::new();
        for question in [Question::CpuTime, Question::MemoryTime] {
            for (key, at) in self.by(question, POD) {
                let (oldest, _) = pods.entry(key).or_default();
                *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            }
        }
        for (key, cores) in self.by(Question::Cpu, POD) {
            pods.entry(key).or_default().1.used.cpu = Some(nanocores(cores));
        }
        for (key, amount) in self.by(Question::Memory, POD) {
            pods.entry(key).or_default().1.used.memory = Some(bytes(amount));
        }
        let throttled = self.by(Question::Throttled, POD);
        let pressure: Vec<_> = self.by(Question::Pressure, POD).collect();
        // A kernel that does not measure it says 0 of all.
        let measured = pressure.iter().any(|(_, part)| *part > 0.0);
        for (key, part) in throttled.chain(pressure.into_iter().filter(|_| measured)) {
            wait(&mut pods.entry(key).or_default().1, thousandths(part));
        }
        let launchers = launchers(pods.keys());
        let mut machine = |machine: &Key, note: &dyn Fn(&mut PodReading)| {
            // Two pods while it migrates: whose it is, is not said.
            if let Some([pod]) = launchers.get(machine).map(Vec::as_slice)
                && let Some((_, reading)) = pods.get_mut(pod)
            {
                note(reading);
            }
        };
        for (key, cores) in self.by(Question::MachineCpu, MACHINE) {
            machine(&key, &|it| it.used.cpu = it.used.cpu.or(Some(nanocores(cores))));
        }
        for (key, waiting) in machines_waiting(&self.0[Question::MachineDelay as usize]) {
            machine(&key, &|it| wait(it, waiting));
        }
        for (key, part) in self.by(Question::MachineMemory, MACHINE) {
            machine(&key, &|it| it.guest = Some(thousandths(part)));
        }
        let timed = pods.into_iter().filter_map(|((namespace, name), (at, reading))| {
            Some(PodReading { namespace, name, at: timestamp(at?)?, ..reading })
        });
        timed.collect()
    }
}

/// A namespace and a name.
type Key = (String, String);
const POD: [&str; 2] = ["namespace", "pod"];
const MACHINE: [&str; 2] = ["namespace", "name"];

fn by(answer: &[InstantVector], labels: [&str; 2]) -> impl Iterator<Item = (Key, f64)> {
    let values = answer.iter().map(move |series| {
        let label = |name| series.metric().get(name).cloned().unwrap_or_default();
        ((label(labels[0]), label(labels[1])), series.sample().value())
    });
    // No period, or no time: 0 / 0.
    values.filter(|(_, value)| value.is_finite())
}

/// How long virtual machines waited for a processor, in thousandths of the time, by namespace and name: of series with
/// the labels `namespace` and `name`, each the part of the time of one vCPU or of the vCPU that waited longest.
#[must_use]
pub fn machines_waiting(series: &[InstantVector]) -> BTreeMap<(String, String), u16> {
    let mut waiting: BTreeMap<Key, u16> = BTreeMap::new();
    for (machine, part) in by(series, MACHINE) {
        let longest = waiting.entry(machine).or_default();
        *longest = thousandths(part).max(*longest);
    }
    waiting
}

/// The pods of virtual machines: `virt-launcher-NAME-` and five letters.
fn launchers<'p>(pods: impl Iterator<Item = &'p Key>) -> HashMap<Key, Vec<Key>> {
    let mut launchers: HashMap<Key, Vec<Key>> = HashMap::new();
    for pod @ (namespace, name) in pods {
        let stem = name.strip_prefix("virt-launcher-").and_then(|rest| rest.rsplit_once('-'));
        if let Some((machine, _)) = stem.filter(|(_, end)| end.len() == 5) {
            let machine = (namespace.clone(), machine.to_owned());
            launchers.entry(machine).or_default().push(pod.clone());
        }
    }
    launchers
}

fn wait(reading: &mut PodReading, waiting: u16) {
    reading.waiting = reading.waiting.max(Some(waiting));
}

fn nanocores(cores: f64) -> u64 {
    (cores * 1e9).round() as u64
}

fn bytes(amount: f64) -> u64 {
    amount.round() as u64
}

fn thousandths(part: f64) -> u16 {
    (part * 1000.0).round().clamp(0.0, 1000.0) as u16
}

pub(super) fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

/// What pods and nodes use, and what pods wait for, of the whole cluster.
pub struct ResourceSignals {
    client: Client,
}

impl ResourceSignals {
    /// Of that Prometheus. Nothing is asked yet.
    ///
    /// # Errors
    /// When the options cannot be used.
    pub fn new(options: &PrometheusOptions) -> Result<Self, SourceError> {
        Ok(Self { client: Client::new(options)? })
    }

    async fn look(&self) -> Result<Readings, SourceError> {
        let look = self.client.look().await?;
        let ask = async |question: Question| (question, look.ask(&question.promql(), ANSWER).await);
        let mut asked = stream::iter(Question::ALL).map(ask).buffer_unordered(4);
        let (mut answers, mut failure, mut failures) = (Answers::default(), None, 0);
        while let Some((question, answer)) = asked.next().await {
            match answer {
                Ok(Data::Vector(series)) => answers.put(question, series),
                other => {
                    let strange = || QueryError::Strange("the answer is not a vector".to_owned());
                    let error = other.err().unwrap_or_else(strange);
                    warn!(?question, %error, "a query to Prometheus failed");
                    failures += 1;
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if failures == Question::COUNT => {
                Err(SourceError::Failed(error.to_string()))
            }
            _ => Ok(answers.readings()),
        }
    }
}

impl Source for ResourceSignals {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn read<'a>(&'a self, _: &'a [Objective]) -> BoxFuture<'a, Result<Readings, SourceError>> {
        Box::pin(self.look())
    }
}
