//! Reshaping a whole record before it leaves: the same templates and transforms that rules have.
//!
//! Source: reference/events.md section 11.4.

use crate::copies::Copies;
use crate::template::{Template, Templates, to_data};
use crate::transform::Spec;
use serde_json::Value;

/// Why a record cannot be reshaped, or never will be; the text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReshapeError(String);

/// What came of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Reshaped {
    /// Another record.
    Record(Value),
    /// The text of a template; it may have several lines, and whatever the record brings along.
    Text(String),
}

/// A compiled template or transform.
#[derive(Debug)]
pub struct Reshape {
    way: Way,
    /// Templates see the record in another form, which costs as much as the record is large.
    has_template: bool,
}

#[derive(Debug)]
enum Way {
    Template(Template),
    Transform(Spec),
}

impl Reshape {
    /// Compiles a text: a transform if it is a JSON object, else a template. `anon_seed` is the private seed of
    /// the function `anon`.
    ///
    /// # Errors
    ///
    /// Which template or path is wrong, or exceeds a bound.
    pub fn new(text: &str, anon_seed: &str) -> Result<Self, ReshapeError> {
        let templates = Templates::new(anon_seed);
        let way = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Spec::new(&templates, &Value::Object(object))
                .map(Way::Transform)
                .map_err(|error| ReshapeError(error.to_string()))?,
            _ => templates.parse(text).map(Way::Template).map_err(|error| ReshapeError(error.to_string()))?,
        };
        Ok(Self { way, has_template: text.contains("{{") })
    }

    /// Reshapes a record.
    ///
    /// # Errors
    ///
    /// A template takes a field of nothing, or makes more than it may; a transform copies more than it may.
    pub fn apply(&self, record: &Value) -> Result<Reshaped, ReshapeError> {
        let data = if self.has_template { to_data(record) } else { to_data(&Value::Null) };
        match &self.way {
            Way::Template(template) => {
                template.render(&data).map(Reshaped::Text).map_err(|error| ReshapeError(error.to_string()))
            }
            Way::Transform(spec) => spec
                .apply(record, &data, &Copies::default())
                .map(Reshaped::Record)
                .map_err(|error| ReshapeError(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(text: &str, record: &Value) -> Reshaped {
        Reshape::new(text, "seed").unwrap().apply(record).unwrap()
    }

    #[test]
    fn an_object_is_a_transform_and_other_text_a_template() {
        let record = json!({"cat": "c", "event": {"PID": 7, "a.b": 1, "L": ["x", "y"]}, "routing": {"hostname": "h"}});
        let cases = [
            (
                json!({"pid": "event.PID", "none": "event.NOPE", "in": {"host": "routing.hostname"}, "n": 5}),
                json!({"pid": 7, "none": null, "in": {"host": "h"}, "n": 5}),
            ),
            (json!({"dotted": r"event.a\.b", "item": "event.L.1"}), json!({"dotted": 1, "item": "y"})),
            (json!({"text": "{{ .cat }} on {{ .routing.hostname }}"}), json!({"text": "c on h"})),
            (
                json!({"+pid": "event.PID", "host": "routing.hostname", "-event": "", "-routing": ""}),
                json!({"cat": "c", "pid": 7, "host": "h"}),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(apply(&text.to_string(), &record), Reshaped::Record(expected), "{text}");
        }
        let line = apply("{{ .cat }}: {{ json .event.L }}", &record);
        assert_eq!(line, Reshaped::Text("c: [\"x\",\"y\"]".to_owned()));
        assert_eq!(apply("[1]", &record), Reshaped::Text("[1]".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_told_when_it_is_loaded() {
        for text in ["{{ nosuch 1 }}", r#"{"a": "{{ .cat "}"#, r#"{"a": "x|@nosuch"}"#, &"x".repeat(1 << 20)] {
            assert!(Reshape::new(text, "").is_err(), "{}", &text[..text.len().min(40)]);
        }
        assert!(Reshape::new("{{ .a.b.c }}", "").unwrap().apply(&json!({})).is_err());
    }
}
