//! The page in HTML. Pure.

use std::sync::Arc;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{Timestamp, Unit},
};
use kube::ResourceExt;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    chart::{Drawn, Line, Time, chart, stack},
    past::{Past, Point, SPAN},
    trees,
    why::why,
};
use crate::{
    api::{
        ClusterWeightedShare, MemberState, MemberStatus, Resources, WeightedShare,
        WeightedShareStatus, condition,
    },
    share::Resource,
};

const STYLE: &str = include_str!("style.css");
/// How often a browser looks again, in seconds.
const AGAIN: u8 = 10;
/// A chart that has just begun is not all empty, in seconds.
const SHORTEST: i64 = 600;
/// How many colours there are: the last one is for all others together.
const COLOURS: usize = 8;

/// What a page shows.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The state of a running controller, and when that was; a browser asks for it again.
    Live(Option<Timestamp>),
    /// A plan, which does not change.
    Plan,
    /// What came of a replay.
    Replay,
}

/// A whole page.
pub(super) fn page(title: &str, kind: Kind, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Kind::Live(_) = kind { meta http-equiv="refresh" content=(AGAIN); }
                title { (title) " · WeightedShare" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (main) }
                footer {
                    "weightedshare " (env!("CARGO_PKG_VERSION"))
                    @match kind {
                        Kind::Live(None) => {},
                        Kind::Live(Some(at)) => { " · as of " (seconds(at)) ", refreshed every " (AGAIN) " s" },
                        Kind::Plan => " · a plan: nothing was changed",
                        Kind::Replay => " · a replay on a model of the kernel: nothing was changed",
                    }
                }
            }
        }
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn seconds(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

/// What a process shows that does not lead.
pub fn stands_by() -> Markup {
    page(
        "Standby",
        Kind::Live(None),
        &html! {
            h1 { "This replica is on standby" }
            p { "Only the leader shows the pools: the pod that holds the Lease weighted-share." }
        },
    )
}

/// There is no such pool.
pub fn no_pool(namespace: &str, name: &str) -> Markup {
    page(
        "No such pool",
        Kind::Live(None),
        &html! {
            header { a href="../../" { "All pools" } }
            h1 { "There is no pool " (namespace) "/" (name) }
        },
    )
}

/// All trees and pools.
pub fn overview(
    trees: &[Arc<ClusterWeightedShare>],
    pools: &[WeightedShare],
    now: Timestamp,
) -> Markup {
    page(
        "Pools",
        Kind::Live(Some(now)),
        &html! {
            @if !trees.is_empty() { h1 { "Trees" } }
            @for tree in trees { (trees::card(tree)) }
            h1 { "Pools" }
            @if pools.is_empty() { p { "There are no pools yet. Create one with kubectl apply." } }
            @for pool in pools {
                @let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
                a.card href=(format!("pools/{namespace}/{name}")) {
                    div.row {
                        h3 { (namespace) "/" (name) }
                        span.soft { (counted(pool.spec.members.len(), "member")) }
                    }
                    @match &pool.status {
                        None => p.news { "Not divided yet." },
                        Some(status) => {
                            p { (conditions(&status.conditions)) }
                            @for resource in divided(status) {
                                (held(&Held::of(status), resource))
                                (bar(status, resource))
                            }
                        }
                    }
                }
            }
        },
    )
}

/// One pool.
pub fn pool(pool: &WeightedShare, past: &Past, now: Timestamp) -> Markup {
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    let title = format!("{namespace}/{name}");
    let Some(status) = &pool.status else {
        return page(
            &title,
            Kind::Live(Some(now)),
            &html! {
                header { a href="../../" { "All pools" } }
                h1 { (title) }
                p.news { "Not divided yet." }
            },
        );
    };
    let uid = pool.uid().unwrap_or_default();
    let past: Vec<Vec<Point>> =
        status.members.iter().map(|member| past.of(&uid, &member.name, now)).collect();
    let time = time(&past, now.as_second());
    page(
        &title,
        Kind::Live(Some(now)),
        &html! {
            header { a href="../../" { "All pools" } }
            h1 { (title) }
            p { (conditions(&status.conditions)) }
            @for condition in status.conditions.iter().filter(|it| condition::is_news(it)) {
                p.news { (condition.reason) ": " (condition.message) }
            }
            @for resource in divided(status) {
                h2 { "Shares of " (resource) }
                (held(&Held::of(status), resource))
                (together(status, &past, resource, time))
                (legend(status, resource))
            }
            (members(pool, status, |i, resource| {
                of_member(&status.members[i], &past[i], resource, time)
            }))
        },
    )
}

/// A card for each member. `draw` draws one resource of the member with this index.
pub(super) fn members(
    pool: &WeightedShare,
    status: &WeightedShareStatus,
    draw: impl Fn(usize, Resource) -> Markup,
) -> Markup {
    html! {
        h2 { "Members" }
        p.key {
            span { i.share {} "granted" }
            span { i.used {} "used" }
            span { i.fair {} "owned" }
        }
        @for (i, member) in status.members.iter().enumerate() {
            (card(pool, status, member, |resource| draw(i, resource)))
        }
    }
}

/// As far back as anything is known.
fn time(past: &[Vec<Point>], to: i64) -> Time {
    let first = past.iter().filter_map(|past| past.first()).map(|point| point.at).min();
    let from = first.unwrap_or(to).clamp(to - SPAN, to - SHORTEST);
    Time { from, to }
}

/// What the capacity names.
pub(super) fn divided(status: &WeightedShareStatus) -> impl Iterator<Item = Resource> {
    Resource::ALL.into_iter().filter(|&it| status.capacity.get(it).is_some())
}

pub(super) fn of(amounts: &Resources, resource: Resource) -> u64 {
    amounts.get(resource).unwrap_or_default()
}

/// Whether it is ready, and what else is news.
pub(super) fn conditions(all: &[Condition]) -> Markup {
    let ready = all.iter().find(|it| it.type_ == condition::READY);
    html! {
        @match ready {
            Some(ready) if ready.status == "True" => "Ready",
            Some(_) => span.news { "Not ready" },
            None => "",
        }
        @for other in all.iter().filter(|it| condition::is_news(it) && it.type_ != condition::READY) {
            " · " span.news { (other.type_) }
        }
    }
}

/// What the pods of a pool, or of a tree, hold.
pub(super) struct Held<'s> {
    pub capacity: &'s Resources,
    pub allocated: &'s Resources,
    pub lent: &'s Resources,
}

impl<'s> Held<'s> {
    fn of(status: &'s WeightedShareStatus) -> Self {
        let WeightedShareStatus { capacity, allocated, lent, .. } = status;
        Self { capacity, allocated, lent }
    }
}

pub(super) fn held(held: &Held, resource: Resource) -> Markup {
    let amount = |amounts: &Resources| resource.readable(of(amounts, resource));
    html! {
        div.amounts {
            span { (resource) ": pods hold " (amount(held.allocated)) " of " (amount(held.capacity)) }
            @if of(held.lent, resource) > 0 { span { (amount(held.lent)) " of that is lent" } }
        }
    }
}

/// The colour of the member at this place. All after the last colour share that one.
fn colour(place: usize) -> String {
    format!("c{}", place.min(COLOURS - 1))
}

pub(super) fn bar(status: &WeightedShareStatus, resource: Resource) -> Markup {
    let members = status.members.iter().map(|it| (&*it.name, of(&it.share, resource)));
    bar_of(of(&status.capacity, resource), members, resource)
}

/// What each member is granted of a capacity.
pub(super) fn bar_of<'s>(
    capacity: u64,
    members: impl Iterator<Item = (&'s str, u64)>,
    resource: Resource,
) -> Markup {
    let width = |share: u64| 100.0 * share as f64 / capacity.max(1) as f64;
    html! {
        div.bar {
            @for (i, (name, share)) in members.enumerate() {
                @let says = format!("{name} {}", resource.readable(share));
                span class=(colour(i)) style=(format!("width:{:.2}%", width(share))) title=(says) {}
            }
        }
    }
}

/// The shares of all members on top of each other, up to the capacity.
fn together(
    status: &WeightedShareStatus,
    past: &[Vec<Point>],
    resource: Resource,
    time: Time,
) -> Markup {
    let lines: Vec<Line> = past
        .iter()
        .map(|past| past.iter().map(|it| (it.at, it.share[resource])).collect())
        .collect();
    // The lowest is drawn last, over the others.
    let stacked = stack(&lines).into_iter().enumerate();
    let drawn: Vec<Drawn> =
        stacked.map(|(i, line)| Drawn { class: colour(i), filled: true, line }).collect();
    let drawn: Vec<Drawn> = drawn.into_iter().rev().collect();
    let capacity = of(&status.capacity, resource);
    let label = format!("shares of {resource}, up to {}", resource.readable(capacity));
    html! {
        (chart(&drawn, capacity as f32, time, &label))
        div.hour {
            span { ((time.to - time.from) / 60) " minutes ago" }
            span { "full height: " (resource.readable(capacity)) }
            span { "now" }
        }
    }
}

/// The colour, the name and the share of each member.
pub(super) fn legend(status: &WeightedShareStatus, resource: Resource) -> Markup {
    html! {
        p.key {
            @for (i, member) in status.members.iter().take(COLOURS).enumerate() {
                span {
                    i class=(format!("c{i}")) {}
                    @match status.members.len() > COLOURS && i == COLOURS - 1 {
                        true => { (status.members.len() - i) " others" },
                        false => { (member.name) " " (resource.readable(of(&member.share, resource))) },
                    }
                }
            }
        }
    }
}

fn card(
    pool: &WeightedShare,
    status: &WeightedShareStatus,
    member: &MemberStatus,
    draw: impl Fn(Resource) -> Markup,
) -> Markup {
    let state = member.state.map(|state| format!("{state:?}")).unwrap_or_default();
    let class = match member.state {
        Some(MemberState::Deferred | MemberState::Infeasible) => "bad",
        Some(MemberState::Skipped | MemberState::Resizing) => "news",
        Some(MemberState::Settled) | None => "soft",
    };
    let reason = Some(&member.reason).filter(|reason| !reason.is_empty() && **reason != state);
    html! {
        section.card {
            div.row {
                h3 { (member.name) }
                span class=(class) { (state) @if let Some(reason) = reason { " · " (reason) } }
            }
            p.soft { "weight " (member.effective_weight) " · " (counted(member.pods as usize, "pod")) }
            @for resource in divided(status) { (draw(resource)) }
            ul { @for sentence in why(pool, member) { li { (sentence) } } }
        }
    }
}

fn of_member(member: &MemberStatus, past: &[Point], resource: Resource, time: Time) -> Markup {
    let line = |of: fn(&Point) -> &crate::share::PerResource<f32>| -> Line {
        past.iter().map(|point| (point.at, of(point)[resource])).collect()
    };
    let lines = [
        Drawn { class: "share".to_owned(), filled: true, line: line(|it| &it.share) },
        Drawn { class: "fair".to_owned(), filled: false, line: line(|it| &it.fair) },
        Drawn { class: "used".to_owned(), filled: false, line: line(|it| &it.used) },
    ];
    let most = lines.iter().flat_map(|it| &it.line).map(|(_, amount)| *amount).fold(0.0, f32::max);
    let used = past.last().map(|it| it.used[resource]).filter(|used| !used.is_nan());
    let label = format!("{resource} of {}", member.name);
    html! {
        // No amount is negative, and none is too large.
        (amounts(member, used.map(|used| used as u64), resource))
        div.small { (chart(&lines, most * 1.05, time, &label)) }
    }
}

/// What a member is granted, uses and owns.
pub(super) fn amounts(member: &MemberStatus, used: Option<u64>, resource: Resource) -> Markup {
    let amount = |amounts: &Resources| resource.readable(of(amounts, resource));
    html! {
        div.amounts {
            span { (resource) ": " strong { (amount(&member.share)) } }
            span { "uses " (used.map_or("?".to_owned(), |used| resource.readable(used))) }
            span { "owns " (amount(&member.fair)) }
        }
    }
}
