//! The page of a plan: trees and pools as the controller would show them, without a past. Pure.

use kube::ResourceExt;
use maud::{Markup, html};

use super::{
    trees::card,
    view::{Kind, amounts, bar, divided, legend, members, of, page},
};
use crate::{
    api::{ClusterWeightedShare, MemberStatus, WeightedShare, WeightedShareStatus, condition},
    engine::Used,
    share::Resource,
};

/// A pool with the status that the controller would give it.
#[derive(Debug)]
pub struct PlannedPool {
    /// The pool. One without a status is left out of the page.
    pub pool: WeightedShare,
    /// What its members use, in the order of the status.
    pub used: Vec<Used>,
}

/// One page of all trees and pools, in HTML: it is whole in one file, and does not ask again.
#[must_use]
pub fn plan_page(trees: &[ClusterWeightedShare], pools: &[PlannedPool]) -> String {
    let main = html! {
        header { "A plan: what the controller would decide." }
        @if !trees.is_empty() {
            h2 { "Trees" }
            @for tree in trees { (card(tree)) }
        }
        @if pools.is_empty() { p { "There are no pools." } }
        @for planned in pools {
            @if let Some(status) = &planned.pool.status { (pool(planned, status)) }
        }
    };
    page("Plan", Kind::Plan, &main).into_string()
}

fn pool(PlannedPool { pool, used }: &PlannedPool, status: &WeightedShareStatus) -> Markup {
    // The members say what would be resized.
    let moving = [condition::READY, condition::RECONCILING];
    let news = status.conditions.iter().filter(|it| !moving.contains(&it.type_.as_str()));
    html! {
        h1 { (pool.namespace().unwrap_or_default()) "/" (pool.name_any()) }
        @for condition in news.filter(|it| condition::is_news(it)) {
            p.news { (condition.reason) ": " (condition.message) }
        }
        @for resource in divided(status) {
            h2 { "Planned shares of " (resource) }
            (sums(status, resource))
            (bar(status, resource))
            (legend(status, resource))
        }
        (members(pool, status, |i, resource| {
            of_member(status, &status.members[i], used.get(i), resource)
        }))
    }
}

/// What the pods hold, and would hold, in all.
fn sums(status: &WeightedShareStatus, resource: Resource) -> Markup {
    let planned: u64 = status.members.iter().map(|member| of(&member.share, resource)).sum();
    let amount = |amount| resource.readable(amount);
    html! {
        div.amounts {
            span { (resource) ": pods would hold " (amount(planned)) " of " (amount(of(&status.capacity, resource))) }
            span { "they hold " (amount(of(&status.allocated, resource))) " now" }
            @if of(&status.lent, resource) > 0 { span { (amount(of(&status.lent, resource))) " would be lent" } }
        }
    }
}

/// A bar of one resource of a member. The bars of all members have one scale.
fn of_member(
    status: &WeightedShareStatus,
    member: &MemberStatus,
    used: Option<&Used>,
    resource: Resource,
) -> Markup {
    let used = used.and_then(|used| used[resource]);
    let most = |member: &MemberStatus| of(&member.share, resource).max(of(&member.fair, resource));
    let most = status.members.iter().map(most).max().unwrap_or(0).max(1) as f64;
    let percent = |amount: u64| format!("{:.2}%", (100.0 * amount as f64 / most).min(100.0));
    let width = format!("width:{}", percent(of(&member.share, resource)));
    let left = |amount| format!("left:{}", percent(amount));
    html! {
        (amounts(member, used, resource))
        div.bar.level role="img" aria-label=(format!("{resource} of {}", member.name)) {
            span.share style=(width) {}
            i.fair style=(left(of(&member.fair, resource))) {}
            @if let Some(used) = used { i.used style=(left(used)) {} }
        }
    }
}
