//! An expression as it is worked out: numbers and conditions, each of them known to be one. It takes time in
//! proportion to its size, and nothing in it can be anything but finite.

use std::collections::BTreeSet;

use super::signal::Variable;

/// Something that comes to a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// Itself.
    Constant(f64),
    /// What is known of the member.
    Variable(Variable),
    /// The number below zero.
    Negative(Box<Number>),
    /// Two numbers, and what is done with them.
    Both(Operation, Box<[Number; 2]>),
    /// The least of some.
    Least(Vec<Number>),
    /// The most of some.
    Most(Vec<Number>),
    /// A number, not under a second nor over a third.
    Within(Box<[Number; 3]>),
    /// One of two numbers.
    Either(Box<Condition>, Box<[Number; 2]>),
}

/// Something that is true or false.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Itself.
    Constant(bool),
    /// The opposite.
    Not(Box<Condition>),
    /// Both, or one of both.
    Both(Junction, Box<[Condition; 2]>),
    /// Two numbers as they stand to each other.
    Compare(Comparison, Box<[Number; 2]>),
    /// Whether two conditions are alike (or not).
    Alike(bool, Box<[Condition; 2]>),
    /// One of two conditions.
    Either(Box<Condition>, Box<[Condition; 2]>),
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "they say themselves")]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// How two conditions make one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "they say themselves")]
pub enum Junction {
    And,
    Or,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "they say themselves")]
pub enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Different,
}

/// Why a formula comes to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// There is no such number.
    #[error("it divides by zero: keep the divisor above zero, such as max(cpu.demand, 0.01)")]
    DivisionByZero,
    /// The number cannot be held.
    #[error("its result is too large: bound it, for example with min(a, b)")]
    TooLarge,
    /// A variable has no value.
    #[error("{} is missing", .0.name())]
    Missing(Variable),
}

type Worked<T> = Result<T, Failure>;

/// What the variables are worth.
pub trait Values {
    /// The value of one, if there is one.
    fn value(&self, variable: Variable) -> Option<f64>;
}

impl Number {
    /// What it comes to: a finite number.
    ///
    /// # Errors
    /// When it divides by zero or grows out of all bounds, and when a variable has no value.
    pub fn work_out(&self, values: &dyn Values) -> Worked<f64> {
        let number = match self {
            Self::Constant(number) => *number,
            Self::Variable(variable) => {
                values.value(*variable).ok_or(Failure::Missing(*variable))?
            }
            Self::Negative(number) => -number.work_out(values)?,
            Self::Both(operation, both) => {
                let [a, b] = [both[0].work_out(values)?, both[1].work_out(values)?];
                match operation {
                    Operation::Add => a + b,
                    Operation::Subtract => a - b,
                    Operation::Multiply => a * b,
                    Operation::Divide if b == 0.0 => return Err(Failure::DivisionByZero),
                    Operation::Divide => a / b,
                }
            }
            Self::Least(numbers) => extreme(numbers, values, f64::min)?,
            Self::Most(numbers) => extreme(numbers, values, f64::max)?,
            Self::Within(three) => {
                let [number, least, most] = &**three;
                let number = number.work_out(values)?.max(least.work_out(values)?);
                number.min(most.work_out(values)?)
            }
            Self::Either(condition, either) => {
                either[usize::from(!condition.holds(values)?)].work_out(values)?
            }
        };
        if number.is_finite() { Ok(number) } else { Err(Failure::TooLarge) }
    }

    /// Adds the variables in it.
    pub fn variables(&self, found: &mut BTreeSet<Variable>) {
        match self {
            Self::Constant(_) => {}
            Self::Variable(variable) => _ = found.insert(*variable),
            Self::Negative(number) => number.variables(found),
            Self::Both(_, both) => both.iter().for_each(|it| it.variables(found)),
            Self::Least(some) | Self::Most(some) => some.iter().for_each(|it| it.variables(found)),
            Self::Within(three) => three.iter().for_each(|it| it.variables(found)),
            Self::Either(condition, either) => {
                condition.variables(found);
                either.iter().for_each(|it| it.variables(found));
            }
        }
    }
}

/// The one of some numbers that is left when each two leave one.
fn extreme(numbers: &[Number], values: &dyn Values, of: fn(f64, f64) -> f64) -> Worked<f64> {
    let mut found: Option<f64> = None;
    for number in numbers {
        let number = number.work_out(values)?;
        found = Some(found.map_or(number, |found| of(found, number)));
    }
    Ok(found.unwrap_or_default())
}

impl Condition {
    /// Whether it holds.
    ///
    /// # Errors
    /// As for the numbers in it. As CEL has it, what cannot be worked out does no harm beside what settles the matter.
    pub fn holds(&self, values: &dyn Values) -> Worked<bool> {
        match self {
            Self::Constant(it) => Ok(*it),
            Self::Not(it) => Ok(!it.holds(values)?),
            Self::Both(junction, both) => {
                let settles = *junction == Junction::Or;
                let first = both[0].holds(values);
                if first == Ok(settles) {
                    return first;
                }
                let second = both[1].holds(values)?;
                if second == settles { Ok(settles) } else { first.and(Ok(second)) }
            }
            Self::Compare(comparison, both) => {
                let [a, b] = [both[0].work_out(values)?, both[1].work_out(values)?];
                Ok(match comparison {
                    Comparison::Less => a < b,
                    Comparison::AtMost => a <= b,
                    Comparison::More => a > b,
                    Comparison::AtLeast => a >= b,
                    Comparison::Equal => a == b,
                    Comparison::Different => a != b,
                })
            }
            Self::Alike(alike, both) => {
                Ok((both[0].holds(values)? == both[1].holds(values)?) == *alike)
            }
            Self::Either(condition, either) => {
                either[usize::from(!condition.holds(values)?)].holds(values)
            }
        }
    }

    /// Adds the variables in it.
    fn variables(&self, found: &mut BTreeSet<Variable>) {
        match self {
            Self::Constant(_) => {}
            Self::Not(it) => it.variables(found),
            Self::Both(_, both) | Self::Alike(_, both) => {
                both.iter().for_each(|it| it.variables(found));
            }
            Self::Compare(_, both) => both.iter().for_each(|it| it.variables(found)),
            Self::Either(condition, either) => {
                condition.variables(found);
                either.iter().for_each(|it| it.variables(found));
            }
        }
    }
}
