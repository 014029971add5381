//! YAML as people and published clients write it: rules, configurations, lookups.
//!
//! They write YAML 1.1, in which `1e3` and `0o17` are text, so that such text comes without quotes. What has no quotes is
//! therefore a number only if it is one in 1.1 too, and a finite one: `410e0620000000` is the text that was written.
//! `no`, `yes`, `on` and `off` are text, and so are numbers with a leading zero or an underscore: that protects authors.

use crate::load::{Kind, Tree};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{Options, Spanned};
use std::fmt;

/// How large a YAML text may be, once it is read.
#[derive(Clone, Copy, Debug)]
pub struct YamlBounds {
    /// Deepest nesting. The reader recurses with large frames: 46 levels stay inside of a 2 MiB stack.
    pub depth: usize,
    /// Values, after aliases are expanded.
    pub values: usize,
    /// Bytes of all texts and keys together, after aliases are expanded.
    pub text_bytes: usize,
}

/// Why a text is not the YAML that is asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// What is wrong.
    pub message: String,
    /// From 1; 0 if that is not known.
    pub line: u32,
    /// From 1; 0 if that is not known.
    pub column: u32,
}

/// Reads one YAML or JSON document.
///
/// # Errors
///
/// [`YamlError`] if it is none, repeats a key, or exceeds the bounds.
pub fn read_yaml(text: &str, bounds: YamlBounds) -> Result<Value, YamlError> {
    read(text, bounds).map(|tree| tree.to_value())
}

pub(crate) fn read(text: &str, bounds: YamlBounds) -> Result<Tree, YamlError> {
    let node = serde_saphyr::from_str_with_options::<Node>(text, options(bounds)).map_err(|cause| {
        let message = cause.without_snippet().to_string();
        let (line, column) = cause.location().map_or((0, 0), |at| (short(at.line()), short(at.column())));
        YamlError { message, line, column }
    })?;
    Ok(node.resolve(text))
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn options(bounds: YamlBounds) -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: bounds.depth,
        max_nodes: bounds.values,
        max_events: bounds.values * 4,
        max_total_scalar_bytes: bounds.text_bytes,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    }
}

/// A value that knows where it was written.
struct Node {
    shape: Shape,
    line: u32,
    column: u32,
}

enum Shape {
    Scalar(Kind),
    /// None if it is not finite; with its place in the text, in bytes.
    Number(Option<Number>, Option<(usize, usize)>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn resolve(self, text: &str) -> Tree {
        let kind = match self.shape {
            Shape::Scalar(kind) => kind,
            Shape::Number(number, place) => {
                let written = place.and_then(|(from, bytes)| text.get(from..from.checked_add(bytes)?));
                match (number, written) {
                    (Some(number), Some(written)) if !is_text_in_1_1(written) => Kind::Number(number),
                    (Some(number), None) => Kind::Number(number),
                    (_, Some(written)) => Kind::Text(written.to_owned()),
                    (None, None) => Kind::Null,
                }
            }
            Shape::List(items) => Kind::List(items.into_iter().map(|item| item.resolve(text)).collect()),
            Shape::Map(entries) => {
                Kind::Map(entries.into_iter().map(|(key, node)| (key, node.resolve(text))).collect())
            }
        };
        Tree { kind, line: self.line, column: self.column }
    }
}

/// Whether what newer YAML takes for a number is text in YAML 1.1: there a float has a dot, its exponent
/// has a sign, and no octal number begins with `0o`.
fn is_text_in_1_1(written: &str) -> bool {
    let digits = written.trim_start_matches(['+', '-']);
    if written.starts_with('!') || digits.starts_with("0x") || digits.starts_with("0b") {
        return false;
    }
    match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => !mantissa.contains('.') || !exponent.starts_with(['+', '-']),
        None => digits.starts_with("0o"),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: mut shape, defined, referenced, .. } = Spanned::<Shape>::deserialize(deserializer)?;
        if let Shape::Number(_, place) = &mut shape {
            let span = defined.span();
            let bytes = span.byte_offset().zip(span.byte_len());
            *place = bytes.and_then(|(from, len)| Some((usize::try_from(from).ok()?, usize::try_from(len).ok()?)));
        }
        Ok(Self { shape, line: short(referenced.line()), column: short(referenced.column()) })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Bool(flag)))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<Shape, E> {
        Ok(Shape::Number(Some(int.into()), None))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Shape, E> {
        Ok(Shape::Number(Some(int.into()), None))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Shape, E> {
        Ok(Shape::Number(Number::from_f64(float), None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.push((key, entries.next_value()?));
        }
        Ok(Shape::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOUNDS: YamlBounds = YamlBounds { depth: 46, values: 1_000, text_bytes: 10_000 };

    #[test]
    fn scalars_are_what_they_are_in_yaml_1_1() {
        let text = "%YAML 1.1\n---\na: [12e45, 1.5e3, 1.5e+3, 0o17, 012, 0x1F, -7, 1.0, 'no', no, ~, true, \
                    1_000, 2024-01-01, \"\\U0001F600\"]\nb: &x {k: 1e3}\nc: *x\n";
        let expected = json!({
            "a": ["12e45", "1.5e3", 1500.0, "0o17", "012", 31, -7, 1.0, "no", "no", null, true, "1_000", "2024-01-01", "😀"],
            "b": {"k": "1e3"}, "c": {"k": "1e3"},
        });
        assert_eq!(read_yaml(text, BOUNDS).unwrap(), expected);
    }

    /// A published rule compares with UTF-16 in hexadecimal digits, one of which is an e.
    #[test]
    fn a_number_that_is_not_finite_is_the_text_that_was_written() {
        let text = "[410e0620000000, 1.0e+400, -1.5E+999, .inf, -.Inf, .nan]";
        let expected = json!(["410e0620000000", "1.0e+400", "-1.5E+999", ".inf", "-.Inf", ".nan"]);
        assert_eq!(read_yaml(text, BOUNDS).unwrap(), expected);
        assert_eq!(read_yaml("a: &x 9e9999\nb: *x", BOUNDS).unwrap(), json!({"a": "9e9999", "b": "9e9999"}));
    }

    #[test]
    fn bounds_hold_for_values_and_for_text() {
        assert!(read_yaml(&format!("[{}]", "x, ".repeat(998)), BOUNDS).is_ok());
        assert!(read_yaml(&format!("[{}]", "x, ".repeat(1_001)), BOUNDS).is_err());
        assert!(read_yaml(&"x".repeat(10_001), BOUNDS).is_err());
    }
}
