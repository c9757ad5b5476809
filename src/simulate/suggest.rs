//! A pool for a namespace, worked out from what its pods used: a manifest in mode Observe, with the reason for each number. Pure.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    trace::{Trace, TracedPod},
    world::Likes,
};
use crate::{
    api::label_name,
    cluster::{Cluster, Owner},
    share::{Bytes, MilliCpu, PerResource, Resource},
};

/// Over what was used together at most, for what the past has not seen, in percent.
const HEADROOM: u64 = 20;
/// The part of the time in which the pool has that much room, in percent: the rest is shared by weight.
const MOSTLY: u64 = 99;
/// A member's weight is what it used in its busiest twentieth of the time.
const BUSY: u64 = 95;
/// The weights of all members sum to about so much.
const WEIGHTS: u64 = 1000;
/// Amounts are rounded up to whole ones of these.
const WHOLE: PerResource<u64> = PerResource { cpu: 100, memory: 64 << 20 };

/// Pods that are to be one member.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Group {
    Workload(Owner),
    Label(String, String),
}

/// What the pods of a member requested and used together, step by step, in units of the resource.
#[derive(Clone, Debug, Default)]
struct Use {
    pods: usize,
    requested: PerResource<u64>,
    used: PerResource<Vec<u64>>,
}

/// The manifest of a pool for a namespace.
///
/// # Errors
/// When there are no pods of it in the trace, or it cannot be told which belong together.
pub fn suggest(cluster: &Cluster, trace: &Trace, namespace: &str) -> Result<String, String> {
    let likes = Likes::of(cluster);
    let mut groups: BTreeMap<Group, Use> = BTreeMap::new();
    let (mut there, mut alone) = (0, Vec::new());
    for traced in trace.pods.iter().filter(|pod| pod.namespace == namespace) {
        there += 1;
        match group(cluster, &likes, traced) {
            Some(group) => {
                add(groups.entry(group).or_default(), cluster, &likes, traced, trace.steps)
            }
            None => alone.push(traced.name.as_str()),
        }
    }
    if there == 0 {
        let names: std::collections::BTreeSet<&str> =
            trace.pods.iter().map(|pod| pod.namespace.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(format!(
            "the recording has no pods in namespace {namespace}; there are pods in: {names}"
        ));
    }
    if groups.is_empty() {
        return Err(format!(
            "none of the {there} pods of namespace {namespace} has a controller or a label app, so they cannot be grouped into members"
        ));
    }
    Ok(manifest(namespace, &groups, trace, &alone))
}

/// Which pods a pod belongs to.
fn group(cluster: &Cluster, likes: &Likes, traced: &TracedPod) -> Option<Group> {
    if let Some(pod) = likes.of_pod(cluster, traced) {
        let top = cluster.workloads_above(pod).last();
        if let Some(owner) = top.filter(|owner| api_version(&owner.kind).is_some()) {
            return Some(Group::Workload(owner.clone()));
        }
        return label(&pod.labels);
    }
    label(&traced.facts.labels)
}

fn label(labels: &BTreeMap<String, String>) -> Option<Group> {
    let known = ["app.kubernetes.io/name", "app", "k8s-app"];
    known.iter().find_map(|key| Some(Group::Label((*key).to_owned(), labels.get(*key)?.clone())))
}

fn api_version(kind: &str) -> Option<&'static str> {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => Some("apps/v1"),
        "Job" => Some("batch/v1"),
        "VirtualMachine" | "VirtualMachineInstance" | "VirtualMachineInstanceReplicaSet" => {
            Some("kubevirt.io/v1")
        }
        _ => None,
    }
}

fn add(group: &mut Use, cluster: &Cluster, likes: &Likes, traced: &TracedPod, steps: usize) {
    group.pods += 1;
    let pod = likes.of_pod(cluster, traced);
    for resource in Resource::ALL {
        let used = &mut group.used[resource];
        used.resize(steps, 0);
        for (place, sample) in traced.samples.iter().enumerate() {
            let amount = match resource {
                Resource::Cpu => sample.cpu(),
                Resource::Memory => sample.memory(),
            };
            used[traced.from + place] += amount.unwrap_or_default();
        }
        let requested = pod.map(|pod| pod.charge(resource)).or(traced.facts.requests[resource]);
        group.requested[resource] += requested.unwrap_or_default();
    }
}

fn manifest(
    namespace: &str,
    groups: &BTreeMap<Group, Use>,
    trace: &Trace,
    alone: &[&str],
) -> String {
    let hours = trace.steps as f64 * f64::from(trace.step) / 3600.0;
    let mut text = format!(
        "# Proposed from what the pods of namespace {namespace} used in {hours:.1} hours.\n"
    );
    if !alone.is_empty() {
        let _ = writeln!(
            text,
            "# Left out, because nothing shows what they belong to: {}.",
            alone.iter().take(5).copied().collect::<Vec<_>>().join(", ")
        );
    }
    let _ = write!(
        text,
        "apiVersion: weightedshare.dev/v1alpha1\nkind: WeightedShare\nmetadata:\n  name: {namespace}\n  namespace: {namespace}\n\
         spec:\n  # Nothing is changed: the status shows what would be. Remove this line when you like what you see.\n  mode: Observe\n  capacity:\n"
    );
    for resource in Resource::ALL {
        text += &capacity(groups, resource);
    }
    text += "  members:\n";
    let busy: Vec<u64> =
        groups.values().map(|group| percentile(&group.used.cpu, BUSY).max(1)).collect();
    let all: u64 = busy.iter().sum();
    for ((group, used), busy) in groups.iter().zip(busy) {
        let weight = (busy * WEIGHTS).div_ceil(all.max(1)).max(1);
        let used_mostly = MilliCpu(percentile(&used.used.cpu, 50));
        let _ = write!(
            text,
            "  # Pods: {}. The 95th percentile of the CPU that they used together is {}, the median {used_mostly}. The weight is their part of\n  \
             # the sum of all members' 95th percentiles, in thousandths.\n  - name: {}\n    weight: {weight}\n",
            used.pods,
            MilliCpu(busy),
            group.member(),
        );
        text += &group.selects();
    }
    text
}

/// What the pool is to have of a resource. Nothing where it was not measured.
fn capacity(groups: &BTreeMap<Group, Use>, resource: Resource) -> String {
    let steps = groups.values().map(|group| group.used[resource].len()).max().unwrap_or(0);
    let mut together = vec![0u64; steps];
    for group in groups.values() {
        together.iter_mut().zip(&group.used[resource]).for_each(|(sum, used)| *sum += used);
    }
    let most = together.iter().copied().max().unwrap_or(0);
    let mostly = percentile(&together, MOSTLY);
    if most == 0 {
        return String::new();
    }
    // Memory that is in use is not taken away, so the most counts; CPU is shared by weight while there is too little.
    let counts = PerResource { cpu: mostly, memory: most }[resource];
    let amount = (counts + counts * HEADROOM / 100).next_multiple_of(WHOLE[resource]);
    let requested: u64 = groups.values().map(|group| group.requested[resource]).sum();
    let quantity = |amount| match resource {
        Resource::Cpu => MilliCpu(amount).to_string(),
        Resource::Memory => Bytes(amount).to_string(),
    };
    let reason = match resource {
        Resource::Cpu => {
            format!("they used at most {} in {MOSTLY} % of the time", quantity(mostly))
        }
        Resource::Memory => format!("they used at most {}", quantity(most)),
    };
    format!(
        "    # Together {reason}; this is {HEADROOM} % more. They request {}.\n    {resource}: {}\n",
        quantity(requested),
        quantity(amount)
    )
}

impl Group {
    fn member(&self) -> String {
        let (Self::Workload(Owner { name, .. }) | Self::Label(_, name)) = self;
        // A text, whatever it looks like.
        format!("{:?}", label_name(name))
    }

    fn selects(&self) -> String {
        match self {
            Self::Workload(owner) => format!(
                "    targetRef: {{apiVersion: {}, kind: {}, name: {:?}}}\n",
                api_version(&owner.kind).unwrap_or_default(),
                owner.kind,
                owner.name
            ),
            Self::Label(key, value) => {
                format!("    selector: {{matchLabels: {{{key:?}: {value:?}}}}}\n")
            }
        }
    }
}

/// The amount that so many percent of these are not over.
fn percentile(amounts: &[u64], percent: u64) -> u64 {
    let mut sorted = amounts.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() as u64 * percent).div_ceil(100).saturating_sub(1);
    usize::try_from(place).ok().and_then(|place| sorted.get(place)).copied().unwrap_or(0)
}
