//! What pools say of themselves: their conditions and members, by their status. Pure.

use std::fmt::Write;

use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, core::DeserializeGuard};
use serde::Serialize;

use super::{age::age, table::Table};
use crate::{
    api::{MemberStatus, Mode, Resources, WeightedShare, WeightedShareStatus},
    share::Resource,
};

/// What a pool says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct PoolReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Whether its pods are resized. None: it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How often its spec was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// What the controller reported. None: nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<WeightedShareStatus>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl PoolReport {
    /// What the pool says.
    #[must_use]
    pub fn of(pool: &DeserializeGuard<WeightedShare>) -> Self {
        let metadata = pool.meta();
        let read = pool.0.as_ref();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            generation: metadata.generation,
            mode: read.ok().map(|pool| pool.spec.mode),
            status: read.ok().and_then(|pool| pool.status.clone()),
            unreadable: read.err().map(|invalid| invalid.error.to_string()),
        }
    }
}

/// What pools say of themselves, for people. Column names are left out without `headers`.
#[must_use]
pub fn status(pools: &[PoolReport], now: Timestamp, headers: bool) -> String {
    let pools: Vec<String> = pools.iter().map(|pool| describe(pool, now, headers)).collect();
    match pools.is_empty() {
        true => "No pools found.\n".to_owned(),
        false => pools.join("\n"),
    }
}

/// The names of pools, for other commands.
#[must_use]
pub fn names(pools: &[PoolReport]) -> String {
    pools.iter().map(|pool| format!("weightedshare.weightedshare.dev/{}\n", pool.name)).collect()
}

fn describe(pool: &PoolReport, now: Timestamp, headers: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{:<12}{value}", format!("{name}:"));
    };
    line("Name", &pool.name);
    line("Namespace", &pool.namespace);
    if let Some(mode) = pool.mode {
        line("Mode", &format!("{mode:?}"));
    }
    if let Some(created) = pool.created {
        line("Age", &age(created, now));
    }
    if let Some(why) = &pool.unreadable {
        line("Error", &format!("it cannot be read, so it is not divided: {why}"));
        return text;
    }
    let Some(status) = &pool.status else {
        line("Status", "Not divided yet. Is the controller running?");
        return text;
    };
    if status.observed_generation < pool.generation {
        line("Status", "The controller has not seen the last edit yet.");
    }
    for (name, amounts) in
        [("Capacity", &status.capacity), ("Allocated", &status.allocated), ("Lent", &status.lent)]
    {
        if !amounts.is_empty() {
            line(name, &amounts_of(amounts));
        }
    }
    text += &conditions(status, now, headers);
    text += &members(status, headers);
    text
}

/// Amounts in a line: `cpu 6, memory 12Gi`.
fn amounts_of(amounts: &Resources) -> String {
    let named = Resource::ALL.into_iter().filter_map(|resource| {
        let amount = amounts.get(resource)?;
        Some(format!("{resource} {}", resource.readable(amount)))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn conditions(status: &WeightedShareStatus, now: Timestamp, headers: bool) -> String {
    let mut rows = Table::of(headers, &["TYPE", "STATUS", "REASON", "AGE", "MESSAGE"]);
    for condition in &status.conditions {
        rows.0.push(vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone(),
            age(condition.last_transition_time.0, now),
            condition.message.clone(),
        ]);
    }
    section("Conditions", status.conditions.is_empty(), &rows.print_left())
}

fn members(status: &WeightedShareStatus, headers: bool) -> String {
    let resources: Vec<Resource> =
        Resource::ALL.into_iter().filter(|&it| status.capacity.get(it).is_some()).collect();
    let mut head = vec!["NAME".to_owned(), "WEIGHT".to_owned(), "PODS".to_owned()];
    for resource in &resources {
        let name = resource.name().to_uppercase();
        head.push(format!("{name}: DEMAND"));
        head.extend(["FAIR", "SHARE", "APPLIED"].map(str::to_owned));
    }
    head.extend(["STATE", "MESSAGE"].map(str::to_owned));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut rows = Table::of(headers, &head);
    rows.0.extend(status.members.iter().map(|member| member_row(member, &resources)));
    let mut text = section("Members", status.members.is_empty(), &rows.print());
    let recommendations = status.members.iter().flat_map(|member| &member.recommendations);
    let lines: String = recommendations
        .map(|it| format!("VirtualMachine {}: {}\n", it.virtual_machine, it.message))
        .collect();
    if !lines.is_empty() {
        text += &section("Recommendations", false, &lines);
    }
    text
}

fn member_row(member: &MemberStatus, resources: &[Resource]) -> Vec<String> {
    let weight = member.dynamic_weight.as_ref().map_or(member.weight, |it| it.weight);
    let mut row = vec![member.name.clone(), weight.to_string(), member.pods.to_string()];
    for &resource in resources {
        let amounts = [&member.demand, &member.fair, &member.share, &member.applied];
        row.extend(amounts.map(|amounts| {
            amounts.get(resource).map_or("-".to_owned(), |amount| resource.readable(amount))
        }));
    }
    row.push(member.state.map_or("-".to_owned(), |state| format!("{state:?}")));
    row.push(match (member.reason.as_str(), member.message.as_str()) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    });
    row
}

/// Lines under a title, set in by two columns.
fn section(title: &str, is_empty: bool, lines: &str) -> String {
    if is_empty {
        return format!("{title}: none\n");
    }
    lines.lines().fold(format!("{title}:\n"), |text, line| text + "  " + line + "\n")
}
