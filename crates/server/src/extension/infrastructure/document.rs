//! The document: YAML text as the published clients write it.
//!
//! They write YAML 1.1, in which `1e3` and `0o17` are text, so that such text comes
//! without quotes. What has no quotes is therefore a number only if it is one in 1.1 too.

use super::options::{UNAVAILABLE, available, is_section};
use super::plan::Plan;
use crate::api::ApiError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned};
use std::fmt;
use std::fmt::Write as _;

/// Newest version of the format. Source: reference/detection-response.md section 1.2.
const VERSION_MAX: i64 = 3;

/// Deepest nesting: a rule, with some room for what is around it. The YAML reader recurses with large
/// frames, and this keeps it inside of a 2 MiB stack.
const DEPTH_MAX: usize = 46;

/// Values of a document, after aliases are expanded.
const VALUES_MAX: usize = 500_000;

/// A document with its sections.
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads the text of a document.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let bad = |what: String| ApiError::bad_request(format!("config: {what}"));
        let Value::Object(document) = parse(text).map_err(bad)? else {
            return Err(bad("must be an object with version and sections".to_owned()));
        };
        match document.get("version").map(Value::as_i64) {
            None => return Err(bad(format!("version is missing; write version: {VERSION_MAX}"))),
            Some(Some(1..=VERSION_MAX)) => {}
            Some(_) => return Err(bad(format!("version is not supported; write version: {VERSION_MAX}"))),
        }
        // What was included is in the document already; the client leaves the word behind.
        let is_known = |name: &str| is_section(name) || ["version", "include"].contains(&name);
        if let Some(name) = document.keys().find(|name| !is_known(name)) {
            return Err(bad(format!("unknown section: {name}; available: {}", available())));
        }
        Ok(Self(document))
    }

    /// A section; `None` if it is absent or null.
    pub(super) fn section(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|section| !section.is_null())
    }

    /// A section that is an object.
    pub(super) fn object(&self, name: &str) -> Result<impl Iterator<Item = (&String, &Value)>, ApiError> {
        let entries = match self.section(name) {
            None => None,
            Some(Value::Object(entries)) => Some(entries),
            Some(_) => return Err(ApiError::bad_request(format!("config: {name} must be an object"))),
        };
        Ok(entries.into_iter().flatten())
    }

    /// Refuses sections that hold something, are asked for, and have nothing behind them here.
    pub(super) fn check_unavailable(&self, plan: &mut Plan<'_>) {
        for name in UNAVAILABLE {
            if plan.options.wants(name) && self.section(name).is_some_and(|section| !is_empty(section)) {
                let text = format!("this section is not available on this server; available: {}", available());
                plan.error(name, &text);
            }
        }
    }
}

/// Nothing in it, however deep.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(entries) => entries.values().all(is_empty),
        _ => false,
    }
}

/// A value as text that every YAML reader takes: JSON in which everything beyond ASCII is escaped the way of YAML.
#[must_use]
pub fn yaml_text(value: &Value) -> String {
    let mut text = String::new();
    for char in value.to_string().chars() {
        let code = u32::from(char);
        // Writing into text cannot fail.
        let _ = match code {
            0x20..=0x7e => write!(text, "{char}"),
            0..=0xffff => write!(text, "\\u{code:04x}"),
            _ => write!(text, "\\U{code:08x}"),
        };
    }
    text
}

fn yaml_options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_nodes: VALUES_MAX,
        max_events: VALUES_MAX * 4,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    }
}

/// Reads YAML text as the published clients mean it.
fn parse(text: &str) -> Result<Value, String> {
    let node = serde_saphyr::from_str_with_options::<Node>(text, yaml_options()).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        format!("{}{}", error.without_snippet(), place.unwrap_or_default())
    })?;
    Ok(node.resolve(text))
}

/// A value whose numbers remember how they were written.
enum Node {
    Scalar(Value),
    Number { number: Number, place: Option<(usize, usize)> },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn resolve(self, text: &str) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Number { number, place } => {
                let written = place.and_then(|(from, bytes)| text.get(from..from.checked_add(bytes)?));
                match written.filter(|written| is_text_in_1_1(written)) {
                    Some(written) => Value::from(written),
                    None => Value::Number(number),
                }
            }
            Self::List(items) => items.into_iter().map(|item| item.resolve(text)).collect(),
            Self::Map(entries) => entries.into_iter().map(|(key, node)| (key, node.resolve(text))).collect(),
        }
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
        let Spanned { value: Shape(mut node), defined, .. } = Spanned::<Shape>::deserialize(deserializer)?;
        if let Self::Number { place, .. } = &mut node {
            let span = defined.span();
            let bytes = span.byte_offset().zip(span.byte_len());
            *place = bytes.and_then(|(from, len)| Some((usize::try_from(from).ok()?, usize::try_from(len).ok()?)));
        }
        Ok(node)
    }
}

/// A node before it knows where it stands.
struct Shape(Node);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor).map(Self)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(flag)))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<Node, E> {
        Ok(Node::Number { number: int.into(), place: None })
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Node, E> {
        Ok(Node::Number { number: int.into(), place: None })
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Node, E> {
        let number = Number::from_f64(float).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Node::Number { number, place: None })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.push((key, entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_what_they_are_in_yaml_1_1() {
        let text = "%YAML 1.1\n---\nversion: 3\nhives: {a: [12e45, 1.5e3, 1.5e+3, 0o17, 012, 0x1F, -7, 1.0, 'no', no, ~, true, \
                    1_000, 2024-01-01, \"\\U0001F600\"], b: &x {k: 1e3}, c: *x}\n";
        let expected = json!({
            "a": ["12e45", "1.5e3", 1500.0, "0o17", "012", 31, -7, 1.0, "no", "no", null, true, "1_000", "2024-01-01", "😀"],
            "b": {"k": "1e3"}, "c": {"k": "1e3"},
        });
        assert_eq!(Document::parse(text).unwrap().0["hives"], expected);
    }

    #[test]
    fn hostile_and_wrong_documents_are_refused_with_a_reason() {
        let mut bomb = String::from("version: 3\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let row = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", row.trim_end_matches(", ")));
        }
        let nested = |levels: usize| format!("version: 3\nhives: {}{}", "[".repeat(levels), "]".repeat(levels));
        let deep = nested(DEPTH_MAX);
        assert!(Document::parse(&nested(DEPTH_MAX - 1)).is_ok());
        let cases = [
            ("[1]", "must be an object"),
            ("outputs: {}", "version is missing"),
            ("version: 4", "version is not supported"),
            ("version: three", "version is not supported"),
            ("version: 3\npigeons: {}", "unknown section: pigeons"),
            ("version: 3\nversion: 3", "duplicate"),
            ("version: 3\nx: .inf", "finite"),
            ("a: [1", "line"),
            (&bomb, "budget"),
            (&deep, "depth"),
        ];
        for (text, expected) in cases {
            let error = Document::parse(text).map(|_| ()).unwrap_err();
            let shown = &text[..text.len().min(60)];
            assert!(error.message.to_lowercase().contains(expected), "{shown}: {}", error.message);
        }
    }

    #[test]
    fn text_for_older_clients_is_ascii() {
        let value = json!({"a\u{85}": "é😀\u{2028}\u{7f}\n"});
        let text = yaml_text(&value);
        assert!(text.is_ascii());
        assert_eq!(parse(&text).unwrap(), value);
    }
}
