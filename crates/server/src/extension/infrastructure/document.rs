//! The document: YAML text as the published clients write it.

use super::options::{UNAVAILABLE, available, is_section};
use super::plan::Plan;
use crate::extension::Error;
use muster_rules::{YamlBounds, read_yaml};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Newest version of the format. Source: reference/detection-response.md section 1.2.
const VERSION_MAX: i64 = 3;

/// Deepest nesting: a rule, with some room for what is around it. Values and text: an organization of 15,000 rules, or
/// lookups with millions of entries; the bytes of a request bound both before these do.
const BOUNDS: YamlBounds = YamlBounds { depth: 46, values: 16_000_000, text_bytes: 256 << 20 };

/// A document with its sections.
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads the text of a document; unless they are passed over, sections must be known.
    pub(super) fn parse(text: &str, skip_unknown: bool) -> Result<Self, Error> {
        let bad = |what: String| Error::invalid(format!("config: {what}"));
        let Value::Object(document) = parse(text).map_err(bad)? else {
            return Err(bad("must be an object with version and sections".to_owned()));
        };
        match document.get("version").map(Value::as_i64) {
            None => return Err(bad(format!("version is missing; write version: {VERSION_MAX}"))),
            Some(Some(1..=VERSION_MAX)) => {}
            Some(_) => return Err(bad(format!("version is not supported; write version: {VERSION_MAX}"))),
        }
        let document = Self(document);
        let unknown = document.unknown().next().filter(|_| !skip_unknown).cloned();
        match unknown {
            Some(name) => Err(bad(format!("unknown section: {name}; available: {}", available()))),
            None => Ok(document),
        }
    }

    /// Names that are no sections.
    fn unknown(&self) -> impl Iterator<Item = &String> {
        // What was included is in the document already; the client leaves the word behind.
        self.0.keys().filter(|name| !is_section(name) && !["version", "include"].contains(&name.as_str()))
    }

    /// A section; `None` if it is absent or null.
    pub(super) fn section(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|section| !section.is_null())
    }

    /// A section that is an object.
    pub(super) fn object(&self, name: &str) -> Result<impl Iterator<Item = (&String, &Value)>, Error> {
        let entries = match self.section(name) {
            None => None,
            Some(Value::Object(entries)) => Some(entries),
            Some(_) => return Err(Error::invalid(format!("config: {name} must be an object"))),
        };
        Ok(entries.into_iter().flatten())
    }

    /// Tells sections that hold something, are asked for, and have nothing behind them here.
    pub(super) fn check_unavailable(&self, plan: &mut Plan<'_>) {
        let is_meant = |name: &str| plan.options.wants(name) && self.section(name).is_some_and(|it| !is_empty(it));
        let unavailable: Vec<&str> = UNAVAILABLE.iter().copied().filter(|name| is_meant(name)).collect();
        for name in unavailable.into_iter().chain(self.unknown().map(String::as_str)) {
            let text = format!("this section is not available on this server; available: {}", available());
            plan.unknown(name, &text);
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

/// Reads YAML text as the published clients mean it.
fn parse(text: &str) -> Result<Value, String> {
    read_yaml(text, BOUNDS).map_err(|error| match error.line {
        0 => error.message,
        line => format!("{} (line {line}, column {})", error.message, error.column),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hostile_and_wrong_documents_are_refused_with_a_reason() {
        let mut bomb = String::from("version: 3\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let row = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", row.trim_end_matches(", ")));
        }
        let nested = |levels: usize| format!("version: 3\nhives: {}{}", "[".repeat(levels), "]".repeat(levels));
        let deep = nested(BOUNDS.depth);
        assert!(Document::parse(&nested(BOUNDS.depth - 1), false).is_ok());
        let cases = [
            ("[1]", "must be an object"),
            ("outputs: {}", "version is missing"),
            ("version: 4", "version is not supported"),
            ("version: three", "version is not supported"),
            ("version: 3\npigeons: {}", "unknown section: pigeons"),
            ("version: 3\nversion: 3", "duplicate"),
            ("a: [1", "line"),
            (&bomb, "budget"),
            (&deep, "depth"),
        ];
        for (text, expected) in cases {
            let error = Document::parse(text, false).map(|_| ()).unwrap_err();
            let shown = &text[..text.len().min(60)];
            assert!(error.to_string().to_lowercase().contains(expected), "{shown}: {error}");
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
