//! What new pods start with: what one more pod of each member would own, laid out so that the API server finds a pod's
//! member by looking up the pod's labels and owner. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{
    View, division_input::DivisionInput, exclusions::autoscaled, grants::Memory, membership::owner,
    pool_members::PoolMembers, shares::Shares,
};
use crate::{
    api::{ContainerMode, Member, Mode, Resources, Start, StartProfileSpec},
    cluster::{Limits, Namespace},
    share::{Divider, PerResource, Resource},
};

/// What every pod is found by.
const ANY: &str = "*";

/// With what new pods of a pool start: for each member, as what they started with is written on its pods. The amounts are empty
/// where nothing is lowered: where the pool is too small for any more pods, or an autoscaler follows them. Nothing in the mode Observe.
///
/// What a weight that is worked out moves is told no sooner than what the pods are granted: while nothing is
/// `decided`, the amounts of `before` stand.
#[must_use]
pub fn new_pods(
    view: &View,
    pool: &Rc<PoolMembers>,
    divided: &Shares,
    grants: &Memory,
    before: Option<&StartProfileSpec>,
    decided: bool,
) -> StartProfileSpec {
    if pool.object.spec.mode == Mode::Observe {
        return StartProfileSpec::default();
    }
    let requests = requests(view, pool, divided, grants);
    let members = &pool.object.spec.members;
    let entries: Vec<(&Member, Resources, Vec<Way>)> = members
        .iter()
        .zip(requests)
        .map(|(member, request)| (member, request, ways(member)))
        .collect();
    let mut common: BTreeMap<&str, usize> = BTreeMap::new();
    for key in entries.iter().flat_map(|(_, _, ways)| ways).flat_map(|way| &way.keys) {
        *common.entry(key).or_default() += 1;
    }
    // Few share a key, so that few are compared.
    let crowd = |way: &Way| way.keys.iter().map(|key| common[key.as_str()]).max();
    let mut starts: BTreeMap<String, Vec<Start>> = BTreeMap::new();
    for (member, request, ways) in &entries {
        let rarest = ways.iter().min_by_key(|way| (crowd(way), &way.keys));
        for (way, key) in
            rarest.into_iter().flat_map(|way| way.keys.iter().map(move |key| (way, key)))
        {
            starts.entry(key.clone()).or_default().push(Start {
                member: member.name.clone(),
                selector: way.rest.clone(),
                request: *request,
                fixed: fixed(member),
            });
        }
    }
    let now = StartProfileSpec {
        starts,
        container_min: container_min(limits(view, pool)),
        virtual_machines: view
            .cluster
            .namespace(&pool.id.namespace)
            .is_some_and(Namespace::runs_machines),
    };
    let drifts = !decided && members.iter().any(|member| member.dynamic_weight.is_some());
    before.filter(|before| drifts && same_but_amounts(before, &now)).cloned().unwrap_or(now)
}

/// What one more pod of each member asks for at most, in the order of the spec.
fn requests(
    view: &View,
    pool: &Rc<PoolMembers>,
    divided: &Shares,
    grants: &Memory,
) -> Vec<Resources> {
    let limits = limits(view, pool);
    let mut divider = Divider::default();
    let owned = PerResource::from_fn(|resource| {
        let capacity = divided[resource].as_ref()?.capacity;
        // A lower request could break the ratio that limits are to keep to it, and the pod would be refused.
        if limits.container[resource].ratio.or(limits.pod[resource].ratio).is_some() {
            return None;
        }
        let (input, claims) = DivisionInput::new(view, pool, resource, capacity, grants);
        Some(input.one_more(&claims, &mut divider))
    });
    let of = |i: usize| {
        PerResource::from_fn(|resource: Resource| {
            owned[resource].as_ref()?[i].filter(|_| !is_autoscaled(view, pool, i, resource))
        })
    };
    (0..pool.members.len()).map(|i| of(i).into()).collect()
}

/// Whether a resource of a member is left to an autoscaler. Lowered, each new pod would be smaller than the last.
fn is_autoscaled(view: &View, pool: &PoolMembers, member: usize, resource: Resource) -> bool {
    let Some(namespace) = view.cluster.namespace(&pool.id.namespace) else { return false };
    let member = &pool.members[member];
    let target = member.spec.target_ref.as_ref().map(|it| owner(it, &pool.id.namespace));
    let above = || member.pods.iter().flat_map(|it| view.cluster.workloads_above(it.pod));
    autoscaled(namespace, || target.iter().chain(above()), resource).is_some()
}

/// The containers with `mode: Off` in a member.
fn fixed(member: &Member) -> Vec<String> {
    let off = member.containers.iter().filter(|it| it.mode == ContainerMode::Off);
    off.map(|it| it.name.clone()).collect()
}

fn limits(view: &View, pool: &PoolMembers) -> Limits {
    view.cluster.limits(&pool.id.namespace)
}

fn container_min(limits: Limits) -> Resources {
    let least = |resource| Some(limits.container[resource].min).filter(|&min| min > 0);
    PerResource::from_fn(least).into()
}

/// One way to find the pods of a member: any of `keys`, and what the rest of its selector asks for.
struct Way {
    keys: BTreeSet<String>,
    rest: Option<LabelSelector>,
}

/// The ways to find the pods of a member. None for a member that names no pods.
fn ways(member: &Member) -> Vec<Way> {
    if let Some(target) = &member.target_ref {
        let keys = [format!("{}/{}", target.kind, target.name)].into();
        return vec![Way { keys, rest: None }];
    }
    let Some(selector) = &member.selector else { return Vec::new() };
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| {
        let mut rest = selector.clone();
        rest.match_labels.iter_mut().for_each(|labels| drop(labels.remove(key)));
        Way { keys: [label(key, value)].into(), rest: something(rest) }
    });
    let requirements = selector.match_expressions.iter().flatten().enumerate();
    let values = requirements.filter(|(_, it)| it.operator == "In").map(|(i, requirement)| {
        let LabelSelectorRequirement { key, values, .. } = requirement;
        let mut rest = selector.clone();
        rest.match_expressions.iter_mut().for_each(|all| drop(all.remove(i)));
        let keys = values.iter().flatten().map(|value| label(key, value)).collect();
        Way { keys, rest: something(rest) }
    });
    let ways: Vec<Way> = labels.chain(values).collect();
    match ways.is_empty() {
        true => vec![Way { keys: [ANY.to_owned()].into(), rest: something(selector.clone()) }],
        false => ways,
    }
}

fn label(key: &str, value: &str) -> String {
    format!("{key}={value}")
}

/// A selector that asks for something.
fn something(selector: LabelSelector) -> Option<LabelSelector> {
    let labels = selector.match_labels.filter(|labels| !labels.is_empty());
    let requirements = selector.match_expressions.filter(|all| !all.is_empty());
    let asks = labels.is_some() || requirements.is_some();
    asks.then_some(LabelSelector { match_labels: labels, match_expressions: requirements })
}

/// Whether they differ in amounts of starts alone.
fn same_but_amounts(before: &StartProfileSpec, now: &StartProfileSpec) -> bool {
    let bare = |new_pods: &StartProfileSpec| {
        let mut bare = new_pods.clone();
        let starts = bare.starts.values_mut().flatten();
        // Which resources it names counts, too.
        starts.for_each(|start| {
            let named = |resource| start.request.get(resource).map(|_| 0);
            start.request = PerResource::from_fn(named).into();
        });
        bare
    };
    bare(before) == bare(now)
}
