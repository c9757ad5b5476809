//! The weight of a member that follows what is measured. Pure: the time is passed in.

mod expression;
mod formula;
mod mistake;
mod performance;
mod signal;
mod step;
#[cfg(test)]
mod tests;
mod tokens;
mod update;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::{Timestamp, tz::TimeZone};

pub use expression::Expression;
pub use formula::Values;
pub use mistake::Mistake;
pub use performance::performance;
pub use signal::{Signal, Variable};
use step::{Pace, step};
pub use update::{Weights, update};

use crate::{api::DynamicWeight, share::Resource};

/// What every weight stays within.
const WEIGHTS: [u32; 2] = [1, 10_000];

/// What is known of a member while its weight is worked out. A signal that is not finite counts as missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The weight that the user wrote.
    pub weight: u32,
    /// The weight that was worked out last, not rounded; at first the one that the user wrote.
    pub current: f64,
    /// How many pods it has.
    pub replicas: usize,
    /// What is measured of it.
    pub measured: BTreeMap<Signal, f64>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// A weight that was worked out.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// The weight, not rounded: keep it for the next step. For the division it is rounded to a whole number.
    pub weight: f64,
    /// What the expression looked at, for people: `performance 0.62, cpu.pressure 0.10`.
    pub signals: String,
    /// Why the weight is the one that the user wrote, where it could not be worked out.
    pub trouble: Option<Trouble>,
}

/// Why a weight could not be worked out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// In one word, for programs: ExpressionInvalid, SignalMissing or ExpressionFailed.
    pub reason: &'static str,
    /// In a sentence, for people.
    pub message: String,
}

/// Works out the weight of a member, `elapsed` after it was worked out last. Where that cannot be done, it is the one
/// that the user wrote, at once, and the trouble says why. `expression` is what `Expression::compile` made of the text
/// in `spec`.
#[must_use]
pub fn weigh_member(
    spec: &DynamicWeight,
    expression: &Result<Expression, Mistake>,
    facts: &Facts,
    elapsed: Duration,
) -> Weighted {
    let expression = match expression {
        Ok(expression) => expression,
        Err(mistake) => {
            let message = format!("dynamicWeight.expression: {mistake}");
            return facts.as_written(String::new(), "ExpressionInvalid", &message);
        }
    };
    let signals = facts.signals(expression);
    let missing: Vec<&str> = expression
        .needs()
        .filter(|&signal| facts.value(Variable::Signal(signal)).is_none())
        .map(Signal::name)
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let missing = missing.join(" and ");
        let message =
            format!("dynamicWeight.expression needs {missing}, which {verb} not measured now");
        return facts.as_written(signals, "SignalMissing", &message);
    }
    match expression.work_out(facts) {
        Ok(wanted) => {
            let weight = step(facts.current, wanted, pace(spec), elapsed);
            Weighted { weight, signals, trouble: None }
        }
        Err(failure) => {
            let with = if signals.is_empty() { signals.clone() } else { format!(" ({signals})") };
            let message = format!("dynamicWeight.expression: {failure}{with}");
            facts.as_written(signals, "ExpressionFailed", &message)
        }
    }
}

/// The bounds and the half-life of a weight.
fn pace(spec: &DynamicWeight) -> Pace {
    let [least, most] = WEIGHTS;
    Pace {
        min: spec.min.clamp(least, most).into(),
        max: spec.max.clamp(least, most).into(),
        half_life: Duration::from_secs(spec.half_life_seconds.into()),
    }
}

impl Facts {
    /// The weight as the user wrote it, and why.
    fn as_written(&self, signals: String, reason: &'static str, message: &str) -> Weighted {
        let message = format!("{message}; meanwhile the weight is {}", self.weight);
        let trouble = Some(Trouble { reason, message });
        Weighted { weight: self.weight.into(), signals, trouble }
    }

    /// What an expression looks at, but for the weights themselves.
    fn signals(&self, expression: &Expression) -> String {
        let shown = |&variable: &Variable| match variable {
            Variable::Weight | Variable::Current => None,
            other => Some(format!("{} {}", other.name(), readable(other, self.value(other)?))),
        };
        expression.variables().iter().filter_map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// A value for people: no finer than what one would act on.
fn readable(variable: Variable, value: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "amounts are not negative, and far below 2^64"
    )]
    let amount = |resource: Resource, units: f64| resource.readable((value * units).round() as u64);
    match variable {
        Variable::Hour => format!("{:.0}", value.floor()),
        Variable::Signal(signal) => match signal.counts() {
            Some(Resource::Cpu) => amount(Resource::Cpu, 1000.0),
            Some(Resource::Memory) => amount(Resource::Memory, 1.0),
            None => format!("{value:.2}"),
        },
        _ => format!("{value}"),
    }
}

impl Values for Facts {
    fn value(&self, variable: Variable) -> Option<f64> {
        let here = || self.now.to_zoned(TimeZone::UTC);
        let value = match variable {
            Variable::Weight => Some(f64::from(self.weight)),
            Variable::Current => Some(self.current),
            #[allow(clippy::cast_precision_loss, reason = "there are not 2^53 pods")]
            Variable::Replicas => Some(self.replicas as f64),
            Variable::Hour => {
                let time = here().time();
                let minutes = f64::from(time.minute()) + f64::from(time.second()) / 60.0;
                Some(f64::from(time.hour()) + minutes / 60.0)
            }
            Variable::Weekday => Some(f64::from(here().weekday().to_sunday_zero_offset())),
            Variable::Signal(signal) => self.measured.get(&signal).copied(),
        };
        value.filter(|value| value.is_finite())
    }
}
