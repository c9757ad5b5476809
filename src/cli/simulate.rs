//! The past with pools, as a table for people. Pure.

use super::table::Table;
use crate::{
    share::Resource,
    simulate::{MemberOutcome, NodeOutcome, Outcome, Totals},
};

const HOUR: f64 = 3600.0;

/// What came of a replay: the members with what they had and would have had, and the room on nodes. Column names are left out
/// without `headers`.
#[must_use]
pub fn table(outcome: &Outcome, headers: bool) -> String {
    let head = [
        "MEMBER",
        "PODS",
        "CPU: REQUESTED",
        "GOT",
        "UNMET",
        "THROTTLED",
        "MEMORY: REQUESTED",
        "RESIZES/POD/H",
    ];
    let mut rows = Table::of(headers, &head);
    let seconds = outcome.seconds as f64;
    let shown = outcome.members.iter().filter(|member| member.pods > 0);
    rows.0.extend(shown.map(|member| row(member, seconds)));
    let mut text = length(outcome);
    text += "\n\n";
    text += &rows.print();
    text.push('\n');
    outcome.nodes.iter().for_each(|it| text += &node(it));
    text += &freed(&outcome.nodes);
    text
}

/// What was replayed: "24 h of 1234 pods".
fn length(outcome: &Outcome) -> String {
    let pods: usize = outcome.members.iter().map(|member| member.pods).sum();
    let hours = outcome.seconds as f64 / HOUR;
    let stopped = if outcome.complete { "" } else { ", stopped before the end" };
    format!("Replayed: {hours:.1} h, {pods} pods{stopped}. On average, without pools -> in pools.")
}

fn row(member: &MemberOutcome, seconds: f64) -> Vec<String> {
    let MemberOutcome { before, after, .. } = member;
    let cores = |of: fn(&Totals) -> f64| change(of(before), of(after), 1.0);
    let part = |of: fn(&Totals) -> f64| change(of(before), of(after), 1.0 / seconds.max(1.0));
    let throttled = |totals: &Totals| {
        format!("{:.1} %", 100.0 * totals.throttled / (member.pod_seconds as f64).max(1.0))
    };
    let memory = |totals: &Totals| Resource::Memory.readable(totals.requested_memory as u64);
    let hours = member.pod_seconds as f64 / HOUR;
    vec![
        match member.member.as_str() {
            "" => "(pods in no pool)".to_owned(),
            name => format!("{}/{} {name}", member.namespace, member.pool),
        },
        member.pods.to_string(),
        cores(|it| it.requested_cpu),
        part(|it| it.cpu),
        part(|it| it.unmet_cpu),
        format!("{} -> {}", throttled(before), throttled(after)),
        format!("{} -> {}", memory(before), memory(after)),
        format!("{:.2}", member.resizes as f64 / hours.max(1.0 / HOUR)),
    ]
}

/// Cores before and after.
fn change(before: f64, after: f64, times: f64) -> String {
    format!("{:.2} -> {:.2}", before * times, after * times)
}

fn node(node: &NodeOutcome) -> String {
    let NodeOutcome { name, cpu, requested_before: before, requested_after: after, .. } = node;
    let memory = |bytes: f64| Resource::Memory.readable(bytes as u64);
    format!(
        "Node {name}: pods request {:.2} -> {:.2} of {cpu:.1} cores, and {} -> {} of {} of memory.\n",
        before.0,
        after.0,
        memory(before.1),
        memory(after.1),
        memory(node.memory),
    )
}

/// The room that other pods could have.
fn freed(nodes: &[NodeOutcome]) -> String {
    let sum = |of: fn(&NodeOutcome) -> f64| nodes.iter().map(of).sum::<f64>();
    let cpu = sum(|it| it.requested_before.0) - sum(|it| it.requested_after.0);
    let memory = sum(|it| it.requested_before.1) - sum(|it| it.requested_after.1);
    let more = |amount: f64| if amount < 0.0 { "more" } else { "less" };
    format!(
        "In pools, pods request {:.2} cores {} and {} of memory {}: {}.\n",
        cpu.abs(),
        more(cpu),
        Resource::Memory.readable(memory.abs() as u64),
        more(memory),
        match cpu >= 0.0 && memory >= 0.0 {
            true => "room for other pods",
            false => "idle CPU and memory are lent to members that need more",
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_members_would_have_had() {
        let totals = |cpu: f64, unmet_cpu, throttled| Totals {
            cpu,
            unmet_cpu,
            throttled,
            requested_cpu: 1.0,
            requested_memory: (1u64 << 30) as f64,
            over_memory: 0.0,
        };
        let member = MemberOutcome {
            namespace: "shop".into(),
            pool: "shop".into(),
            member: "search".into(),
            pods: 2,
            pod_seconds: 7200,
            before: totals(1800.0, 360.0, 720.0),
            after: Totals { requested_cpu: 0.75, ..totals(2160.0, 0.0, 0.0) },
            resizes: 3,
            moments: Vec::new(),
        };
        let node = NodeOutcome {
            name: "n1".into(),
            cpu: 4.0,
            memory: (8u64 << 30) as f64,
            requested_before: (1.0, (1u64 << 30) as f64),
            requested_after: (0.75, (1u64 << 30) as f64),
        };
        let (members, nodes) = (vec![member], vec![node]);
        let outcome = Outcome { start: 0, seconds: 3600, complete: false, members, nodes };
        assert_eq!(
            table(&outcome, true),
            "\
Replayed: 1.0 h, 2 pods, stopped before the end. On average, without pools -> in pools.

MEMBER            PODS  CPU: REQUESTED           GOT         UNMET        THROTTLED  MEMORY: REQUESTED  RESIZES/POD/H
shop/shop search     2    1.00 -> 0.75  0.50 -> 0.60  0.10 -> 0.00  10.0 % -> 0.0 %         1Gi -> 1Gi  1.50

Node n1: pods request 1.00 -> 0.75 of 4.0 cores, and 1Gi -> 1Gi of 8Gi of memory.
In pools, pods request 0.25 cores less and 0 of memory less: room for other pods.
"
        );
    }
}
