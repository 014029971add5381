//! What the server checks before an extension is called. Source: reference/extension-protocol.md section 8.
//!
//! Only the first level is looked at: inside of objects and records nothing is checked, and filters are for forms.

use super::{DataType, Element, ObjectSchema, Schema};
use serde_json::{Map, Value};

/// Why a call does not reach the extension; the text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Checks the parameters of an action, and puts in what the caller left to the extension.
///
/// # Errors
///
/// [`Refusal`] with the published text.
pub fn check_action(schema: &Schema, action: &str, data: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let known = schema.request_schema.get(action);
    let known = known.ok_or_else(|| Refusal(format!("unknown request action: {action}")))?;
    check(&known.parameters, data)
}

/// Checks a configuration in the same way.
///
/// # Errors
///
/// [`Refusal`] with the published text.
pub fn check_config(schema: &Schema, config: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    check(&schema.config_schema, config)
}

/// What a reference to a secret begins with.
const SECRET_REFERENCE: &str = "hive://secret/";

/// Values with secrets in place of the references to them. `secret` gives the secret of a name.
///
/// # Errors
///
/// [`Refusal`] naming a secret that is not there.
pub fn reveal(
    schema: &ObjectSchema,
    mut values: Map<String, Value>,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<Map<String, Value>, Refusal> {
    let reveal_one = |name: &str, value: &mut Value| -> Result<(), Refusal> {
        let Some(of) = value.as_str().and_then(|text| text.strip_prefix(SECRET_REFERENCE)) else { return Ok(()) };
        let found = secret(of).ok_or_else(|| Refusal(format!("invalid value for {name}: no secret {of}")))?;
        *value = Value::String(found);
        Ok(())
    };
    let secrets = schema.fields.iter().filter(|(_, element)| element.data_type == DataType::Secret.word());
    for (name, _) in secrets {
        match values.get_mut(name) {
            Some(Value::Array(several)) => several.iter_mut().try_for_each(|value| reveal_one(name, value))?,
            Some(value) => reveal_one(name, value)?,
            None => {}
        }
    }
    Ok(values)
}

fn check(schema: &ObjectSchema, mut data: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    for (name, element) in &schema.fields {
        if let (None, Some(default)) = (data.get(name), &element.default_value) {
            data.insert(name.clone(), default.clone());
        }
    }
    for one_of in &schema.requirements {
        if !one_of.is_empty() && !one_of.iter().any(|name| data.contains_key(name)) {
            return Err(Refusal(format!("missing one of {}", one_of.join(", "))));
        }
    }
    for (name, value) in &data {
        let element = schema.fields.get(name);
        let element = element.ok_or_else(|| Refusal(format!("unknown parameter name: {name}")))?;
        check_value(name, element, value)?;
    }
    Ok(data)
}

fn check_value(name: &str, element: &Element, value: &Value) -> Result<(), Refusal> {
    let word = &element.data_type;
    let kind = DataType::parse(word).ok_or_else(|| Refusal(format!("unknown datatype: {word}")))?;
    let check_one = |value: &Value| {
        let expected = expectation(kind, element, value);
        expected
            .map_or(Ok(()), |expected| Err(Refusal(format!("invalid value for {name}: {expected}, {}", shape(value)))))
    };
    match value {
        Value::Array(values) if element.is_list => values.iter().try_for_each(check_one),
        value if element.is_list => Err(Refusal(format!("invalid value for {name}: not a list, {}", shape(value)))),
        value => check_one(value),
    }
}

/// What the value is not; `None` if it is right.
fn expectation(kind: DataType, element: &Element, value: &Value) -> Option<&'static str> {
    let text = value.as_str();
    let wrong = |is_right: bool, expected: &'static str| (!is_right).then_some(expected);
    match kind {
        DataType::Integer | DataType::Duration | DataType::Time => wrong(is_whole(value), "not an integer"),
        DataType::Bool => wrong(value.is_boolean(), "not a bool"),
        DataType::Object | DataType::Record => wrong(value.is_object(), "not an object"),
        DataType::Enum if !element.enum_values.is_empty() => {
            wrong(element.enum_values.contains(value), "not one of the listed values")
        }
        DataType::Sid | DataType::Oid => wrong(text.is_some_and(is_uuid), "not a UUID"),
        DataType::Url => wrong(text.is_some_and(|text| text.contains("://")), "not a URL"),
        DataType::Json => {
            let parses = |text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            wrong(text.is_some_and(parses), "not JSON")
        }
        _ => wrong(text.is_some(), "not a string"),
    }
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// What a value is, for the text.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::ActionSchema;
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn schema() -> Schema {
        let text = |kind| Element::new(kind, "l", "d");
        let parameters = ObjectSchema::default()
            .field("sid", text(DataType::Sid))
            .field("count", text(DataType::Integer).or(json!(3)))
            .field("how", Element::one_of(&["loud"], "l", "d"))
            .field("names", text(DataType::String).list())
            .field("deep", text(DataType::Object))
            .field("odd", Element { data_type: "riddle".into(), ..Element::default() })
            .needs(&["sid", "names"]);
        let request_schema = BTreeMap::from([("scan".to_owned(), ActionSchema::new("l", "d", parameters))]);
        Schema { request_schema, ..Schema::default() }
    }

    fn checked(data: Value) -> Result<Value, String> {
        let Value::Object(data) = data else { unreachable!("an object") };
        check_action(&schema(), "scan", data).map(Value::Object).map_err(|refusal| refusal.0)
    }

    #[test]
    fn checklist_19_1_7_what_is_wrong_never_reaches_the_extension() {
        let refused = |data: Value| checked(data).expect_err("refused");
        assert_eq!(refused(json!({})), "missing one of sid, names");
        assert_eq!(refused(json!({"names": [], "x": 1})), "unknown parameter name: x");
        assert_eq!(refused(json!({"names": "a"})), "invalid value for names: not a list, a string");
        assert_eq!(refused(json!({"names": ["a", 1]})), "invalid value for names: not a string, a number");
        assert_eq!(refused(json!({"sid": "a"})), "invalid value for sid: not a UUID, a string");
        assert_eq!(refused(json!({"names": [], "count": 1.5})), "invalid value for count: not an integer, a number");
        assert_eq!(
            refused(json!({"names": [], "how": "soft"})),
            "invalid value for how: not one of the listed values, a string"
        );
        assert_eq!(refused(json!({"names": [], "odd": 1})), "unknown datatype: riddle");
        assert_eq!(check_action(&schema(), "x", Map::new()), Err(Refusal("unknown request action: x".into())));
    }

    #[test]
    fn checklist_19_1_9_secrets_take_the_place_of_their_references_in_fields_of_that_type_alone() {
        let text = |kind| Element::new(kind, "l", "d");
        let schema = ObjectSchema::default()
            .field("key", text(DataType::Secret))
            .field("keys", text(DataType::Secret).list())
            .field("note", text(DataType::String));
        let revealed = |values: Value| {
            let Value::Object(values) = values else { unreachable!("an object") };
            reveal(&schema, values, |name| (name == "a").then(|| "s3cret".to_owned())).map(Value::Object)
        };
        let reference = "hive://secret/a";
        assert_eq!(
            revealed(json!({"key": reference, "keys": [reference, "plain"], "note": reference})),
            Ok(json!({"key": "s3cret", "keys": ["s3cret", "plain"], "note": reference}))
        );
        let refused = revealed(json!({"key": "hive://secret/b"})).expect_err("there is none");
        assert_eq!(refused.0, "invalid value for key: no secret b");
    }

    #[test]
    fn checklist_19_1_8_defaults_come_first_and_nothing_deeper_is_looked_at() {
        let given = checked(json!({"names": ["a"], "deep": {"anything": [1]}}));
        assert_eq!(given, Ok(json!({"names": ["a"], "deep": {"anything": [1]}, "count": 3})));
    }
}
