//! A plan as a table for people. Pure.

use std::fmt::Write;

use super::{
    loans::names,
    plan::{Each, MemberPlan, Plan, PodPlan, PoolPlan, ResourcePlan},
    tree_plan::{Fault, TreePlan},
};
use crate::{
    api::{MemberState, Mode},
    share::Resource,
};

/// Columns that are aligned, by the widest cell of each.
pub(super) struct Table(pub Vec<Vec<String>>);

/// The plan as text: for each pool its members, for each member its pods, with what they hold and would hold.
/// Column names are left out without `headers`.
#[must_use]
pub fn table(plan: &Plan, headers: bool) -> String {
    if plan.pools.is_empty() && plan.trees.is_empty() {
        return "No pools found.\n".to_owned();
    }
    let trees = plan.trees.iter().map(|it| tree(it, headers));
    let pools = plan.pools.iter().map(|it| pool(it, headers));
    trees.chain(pools).collect::<Vec<_>>().join("\n")
}

fn tree(tree: &TreePlan, headers: bool) -> String {
    let mut text = format!("Tree {}", tree.name);
    if let Some(parent) = &tree.parent {
        let _ = write!(text, " (in {parent})");
    }
    if let Some(Fault { reason, message }) = &tree.fault {
        let _ = writeln!(text, "  {reason}: {message}");
        return text;
    }
    text += &sums(&tree.resources);
    text += "\n\n";
    let resources = divided(&tree.resources);
    let mut rows = Table(headers.then(|| tree_head(&resources)).into_iter().collect());
    rows.0.extend(tree.members.iter().map(|member| {
        let mut row =
            vec![member.name.clone(), member.effective_weight.to_string(), member.pods.to_string()];
        for &resource in &resources {
            let amounts = member.amounts.get(resource);
            let shown = |amount: Option<u64>| {
                amount.map_or("-".to_owned(), |amount| resource.readable(amount))
            };
            row.push(shown(amounts.map(|it| it.fair)));
            row.push(shown(member.applied.get(resource)));
            row.push(shown(amounts.map(|it| it.share)));
        }
        row.push(member.message.clone());
        row
    }));
    text + &rows.print()
}

fn tree_head(resources: &[Resource]) -> Vec<String> {
    let mut head = vec!["MEMBER".to_owned(), "WEIGHT".to_owned(), "PODS".to_owned()];
    for resource in resources {
        let name = resource.name().to_uppercase();
        head.extend([format!("{name}: FAIR"), "NOW".to_owned(), "PLAN".to_owned()]);
    }
    head.push("REMARK".to_owned());
    head
}

/// The resources that are divided.
fn divided(resources: &Each<ResourcePlan>) -> Vec<Resource> {
    Resource::ALL.into_iter().filter(|&it| resources.get(it).is_some()).collect()
}

/// What would be held of each resource, of how much.
fn sums(resources: &Each<ResourcePlan>) -> String {
    let mut text = String::new();
    for resource in divided(resources) {
        let Some(plan) = resources.get(resource) else { continue };
        let amount = |amount| resource.readable(amount);
        let over = if plan.overcommitted { ", overcommitted" } else { "" };
        let (allocated, capacity) = (amount(plan.allocated), amount(plan.capacity));
        let _ = write!(text, "  {resource} {allocated} of {capacity}{over}");
    }
    text
}

fn pool(pool: &PoolPlan, headers: bool) -> String {
    let resources = divided(&pool.resources);
    let mut text = format!("Pool {}/{}", pool.namespace, pool.name);
    text += &sums(&pool.resources);
    if pool.mode == Mode::Observe {
        text += "  (mode Observe: nothing is changed)";
    }
    text += "\n\n";

    let mut rows = Table(headers.then(|| head(&resources)).into_iter().collect());
    for member in &pool.members {
        rows.0.push(member_row(pool, member, &resources));
        let pods = pool.pods.iter().filter(|pod| pod.member == member.name);
        rows.0.extend(pods.map(|pod| pod_row(pod, member, &resources)));
    }
    text += &rows.print();
    if let Some(coarse) = &pool.coarse_weights {
        let _ = writeln!(text, "\n{coarse}");
    }
    text
}

fn head(resources: &[Resource]) -> Vec<String> {
    let mut head = vec!["MEMBER / POD".to_owned(), "WEIGHT".to_owned()];
    for resource in resources {
        let name = resource.name().to_uppercase();
        head.extend(["USE", "FAIR", "NOW", "PLAN"].map(|column| match column {
            "USE" => format!("{name}: DEMAND"),
            column => column.to_owned(),
        }));
    }
    head.push("REMARK".to_owned());
    head
}

fn member_row(pool: &PoolPlan, member: &MemberPlan, resources: &[Resource]) -> Vec<String> {
    let mut row = vec![member.name.clone(), member.weight.to_string()];
    for &resource in resources {
        let quantity = |amount| resource.readable(amount);
        let amounts = member.amounts.get(resource);
        let pods = pool.pods.iter().filter(|pod| pod.member == member.name);
        let now = pods.filter_map(|pod| pod.amounts.get(resource)).map(|step| step.from).sum();
        row.push(amounts.and_then(|it| it.demand).map_or("-".to_owned(), quantity));
        row.push(amounts.map_or("-".to_owned(), |it| quantity(it.fair)));
        row.push(quantity(now));
        row.push(amounts.map_or("-".to_owned(), |it| quantity(it.share)));
    }
    row.push(remark(member, resources));
    row
}

/// What is lent, to whom, and what stands in the way.
fn remark(member: &MemberPlan, resources: &[Resource]) -> String {
    let mut remarks = Vec::new();
    for &resource in resources {
        for (verb, side, with) in
            [("lends", "to", &member.lends), ("borrows", "from", &member.borrows)]
        {
            let Some(loan) = with.get(resource) else { continue };
            let amount = resource.readable(loan.amount);
            let names = names(&loan.members);
            remarks.push(format!("{verb} {amount} of {resource} {side} {names}"));
        }
    }
    for &resource in resources {
        if let Some((amount, remedy)) = member.unplaceable.get(resource) {
            let amount = resource.readable(*amount);
            remarks.push(format!("no room for {amount} more {resource}: {remedy}"));
        }
    }
    let told = member.state == MemberState::Resizing || member.reason == "NodeFull";
    if !told && !member.message.is_empty() {
        remarks.push(format!("{}: {}", member.reason, member.message));
    }
    remarks.join("; ")
}

fn pod_row(pod: &PodPlan, member: &MemberPlan, resources: &[Resource]) -> Vec<String> {
    let mut row = vec![format!("  {}", pod.name), String::new()];
    for &resource in resources {
        let Some(step) = pod.amounts.get(resource) else { continue };
        let plan = match step.from == step.to {
            true => "=".to_owned(),
            false => resource.readable(step.to),
        };
        row.extend([String::new(), String::new(), resource.readable(step.from), plan]);
    }
    let on = pod.node.as_ref().map_or("on no node yet".to_owned(), |node| format!("on {node}"));
    row.push(match pod.kept.as_ref().filter(|kept| kept.reason != member.reason) {
        Some(kept) => format!("{on}; {}: {}.", kept.reason, kept.message),
        None => on,
    });
    row
}

impl Table {
    /// A table with the names of its columns, or without them.
    pub fn of(headers: bool, columns: &[&str]) -> Self {
        let head = columns.iter().map(|&column| column.to_owned()).collect();
        Self(if headers { vec![head] } else { Vec::new() })
    }

    /// The first and the last column stand to the left, and the amounts between them to the right.
    pub fn print(&self) -> String {
        self.print_aligned(|column| column == 0)
    }

    /// All columns stand to the left.
    pub fn print_left(&self) -> String {
        self.print_aligned(|_| true)
    }

    fn print_aligned(&self, is_left: impl Fn(usize) -> bool) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.0 {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let between = if i == 0 { "" } else { "  " };
                let _ = match is_left(i) || i + 1 == columns {
                    true if i + 1 == columns => write!(line, "{between}{cell}"),
                    true => write!(line, "{between}{cell:<width$}"),
                    false => write!(line, "{between}{cell:>width$}"),
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}
