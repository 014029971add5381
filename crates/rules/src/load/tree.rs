//! Rule text as a tree in which every part knows its line and column.
//!
//! YAML scalars follow the 1.2 core rules, with three exceptions that protect
//! authors: `no`, `yes`, `on` and `off` are text, and so are numbers with a leading
//! zero or an underscore. JSON goes through the JSON parser, whose escapes YAML
//! does not share.

use super::LoadError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned};
use std::fmt;

/// Largest rule text, in bytes.
pub const RULE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a rule: some eighteen operators in each other. The YAML reader
/// recurses with large frames, so this also keeps it well inside of a 2 MiB stack.
pub(crate) const RULE_DEPTH_MAX: usize = 40;
/// Most values in one rule, after aliases are expanded.
const RULE_VALUES_MAX: usize = 100_000;

/// A value with the place where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) kind: Kind,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads rule text: JSON if it is JSON, else YAML.
    pub(crate) fn from_text(text: &str) -> Result<Self, LoadError> {
        if text.len() > RULE_BYTES_MAX {
            let message = format!("the rule has {} bytes; at most {RULE_BYTES_MAX} are accepted", text.len());
            return Err(LoadError::new("rule/too-large", message, "split it into several rules"));
        }
        let yaml = Self::from_yaml(text);
        let is_json_like = text.trim_start().starts_with(['{', '[']);
        match (yaml, is_json_like) {
            (Ok(tree), _) => Ok(tree),
            (Err(error), false) => Err(error),
            (Err(error), true) => {
                let value: Value = serde_json::from_str(text).map_err(|_| error)?;
                Self::from_value(&value)
            }
        }
    }

    /// Takes a value that was parsed elsewhere; places are unknown.
    pub(crate) fn from_value(value: &Value) -> Result<Self, LoadError> {
        let mut values_left = RULE_VALUES_MAX;
        copy(value, RULE_DEPTH_MAX, &mut values_left)
    }

    fn from_yaml(text: &str) -> Result<Self, LoadError> {
        let located: Located = serde_saphyr::from_str_with_options(text, options()).map_err(|cause| {
            let message = cause.without_snippet().to_string();
            let (line, column) = cause.location().map_or((0, 0), |at| (short(at.line()), short(at.column())));
            let help = "the text must be one YAML or JSON document without repeated keys";
            LoadError { line, column, ..LoadError::new("rule/syntax", message, help) }
        })?;
        Ok(located.0)
    }

    /// Moves all places down: the text stands below so many lines.
    pub(crate) fn shift(&mut self, lines: u32) {
        self.line = shifted(self.line, lines);
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.shift(lines)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(_, item)| item.shift(lines)),
            _ => {}
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.0 == key).map(|entry| &entry.1),
            _ => None,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                let map: Map<_, _> = entries.iter().map(|(key, item)| (key.clone(), item.to_value())).collect();
                Value::Object(map)
            }
        }
    }

    /// What kind of value this is, in words for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "an object",
        }
    }
}

/// A line of a text that stands below so many lines; an unknown one stays so.
pub(crate) fn shifted(line: u32, lines: u32) -> u32 {
    if line == 0 { 0 } else { line.saturating_add(lines) }
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: RULE_DEPTH_MAX,
        max_nodes: RULE_VALUES_MAX,
        max_events: RULE_VALUES_MAX * 4,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    }
}

fn copy(value: &Value, depth_left: usize, values_left: &mut usize) -> Result<Tree, LoadError> {
    let too_much = |message: String| LoadError::new("rule/too-large", message, "split it into several rules");
    if depth_left == 0 {
        return Err(too_much(format!("the rule nests deeper than {RULE_DEPTH_MAX} levels")));
    }
    *values_left = values_left
        .checked_sub(1)
        .ok_or_else(|| too_much(format!("the rule holds more than {RULE_VALUES_MAX} values")))?;
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(flag) => Kind::Bool(*flag),
        Value::Number(number) => Kind::Number(number.clone()),
        Value::String(text) => Kind::Text(text.clone()),
        Value::Array(items) => {
            let items: Result<_, _> = items.iter().map(|item| copy(item, depth_left - 1, values_left)).collect();
            Kind::List(items?)
        }
        Value::Object(map) => {
            let entries: Result<_, _> =
                map.iter().map(|(key, item)| Ok((key.clone(), copy(item, depth_left - 1, values_left)?))).collect();
            Kind::Map(entries?)
        }
    };
    Ok(Tree { kind, line: 0, column: 0 })
}

struct Located(Tree);

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        let (line, column) = (short(spanned.referenced.line()), short(spanned.referenced.column()));
        Ok(Self(Tree { kind: spanned.value.0, line, column }))
    }
}

struct Shape(Kind);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor).map(Self)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(flag))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<Kind, E> {
        Ok(Kind::Number(int.into()))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Kind, E> {
        Ok(Kind::Number(int.into()))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Kind, E> {
        Number::from_f64(float).map(Kind::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(Located(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Located(item) = entries.next_value()?;
            map.push((key, item));
        }
        Ok(Kind::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_keep_what_the_author_wrote() {
        let text = "[no, on, 012, 1_000, 0x10000000, '4625', 4625, 1.5, ~, true, 18446744073709551615]";
        let expected = json!(["no", "on", "012", "1_000", 0x1000_0000, "4625", 4625, 1.5, null, true, u64::MAX]);
        assert_eq!(Tree::from_text(text).unwrap().to_value(), expected);
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded_and_bounded() {
        let tree = Tree::from_text("a: &x {op: is}\nb: {<<: *x, path: p}\nc: *x").unwrap();
        assert_eq!(tree.to_value(), json!({"a": {"op": "is"}, "b": {"op": "is", "path": "p"}, "c": {"op": "is"}}));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let row = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", row.trim_end_matches(", ")));
        }
        assert_eq!(Tree::from_text(&bomb).unwrap_err().code, "rule/syntax");
    }

    #[test]
    fn json_escapes_and_places_are_understood() {
        let tree = Tree::from_text("{\n\t\"a\": \"\\ud83d\\ude00\"}").unwrap();
        assert_eq!(tree.to_value(), json!({"a": "😀"}));
        let tree = Tree::from_text("{\"a\":\n {\"b\": 1}}").unwrap();
        let inner = tree.get("a").and_then(|a| a.get("b")).unwrap();
        assert_eq!((inner.line, inner.column), (2, 8));
    }

    #[test]
    fn broken_text_says_where() {
        let error = Tree::from_text("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2, "{error}");
        assert!(Tree::from_text("a: 1\na: 2").is_err(), "repeated keys");
        assert!(Tree::from_text(&"[".repeat(10_000)).is_err());
        assert!(Tree::from_text(&format!("{}1", "- ".repeat(10_000))).is_err());
    }
}
