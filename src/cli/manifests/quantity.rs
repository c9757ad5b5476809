//! The quantities of CEL rules, as the API server counts them.
//!
//! kube-cel has its own, which overflow: `quantity('1e99').compareTo(quantity('0'))` panics, or says
//! what is not so in a release build. These take their place.

use std::sync::Arc;

use kube::core::cel::cel::{
    Context, ExecutionError, ResolveResult, Value, extractors::This, objects::Opaque,
};

/// An amount in billionths, the finest that Kubernetes knows; what is finer is rounded up. What is
/// beyond the largest (10^29) stays there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Amount(i128);

/// One, in billionths.
const ONE: i128 = 1_000_000_000;

/// The significant digits that are read: with a binary suffix, they still fit.
const DIGITS: usize = 19;

impl Opaque for Amount {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.Quantity"
    }
}

impl Amount {
    /// Reads the syntax of Kubernetes.
    pub(super) fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (binary, exponent) = scale(suffix)?;
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let (head, tail) = digits.split_at(digits.len().min(DIGITS));
        let mantissa = if head.is_empty() { 0 } else { head.parse::<i128>().ok()? };
        let shift = exponent + 9 + length(tail) - length(fraction);

        let (amount, exact) = shifted(mantissa << binary, shift);
        let exact = exact && tail.bytes().all(|digit| digit == b'0');
        let amount = amount.saturating_add(i128::from(!exact));
        // Kubernetes holds no more than this with a binary suffix.
        let most = if binary > 0 { i128::from(i64::MAX) * ONE } else { i128::MAX };
        let amount = amount.min(most);
        Some(Self(if text.starts_with('-') { -amount } else { amount }))
    }

    fn float(self) -> f64 {
        // In two parts, so that a whole amount is exact.
        (self.0 / ONE) as f64 + (self.0 % ONE) as f64 / ONE as f64
    }
}

/// The power of two and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(position) = decimal.iter().position(|known| *known == suffix) {
        return Some((0, (position as i64 - 3) * 3));
    }
    if let Some(position) = binary.iter().position(|known| *known == suffix) {
        return Some(((position as u32 + 1) * 10, 0));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((0, exponent.into()))
}

/// `amount * 10^shift` rounded down, and whether that is exact.
fn shifted(amount: i128, shift: i64) -> (i128, bool) {
    let power = u32::try_from(shift.unsigned_abs()).ok();
    match power.and_then(|power| 10i128.checked_pow(power)) {
        Some(factor) if shift >= 0 => (amount.saturating_mul(factor), true),
        Some(divisor) => (amount / divisor, amount % divisor == 0),
        None if shift >= 0 && amount > 0 => (i128::MAX, true),
        None => (0, amount == 0),
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Puts these quantities into a context, in the place of those that are there.
pub(super) fn register(context: &mut Context) {
    context.add_function("isQuantity", |text: Arc<String>| Amount::read(&text).is_some());
    context.add_function("quantity", |text: Arc<String>| -> ResolveResult {
        Amount::read(&text).map(value).ok_or_else(|| wrong("no quantity"))
    });
    context.add_function("isInteger", |This(this): This<Value>| -> ResolveResult {
        let Amount(amount) = amount(&this)?;
        Ok(Value::Bool(amount % ONE == 0 && i64::try_from(amount / ONE).is_ok()))
    });
    context.add_function("asApproximateFloat", |This(this): This<Value>| -> ResolveResult {
        Ok(Value::Float(amount(&this)?.float()))
    });
    context.add_function("add", |This(this): This<Value>, other: Value| -> ResolveResult {
        Ok(value(Amount(amount(&this)?.0.saturating_add(amount(&other)?.0))))
    });
    context.add_function("compareTo", |This(this): This<Value>, other: Value| -> ResolveResult {
        Ok(Value::Int(amount(&this)?.cmp(&amount(&other)?) as i64))
    });
    context.add_function(
        "isGreaterThan",
        |This(this): This<Value>, other: Value| -> ResolveResult {
            Ok(Value::Bool(amount(&this)? > amount(&other)?))
        },
    );
}

fn value(amount: Amount) -> Value {
    Value::Opaque(Arc::new(amount))
}

/// A quantity, or a whole number in the place of one.
fn amount(value: &Value) -> Result<Amount, ExecutionError> {
    match value {
        Value::Int(number) => Ok(Amount(i128::from(*number) * ONE)),
        Value::Opaque(opaque) => {
            opaque.downcast_ref().copied().ok_or_else(|| wrong("another type"))
        }
        _ => Err(wrong("another type")),
    }
}

fn wrong(what: &str) -> ExecutionError {
    ExecutionError::function_error("quantity", what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::share::{Bytes, MilliCpu};

    #[test]
    fn reads_and_rounds_as_kubernetes_does() {
        for (text, billionths) in [
            ("0", 0),
            ("-0", 0),
            ("1", ONE),
            ("+1.5", 3 * ONE / 2),
            (".5", ONE / 2),
            ("-2.", -2 * ONE),
            ("250m", ONE / 4),
            ("1n", 1),
            ("0.1n", 1),
            ("-0.1n", -1),
            ("1e-99", 1),
            ("1e-999999999", 1),
            ("0e999999999", 0),
            ("1.5Gi", (3 << 29) * ONE),
            ("0.0000000000000000001Ei", 115_292_151),
            ("7Ei", (7 << 60) * ONE),
            ("8Ei", i128::from(i64::MAX) * ONE),
            ("1e20", 100_000_000_000 * ONE * ONE),
            ("1e99", i128::MAX),
            ("-1e999999999", -i128::MAX),
        ] {
            assert_eq!(Amount::read(text), Some(Amount(billionths)), "{text}");
        }
        for text in
            ["", ".", "m", "2 cores", "4GB", "1..2", "1e", "e5", "1e99999999999", "٣", "--1"]
        {
            assert_eq!(Amount::read(text), None, "{text}");
        }
    }

    #[test]
    fn whole_amounts_are_exact_as_floats() {
        for (text, float) in [("1e18", 1e18), ("1G", 1e9), ("0.25", 0.25), ("-1500m", -1.5)] {
            assert_eq!(Amount::read(text).unwrap().float(), float, "{text}");
        }
    }

    proptest! {
        /// What the controller reads is what the rules see.
        #[test]
        fn agrees_with_the_controller(text in "[-+]?[0-9]{0,12}[.]?[0-9]{0,9}([numkKMGTPE]i?|[eE][-+]?[0-9]{1,12})?") {
            let amount = Amount::read(&text);
            if let Ok(Bytes(bytes)) = text.parse() {
                prop_assert_eq!(amount, Some(Amount(i128::from(bytes) * ONE)));
            }
            if let Ok(MilliCpu(milli)) = text.parse() {
                let capped = i128::from(i64::MAX) * ONE;
                prop_assert_eq!(amount, Some(Amount((i128::from(milli) * ONE / 1000).min(capped))));
            }
        }
    }
}
