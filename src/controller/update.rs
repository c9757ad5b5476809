//! The weights of a pool's members, brought up to date with what is measured. Pure: what was worked out before is passed
//! in, and so is the time.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{
    claim,
    weigh::{Weighed, WeighedMember},
    weight::{Expression, Facts, Mistake, Signal, Trouble, Weighted, performance, weigh_member},
};
use crate::{
    api::DynamicWeight,
    observe::{
        Pod, Snapshot,
        signals::{Freshness, MemberKey, Signals},
    },
    share::{PerResource, Resource},
};

/// What was worked out for the members of a pool, by name. After a restart it begins with what the status says.
#[derive(Debug, Default)]
pub struct Weights(BTreeMap<String, Worked>);

/// What was worked out for one member.
#[derive(Debug)]
struct Worked {
    text: String,
    expression: Result<Expression, Mistake>,
    last: Option<(Timestamp, Weighted)>,
}

/// Sets the weights of the members that have a dynamic one. Each moves one step for each interval of measuring; while the
/// signals that it needs are stale, it stays where it is.
pub fn update(snapshot: &Snapshot, weighed: &mut Weighed, known: &mut Weights, now: Timestamp) {
    let pool = weighed.pool;
    let dynamic = |name: &String| {
        let member = pool.spec.members.iter().find(|member| member.name == *name);
        member.is_some_and(|member| member.dynamic_weight.is_some())
    };
    known.0.retain(|name, _| dynamic(name));
    for member in &mut weighed.members {
        let Some(spec) = &member.spec.dynamic_weight else { continue };
        let key = MemberKey {
            namespace: pool.namespace().unwrap_or_default(),
            pool: pool.name_any(),
            member: member.spec.name.clone(),
        };
        let headroom = pool.spec.sharing.headroom_percent;
        let worked = known.0.entry(member.spec.name.clone()).or_insert_with(|| Worked::of(spec));
        if worked.text != spec.expression {
            let last = worked.last.take();
            *worked = Worked { last, ..Worked::of(spec) };
        }
        let facts = Facts {
            current: worked.last.as_ref().map_or(f64::from(member.weight), |(_, it)| it.weight),
            now,
            ..facts(snapshot, member, headroom, &key)
        };
        let weighted = worked.step(spec, &facts, &snapshot.signals, now);
        member.set(weighted, snapshot.signals.objectives.get(&key));
    }
}

impl Worked {
    fn of(spec: &DynamicWeight) -> Self {
        let text = spec.expression.clone();
        Self { expression: Expression::compile(&text), text, last: None }
    }

    /// What the weight is now.
    fn step(
        &mut self,
        spec: &DynamicWeight,
        facts: &Facts,
        signals: &Signals,
        now: Timestamp,
    ) -> Weighted {
        let interval = SignedDuration::from_secs(signals.interval.max(15).cast_signed());
        let elapsed = self.last.as_ref().map_or(interval, |(at, _)| now.duration_since(*at));
        if let (true, Some((_, last))) = (elapsed < interval, &self.last) {
            return last.clone();
        }
        if self.is_stale(signals) {
            let last = self.last.as_ref().map(|(_, last)| last.clone());
            return last.unwrap_or_else(|| Weighted {
                weight: facts.current,
                signals: String::new(),
                trouble: None,
            });
        }
        let elapsed = Duration::try_from(elapsed).unwrap_or_default();
        let weighted = weigh_member(spec, &self.expression, facts, elapsed);
        self.last = Some((now, weighted.clone()));
        weighted
    }

    /// Whether a signal that it needs is too old to act on.
    fn is_stale(&self, signals: &Signals) -> bool {
        let stale = |signal: Signal| {
            let freshness = match signal {
                Signal::Performance => &signals.performance,
                Signal::Usage(_) | Signal::Demand(_) | Signal::CpuPressure => &signals.usage,
                Signal::Share(_) => return false,
            };
            matches!(freshness, Freshness::Stale(_))
        };
        self.expression.as_ref().is_ok_and(|expression| expression.needs().any(stale))
    }
}

/// What is known of a member, but for its weight so far.
#[allow(clippy::cast_precision_loss, reason = "what is measured is not that exact")]
fn facts(snapshot: &Snapshot, member: &WeighedMember, headroom: u8, key: &MemberKey) -> Facts {
    let signals = &snapshot.signals;
    let measured: Vec<_> = member
        .pods
        .iter()
        .filter_map(|pod| signals.pods.get(&(pod.namespace.clone(), pod.name.clone())))
        .collect();
    // Cores and bytes, from nanocores and bytes, or from millicores and bytes.
    let used = PerResource { cpu: 1e9, memory: 1.0 };
    let held = PerResource { cpu: 1e3, memory: 1.0 };
    let known = |amount: f64| (!measured.is_empty()).then_some(amount);
    let demand = |pod: &&Pod, resource| {
        let holds = pod.charge(resource);
        claim::demand(snapshot, pod, holds, resource, headroom).of(holds)
    };
    let sum = |resource, of: &dyn Fn(&&Pod, Resource) -> u64| {
        member.pods.iter().map(|pod| of(pod, resource)).sum::<u64>() as f64 / held[resource]
    };
    let waits: Vec<f64> =
        measured.iter().filter_map(|it| it.waiting).map(|it| f64::from(it) / 1000.0).collect();
    let answer = signals.objectives.get(key).and_then(|answer| answer.as_ref().ok());
    Facts {
        weight: member.spec.weight,
        replicas: member.pods.len(),
        performance: answer.and_then(|&value| performance(value, member.spec.objective.as_ref()?)),
        usage: PerResource::from_fn(|resource| {
            let all = measured.iter().map(|pod| pod.used[resource] as f64).sum::<f64>();
            known(all / used[resource])
        }),
        demand: PerResource::from_fn(|resource| known(sum(resource, &demand))),
        share: PerResource::from_fn(|resource| {
            Some(sum(resource, &|pod, resource| pod.charge(resource)))
        }),
        cpu_pressure: (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / waits.len() as f64),
        ..Facts::default()
    }
}

impl WeighedMember<'_> {
    fn set(&mut self, weighted: Weighted, answer: Option<&Result<f64, String>>) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 1 to 10000"
        )]
        let rounded = weighted.weight.round().clamp(1.0, 10_000.0) as u32;
        self.weight = rounded;
        self.signals = weighted.signals;
        self.trouble = weighted.trouble.map(|trouble| match answer {
            Some(Err(why)) if trouble.reason == "SignalMissing" => Trouble {
                message: format!("{} (objective.query: {why})", trouble.message),
                ..trouble
            },
            _ => trouble,
        });
    }
}
