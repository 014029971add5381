//! The fields of a request, whatever carried them: the query, a form, or a JSON object.
//!
//! One way in for all routes: what the body says wins over the query, and a name that the route's entry in the
//! table does not have is refused. Source: reference/rest-api.md section 3.

use super::route::Parameter;
use super::{Access, ApiError, Form, FormError, Kind, Route};
use crate::names;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

/// The organization may be named beside any route that belongs to one.
const ORGANIZATION: &str = "oid";

/// Reads the query and the body of a request to this route.
pub(super) fn read(route: &Route, headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Form, ApiError> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let fields = match (route.takes_stream, holds_json(headers, body)) {
        // Its handler reads the body, whatever it is.
        (true, _) => Form::default(),
        (false, true) => of_json(route, object(body)?)?,
        (false, false) => of_form(headers, body)?,
    };
    Ok(fields.over(query))
}

/// Refuses a field that the route does not know. Those that leave it to their handler are not looked at.
pub(super) fn check(route: &Route, fields: &Form) -> Result<(), ApiError> {
    if route.is_open {
        return Ok(());
    }
    let mut known: Vec<&str> = route.form.iter().chain(&route.query).map(|parameter| parameter.name).collect();
    if route.access != Access::Public && !known.contains(&ORGANIZATION) {
        known.push(ORGANIZATION);
    }
    Ok(names::require_known(fields.pairs().map(|(name, _)| name), &known)?)
}

/// Reads all that a request carries; with it the object in its body, if the route leaves that to its handler.
pub(super) fn read_all(
    route: &Route,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<(Form, Option<Map<String, Value>>), ApiError> {
    let form = read(route, headers, query, body)?;
    let object = (route.is_open && holds_json(headers, body)).then(|| object(body)).transpose()?;
    Ok((form, object))
}

/// Whether a body is JSON. Command lines like `curl -d '{…}'` say that it is a form, and no name in a form
/// begins with a brace.
pub(super) fn holds_json(headers: &HeaderMap, body: &[u8]) -> bool {
    let is_said =
        ["application/json", "application/octet-stream"].iter().any(|kind| media_type(headers).starts_with(kind));
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{') || (is_said && first.is_some())
}

fn media_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Form, ApiError> {
    let kind = media_type(headers);
    if kind.to_ascii_lowercase().starts_with("multipart/") {
        return Err(ApiError::unsupported_media_type(
            "multipart bodies are not read: send the fields as application/x-www-form-urlencoded \
             (curl: --data instead of --form) or as one object with application/json",
        ));
    }
    Ok(Form::parse(body)?)
}

/// The JSON object that a body holds.
///
/// # Errors
///
/// 400 saying where it is wrong.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::bad_request("the body must be a JSON object")),
        Err(error) => Err(ApiError::bad_request(format!("the body is not JSON: {error}"))),
    }
}

/// Members of an object as a form would carry them; those that are null are absent.
fn of_json(route: &Route, object: Map<String, Value>) -> Result<Form, ApiError> {
    let mut fields = Form::default();
    for (name, value) in object {
        let known = route.form.iter().chain(&route.query).find(|parameter| parameter.name == name);
        push(&mut fields, &name, value, known)?;
    }
    Ok(fields)
}

fn push(fields: &mut Form, name: &str, value: Value, known: Option<&Parameter>) -> Result<(), ApiError> {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array() && !value.is_null();
    match value {
        Value::Null => {}
        Value::String(text) => fields.push(name, text)?,
        value @ (Value::Bool(_) | Value::Number(_)) => fields.push(name, value.to_string())?,
        // A field that holds a document holds its text, and so does one that the route leaves to its handler.
        value if known.is_none_or(|parameter| parameter.kind == Kind::Json) => fields.push(name, value.to_string())?,
        Value::Array(items) if items.iter().all(is_plain) => {
            items.into_iter().try_for_each(|item| push(fields, name, item, known))?;
        }
        _ => {
            let text = format!("{name} must be text, a number, true or false, or a list of such");
            return Err(ApiError::bad_request(text));
        }
    }
    Ok(())
}

impl From<names::Unknown> for ApiError {
    fn from(unknown: names::Unknown) -> Self {
        Self::bad_request(unknown.to_string())
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::TooMany => Self::too_large(error.to_string()),
            FormError::Missing(_) | FormError::NotNumber(_) | FormError::NotBoolean(_) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}
