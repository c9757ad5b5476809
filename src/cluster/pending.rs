//! Pods that the scheduler finds no room for, and which nodes they could run on.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use kube::core::{Selector, SelectorExt};

use crate::share::{PerResource, Resource};

/// What keeps a pod that has no node from having one, and what it asks of its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pending {
    /// No node has enough of it.
    pub lacks: PerResource<bool>,
    /// The labels that its node must have.
    selector: BTreeMap<String, String>,
    /// What its node must be like besides: one of these.
    terms: Vec<core::NodeSelectorTerm>,
    /// The taints that it tolerates.
    tolerations: Vec<core::Toleration>,
    /// The devices and huge pages that its node must have.
    needs: BTreeSet<String>,
}

/// What a node says of itself to pods that look for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// What keeps pods off it that do not tolerate it.
    taints: Vec<core::Taint>,
    /// The devices and huge pages that it has.
    offers: BTreeSet<String>,
}

impl Pending {
    /// Reads a pod. None where it has a node, or waits for anything else than CPU or memory.
    #[must_use]
    pub fn read(pod: &core::Pod) -> Option<Self> {
        let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
        if spec.node_name.as_ref().is_some_and(|node| !node.is_empty()) {
            return None;
        }
        let scheduled = status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled")?;
        if scheduled.status != "False" || scheduled.reason.as_deref() != Some("Unschedulable") {
            return None;
        }
        let message = scheduled.message.as_deref().unwrap_or_default();
        // What comes after that speaks of preemption.
        let message = message.split("preemption:").next().unwrap_or_default();
        let lacks = lacks(message);
        let affinity = spec.affinity.as_ref().and_then(|it| it.node_affinity.as_ref());
        let required =
            affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let terms = required.map(|it| it.node_selector_terms.clone()).unwrap_or_default();
        (lacks.cpu || lacks.memory).then(|| Self {
            lacks,
            selector: spec.node_selector.clone().unwrap_or_default(),
            terms,
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            needs: spec.containers.iter().flat_map(asks_besides).collect(),
        })
    }

    /// Whether its labels, affinity, tolerations and devices let it run on the node. How many devices are free, and what depends on
    /// other pods, on volumes or on ports, is not looked at.
    #[must_use]
    pub fn may_run_on(&self, name: &str, node: &Terms) -> bool {
        self.needs.is_subset(&node.offers)
            && self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && (self.terms.is_empty() || self.terms.iter().any(|term| meets(term, name, node)))
            && node.taints.iter().all(|taint| {
                taint.effect == "PreferNoSchedule"
                    || self.tolerations.iter().any(|toleration| tolerates(toleration, taint))
            })
    }
}

impl Terms {
    /// Reads a node.
    #[must_use]
    pub fn read(node: &core::Node) -> Self {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: taints.unwrap_or_default(),
            offers: allocatable.into_iter().flat_map(besides).collect(),
        }
    }

    /// Whether its labels match a selector.
    #[must_use]
    pub fn match_labels(&self, selector: &Selector) -> bool {
        selector.matches(&self.labels)
    }

    /// Whether its pods run on Windows.
    #[must_use]
    pub fn are_of_windows(&self) -> bool {
        self.labels.get("kubernetes.io/os").is_some_and(|os| os == "windows")
    }

    /// Whether KubeVirt would move a machine there.
    #[must_use]
    pub fn takes_machines(&self) -> bool {
        self.labels.get("kubevirt.io/schedulable").is_some_and(|it| it == "true")
            && self.taints.iter().all(|taint| taint.effect == "PreferNoSchedule")
    }
}

/// The resources that the scheduler reports as insufficient: "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient example.com/gpu."
/// None, if every node that lacks CPU or memory may lack another resource as well, because then room would not help.
fn lacks(message: &str) -> PerResource<bool> {
    let Some((nodes, reasons)) = message.split_once(" nodes are available: ") else {
        // Another scheduler, with words of its own.
        let says = |it: Resource| message.contains(&format!("Insufficient {it}"));
        return PerResource::from_fn(says);
    };
    let nodes: u64 = nodes.rsplit('/').next().and_then(|nodes| nodes.parse().ok()).unwrap_or(0);
    let counted = |reason: &str| {
        let (count, what) = reason.trim().trim_end_matches('.').split_once(' ')?;
        Some((count.parse::<u64>().ok()?, what.strip_prefix("Insufficient ").map(str::to_owned)))
    };
    let reasons: Vec<(u64, Option<String>)> = reasons.split(", ").filter_map(counted).collect();
    let of = |wanted: &str| {
        let mut all = reasons.iter().filter(|(_, what)| what.as_deref() == Some(wanted));
        all.next().map_or(0, |(count, _)| *count)
    };
    let short = PerResource::from_fn(|resource| of(resource.name()));
    let is_other = |what: &str| what != "cpu" && what != "memory";
    let others = reasons.iter().any(|(_, what)| what.as_deref().is_some_and(is_other));
    // The scheduler counts a node more than once only if it lacks several resources.
    let again = reasons.iter().map(|(count, _)| count).sum::<u64>().saturating_sub(nodes);
    if others && short.cpu.max(short.memory) <= again {
        return PerResource::default();
    }
    PerResource::from_fn(|resource| short[resource] > 0)
}

/// What a container asks for besides CPU and memory.
fn asks_besides(container: &core::Container) -> impl Iterator<Item = String> {
    let resources = container.resources.as_ref();
    let [requests, limits] = [
        resources.and_then(|it| it.requests.as_ref()),
        resources.and_then(|it| it.limits.as_ref()),
    ];
    requests.into_iter().chain(limits).flat_map(besides)
}

/// The devices and huge pages of some resources, as far as there are any.
fn besides(resources: &BTreeMap<String, Quantity>) -> impl Iterator<Item = String> {
    let is_besides = |name: &str| name.contains('/') || name.starts_with("hugepages-");
    let some = resources.iter().filter(move |(name, amount)| is_besides(name) && amount.0 != "0");
    some.map(|(name, _)| name.clone())
}

/// Whether a node is what a term of an affinity asks for. A term that asks for nothing is met by none.
fn meets(term: &core::NodeSelectorTerm, name: &str, node: &Terms) -> bool {
    let holds = |of: &core::NodeSelectorRequirement, value: Option<&str>| {
        let among = value.is_some_and(|value| of.values.iter().flatten().any(|it| it == value));
        match of.operator.as_str() {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" | "Lt" => {
                let bound = of.values.as_ref().and_then(|values| values.first());
                let numbers = value.zip(bound).map(|(is, bound)| (is.parse(), bound.parse()));
                let Some((Ok::<i64, _>(is), Ok::<i64, _>(bound))) = numbers else { return false };
                if of.operator == "Gt" { is > bound } else { is < bound }
            }
            _ => false,
        }
    };
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|it| holds(it, node.labels.get(&it.key).map(String::as_str)))
        && fields.iter().all(|it| holds(it, (it.key == "metadata.name").then_some(name)))
}

fn tolerates(toleration: &core::Toleration, taint: &core::Taint) -> bool {
    let same =
        |of: &Option<String>, is: &str| of.as_deref().is_none_or(|of| of.is_empty() || of == is);
    let value = toleration.operator.as_deref() == Some("Exists")
        || toleration.value.as_deref().unwrap_or_default()
            == taint.value.as_deref().unwrap_or_default();
    same(&toleration.key, &taint.key) && same(&toleration.effect, &taint.effect) && value
}
