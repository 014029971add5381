//! Rule text as a tree in which every part knows its line and column.
//!
//! YAML is read as [`crate::yaml`] says. JSON goes through the JSON parser, whose escapes YAML does not share.

use super::LoadError;
use crate::yaml::{self, YamlBounds};
use serde_json::{Map, Number, Value};

/// Largest rule text, in bytes.
pub const RULE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a rule: some eighteen operators in each other. The YAML reader
/// recurses with large frames, so this also keeps it well inside of a 2 MiB stack.
pub(crate) const RULE_DEPTH_MAX: usize = 40;
/// Most values in one rule, after aliases are expanded.
const RULE_VALUES_MAX: usize = 100_000;
/// Bytes of all texts of a rule, after aliases are expanded.
const RULE_TEXT_BYTES_MAX: usize = 64 << 20;

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
                Self::from_value(value)
            }
        }
    }

    /// Takes a value that was parsed elsewhere; places are unknown.
    pub(crate) fn from_value(value: Value) -> Result<Self, LoadError> {
        let mut values_left = RULE_VALUES_MAX;
        tree(value, RULE_DEPTH_MAX, &mut values_left)
    }

    fn from_yaml(text: &str) -> Result<Self, LoadError> {
        let bounds = YamlBounds { depth: RULE_DEPTH_MAX, values: RULE_VALUES_MAX, text_bytes: RULE_TEXT_BYTES_MAX };
        yaml::read(text, bounds).map_err(|cause| {
            let help = "the text must be one YAML or JSON document without repeated keys";
            let (line, column) = (cause.line, cause.column);
            LoadError { line, column, ..LoadError::new("rule/syntax", cause.message, help) }
        })
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

fn tree(value: Value, depth_left: usize, values_left: &mut usize) -> Result<Tree, LoadError> {
    let too_much = |message: String| LoadError::new("rule/too-large", message, "split it into several rules");
    if depth_left == 0 {
        return Err(too_much(format!("the rule nests deeper than {RULE_DEPTH_MAX} levels")));
    }
    *values_left = values_left
        .checked_sub(1)
        .ok_or_else(|| too_much(format!("the rule holds more than {RULE_VALUES_MAX} values")))?;
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(flag) => Kind::Bool(flag),
        Value::Number(number) => Kind::Number(number),
        Value::String(text) => Kind::Text(text),
        Value::Array(items) => {
            let items: Result<_, _> = items.into_iter().map(|item| tree(item, depth_left - 1, values_left)).collect();
            Kind::List(items?)
        }
        Value::Object(map) => {
            let entries: Result<_, _> =
                map.into_iter().map(|(key, item)| Ok((key, tree(item, depth_left - 1, values_left)?))).collect();
            Kind::Map(entries?)
        }
    };
    Ok(Tree { kind, line: 0, column: 0 })
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
