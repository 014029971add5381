//! Numbers as rules compare them: integers exact to 64 bits, floats beside them.
//!
//! Source: reference/detection-response.md sections 3 and 7.1.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Longest decimal text taken for a number, in bytes: more digits than any 64-bit
/// integer or double needs, so that hostile text costs nothing.
const NUMBER_BYTES_MAX: usize = 64;

/// A number from an event, a rule or a decimal text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

/// The same number, written the same way: `1` and `1.0` are equal, and not the same.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl Number {
    fn bits(self) -> (Option<i128>, u64) {
        match self {
            Self::Int(int) => (Some(int), 0),
            Self::Float(float) => (None, float.to_bits()),
        }
    }

    /// Reads decimal text: sign, digits, fraction, exponent; nothing else.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if text.len() > NUMBER_BYTES_MAX || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        if digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(int) = text.parse()
        {
            return Some(Self::Int(int));
        }
        let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
        let float: f64 = if is_decimal { text.parse().ok()? } else { return None };
        float.is_finite().then_some(Self::Float(float))
    }

    /// Compares without losing precision; `None` for a float that is no number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => int_to_float(a, b),
            (Self::Float(a), Self::Int(b)) => int_to_float(b, a).map(Ordering::reverse),
        }
    }

    pub(crate) fn is_equal(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }

    /// The whole part, for counters and times; saturates.
    pub(crate) fn to_i64(self) -> i64 {
        match self {
            Self::Int(int) => i64::try_from(int).unwrap_or(if int < 0 { i64::MIN } else { i64::MAX }),
            #[expect(clippy::cast_possible_truncation, reason = "float casts saturate")]
            Self::Float(float) => float as i64,
        }
    }

    /// The integer this number is, if it is one: the key under which equal numbers meet.
    pub(crate) fn as_integer(self) -> Option<i128> {
        match self {
            Self::Int(int) => Some(int),
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the comparison")]
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 1e30 => Some(float as i128),
            Self::Float(_) => None,
        }
    }
}

fn int_to_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.abs() >= 1e38 {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 1e38 the whole part fits")]
    let whole = float.trunc() as i128;
    Some(int.cmp(&whole).then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_exact_beside_floats() {
        let big = Number::Int(9_007_199_254_740_993);
        assert!(!big.is_equal(Number::Float(9_007_199_254_740_992.0)));
        assert_eq!(Number::Int(2).compare(Number::Float(2.5)), Some(Ordering::Less));
        assert_eq!(Number::Float(-2.5).compare(Number::Int(-2)), Some(Ordering::Less));
    }

    #[test]
    fn only_decimal_text_is_a_number() {
        for text in ["0x10", "inf", "nan", "", "1_000", "true", " 1", "e5"] {
            assert!(Number::from_text(text).is_none(), "{text}");
        }
        assert!(Number::from_text("-1.5e3").is_some_and(|n| n.is_equal(Number::Int(-1500))));
    }
}
