//! Parameters that a service declares for its requests, and their check.
//!
//! The server only builds forms from the declaration; services check for themselves.
//! Source: reference/service-protocol.md section 8.

use crate::lenient::null_is_default;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Declared parameters by name.
pub type Parameters = BTreeMap<String, Parameter>;

/// One declared parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// What values it takes; other frameworks know more kinds, which are kept.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// For people.
    #[serde(default)]
    pub desc: String,
    /// The values of an `enum`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Whether a request without it is refused.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_required: bool,
    /// Place in a form; `None` leaves it to the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
}

/// What values a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// An integer; `true` is none.
    Int,
    /// A number, integers included.
    Float,
    /// A text.
    Str,
    /// `true` or `false`.
    Bool,
    /// One of the declared values.
    Enum,
    /// A kind of another framework, such as `uuid`; every value passes.
    #[serde(untagged)]
    Other(String),
}

impl Parameter {
    fn new(kind: ParameterKind, desc: &str) -> Self {
        Self { kind, desc: desc.to_owned(), values: Vec::new(), is_required: false, index: None }
    }

    /// An integer.
    #[must_use]
    pub fn int(desc: &str) -> Self {
        Self::new(ParameterKind::Int, desc)
    }

    /// A number.
    #[must_use]
    pub fn float(desc: &str) -> Self {
        Self::new(ParameterKind::Float, desc)
    }

    /// A text.
    #[must_use]
    pub fn text(desc: &str) -> Self {
        Self::new(ParameterKind::Str, desc)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(desc: &str) -> Self {
        Self::new(ParameterKind::Bool, desc)
    }

    /// One of these texts.
    #[must_use]
    pub fn one_of(values: &[&str], desc: &str) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { values, ..Self::new(ParameterKind::Enum, desc) }
    }

    /// The same; requests without it are refused.
    #[must_use]
    pub fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    fn check(&self, value: &Value) -> Result<(), &'static str> {
        let is_right = match &self.kind {
            ParameterKind::Int => value.is_i64() || value.is_u64(),
            ParameterKind::Float => value.is_number(),
            ParameterKind::Str => value.is_string(),
            ParameterKind::Bool => value.is_boolean(),
            ParameterKind::Enum => {
                let is_known = value.as_str().is_some_and(|value| self.values.iter().any(|known| known == value));
                return if is_known { Ok(()) } else { Err("enum has invalid value") };
            }
            ParameterKind::Other(_) => true,
        };
        if is_right { Ok(()) } else { Err("wrong data type") }
    }
}

/// Checks what somebody supplied; undeclared parameters pass, and `null` is as good as absent.
///
/// # Errors
///
/// The text for the caller: first of what is supplied and wrong, then of what is missing, each in the order of names.
pub fn check(declared: &Parameters, supplied: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in supplied.iter().filter(|(_, value)| !value.is_null()) {
        if let Some(Err(what)) = declared.get(name).map(|parameter| parameter.check(value)) {
            return Err(format!("invalid parameter {name}: {what}"));
        }
    }
    let is_missing = |name: &str| supplied.get(name).is_none_or(Value::is_null);
    match declared.iter().find(|(name, parameter)| parameter.is_required && is_missing(name)) {
        Some((name, _)) => Err(format!("missing parameter {name}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(kind: Parameter, value: &Value) -> Result<(), String> {
        let Value::Object(supplied) = json!({"p": value, "undeclared": []}) else { unreachable!("an object") };
        check(&Parameters::from([("p".to_owned(), kind)]), &supplied)
    }

    #[test]
    fn checklist_21_2_11_what_is_wrong_is_said_as_published() {
        let wrong = |name: &str| Err(format!("invalid parameter p: {name}"));
        let (kind, value) = ("wrong data type", "enum has invalid value");
        let right = [
            (Parameter::int("i"), json!(3)),
            (Parameter::float("f"), json!(3)),
            (Parameter::float("f"), json!(0.5)),
            (Parameter::text("s"), json!("")),
            (Parameter::bool("b"), json!(false)),
            (Parameter::one_of(&["a", "b"], "e"), json!("b")),
            (Parameter::int("i"), json!(null)),
        ];
        for (parameter, supplied) in right {
            assert_eq!(checked(parameter, &supplied), Ok(()), "{supplied}");
        }
        assert_eq!(checked(Parameter::int("i"), &json!(true)), wrong(kind));
        assert_eq!(checked(Parameter::int("i"), &json!(1.0)), wrong(kind));
        assert_eq!(checked(Parameter::float("f"), &json!("1")), wrong(kind));
        assert_eq!(checked(Parameter::text("s"), &json!(1)), wrong(kind));
        assert_eq!(checked(Parameter::bool("b"), &json!(0)), wrong(kind));
        assert_eq!(checked(Parameter::one_of(&["a"], "e"), &json!("A")), wrong(value));
        for missing in [json!({}), json!({"p": null})] {
            let Value::Object(supplied) = missing else { unreachable!("an object") };
            let declared = Parameters::from([("p".to_owned(), Parameter::int("i").required())]);
            assert_eq!(check(&declared, &supplied), Err("missing parameter p".to_owned()));
        }
    }

    #[test]
    fn declarations_are_spelled_as_published_and_other_kinds_are_kept() {
        let declared = json!({"type": "enum", "desc": "d", "values": ["a"], "is_required": true});
        assert_eq!(json!(Parameter::one_of(&["a"], "d").required()), declared);
        let other: Parameter =
            serde_json::from_value(json!({"type": "uuid", "values": null, "index": 2})).expect("kept");
        assert_eq!(json!(other)["type"], json!("uuid"));
        assert_eq!(checked(other, &json!(1)), Ok(()));
    }
}
