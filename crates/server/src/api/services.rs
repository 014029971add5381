//! Services, the older door to extensions. Source: reference/rest-api.md sections 7.8 and 10.4.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::event::Actor;
use crate::extension;
use crate::tasking::EXTENSION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Name of the older service behind which the tasking extension stands.
const RELIABLE_TASKING: &str = "reliable-tasking";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let request_access = Access::May("ext.request");
    vec![
        Route::new(Method::Get, "/service/{oid}", Access::Member, "Services of the organization", list),
        Route::new(Method::Post, "/service/{oid}/{service}", request_access, "Ask a service for something", request)
            .needs("request_data", "Base64 of a JSON object with `action` and its fields")
            .form("is_async", "The caller does not wait for the answer"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let is_subscribed = extension::is_subscribed(&call.app, oid, EXTENSION);
    let names: Vec<&str> = is_subscribed.then_some(RELIABLE_TASKING).into_iter().collect();
    Ok(Reply::json(&json!({"replicants": names})))
}

async fn request(call: Call) -> Result<Reply, ApiError> {
    let service = call.path("service");
    if service != RELIABLE_TASKING {
        return Err(ApiError::not_found(format!("no such service: {service}; available: {RELIABLE_TASKING}")));
    }
    let packed = call.form.require("request_data")?;
    let bytes = STANDARD
        .decode(packed)
        .map_err(|error| ApiError::bad_request(format!("request_data is not base64: {error}")))?;
    let data: Value = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("request_data is not JSON: {error}")))?;
    let action = data.get("action").and_then(Value::as_str).unwrap_or_default();
    let actor = Actor::caller(&call.caller, call.source);
    let answer = extension::request(&call.app, call.organization()?, EXTENSION, action, &data, &actor).await?;
    Ok(Reply::json(&answer))
}
