//! What the ResourceQuotas of a namespace allow.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::ResourceExt;

use super::{
    Pod, Qos,
    amount::{amount_of, bound_of},
};
use crate::share::{PerResource, Resource};

/// The name of the ResourceQuotas that the controller writes for namespaces of a tree.
pub const ENFORCED_QUOTA: &str = "weightedshare";

/// A quota on what pods request, or on their limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// The ClusterWeightedShare for which the controller wrote it. None: it is not ours.
    pub of_tree: Option<String>,
    /// Which pods it counts: those that all of these match.
    pub scopes: Vec<Scope>,
    /// On requests, in units of the resource.
    pub requests: PerResource<Option<Bounded>>,
    /// On limits, in units of the resource.
    pub limits: PerResource<Option<Bounded>>,
}

/// An amount that a quota bounds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bounded {
    /// The most that there may be in all.
    pub hard: u64,
    /// What there is by now, as its status says. It may lag.
    pub used: u64,
}

/// Which pods a quota counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Those of the class BestEffort (or, false, all others).
    BestEffort(bool),
    /// Those that have a deadline (or, false, all others).
    Terminating(bool),
    /// Those whose priority class is one of these (or, false, is not).
    PriorityClass(Vec<String>, bool),
    /// Those that have a priority class (or, false, have none).
    AnyPriorityClass(bool),
}

impl Quota {
    /// Reads a quota. None where it bounds neither CPU nor memory.
    #[must_use]
    pub fn read(quota: &core::ResourceQuota) -> Option<Self> {
        let status = quota.status.as_ref();
        let spec = quota.spec.as_ref();
        // What is enforced is what the status has; in a file there is none.
        let hard = status.and_then(|it| it.hard.as_ref()).or(spec.and_then(|it| it.hard.as_ref()));
        let used = status.and_then(|it| it.used.as_ref());
        let bounded = |names: &dyn Fn(Resource) -> Vec<String>| {
            PerResource::from_fn(|resource| {
                let least = |of: Option<&BTreeMap<String, Quantity>>| {
                    names(resource).iter().filter_map(|name| bound_of(of, name, resource)).min()
                };
                let most = names(resource);
                let most = most.iter().filter_map(|name| amount_of(used, name, resource)).max();
                Some(Bounded { hard: least(hard)?, used: most.unwrap_or_default() })
            })
        };
        let read = Self {
            name: quota.name_any(),
            of_tree: of_tree(quota),
            scopes: spec.map(scopes).unwrap_or_default(),
            requests: bounded(&|it| vec![it.name().to_owned(), format!("requests.{it}")]),
            limits: bounded(&|it| vec![format!("limits.{it}")]),
        };
        let bounds = |of: PerResource<Option<Bounded>>| of.cpu.or(of.memory).is_some();
        (bounds(read.requests) || bounds(read.limits)).then_some(read)
    }

    /// Whether the pod counts, of those of the quota's namespace.
    #[must_use]
    pub fn counts(&self, pod: &Pod) -> bool {
        let class = pod.priority_class.as_ref();
        self.scopes.iter().all(|scope| match scope {
            Scope::BestEffort(is) => (pod.qos == Qos::BestEffort) == *is,
            Scope::Terminating(is) => pod.deadline == *is,
            Scope::PriorityClass(names, is) => {
                class.is_some_and(|class| names.contains(class)) == *is
            }
            Scope::AnyPriorityClass(is) => class.is_some() == *is,
        })
    }

    /// Whether a refusal of the API server says that this quota has no room for more of the resource: `exceeded quota:
    /// NAME, requested: requests.cpu=1, used: requests.cpu=4, limited: requests.cpu=4`.
    #[must_use]
    pub fn refused(&self, message: &str, resource: Resource) -> bool {
        let mut said = message.split("exceeded quota: ").skip(1);
        said.any(|said| {
            let Some((name, rest)) = said.split_once(", requested: ") else { return false };
            let requested = rest.split(", used: ").next().unwrap_or_default();
            let asks = |item: &str| {
                let item = item.split('=').next().unwrap_or_default();
                item.strip_prefix("requests.").unwrap_or(item) == resource.name()
            };
            name == self.name && requested.split(',').any(asks)
        })
    }
}

/// The ClusterWeightedShare that owns one of our quotas.
fn of_tree(quota: &core::ResourceQuota) -> Option<String> {
    let is_tree = |owner: &&OwnerReference| {
        owner.kind == "ClusterWeightedShare" && owner.api_version.starts_with("weightedshare.dev/")
    };
    let owner = quota.owner_references().iter().find(is_tree)?;
    (quota.name_any() == ENFORCED_QUOTA).then(|| owner.name.clone())
}

/// The scopes that are understood; of any other, every pod is taken to count.
fn scopes(spec: &core::ResourceQuotaSpec) -> Vec<Scope> {
    let named = |name: &str| match name {
        "BestEffort" => Some(Scope::BestEffort(true)),
        "NotBestEffort" => Some(Scope::BestEffort(false)),
        "Terminating" => Some(Scope::Terminating(true)),
        "NotTerminating" => Some(Scope::Terminating(false)),
        "PriorityClass" => Some(Scope::AnyPriorityClass(true)),
        _ => None,
    };
    let selected = |of: &core::ScopedResourceSelectorRequirement| {
        let names = || of.values.clone().unwrap_or_default();
        match (of.scope_name.as_str(), of.operator.as_str()) {
            ("PriorityClass", "In") => Some(Scope::PriorityClass(names(), true)),
            ("PriorityClass", "NotIn") => Some(Scope::PriorityClass(names(), false)),
            ("PriorityClass", "DoesNotExist") => Some(Scope::AnyPriorityClass(false)),
            (name, _) => named(name),
        }
    };
    let plain = spec.scopes.iter().flatten().filter_map(|name| named(name));
    let selector = spec.scope_selector.iter().flat_map(|it| it.match_expressions.iter().flatten());
    plain.chain(selector.filter_map(selected)).collect()
}
