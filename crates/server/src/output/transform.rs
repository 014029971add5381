//! Custom transforms: a record rebuilt, or changed, from paths. Source: reference/events.md section 11.4.
//!
//! Templates and path modifiers are refused when the output is configured.

use crate::api::ApiError;
use serde_json::{Map, Value};

/// Deepest nesting of objects in a transform.
const DEPTH_MAX: usize = 16;

/// A compiled transform.
#[derive(Debug)]
pub(super) struct Transform {
    is_additive: bool,
    set: Vec<(String, Source)>,
    remove: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Path(Vec<String>),
    Object(Vec<(String, Source)>),
    Constant(Value),
}

impl Transform {
    /// Reads `custom_transform`.
    ///
    /// # Errors
    ///
    /// 400 for what is not a JSON object of plain dotted paths.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else {
            return Err(ApiError::bad_request(
                "custom_transform must be a JSON object of dotted paths: templates are not available on this server",
            ));
        };
        let is_additive = object.keys().any(|key| key.starts_with(['+', '-']));
        let mut transform = Self { is_additive, set: Vec::new(), remove: Vec::new() };
        for (key, value) in &object {
            match key.strip_prefix('-') {
                Some(removed) => transform.remove.push(removed.to_owned()),
                None => {
                    let name = if is_additive { key.strip_prefix('+').unwrap_or(key) } else { key };
                    transform.set.push((name.to_owned(), Source::read(value, 0)?));
                }
            }
        }
        Ok(transform)
    }

    pub(super) fn apply(&self, record: Value) -> Value {
        let new: Vec<(String, Value)> =
            self.set.iter().map(|(name, source)| (name.clone(), source.value(&record))).collect();
        let mut base = match record {
            Value::Object(base) if self.is_additive => base,
            _ => Map::new(),
        };
        for name in &self.remove {
            base.remove(name);
        }
        base.extend(new);
        Value::Object(base)
    }
}

impl Source {
    fn read(value: &Value, depth: usize) -> Result<Self, ApiError> {
        match value {
            Value::String(path) => parse_path(path).map(Self::Path),
            Value::Object(_) if depth >= DEPTH_MAX => {
                Err(ApiError::bad_request(format!("custom_transform nests deeper than {DEPTH_MAX} objects")))
            }
            Value::Object(object) => {
                let parts = object.iter().map(|(name, value)| Ok((name.clone(), Self::read(value, depth + 1)?)));
                parts.collect::<Result<_, ApiError>>().map(Self::Object)
            }
            other => Ok(Self::Constant(other.clone())),
        }
    }

    fn value(&self, record: &Value) -> Value {
        match self {
            Self::Path(path) => find(record, path).cloned().unwrap_or_default(),
            Self::Object(parts) => parts.iter().map(|(name, source)| (name.clone(), source.value(record))).collect(),
            Self::Constant(value) => value.clone(),
        }
    }
}

/// Splits at dots; a backslash keeps the next character, so names may hold dots.
fn parse_path(text: &str) -> Result<Vec<String>, ApiError> {
    let refused = |what: &str| {
        ApiError::bad_request(format!("custom_transform: {what} is not available on this server, in {text:?}"))
    };
    if text.contains("{{") {
        return Err(refused("a template"));
    }
    let (mut path, mut part) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => part.extend(chars.next()),
            '.' => path.push(std::mem::take(&mut part)),
            '|' | '@' => return Err(refused("a path modifier")),
            '*' | '?' | '#' => return Err(refused("a wildcard")),
            char => part.push(char),
        }
    }
    path.push(part);
    Ok(path)
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Object(object) => object.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replacement_and_additive_modes() {
        let record = json!({"event": {"PID": 7, "a.b": 1, "L": ["x", "y"]}, "routing": {"sid": "s"}});
        let cases = [
            (
                json!({"pid": "event.PID", "none": "event.NOPE", "in": {"sid": "routing.sid"}, "n": 5}),
                json!({"pid": 7, "none": null, "in": {"sid": "s"}, "n": 5}),
            ),
            (json!({"dotted": r"event.a\.b", "item": "event.L.1"}), json!({"dotted": 1, "item": "y"})),
            (
                json!({"+pid": "event.PID", "sid": "routing.sid", "-event": ""}),
                json!({"pid": 7, "sid": "s", "routing": {"sid": "s"}}),
            ),
        ];
        for (transform, expected) in cases {
            let compiled = Transform::read(&transform.to_string()).unwrap();
            assert_eq!(compiled.apply(record.clone()), expected, "{transform}");
        }
    }

    #[test]
    fn what_is_not_available_is_refused_by_name() {
        let cases = [
            ("{{ .cat }} on", "templates"),
            (r#"{"a": "{{ .cat }}"}"#, "a template"),
            (r#"{"a": "event.X|@parsejson"}"#, "a path modifier"),
            (r#"{"a": "event.#.x"}"#, "a wildcard"),
            ("[1]", "JSON object"),
        ];
        for (text, expected) in cases {
            let message = Transform::read(text).unwrap_err().message;
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
