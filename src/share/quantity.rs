//! Amounts of CPU and memory as exact integers, read from and written as Kubernetes quantities.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of CPU in millicores: 1000 is one core.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MilliCpu(pub u64);

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bytes(pub u64);

/// Why a text is not an amount that WeightedShare can divide.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// Not the syntax of a Kubernetes quantity.
    #[error("{0:?} is not a quantity: write a number with a suffix, such as 250m, 2, 512Mi or 4G")]
    Syntax(String),
    /// Below zero.
    #[error("{0:?} is negative: write an amount of zero or more")]
    Negative(String),
    /// A fraction of the smallest unit.
    #[error("{text:?} is finer than {unit}: round it to a whole number of them")]
    TooFine {
        /// The text that was read.
        text: String,
        /// The smallest unit, in words.
        unit: &'static str,
    },
    /// More than Kubernetes itself can hold (2^63 - 1 of the smallest unit).
    #[error("{0:?} is too large: the maximum is 9223372036854775807 of the smallest unit")]
    TooLarge(String),
}

/// What is done with a fraction of the smallest unit.
#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    Refuse,
    /// As Kubernetes does when it reads a pod (`Value()` and `MilliValue()`).
    RoundUp,
    RoundDown,
}

impl MilliCpu {
    const UNIT: &str = "a millicore";

    /// Reads a quantity of a pod or node, rounding up to a whole millicore as Kubernetes does.
    ///
    /// # Errors
    /// When the text is no quantity, negative, or beyond 2^63 - 1 millicores.
    pub fn rounded_up(text: &str) -> Result<Self, QuantityError> {
        parse(text, 3, Self::UNIT, Fraction::RoundUp).map(Self)
    }

    /// Reads a quantity that bounds others, such as what a node can allocate, rounding down to a whole millicore.
    ///
    /// # Errors
    /// When the text is no quantity, negative, or beyond 2^63 - 1 millicores.
    pub fn rounded_down(text: &str) -> Result<Self, QuantityError> {
        parse(text, 3, Self::UNIT, Fraction::RoundDown).map(Self)
    }
}

/// Reads a quantity of CPU that was used, rounding up to a whole nanocore.
///
/// # Errors
/// When the text is no quantity, negative, or beyond 2^63 - 1 nanocores.
pub fn nanocores(text: &str) -> Result<u64, QuantityError> {
    parse(text, 9, "a nanocore", Fraction::RoundUp)
}

impl Bytes {
    const UNIT: &str = "a byte";

    /// Reads a quantity of a pod or node, rounding up to a whole byte as Kubernetes does.
    ///
    /// # Errors
    /// When the text is no quantity, negative, or beyond 2^63 - 1 bytes.
    pub fn rounded_up(text: &str) -> Result<Self, QuantityError> {
        parse(text, 0, Self::UNIT, Fraction::RoundUp).map(Self)
    }

    /// Reads a quantity that bounds others, such as what a node can allocate, rounding down to a whole byte.
    ///
    /// # Errors
    /// When the text is no quantity, negative, or beyond 2^63 - 1 bytes.
    pub fn rounded_down(text: &str) -> Result<Self, QuantityError> {
        parse(text, 0, Self::UNIT, Fraction::RoundDown).map(Self)
    }
}

impl FromStr for MilliCpu {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, 3, Self::UNIT, Fraction::Refuse).map(Self)
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, 0, Self::UNIT, Fraction::Refuse).map(Self)
    }
}

impl fmt::Display for MilliCpu {
    /// Whole cores where it is whole, else millicores: `2`, `250m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl fmt::Display for Bytes {
    /// With the largest binary suffix that is exact: `12Gi`, `1536Mi`, `1000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"]
            .iter()
            .zip([60, 50, 40, 30, 20, 10])
            .find(|(_, shift)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match suffix {
            Some((suffix, shift)) => write!(f, "{}{suffix}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! serde_as_quantity {
    ($amount:ty, $expecting:literal) => {
        impl Serialize for $amount {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $amount;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}

serde_as_quantity!(MilliCpu, "a quantity of CPU, such as 250m or 2");
serde_as_quantity!(Bytes, "a quantity of memory, such as 512Mi or 4G");

/// Reads `text` as a whole number of units of 10^-`decimals`.
fn parse(
    text: &str,
    decimals: i32,
    unit: &'static str,
    fraction: Fraction,
) -> Result<u64, QuantityError> {
    let syntax = || QuantityError::Syntax(text.to_owned());
    let too_large = || QuantityError::TooLarge(text.to_owned());

    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fractional) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fractional.is_empty()) || fractional.contains('.') {
        return Err(syntax());
    }
    let (shift, exponent) = scale(suffix).ok_or_else(syntax)?;

    let digits = [whole, fractional].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    if negative {
        return Err(QuantityError::Negative(text.to_owned()));
    }
    // Trailing zeros go to the exponent, so that 1.500000000000000000000000 is not too long.
    let mantissa = significant.trim_end_matches('0');
    let (head, tail) = mantissa.split_at(mantissa.len().min(DIGITS));
    let moved = significant.len() - head.len();
    let exponent =
        i64::from(exponent) + i64::from(decimals) + moved as i64 - fractional.len() as i64;

    let (whole, exact) = whole_units(head, shift, exponent).ok_or_else(too_large)?;
    let exact = exact && tail.is_empty();
    let amount = whole + u128::from(!exact && fraction != Fraction::RoundDown);
    if amount > i64::MAX as u128 {
        Err(too_large())
    } else if fraction == Fraction::Refuse && !exact {
        Err(QuantityError::TooFine { text: text.to_owned(), unit })
    } else {
        Ok(amount as u64)
    }
}

/// As many significant digits as 2^63 has: what has more is finer than the unit, or too large.
const DIGITS: usize = 19;

/// `mantissa * 2^shift * 10^exponent` rounded down, and whether that is exact. None beyond 2^127.
fn whole_units(mantissa: &str, shift: u32, exponent: i64) -> Option<(u128, bool)> {
    let binary = u128::from(mantissa.parse::<u64>().ok()?) << shift;
    let power =
        u32::try_from(exponent.unsigned_abs()).ok().and_then(|power| 10u128.checked_pow(power));
    match power {
        Some(factor) if exponent >= 0 => Some((binary.checked_mul(factor)?, true)),
        Some(divisor) => Some((binary / divisor, binary.is_multiple_of(divisor))),
        None if exponent >= 0 => None,
        None => Some((0, false)),
    }
}

/// The power of two and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    #[test]
    fn reads_what_kubernetes_writes() {
        for (text, milli) in [
            ("0", 0),
            ("250m", 250),
            ("0.25", 250),
            (".5", 500),
            ("2", 2000),
            ("+2", 2000),
            ("2.", 2000),
            ("1k", 1_000_000),
            ("1e3", 1_000_000),
            ("5E-1", 500),
            ("1000u", 1),
            ("1.500000000000000000000000000000", 1500),
            ("1Ki", 1_024_000),
        ] {
            assert_eq!(text.parse(), Ok(MilliCpu(milli)), "{text}");
        }
        for (text, bytes) in [
            ("1.5Gi", 3 << 29),
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("128974848000m", 128_974_848),
            ("1Pi", 1 << 50),
            ("1Ti", 1 << 40),
            ("1Mi", 1 << 20),
            ("7Ei", 7 << 60),
            ("1G", 1_000_000_000),
            ("2T", 2_000_000_000_000),
            ("3P", 3_000_000_000_000_000),
            ("4E", 4_000_000_000_000_000_000),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn writes_the_largest_suffix_that_is_exact() {
        let bytes = [0, 1, 1000, 1024, 3 << 29, 5 << 40, 7 << 60].map(|it| Bytes(it).to_string());
        assert_eq!(bytes, ["0", "1", "1000", "1Ki", "1536Mi", "5Ti", "7Ei"]);
        assert_eq!(
            [0, 1, 1500, 2000].map(|it| MilliCpu(it).to_string()),
            ["0", "1m", "1500m", "2"]
        );
    }

    #[test]
    fn refuses_what_it_cannot_hold_exactly() {
        let too_fine = ["0.0001", "100u", "1n", "1e-4", "1.00000000000000000000000001"];
        for text in too_fine {
            let error = text.parse::<MilliCpu>().unwrap_err().to_string();
            assert!(error.contains("finer than a millicore"), "{error}");
        }
        for text in ["0.5", "100m", "0.1Gi"] {
            let error = text.parse::<Bytes>().unwrap_err().to_string();
            assert!(error.contains("finer than a byte"), "{error}");
        }
        for text in
            ["", ".", "m", "2 cores", "4GB", "1..2", "1.2.3", "0x10", "e5", "1e", "٣", "--1"]
        {
            assert_eq!(text.parse::<Bytes>(), Err(QuantityError::Syntax(text.into())), "{text}");
        }
        for text in ["8Ei", "1e19", "9223372036854775808", "1e999999999", "99999999999999999999"] {
            assert_eq!(text.parse::<Bytes>(), Err(QuantityError::TooLarge(text.into())), "{text}");
        }
        assert_eq!("-1".parse::<Bytes>(), Err(QuantityError::Negative("-1".into())));
        assert_eq!("-0".parse(), Ok(Bytes(0)));
    }

    #[test]
    fn rounds_up_as_kubernetes_does_when_it_reads_a_pod() {
        assert_eq!(MilliCpu::rounded_up("100u"), Ok(MilliCpu(1)));
        assert_eq!(MilliCpu::rounded_up("0.0011"), Ok(MilliCpu(2)));
        assert_eq!(MilliCpu::rounded_down("0.0011"), Ok(MilliCpu(1)));
        assert_eq!(Bytes::rounded_down("1500m"), Ok(Bytes(1)));
        assert_eq!(nanocores("1234567n"), Ok(1_234_567));
        assert_eq!(nanocores("0.25"), Ok(250_000_000));
        assert_eq!(Bytes::rounded_up("0.1Gi"), Ok(Bytes(107_374_183)));
        assert_eq!(Bytes::rounded_up("1e-30"), Ok(Bytes(1)));
        assert_eq!(Bytes::rounded_up("1e-99"), Ok(Bytes(1)));
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn survives_the_way_out_and_in(amount in 0..=i64::MAX as u64, zeros in 0u32..50) {
            let amount = amount >> zeros.min(62) << zeros.min(62);
            prop_assert_eq!(MilliCpu(amount).to_string().parse(), Ok(MilliCpu(amount)));
            prop_assert_eq!(Bytes(amount).to_string().parse(), Ok(Bytes(amount)));
        }

        #[test]
        fn never_panics(text in "[-+]?[0-9]{0,25}[.]?[0-9]{0,45}([numkKMGTPE]i?|[eE][-+]?[0-9]{1,12})?") {
            let exact = text.parse::<MilliCpu>();
            let rounded = MilliCpu::rounded_up(&text);
            // Where the exact reading succeeds the rounded one says the same.
            prop_assert!(exact.is_err() || exact == rounded);
        }
    }
}
