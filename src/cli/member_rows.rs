//! The members of a pool or a tree as rows, by its status. Pure.

use super::table::Table;
use crate::{
    api::{
        ClusterWeightedShareStatus, MemberStatus, Resources, TreeMemberStatus, WeightedShareStatus,
    },
    share::Resource,
};

/// The members of a pool.
pub(super) fn of_pool(status: &WeightedShareStatus, headers: bool) -> String {
    let resources = divided(&status.capacity);
    let counts = ["NAME", "WEIGHT", "PODS"];
    let head = head(&counts, &resources, &["DEMAND", "FAIR", "SHARE", "APPLIED"], "STATE");
    let mut rows = Table::of(headers, &head.iter().map(String::as_str).collect::<Vec<_>>());
    rows.0.extend(status.members.iter().map(|member| row_of_pool(member, &resources)));
    rows.print()
}

/// The members of a tree.
pub(super) fn of_tree(status: &ClusterWeightedShareStatus, headers: bool) -> String {
    let resources = divided(&status.capacity);
    let counts = ["NAME", "WEIGHT", "POOLS", "PODS"];
    let head = head(&counts, &resources, &["FAIR", "SHARE", "APPLIED"], "");
    let mut rows = Table::of(headers, &head.iter().map(String::as_str).collect::<Vec<_>>());
    rows.0.extend(status.members.iter().map(|member| row_of_tree(member, &resources)));
    rows.print()
}

/// What is recommended for virtual machines, a line for each.
pub(super) fn recommendations(status: &WeightedShareStatus) -> String {
    let recommendations = status.members.iter().flat_map(|member| &member.recommendations);
    recommendations
        .map(|it| format!("VirtualMachine {}: {}\n", it.virtual_machine, it.message))
        .collect()
}

fn divided(capacity: &Resources) -> Vec<Resource> {
    Resource::ALL.into_iter().filter(|&it| capacity.get(it).is_some()).collect()
}

/// The names of columns: the counts, the amounts of each resource, and what ends a row.
fn head(counts: &[&str], resources: &[Resource], amounts: &[&str], state: &str) -> Vec<String> {
    let mut head: Vec<String> = counts.iter().map(|&name| name.to_owned()).collect();
    for resource in resources {
        let of = format!("{}: ", resource.name().to_uppercase());
        let prefixes = std::iter::once(of.as_str()).chain(std::iter::repeat(""));
        head.extend(amounts.iter().zip(prefixes).map(|(name, prefix)| format!("{prefix}{name}")));
    }
    let rest = [state, "MESSAGE"].into_iter().filter(|name| !name.is_empty());
    head.extend(rest.map(str::to_owned));
    head
}

fn row_of_pool(member: &MemberStatus, resources: &[Resource]) -> Vec<String> {
    let weight = member.dynamic_weight.as_ref().map_or(member.weight, |it| it.weight);
    let mut row = vec![member.name.clone(), weight.to_string(), member.pods.to_string()];
    let MemberStatus { demand, fair, share, applied, .. } = member;
    row.extend(cells(resources, &[demand, fair, share, applied]));
    row.push(member.state.map_or("-".to_owned(), |state| format!("{state:?}")));
    row.push(told(&member.reason, &member.message));
    row
}

fn row_of_tree(member: &TreeMemberStatus, resources: &[Resource]) -> Vec<String> {
    let TreeMemberStatus { name, effective_weight, pools, pods, .. } = member;
    let mut row =
        vec![name.clone(), effective_weight.to_string(), pools.to_string(), pods.to_string()];
    row.extend(cells(resources, &[&member.fair, &member.share, &member.applied]));
    row.push(told(&member.reason, &member.message));
    row
}

fn cells(resources: &[Resource], amounts: &[&Resources]) -> Vec<String> {
    let cell = |resource: Resource, amounts: &Resources| {
        amounts.get(resource).map_or("-".to_owned(), |amount| resource.readable(amount))
    };
    resources.iter().flat_map(|&it| amounts.iter().map(move |amounts| cell(it, amounts))).collect()
}

/// A reason with its message.
fn told(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}
