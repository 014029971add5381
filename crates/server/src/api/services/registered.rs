//! Services of others: registered, subscribed to, looked at. Source: reference/service-protocol.md sections 12 and 14.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::random;
use crate::service::{self, Changed, Error, Found, Standing, Wanted};
use muster_api_types::ErrorCode;
use muster_api_types::{Deliveries, Done, RegisteredService, RegisteredServices, ServiceMetadata};
use muster_model::Oid;
use muster_store::Delivery;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Messages that are listed of each kind, oldest first.
const LISTED_MAX: usize = 1_000;

/// What an owner of an organization has, and nobody else by their role: registrations that reach beyond the
/// organization, or into the network of the server, are for them.
const OWNERS: &str = "billing.ctrl";

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Patch, Post};
    let one = "/services/{oid}/{name}";
    let subscription = "/services/{oid}/{name}/subscription";
    vec![
        Route::new(Get, "/services/{oid}", May("replicant.get"), "Services of others that can be used", list)
            .answers::<RegisteredServices>("registered_services_list"),
        Route::new(Get, one, May("replicant.get"), "One of them", get)
            .answers::<RegisteredService>("registered_service_get"),
        Route::new(Post, one, May("ext.sub"), "Register a service", register)
            .answers::<Done>("registered_service_put")
            .needs("url", Kind::Text, "Where it listens; without a query")
            .form("secret", Kind::Text, "Key of the signatures; absent signs with an empty key. It is not shown again")
            .form("perms", Kind::List, "Comma-separated permissions that its identity gets where it is subscribed")
            .form(
                "detects",
                Kind::List,
                "Comma-separated names of detections that it gets besides those that it asks for",
            )
            .form("is_public", Kind::Flag, "Offer it to every organization of the server; for owners")
            .form("allow_private", Kind::Flag, "It may be at a private or loopback address; for owners"),
        Route::new(Delete, one, May("ext.sub"), "Delete a registration, with all subscriptions to it", delete)
            .answers::<Done>("registered_service_delete"),
        Route::new(Post, "/services/{oid}/{name}/health", May("replicant.get"), "Ask a service how it is", health)
            .answers::<ServiceMetadata>("registered_service_ask"),
        Route::new(Post, subscription, May("ext.sub"), "Subscribe to a service", subscribe)
            .answers::<Done>("registered_service_subscribe"),
        Route::new(Patch, subscription, May("ext.sub"), "Give a subscription another key", rekey)
            .answers::<Done>("registered_service_rekey"),
        Route::new(Delete, subscription, May("ext.sub"), "End a subscription", unsubscribe)
            .answers::<Done>("registered_service_unsubscribe"),
        Route::new(
            Get,
            "/services/{oid}/{name}/deliveries",
            May("replicant.get"),
            "Messages that wait for a service, or were given up; the oldest 1,000 of each",
            deliveries,
        )
        .answers::<Deliveries>("deliveries_list")
        .query("failed", Kind::Flag, "Only those that were given up"),
        Route::new(
            Post,
            "/deliveries/{oid}/{mid}",
            May("ext.sub"),
            "Deliver a message again that was given up",
            redeliver,
        )
        .answers::<Done>("delivery_repeat"),
    ]
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unknown(_) | Error::NoJob | Error::NoMessage => Self::not_found(text),
            Error::Invalid(_) => Self::bad_request(text),
            Error::Taken(_) | Error::TooMany(_) => Self::conflict(text),
            Error::Grant(_) => Self::forbidden(text),
            Error::NotSubscribed(_) => Self::new(ErrorCode::NotSubscribed, text),
            Error::Full(_) => Self::unavailable(text),
            Error::Failed { .. } => Self::new(ErrorCode::ServiceFailed, text),
            Error::Store(error) => error.into(),
        }
    }
}

fn shown(call: &Call, oid: Oid, name: &str, found: &Found) -> Value {
    let services = &call.app.services;
    let state = services.state(found.owner, name);
    let metadata = services.metadata(found.owner, name).unwrap_or_default();
    let registration = &found.registration;
    let is_own = found.owner == oid;
    let mut shown = json!({
        "name": name, "permissions": registration.permissions, "detects": registration.detects,
        "is_public": registration.is_public, "is_own": is_own,
        "is_subscribed": service::subscription(&call.app.records, oid, name).is_some(),
        "is_well": state.well_at.is_some() && state.error.is_empty(), "error": state.error,
        "well_at": state.well_at.map(|at| at.as_secs()), "callbacks": metadata.callbacks,
        "detect_subscriptions": metadata.detect_subscriptions, "request_params": metadata.request_params,
    });
    if is_own && let Some(fields) = shown.as_object_mut() {
        fields.insert("url".into(), json!(registration.url));
        fields.insert("has_secret".into(), json!(registration.secret.is_some()));
        fields.insert("allow_private".into(), json!(registration.allow_private));
        fields.insert("created".into(), json!(registration.created_at.as_secs()));
        fields.insert("by".into(), json!(registration.by));
    }
    shown
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let all = service::visible(&call.app.records, oid);
    let all: Map<String, Value> =
        all.into_iter().map(|(name, found)| (name.clone(), shown(&call, oid, &name, &found))).collect();
    Ok(Reply::json(&json!({"services": all})))
}

fn found(call: &Call) -> Result<(Oid, &str, Found), ApiError> {
    let (oid, name) = (call.organization()?.oid, call.path("name"));
    let found = service::find(&call.app.records, oid, name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
    Ok((oid, name, found))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (oid, name, found) = found(&call)?;
    Ok(Reply::json(&shown(&call, oid, name, &found)))
}

async fn register(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let texts = |field: &str| call.fields.list(field).map(str::to_owned).collect::<Vec<String>>();
    let wanted = Wanted {
        url: call.fields.require("url")?.to_owned(),
        secret: call.fields.get("secret").map(str::to_owned),
        permissions: texts("perms"),
        detects: texts("detects"),
        is_public: call.fields.flag("is_public")?,
        allow_private: call.fields.flag("allow_private")?,
    };
    if wanted.is_public || wanted.allow_private {
        call.caller.require(oid, OWNERS)?;
    }
    let actor = call.actor();
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.register(oid, call.path("name"), wanted, by).await?;
    Ok(Reply::done())
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.delete(oid, call.path("name"), by).await?;
    Ok(Reply::done())
}

/// Only whoever registered it may have it asked: it is asked by itself every few minutes.
async fn health(call: Call) -> Result<Reply, ApiError> {
    let (oid, name) = (call.organization()?.oid, call.path("name"));
    let metadata = call.app.services.ask(oid, name).await?;
    Ok(Reply::json(&metadata))
}

async fn subscribe(call: Call) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.subscribe(oid, call.path("name"), by).await?;
    Ok(Reply::done())
}

async fn rekey(call: Call) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.rekey(oid, call.path("name"), by).await?;
    Ok(Reply::done())
}

async fn unsubscribe(call: Call) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.unsubscribe(oid, call.path("name"), by).await?;
    Ok(Reply::done())
}

async fn deliveries(call: Call) -> Result<Reply, ApiError> {
    let (oid, name, _) = found(&call)?;
    let Standing { waiting, dead, dropped } = call.app.services.standing(oid, name, LISTED_MAX);
    let waiting = if call.fields.flag("failed")? { Vec::new() } else { waiting };
    let all: Vec<Value> = dead.iter().chain(&waiting).map(delivery).collect();
    Ok(Reply::json(&json!({"deliveries": all, "dropped": dropped})))
}

fn delivery(delivery: &Delivery) -> Value {
    let Delivery { id, kind, at, bytes, tries, .. } = delivery;
    json!({
        "mid": id, "etype": kind, "since": at.as_secs(), "bytes": bytes, "tries": tries.made,
        "is_failed": tries.is_dead, "error": tries.error,
        "next_try": (!tries.is_dead).then_some(tries.due.as_secs()),
    })
}

async fn redeliver(call: Call) -> Result<Reply, ApiError> {
    let id = Uuid::parse_str(call.path("mid")).map_err(|_| Error::NoMessage)?;
    call.app.services.redeliver(call.organization()?.oid, id).await?;
    Ok(Reply::done())
}

/// Asks a service of others for something, through the older door.
pub(super) async fn request(call: &Call, name: &str, data: Value) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let Value::Object(data) = data else { return Err(ApiError::bad_request("request_data must be a JSON object")) };
    let services = &call.app.services;
    if call.fields.flag("is_async")? {
        let id = random::uuid();
        services.request_later(oid, name, &data, id).await?;
        return Ok(Reply::json(&json!({"mid": id})));
    }
    Ok(Reply::json(&services.request(oid, name, data).await?))
}
