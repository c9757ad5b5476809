//! The page of a replay: what members had, and would have had in pools. Pure.

use maud::{Markup, html};

use super::{
    chart::{Drawn, Line, Time, chart},
    view::{Kind, page},
};
use crate::{
    share::Resource,
    simulate::{MemberOutcome, Moment, NodeOutcome, Outcome, Totals},
};

const HOUR: f64 = 3600.0;

/// One page of all members and nodes, in HTML: it is whole in one file.
#[must_use]
pub fn replay_page(outcome: &Outcome) -> String {
    let seconds = outcome.seconds as f64;
    let to = outcome.start + i64::try_from(outcome.seconds).unwrap_or(0);
    let time = Time { from: outcome.start, to };
    let members: Vec<&MemberOutcome> = outcome.members.iter().filter(|it| it.pods > 0).collect();
    let main = html! {
        header { "A replay: what pods used, without pools and in pools." }
        h1 { (format!("{:.1} hours", seconds / HOUR)) @if !outcome.complete { ", stopped before the end" } }
        (sums(&members, seconds))
        h2 { "Members" }
        p.key {
            span { i.fair {} "could have used" }
            span { i.used {} "got in pools" }
            span { i.c1 {} "got without pools" }
            span { i.share {} "requested in pools" }
        }
        @for member in &members { (card(member, seconds, time)) }
        h2 { "Nodes" }
        @for it in &outcome.nodes { (node(it)) }
    };
    page("Replay", Kind::Replay, &main).into_string()
}

fn sums(members: &[&MemberOutcome], seconds: f64) -> Markup {
    let sum = |of: fn(&MemberOutcome) -> f64| members.iter().map(|it| of(it)).sum::<f64>();
    let cores = |total: f64| format!("{:.2}", total / seconds.max(1.0));
    html! {
        div.amounts {
            span { "CPU got: " (cores(sum(|it| it.before.cpu))) " → " strong { (cores(sum(|it| it.after.cpu))) } " cores" }
            span { "lacked: " (cores(sum(|it| it.before.unmet_cpu))) " → " strong { (cores(sum(|it| it.after.unmet_cpu))) } }
            span { "resizes: " (sum(|it| it.resizes as f64)) }
        }
    }
}

fn card(member: &MemberOutcome, seconds: f64, time: Time) -> Markup {
    let MemberOutcome { before, after, .. } = member;
    let average = |total: f64| total / seconds.max(1.0);
    let change = |of: fn(&Totals) -> f64| format!("{:.2} → {:.2}", of(before), of(after));
    let over_time =
        |of: fn(&Totals) -> f64| format!("{:.2} → {:.2}", average(of(before)), average(of(after)));
    let memory = |totals: &Totals| Resource::Memory.readable(totals.requested_memory as u64);
    let part = |of: f64| format!("{:.1} %", 100.0 * of / (member.pod_seconds as f64).max(1.0));
    html! {
        section.card {
            div.row {
                h3 {
                    @if member.member.is_empty() { "Pods in no pool" }
                    @else { (member.namespace) "/" (member.pool) " " (member.member) }
                }
                span.soft { (member.pods) " pods at most · " (member.resizes) " resizes" }
            }
            div.amounts {
                span { "CPU got: " (over_time(|it| it.cpu)) }
                span { "lacked: " (over_time(|it| it.unmet_cpu)) }
                span { "requested: " (change(|it| it.requested_cpu)) }
                span { "throttled: " (part(before.throttled)) " → " (part(after.throttled)) }
                span { "memory requested: " (memory(before)) " → " (memory(after)) }
            }
            (drawn(member, time))
        }
    }
}

fn drawn(member: &MemberOutcome, time: Time) -> Markup {
    let line = |of: fn(&Moment) -> f64| -> Line {
        member.moments.iter().map(|moment| (moment.at, of(moment) as f32)).collect()
    };
    let drawn = |class: &str, filled, of| Drawn { class: class.to_owned(), filled, line: line(of) };
    let lines = [
        drawn("share", true, |it| it.requested),
        drawn("was", false, |it| it.before),
        drawn("used", false, |it| it.after),
        drawn("fair", false, |it| it.wanted),
    ];
    let most = lines.iter().flat_map(|it| &it.line).map(|(_, amount)| *amount).fold(0.0, f32::max);
    let label = format!("CPU of {}", member.member);
    html! {
        div.small { (chart(&lines, most * 1.05, time, &label)) }
        div.hour { span { "start" } span { (format!("up to {:.2} cores", most)) } span { "end" } }
    }
}

fn node(node: &NodeOutcome) -> Markup {
    let NodeOutcome { name, cpu, memory, requested_before: before, requested_after: after } = node;
    let bytes = |bytes: f64| Resource::Memory.readable(bytes as u64);
    html! {
        p {
            strong { (name) } ": pods request " (format!("{:.2} → {:.2} of {cpu:.1}", before.0, after.0))
            " cores, and " (bytes(before.1)) " → " (bytes(after.1)) " of " (bytes(*memory)) " of memory."
        }
    }
}
