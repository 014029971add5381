//! Extensions: subscription, schema, requests. Source: reference/rest-api.md sections 7.7 and 10.

use super::services::registered;
use super::{Access, ApiError, Call, Form, Kind, Method, Reply, Route};
use crate::access::Caller;
use crate::clock;
use crate::extension::{self, BUILT_IN, SUBSCRIPTION, Subscription};
use crate::hive::LISTING_BYTES_MAX;
use crate::intake::event;
use crate::service::{self, Protocol};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use muster_api_types::{Done, ExtensionAnswer, ExtensionDefinition, ExtensionSchema, Subscriptions};
use muster_model::Timestamp;
use muster_store::Expect;
use serde_json::{Map, Value, json};
use std::io::Read as _;

/// What compressed request data may grow to: the largest configuration, four times as long once it is indented YAML.
const DATA_BYTES_MAX: u64 = 4 * LISTING_BYTES_MAX as u64;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::{May, Member};
    let one = "/orgs/{oid}/subscription/extension/{name}";
    let mut routes = vec![
        Route::new(
            Method::Get,
            "/orgs/{oid}/subscriptions",
            Member,
            "Extensions that the organization is subscribed to",
            list,
        )
        .answers::<Subscriptions>("extensions_list"),
        Route::new(Method::Post, one, May("ext.sub"), "Subscribe to an extension", subscribe)
            .answers::<Done>("extension_subscribe"),
        Route::new(Method::Delete, one, May("ext.sub"), "End a subscription", unsubscribe)
            .answers::<Done>("extension_unsubscribe"),
        Route::new(Method::Patch, one, May("ext.sub"), "Rotate the key of an extension", rekey)
            .answers::<Done>("extension_rekey"),
        Route::new(Method::Get, "/extension/schema/{name}", Member, "What an extension takes and gives", schema)
            .answers::<ExtensionSchema>("extension_schema_get")
            .query("oid", Kind::Id, "Organization id"),
        Route::new(
            Method::Post,
            "/extension/request/{name}",
            May("ext.request"),
            "Ask an extension for something",
            request,
        )
        .answers::<ExtensionAnswer>("extension_request")
        .actions(extension::answers())
        .needs("oid", Kind::Id, "Organization id")
        .needs("action", Kind::Text, "Name of the action")
        .form("data", Kind::Json, "JSON object of the action's fields")
        .form("gzdata", Kind::Packed, "The same as base64 of gzip")
        .form("impersonator_jwt", Kind::Text, "Token of the caller as whom the extension shall act")
        .takes_documents(),
        Route::new(Method::Get, "/extension/definition", Member, "Extensions that can be subscribed to", definitions)
            .answers::<Vec<ExtensionDefinition>>("extension_definitions_list")
            .query("oid", Kind::Id, "Organization id"),
        Route::new(Method::Get, "/extension/definition/{name}", Member, "One of them", definition)
            .answers::<ExtensionDefinition>("extension_definition_get")
            .query("oid", Kind::Id, "Organization id"),
    ];
    routes.extend(registered::routes_of_extensions());
    routes
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let (records, oid) = (&call.app.records, call.organization()?.oid);
    let shown = |by: &str, since: Timestamp| json!({"by": by, "since": since.as_secs()});
    let built_in = records.list(oid, SUBSCRIPTION).into_iter();
    let built_in = built_in.map(|(name, one)| (name, shown(&one.by, one.created_at)));
    let of_others = service::subscriptions(records, oid, Protocol::Extension).into_iter().filter_map(|extension| {
        let one = service::subscription(records, oid, &extension)?;
        Some((extension.name, shown(&one.by, one.created_at)))
    });
    Ok(Reply::json(&built_in.chain(of_others).collect::<Map<String, Value>>()))
}

/// Every extension that the organization sees, as published clients list them.
fn visible(call: &Call) -> Result<Vec<Value>, ApiError> {
    let oid = call.organization()?.oid;
    let built_in = BUILT_IN.iter().map(|name| json!({"name": name, "is_public": true, "is_built_in": true}));
    let of_others = service::visible(&call.app.records, oid, Protocol::Extension).into_iter();
    let of_others = of_others.map(|(extension, found)| {
        json!({"name": extension.name, "is_public": found.registration.is_public, "is_built_in": false})
    });
    Ok(built_in.chain(of_others).collect())
}

async fn definitions(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&visible(&call)?))
}

async fn definition(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("name");
    let found = visible(&call)?.into_iter().find(|one| one["name"] == name);
    found.map(|one| Reply::json(&one)).ok_or_else(|| ApiError::not_found(format!("no such extension: {name}")))
}

async fn subscribe(call: Call) -> Result<Reply, ApiError> {
    match extension::is_built_in(call.path("name")) {
        true => change(&call, "extension subscribed", "subscribe").await,
        false => registered::subscribe(call, Protocol::Extension).await,
    }
}

async fn unsubscribe(call: Call) -> Result<Reply, ApiError> {
    match extension::is_built_in(call.path("name")) {
        true => change(&call, "extension unsubscribed", "unsubscribe").await,
        false => registered::unsubscribe(call, Protocol::Extension).await,
    }
}

async fn change(call: &Call, message: &str, action: &str) -> Result<Reply, ApiError> {
    let name = call.path("name");
    let oid = call.organization()?.oid;
    let now = clock::now();
    let actor = call.caller.actor(call.source);
    let entity = json!({"type": "extension", "name": name});
    let record = event::audit(oid, &actor, message, &entity, action, &json!({}), now);
    if action == "subscribe" {
        let subscription = Subscription { created_at: now, by: actor.identity };
        call.app.records.put(oid, SUBSCRIPTION, name, &subscription, Expect::Any, record).await?;
    } else {
        call.app.records.delete(oid, SUBSCRIPTION, name, record).await?;
    }
    Ok(Reply::done())
}

/// Built-in extensions run inside the server and have no key of their own.
async fn rekey(call: Call) -> Result<Reply, ApiError> {
    match extension::is_built_in(call.path("name")) {
        true => Ok(Reply::done()),
        false => registered::rekey(call, Protocol::Extension).await,
    }
}

async fn schema(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    Ok(Reply::json(&extension::schema(&call.app.extensions, oid, call.path("name")).await?))
}

async fn request(call: Call) -> Result<Reply, ApiError> {
    let organization = call.organization()?;
    let action = call.fields.require("action")?;
    let data = data_of(&call)?;
    let caller = impersonated(&call, "impersonator_jwt")?;
    let actor = match &caller {
        Some(caller) => caller.actor(call.source).called_by(&call.caller.identity),
        None => call.actor(),
    };
    let caller = caller.as_ref().unwrap_or(&call.caller);
    let name = call.path("name");
    let answer =
        extension::request_by(&call.app.extensions, organization, name, action, &data, (caller, &actor)).await?;
    // A document has millions of values, which `json!` would copy one by one.
    Ok(Reply::json(&ExtensionAnswer { data: answer, error: String::new(), version: 1 }))
}

/// The caller whose token a client hands on, for the extension to act as: it may do what that caller may.
pub(super) fn impersonated(call: &Call, field: &str) -> Result<Option<Caller>, ApiError> {
    let token = call.fields.get(field).filter(|token| !token.is_empty());
    let caller =
        token.map(|token| call.app.secrets.caller(&call.app.records, token, call.source, clock::now())).transpose()?;
    let oid = call.organization()?.oid;
    match caller {
        Some(caller) if !caller.is_in(oid) => {
            Err(ApiError::unauthorized(format!("{field} is a token of another organization")))
        }
        caller => Ok(caller),
    }
}

/// `data` as it is, or `gzdata` as base64 of gzip of it; empty if there is neither.
pub(super) fn packed_text(form: &Form) -> Result<String, ApiError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| ApiError::bad_request(format!("{what}: {error}"));
    let packed = match form.get("gzdata") {
        Some(packed) if !packed.is_empty() => packed,
        _ => return Ok(form.get("data").unwrap_or_default().to_owned()),
    };
    let bytes = STANDARD.decode(packed).map_err(|error| bad("gzdata is not base64", &error))?;
    let mut text = String::new();
    let mut unpacked = GzDecoder::new(bytes.as_slice()).take(DATA_BYTES_MAX);
    unpacked.read_to_string(&mut text).map_err(|error| bad("gzdata is not gzip of text", &error))?;
    if text.len() as u64 == DATA_BYTES_MAX {
        return Err(ApiError::too_large(format!("gzdata unpacks to {DATA_BYTES_MAX} bytes or more")));
    }
    Ok(text)
}

/// The data of a request; absent is an empty object.
fn data_of(call: &Call) -> Result<Value, ApiError> {
    let text = packed_text(&call.fields)?;
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let value: Value =
        serde_json::from_str(&text).map_err(|error| ApiError::bad_request(format!("data is not JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(ApiError::bad_request("data must be a JSON object")) }
}
