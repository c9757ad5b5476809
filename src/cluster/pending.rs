//! Pods that the scheduler finds no room for, and which nodes they could run on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use crate::share::PerResource;

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
}

/// What a node says of itself to pods that look for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// What keeps pods off it that do not tolerate it.
    taints: Vec<core::Taint>,
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
        let lacks =
            PerResource::from_fn(|resource| message.contains(&format!("Insufficient {resource}")));
        let affinity = spec.affinity.as_ref().and_then(|it| it.node_affinity.as_ref());
        let required =
            affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let terms = required.map(|it| it.node_selector_terms.clone()).unwrap_or_default();
        (lacks.cpu || lacks.memory).then(|| Self {
            lacks,
            selector: spec.node_selector.clone().unwrap_or_default(),
            terms,
            tolerations: spec.tolerations.clone().unwrap_or_default(),
        })
    }

    /// Whether its labels, affinity and tolerations let it run on the node. What depends on other pods, on volumes or on
    /// ports is not looked at.
    #[must_use]
    pub fn may_run_on(&self, name: &str, node: &Terms) -> bool {
        self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
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
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: taints.unwrap_or_default(),
        }
    }

    /// Whether KubeVirt would move a machine there.
    #[must_use]
    pub fn takes_machines(&self) -> bool {
        self.labels.get("kubevirt.io/schedulable").is_some_and(|it| it == "true")
            && self.taints.iter().all(|taint| taint.effect == "PreferNoSchedule")
    }
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
