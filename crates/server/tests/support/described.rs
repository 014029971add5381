//! Whether what the server answers is what its API description says: every answer that a test sees is compared.
//!
//! Only what the description uses is understood; a keyword that is not known here is a failure, and so is a field
//! that the schema of an object does not have.

use serde_json::{Map, Value};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| muster_server::api::document(&muster_server::api::routes()));

/// Keywords that say nothing of a value, or are for people.
const IGNORED: &[&str] = &["title", "description", "default", "contentMediaType", "contentEncoding", "$schema"];

/// Panics if an answer is not what the description says of the operation. `action` is the field of that name, which
/// tells what an extension answers.
pub fn check(method: &str, path: &str, action: Option<&str>, status: u16, answer: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let found = operation(method, path);
    let responses = found.map(|operation| &operation["responses"]);
    let response = responses.map_or(&Value::Null, |responses| {
        let status = if status < 300 { status.to_string() } else { "default".to_owned() };
        &responses[status]
    });
    let schema = match response.pointer("/content/application~1json/schema") {
        Some(schema) => schema.clone(),
        // A path that there is not is refused as all is.
        None if status >= 400 => serde_json::json!({"$ref": "#/components/schemas/Error"}),
        None => panic!("{method} {path} answers {status} with JSON, and the description says nothing of it: {answer}"),
    };
    let wrong = |problem: String| panic!("{method} {path} answers otherwise than described: {problem}\n{answer}");
    fits(&schema, answer, "").unwrap_or_else(wrong);
    let extension = path.rsplit('/').next().unwrap_or_default();
    let of_action = action.and_then(|action| found?.get("x-actions")?.get(extension)?.get(action));
    if let Some(schema) = of_action.filter(|_| status < 300) {
        fits(schema, &answer["data"], "/data").unwrap_or_else(wrong);
    }
}

/// The operation that serves a path: of several, that with most words of its own.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let words = |template: &str| template.split('/').filter(|part| !part.is_empty() && !part.starts_with('{')).count();
    let serves = |template: &str| {
        let parts: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
        parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let mut all: Vec<_> = paths.filter(|(template, _)| serves(template)).collect();
    all.sort_by_key(|(template, _)| std::cmp::Reverse(words(template)));
    all.into_iter().find_map(|(_, operations)| operations.get(method.to_ascii_lowercase()))
}

fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err(format!("{at}: nothing may be here")) };
    };
    for (keyword, wanted) in schema {
        let problem = match keyword.as_str() {
            "$ref" => {
                let name = wanted.as_str().unwrap().trim_start_matches('#');
                let target = DOCUMENT.pointer(name).ok_or_else(|| format!("{name} is not in the description"))?;
                fits(target, value, at)?;
                None
            }
            "anyOf" | "oneOf" => {
                let tried = wanted.as_array().unwrap().iter().map(|schema| fits(schema, value, at));
                let problems: Vec<String> = tried.filter_map(Result::err).collect();
                let all_failed = problems.len() == wanted.as_array().unwrap().len();
                all_failed.then(|| format!("none of: {}", problems.join("; ")))
            }
            "type" => (!is_of_type(wanted, value)).then(|| format!("is no {wanted}")),
            "const" => (wanted != value).then(|| format!("is not {wanted}")),
            "enum" => (!wanted.as_array().unwrap().contains(value)).then(|| format!("is none of {wanted}")),
            "minimum" => {
                (value.is_number() && value.as_f64() < wanted.as_f64()).then(|| format!("is less than {wanted}"))
            }
            "maximum" => (value.as_f64() > wanted.as_f64()).then(|| format!("is more than {wanted}")),
            "format" => wrong_format(wanted, value),
            "items" => {
                let rest = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                let mut items = value.as_array().into_iter().flatten().enumerate().skip(rest);
                items.try_for_each(|(place, item)| fits(wanted, item, &format!("{at}/{place}")))?;
                None
            }
            "prefixItems" => {
                let mut pairs =
                    wanted.as_array().unwrap().iter().zip(value.as_array().into_iter().flatten()).enumerate();
                pairs.try_for_each(|(place, (schema, item))| fits(schema, item, &format!("{at}/{place}")))?;
                None
            }
            "minItems" => (value.as_array().map(Vec::len) < wanted.as_u64().map(|n| n as usize))
                .then(|| format!("has less than {wanted}")),
            "maxItems" => (value.as_array().map(Vec::len) > wanted.as_u64().map(|n| n as usize))
                .then(|| format!("has more than {wanted}")),
            "required" => {
                let names = wanted.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing: Vec<&str> = names.filter(|name| value.is_object() && value.get(name).is_none()).collect();
                (!missing.is_empty()).then(|| format!("lacks {}", missing.join(", ")))
            }
            "properties" | "additionalProperties" => None,
            ignored if IGNORED.contains(&ignored) => None,
            unknown => panic!("the description uses {unknown}, which this check does not know"),
        };
        if let Some(problem) = problem {
            return Err(format!("{at}: {problem}"));
        }
    }
    fields_fit(schema, value, at)
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::Array(types) => types.iter().any(|wanted| is_of_type(wanted, value)),
        Value::String(name) => match name.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            _ => false,
        },
        _ => false,
    }
}

fn wrong_format(wanted: &Value, value: &Value) -> Option<String> {
    let is_wrong = wanted == "uuid" && value.as_str().is_some_and(|text| uuid::Uuid::try_parse(text).is_err());
    is_wrong.then(|| "is no UUID".to_owned())
}

/// Each field by its own schema; one that has none must be allowed.
fn fields_fit(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let is_about_fields = schema.contains_key("properties") || schema.contains_key("additionalProperties");
    let Some(fields) = value.as_object().filter(|_| is_about_fields || schema.get("type") == Some(&"object".into()))
    else {
        return Ok(());
    };
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        let of_name = schema.get("properties").and_then(|properties| properties.get(name));
        match of_name.or_else(|| schema.get("additionalProperties")) {
            Some(schema) => fits(schema, value, &at)?,
            None => return Err(format!("{at}: the description has no such field")),
        }
    }
    Ok(())
}

#[test]
fn seven_5_an_answer_that_is_not_as_described_is_found() {
    let isolation = serde_json::json!({"$ref": "#/components/schemas/Isolation"});
    let of = |answer: &str| fits(&isolation, &serde_json::from_str(answer).unwrap(), "").err().unwrap_or_default();
    assert_eq!(of(r#"{"is_isolated": true, "should_isolate": false}"#), "");
    assert_eq!(of(r#"{"is_isolated": true}"#), ": lacks should_isolate");
    assert_eq!(of(r#"{"is_isolated": 1, "should_isolate": false}"#), "/is_isolated: is no \"boolean\"");
    let more = of(r#"{"is_isolated": true, "should_isolate": false, "since": 1}"#);
    assert_eq!(more, "/since: the description has no such field");
    let state = serde_json::json!({"$ref": "#/components/schemas/TargetState"});
    assert!(fits(&state, &"queued".into(), "").is_ok() && fits(&state, &"done".into(), "").is_err());
}
