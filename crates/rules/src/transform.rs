//! JSON transforms: a result in the shape of its specification.
//!
//! Source: reference/detection-response.md section 16, resolution A-27.

mod gjson;

use crate::copies::{Copies, bytes_of};
use crate::template::{Template, TemplateError, Templates};
use gotmpl::Value as Data;
use serde_json::{Map, Value};

/// Deepest nesting of a specification; loading bounds it too.
const SPEC_DEPTH_MAX: usize = 64;

/// Why a transform cannot be loaded or applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransformError {
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Path(String),
    #[error("the transform nests deeper than {SPEC_DEPTH_MAX} levels")]
    TooDeep,
}

/// What a transform is applied to.
struct Input<'a> {
    value: &'a Value,
    data: &'a Data,
    copies: &'a Copies,
}

/// A compiled transform.
#[derive(Clone, Debug)]
pub(crate) enum Spec {
    Template(Template),
    /// A path into the input.
    Path(Box<str>),
    Object {
        /// The result is the input with changes.
        is_additive: bool,
        entries: Vec<(Change, String, Spec)>,
    },
    List(Vec<Spec>),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Set,
    Remove,
}

impl Spec {
    pub(crate) fn empty() -> Self {
        Self::Object { is_additive: false, entries: Vec::new() }
    }

    pub(crate) fn new(templates: &Templates, spec: &Value) -> Result<Self, TransformError> {
        Self::compile(templates, spec, SPEC_DEPTH_MAX)
    }

    fn compile(templates: &Templates, spec: &Value, depth_left: usize) -> Result<Self, TransformError> {
        let depth_left = depth_left.checked_sub(1).ok_or(TransformError::TooDeep)?;
        Ok(match spec {
            Value::String(text) if text.contains("{{") => Self::Template(templates.parse(text)?),
            Value::String(path) => {
                gjson::check(path).map_err(TransformError::Path)?;
                Self::Path(path.as_str().into())
            }
            Value::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| Self::compile(templates, item, depth_left)).collect();
                Self::List(items?)
            }
            Value::Object(map) => {
                let is_additive = map.keys().any(|key| key.starts_with(['+', '-']));
                let entry = |(key, item): (&String, &Value)| {
                    let (change, name) = match (is_additive, key.split_at_checked(1)) {
                        (true, Some(("+", name))) => (Change::Set, name),
                        (true, Some(("-", name))) => (Change::Remove, name),
                        _ => (Change::Set, key.as_str()),
                    };
                    let spec = match change {
                        Change::Set => Self::compile(templates, item, depth_left)?,
                        Change::Remove => Self::Literal(Value::Null),
                    };
                    Ok::<_, TransformError>((change, name.to_owned(), spec))
                };
                Self::Object { is_additive, entries: map.iter().map(entry).collect::<Result<_, _>>()? }
            }
            literal => Self::Literal(literal.clone()),
        })
    }

    /// Applies the transform to `input`; `data` is the same for templates.
    pub(crate) fn apply(&self, input: &Value, data: &Data, copies: &Copies) -> Result<Value, TransformError> {
        self.apply_at(&Input { value: input, data, copies }, Some(input))
    }

    /// `level` is the part of the input that an additive object changes.
    fn apply_at(&self, input: &Input<'_>, level: Option<&Value>) -> Result<Value, TransformError> {
        Ok(match self {
            Self::Template(template) => {
                let text = template.render(input.data)?;
                input.copies.add(text.len())?;
                Value::String(text)
            }
            Self::Path(path) => {
                let found = gjson::get(input.value, path).map_err(TransformError::Path)?.unwrap_or(Value::Null);
                input.copies.add(bytes_of(&found))?;
                found
            }
            Self::Literal(literal) => literal.clone(),
            Self::List(items) => {
                let items: Result<_, _> = items.iter().map(|item| item.apply_at(input, None)).collect();
                Value::Array(items?)
            }
            Self::Object { is_additive, entries } => {
                let base = level.filter(|level| *is_additive && level.is_object());
                base.map_or(Ok(()), |base| input.copies.add(bytes_of(base)))?;
                let mut result: Map<String, Value> = base.and_then(Value::as_object).cloned().unwrap_or_default();
                for (change, name, spec) in entries {
                    match change {
                        Change::Remove => _ = result.remove(name),
                        Change::Set => {
                            let inner = level.and_then(|level| level.get(name));
                            result.insert(name.clone(), spec.apply_at(input, inner)?);
                        }
                    }
                }
                Value::Object(result)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::to_data;
    use serde_json::json;

    fn apply(spec: &Value, input: &Value) -> Value {
        Spec::new(&Templates::new(""), spec).unwrap().apply(input, &to_data(input), &Copies::default()).unwrap()
    }

    #[test]
    fn additive_objects_change_their_own_level_of_the_input() {
        let input = json!({"event": {"A": 1, "B": "{\"x\": [1, 2]}"}, "ts": "t"});
        let spec = json!({"-ts": 0, "event": {"+B": "event.B|@parsejson", "-A": null}});
        assert_eq!(apply(&spec, &input), json!({"event": {"B": {"x": [1, 2]}}}));
    }

    #[test]
    fn paths_follow_gjson() {
        let input = json!({
            "l": [{"k": 1, "n": "a"}, {"n": "b"}, {"k": 3}], "a.b": {"c*": 5}, "t": "id=42 user=bob", "s": 1_700_000_000
        });
        let cases = [
            ("l.#", json!(3)),
            ("l.#.k", json!([1, 3])),
            ("l.1.n", json!("b")),
            ("l.#.k|@reverse", json!([3, 1])),
            ("l.#.k|0", json!(1)),
            ("a\\.b.c\\*", json!(5)),
            ("a*.c?", json!(5)),
            ("l.0|@keys", json!(["k", "n"])),
            ("l.0.@values", json!([1, "a"])),
            ("t|@extract:{\"re\": \"id=(?P<id>\\\\d+) user=(?P<user>\\\\w+)\"}", json!({"id": "42", "user": "bob"})),
            ("s|@parsetime:{\"from\": \"epoch_s\", \"to\": \"2006\"}", json!("2023")),
            ("nope.x", Value::Null),
            ("l.9", Value::Null),
        ];
        for (path, expected) in cases {
            assert_eq!(apply(&json!({"r": path}), &input)["r"], expected, "{path}");
        }
    }

    #[test]
    fn broken_paths_are_refused_at_load() {
        for path in ["a|@nosuch", "a|@extract:{\"re\": \"(\"}", "a|@parsetime:{", &"a.".repeat(600), "l.#(k==1)"] {
            assert!(Spec::new(&Templates::new(""), &json!({"r": path})).is_err(), "{path}");
        }
    }
}
