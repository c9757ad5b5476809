//! What pools and trees say of themselves: their conditions and members, by their status. Pure.

use std::fmt::Write;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Resource as _,
    core::{DeserializeGuard, ObjectMeta},
};
use serde::Serialize;

use super::{age::age, member_rows, table::Table};
use crate::{
    api::{
        ClusterWeightedShare, ClusterWeightedShareStatus, Mode, Resources, WeightedShare,
        WeightedShareStatus,
    },
    share::Resource,
};

/// What a pool or a tree says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its namespace. None: it is a tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Whether its pods are resized. None: it is a tree, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How often its spec was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// What the controller reported. None: nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Said>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// The status of a pool or of a tree.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Said {
    /// Of a pool.
    Pool(Box<WeightedShareStatus>),
    /// Of a tree.
    Tree(Box<ClusterWeightedShareStatus>),
}

impl Report {
    /// What a pool says.
    #[must_use]
    pub fn of_pool(pool: &DeserializeGuard<WeightedShare>) -> Self {
        let read = pool.0.as_ref();
        let status = read.ok().and_then(|pool| pool.status.clone());
        Self {
            mode: read.ok().map(|pool| pool.spec.mode),
            status: status.map(|status| Said::Pool(Box::new(status))),
            unreadable: read.err().map(|invalid| invalid.error.to_string()),
            ..Self::named(pool.meta())
        }
    }

    /// What a tree says.
    #[must_use]
    pub fn of_tree(tree: &DeserializeGuard<ClusterWeightedShare>) -> Self {
        let read = tree.0.as_ref();
        let status = read.ok().and_then(|tree| tree.status.clone());
        Self {
            status: status.map(|status| Said::Tree(Box::new(status))),
            unreadable: read.err().map(|invalid| invalid.error.to_string()),
            ..Self::named(tree.meta())
        }
    }

    /// One that says nothing.
    fn named(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            mode: None,
            generation: metadata.generation,
            status: None,
            unreadable: None,
        }
    }
}

impl Said {
    fn observed_generation(&self) -> Option<i64> {
        match self {
            Self::Pool(status) => status.observed_generation,
            Self::Tree(status) => status.observed_generation,
        }
    }

    /// What there is, is held and is lent.
    fn amounts(&self) -> [(&'static str, &Resources); 3] {
        let (capacity, allocated, lent) = match self {
            Self::Pool(status) => (&status.capacity, &status.allocated, &status.lent),
            Self::Tree(status) => (&status.capacity, &status.allocated, &status.lent),
        };
        [("Capacity", capacity), ("Allocated", allocated), ("Lent", lent)]
    }

    fn conditions(&self) -> &[Condition] {
        match self {
            Self::Pool(status) => &status.conditions,
            Self::Tree(status) => &status.conditions,
        }
    }

    fn members(&self, headers: bool) -> String {
        match self {
            Self::Pool(status) => {
                let rows = member_rows::of_pool(status, headers);
                let mut text = section("Members", status.members.is_empty(), &rows);
                let lines = member_rows::recommendations(status);
                if !lines.is_empty() {
                    text += &section("Recommendations", false, &lines);
                }
                text
            }
            Self::Tree(status) => {
                let rows = member_rows::of_tree(status, headers);
                section("Members", status.members.is_empty(), &rows)
            }
        }
    }
}

/// What pools and trees say of themselves, for people. Column names are left out without `headers`.
#[must_use]
pub fn status(reports: &[Report], now: Timestamp, headers: bool) -> String {
    let told: Vec<String> = reports.iter().map(|it| describe(it, now, headers)).collect();
    match told.is_empty() {
        true => "No pools found.\n".to_owned(),
        false => told.join("\n"),
    }
}

/// The names of pools and trees, for other commands.
#[must_use]
pub fn names(reports: &[Report]) -> String {
    let line = |report: &Report| {
        let type_ = match report.namespace {
            Some(_) => "weightedshare.weightedshare.dev",
            None => "clusterweightedshare.weightedshare.dev",
        };
        format!("{type_}/{}\n", report.name)
    };
    reports.iter().map(line).collect()
}

fn describe(report: &Report, now: Timestamp, headers: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{:<12}{value}", format!("{name}:"));
    };
    line("Name", &report.name);
    if let Some(namespace) = &report.namespace {
        line("Namespace", namespace);
    }
    if let Some(mode) = report.mode {
        line("Mode", &format!("{mode:?}"));
    }
    if let Some(created) = report.created {
        line("Age", &age(created, now));
    }
    if let Some(why) = &report.unreadable {
        line("Error", &format!("it cannot be read, so it is not divided: {why}"));
        return text;
    }
    let Some(said) = &report.status else {
        line("Status", "Not divided yet. Is the controller running?");
        return text;
    };
    if said.observed_generation() < report.generation {
        line("Status", "The controller has not seen the last edit yet.");
    }
    for (name, amounts) in said.amounts() {
        if !amounts.is_empty() {
            line(name, &amounts_of(amounts));
        }
    }
    text += &conditions(said.conditions(), now, headers);
    text += &said.members(headers);
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

fn conditions(conditions: &[Condition], now: Timestamp, headers: bool) -> String {
    let mut rows = Table::of(headers, &["TYPE", "STATUS", "REASON", "AGE", "MESSAGE"]);
    for condition in conditions {
        rows.0.push(vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone(),
            age(condition.last_transition_time.0, now),
            condition.message.clone(),
        ]);
    }
    section("Conditions", conditions.is_empty(), &rows.print_left())
}

/// Lines under a title, set in by two columns.
fn section(title: &str, is_empty: bool, lines: &str) -> String {
    if is_empty {
        return format!("{title}: none\n");
    }
    lines.lines().fold(format!("{title}:\n"), |text, line| text + "  " + line + "\n")
}
