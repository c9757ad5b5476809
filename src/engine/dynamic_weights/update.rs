//! The weights of a pool's members, brought up to date with what is measured.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Expression, Facts, Mistake, Signal, Trouble, Weighted, performance, weigh_member};
use crate::{
    api::DynamicWeight,
    engine::{
        View,
        clock_watch::shifted,
        division_input,
        member_pod::MemberPod,
        pool_members::{MemberPods, PoolMembers},
    },
    metrics::{Freshness, MemberKey, Metrics},
    share::{PerResource, Resource},
};

/// What was worked out for the members of a pool, by name. After a restart it begins with what the status says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(BTreeMap<String, Worked>);

/// What was worked out for one member.
#[derive(Clone, Debug)]
struct Worked {
    text: String,
    expression: Arc<Result<Expression, Mistake>>,
    last: Option<(Timestamp, Weighted)>,
}

impl PartialEq for Worked {
    fn eq(&self, other: &Self) -> bool {
        // The expression follows from its text.
        (&self.text, &self.last) == (&other.text, &other.last)
    }
}

impl Weights {
    /// Moves its times along when the system clock is set.
    pub fn shift(&mut self, by: SignedDuration) {
        let last = self.0.values_mut().filter_map(|it| it.last.as_mut());
        last.for_each(|(at, _)| *at = shifted(*at, by));
    }

    /// When the next weight moves on. None: there is no dynamic one, or what it needs is stale.
    #[must_use]
    pub fn next(&self, metrics: &Metrics, now: Timestamp) -> Option<Timestamp> {
        let moves = self.0.values().filter(|worked| !worked.is_stale(metrics, now));
        moves.map(|it| it.last.as_ref().map_or(now, |(at, _)| *at + interval(metrics))).min()
    }
}

/// Sets the weights of the members that have a dynamic one. Each moves one step for each interval of measuring; while the
/// signals that it needs are stale, it stays where it is.
pub fn update(view: &View, pool: &mut PoolMembers, known: &mut Weights) {
    let object = pool.object;
    let dynamic = |name: &String| {
        let member = object.spec.members.iter().find(|member| member.name == *name);
        member.is_some_and(|member| member.dynamic_weight.is_some())
    };
    known.0.retain(|name, _| dynamic(name));
    for member in &mut pool.members {
        let Some(spec) = &member.spec.dynamic_weight else { continue };
        let key = MemberKey {
            namespace: pool.id.namespace.clone(),
            pool: pool.id.name.clone(),
            member: member.spec.name.clone(),
        };
        let headroom = object.spec.sharing.headroom_percent;
        let worked = known.0.entry(member.spec.name.clone()).or_insert_with(|| Worked::of(spec));
        if worked.text != spec.expression {
            let last = worked.last.take();
            *worked = Worked { last, ..Worked::of(spec) };
        }
        let facts = Facts {
            current: worked.last.as_ref().map_or(f64::from(member.weight), |(_, it)| it.weight),
            now: view.now,
            ..facts(view, member, headroom, &key)
        };
        let weighted = worked.step(spec, &facts, view.metrics, view.now);
        member.set(weighted, view.metrics.objective(&key));
    }
}

/// How long a weight stays as it was worked out: measuring takes so long.
fn interval(metrics: &Metrics) -> SignedDuration {
    SignedDuration::from_secs(metrics.interval().max(15).cast_signed())
}

impl Worked {
    fn of(spec: &DynamicWeight) -> Self {
        let text = spec.expression.clone();
        Self { expression: Arc::new(Expression::compile(&text)), text, last: None }
    }

    /// What the weight is now.
    fn step(
        &mut self,
        spec: &DynamicWeight,
        facts: &Facts,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Weighted {
        let interval = interval(metrics);
        let elapsed = self.last.as_ref().map_or(interval, |(at, _)| now.duration_since(*at));
        if let (true, Some((_, last))) = (elapsed < interval, &self.last) {
            return last.clone();
        }
        if self.is_stale(metrics, now) {
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
    fn is_stale(&self, metrics: &Metrics, now: Timestamp) -> bool {
        let stale = |signal: Signal| {
            let freshness = match signal {
                Signal::Performance => metrics.performance(now),
                Signal::Usage(_) | Signal::Peak(_) | Signal::Demand(_) | Signal::CpuPressure => {
                    metrics.usage(now)
                }
                Signal::Share(_) => return false,
            };
            matches!(freshness, Freshness::Stale(_))
        };
        self.expression.as_ref().as_ref().is_ok_and(|expression| expression.needs().any(stale))
    }
}

/// What is known of a member, but for its weight so far.
#[allow(clippy::cast_precision_loss, reason = "what is measured is not that exact")]
fn facts(view: &View, member: &MemberPods, headroom: u8, key: &MemberKey) -> Facts {
    let measured: Vec<_> = member.pods.iter().filter_map(|pod| pod.measured).collect();
    // Cores and bytes, from nanocores and bytes, or from millicores and bytes.
    let used = PerResource { cpu: 1e9, memory: 1.0 };
    let held = PerResource { cpu: 1e3, memory: 1.0 };
    let known = |amount: f64| (!measured.is_empty()).then_some(amount);
    let demand = |pod: &MemberPod, resource| {
        let (holds, measured) = (pod.pod.charge(resource), pod.measured.as_ref());
        division_input::demand(view, member.spec, pod.pod, measured, holds, resource, headroom)
            .of(holds)
    };
    let sum = |resource, of: &dyn Fn(&MemberPod, Resource) -> u64| {
        member.pods.iter().map(|pod| of(pod, resource)).sum::<u64>() as f64 / held[resource]
    };
    let waits: Vec<f64> =
        measured.iter().filter_map(|it| it.waiting).map(|it| f64::from(it) / 1000.0).collect();
    let answer = view.metrics.objective(key).and_then(|answer| answer.as_ref().ok());
    let value = |signal| match signal {
        Signal::Performance => {
            answer.and_then(|&value| performance(value, member.spec.objective.as_ref()?))
        }
        Signal::Usage(resource) => {
            let all = measured.iter().map(|pod| pod.used[resource] as f64).sum::<f64>();
            known(all / used[resource])
        }
        Signal::Peak(resource) => {
            let all = measured.iter().map(|pod| pod.peak[resource] as f64).sum::<f64>();
            known(all / used[resource])
        }
        Signal::Demand(resource) => known(sum(resource, &demand)),
        Signal::Share(resource) => Some(sum(resource, &|pod, resource| pod.pod.charge(resource))),
        Signal::CpuPressure => {
            (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / waits.len() as f64)
        }
    };
    let measured = Signal::all().filter_map(|signal| Some((signal, value(signal)?))).collect();
    let (weight, replicas) = (member.spec.weight, member.pods.len());
    Facts { weight, replicas, measured, ..Facts::default() }
}

impl MemberPods<'_> {
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
