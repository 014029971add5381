//! Services: the older door to extensions, and programs of others. Source: reference/rest-api.md sections 7.8 and 10.4.

pub(super) mod registered;

use super::extensions::impersonated;
use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::extension::{self, INFRASTRUCTURE, INFRASTRUCTURE_SERVICE, yaml_text};
use crate::service::{self, Protocol};
use crate::tasking::EXTENSION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_api_types::{Services, schema};
use serde_json::{Map, Value, json};

/// Name of the older service behind which the tasking extension stands.
const RELIABLE_TASKING: &str = "reliable-tasking";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let request_access = Access::May("ext.request");
    let mut routes = vec![
        Route::new(Method::Get, "/service/{oid}", Access::Member, "Services of the organization", list)
            .answers::<Services>("services_list"),
        Route::new(Method::Post, "/service/{oid}/{service}", request_access, "Ask a service for something", request)
            .answers::<schema::Open>("service_request")
            .needs(
                "request_data",
                Kind::Json,
                "Base64 of a JSON object with `action` and its fields, or the JSON itself",
            )
            .form("is_async", Kind::Flag, "The caller does not wait for the answer")
            .form("jwt", Kind::Text, "Token of the caller as whom the service shall act")
            .takes_documents(),
    ];
    routes.extend(registered::routes());
    routes
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let is_subscribed = extension::is_subscribed(&call.app.extensions, oid, EXTENSION);
    let names = is_subscribed.then_some(RELIABLE_TASKING).into_iter().chain([INFRASTRUCTURE_SERVICE]);
    let subscribed = service::subscriptions(&call.app.records, oid, Protocol::Service).into_iter();
    let names: Vec<String> = names.map(str::to_owned).chain(subscribed.map(|service| service.name)).collect();
    Ok(Reply::json(&json!({"replicants": names})))
}

/// Older clients of the configuration service write the options beside the document.
fn with_options(data: Value) -> Value {
    let Value::Object(fields) = data else { return data };
    if fields.contains_key("options") {
        return Value::Object(fields);
    }
    let is_beside = |name: &String| name == "action" || name == "config";
    let (mut fields, options): (Map<String, Value>, Map<String, Value>) =
        fields.into_iter().partition(|(name, _)| is_beside(name));
    fields.insert("options".into(), Value::Object(options));
    Value::Object(fields)
}

async fn request(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("service");
    let data = data_of(&call)?;
    let extension = match name {
        RELIABLE_TASKING => EXTENSION,
        INFRASTRUCTURE_SERVICE => INFRASTRUCTURE,
        other => return registered::request(&call, other, data).await,
    };
    let data = if extension == INFRASTRUCTURE { with_options(data) } else { data };
    let action = data.get("action").and_then(Value::as_str).unwrap_or_default();
    let caller = impersonated(&call, "jwt")?;
    let actor = match &caller {
        Some(caller) => caller.actor(call.source).called_by(&call.caller.identity),
        None => call.actor(),
    };
    let caller = caller.as_ref().unwrap_or(&call.caller);
    let organization = call.organization()?;
    let mut answer =
        extension::request_by(&call.app.extensions, organization, extension, action, &data, (caller, &actor)).await?;
    if extension == INFRASTRUCTURE {
        // Older clients read the document as text.
        if let Some(org) = answer.get_mut("org") {
            *org = Value::String(yaml_text(org));
        }
    }
    Ok(Reply::json(&answer))
}

fn data_of(call: &Call) -> Result<Value, ApiError> {
    let packed = call.fields.require("request_data")?;
    let bytes = match packed.trim_start().starts_with('{') {
        true => packed.as_bytes().to_owned(),
        false => STANDARD
            .decode(packed)
            .map_err(|error| ApiError::bad_request(format!("request_data is not base64: {error}")))?,
    };
    serde_json::from_slice(&bytes).map_err(|error| ApiError::bad_request(format!("request_data is not JSON: {error}")))
}
