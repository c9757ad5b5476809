//! Pods whose part of a busy node the steps of `cpu.weight` move away from their shares. Pure.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use super::{
    View,
    shares::{Divided, PodShare},
};
use crate::{
    cluster::{Obstacle, Pod, Qos},
    share::{BasisPoints, MilliCpu, Resource, Sibling, Split, splits},
};

/// How far the kernel's split may be from the shares before the pool says so: 2 % of the node.
const TOLERANCE: BasisPoints = BasisPoints(200);

/// A pod that the kernel would give more or less than its share, by more than 2 % of its node.
#[derive(Clone, Copy, Debug)]
pub struct CoarseWeight<'d> {
    /// The pod.
    pub pod: &'d Pod,
    node: &'d str,
    split: Split,
    error: BasisPoints,
}

/// The pods of a pool's CPU whose split by `cpu.weight` is more than 2 % of their node away from their shares, the furthest
/// first.
///
/// Weights compare siblings: the pool's Burstable pods on a node, and its Guaranteed pods there. No part of it is measured,
/// so it only moves with a decision, a limit, or the allocatable CPU of a node. A node that is not known has no such pods.
#[must_use]
pub fn coarse_weights<'d>(divided: &'d Divided, view: &View) -> Vec<CoarseWeight<'d>> {
    let mut found: Vec<CoarseWeight> = siblings(divided)
        .into_iter()
        .flat_map(|((node, _), pods)| {
            let known = view.cluster.node(node).map(|node| node.allocatable.cpu);
            let allocatable = known.filter(|&milli| milli > 0 && pods.len() > 1).map(MilliCpu);
            allocatable.into_iter().flat_map(move |allocatable| of_node(node, &pods, allocatable))
        })
        .filter(|coarse| coarse.error > TOLERANCE)
        .collect();
    found.sort_by_key(|coarse| (Reverse(coarse.error), coarse.node, &coarse.pod.name));
    found
}

/// The pods that the kernel weighs against each other, by their node and whether they are Guaranteed.
fn siblings<'d, 'a>(divided: &'d Divided<'a>) -> BTreeMap<(&'d str, bool), Vec<&'d PodShare<'a>>> {
    let mut siblings: BTreeMap<(&str, bool), Vec<&PodShare>> = BTreeMap::new();
    for pod in divided.pods() {
        let Some(node) = &pod.pod.node else { continue };
        let weighed = pod.pod.qos != Qos::BestEffort && pod.pod.obstacle != Some(Obstacle::Windows);
        if weighed {
            let guaranteed = pod.pod.qos == Qos::Guaranteed;
            siblings.entry((node, guaranteed)).or_default().push(pod);
        }
    }
    siblings
}

fn of_node<'d>(
    node: &'d str,
    pods: &[&'d PodShare],
    allocatable: MilliCpu,
) -> Vec<CoarseWeight<'d>> {
    let siblings: Vec<Sibling> = pods
        .iter()
        .map(|pod| Sibling { share: MilliCpu(pod.granted()), limit: limit(pod).map(MilliCpu) })
        .collect();
    let splits = splits(&siblings, allocatable);
    let coarse = |(pod, split): (&&'d PodShare, Split)| CoarseWeight {
        pod: pod.pod,
        node,
        split,
        error: split.error(allocatable),
    };
    pods.iter().zip(splits).map(coarse).collect()
}

/// The most CPU that a pod can use once it holds its share, in millicores. None: without bound, or not known.
fn limit(pod: &PodShare) -> Option<u64> {
    if pod.pod.qos == Qos::Guaranteed {
        return Some(pod.granted());
    }
    let holding = &pod.holding;
    if holding.init.iter().any(|init| init.sidecar) {
        return None;
    }
    let moved = holding.limits(&holding.split(pod.granted()));
    let limits = pod.pod.parts(Resource::Cpu).iter().zip(moved);
    let limits = limits.map(|(container, moved)| moved.or(container.limit.cpu));
    limits.sum::<Option<u64>>().map(|limits| limits.saturating_add(holding.overhead))
}

impl CoarseWeight<'_> {
    /// What a pool says of all such pods: the sentence about the first, and how many more there are.
    #[must_use]
    pub fn summary(coarse: &[Self]) -> Option<String> {
        let (first, more) = coarse.split_first()?;
        Some(first.sentence(more.len()))
    }

    fn sentence(&self, more: usize) -> String {
        let Self { pod, node, split, error } = self;
        let others = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let [gets, share] = [split.by_cpu_weight, split.by_share].map(|it| it.rounded());
        format!(
            "If node {node} uses cgroup v2, its kernel gives pod {}{others} {gets} of CPU instead of its share of {share} \
             while the node is busy (the difference is {error} of the node), because cpu.weight moves in steps of 25.6m. \
             Raise the capacity or run fewer pods on the node, so that each share is larger.",
            pod.name,
        )
    }
}

impl fmt::Display for CoarseWeight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(0))
    }
}
