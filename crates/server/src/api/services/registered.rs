//! Services and extensions of others: registered, subscribed to, looked at.
//!
//! Source: reference/service-protocol.md sections 12 and 14, reference/extension-protocol.md sections 12 and 13.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::access::Flair;
use crate::random;
use crate::service::{self, Changed, Error, Found, Program, Protocol, Standing, Wanted};
use muster_api_types::ErrorCode;
use muster_api_types::{
    Deliveries, Done, ExtensionSchema, RegisteredExtension, RegisteredExtensions, RegisteredService,
    RegisteredServices, ServiceMetadata,
};
use muster_model::Oid;
use muster_store::Delivery;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Messages that are listed of each kind, oldest first.
const LISTED_MAX: usize = 1_000;

/// What an owner of an organization has, and nobody else by their role: registrations that reach beyond the
/// organization, or into the network of the server, are for them.
const OWNERS: &str = "billing.ctrl";

/// Routes of services.
pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Patch, Post};
    use Protocol::Service;
    let one = "/services/{oid}/{name}";
    let subscription = "/services/{oid}/{name}/subscription";
    let see = || May("replicant.get");
    vec![
        Route::new(Get, "/services/{oid}", see(), "Services of others that can be used", list_services)
            .answers::<RegisteredServices>("registered_services_list"),
        Route::new(Get, one, see(), "One of them", |call| get(call, Service))
            .answers::<RegisteredService>("registered_service_get"),
        registration(Route::new(Post, one, May("ext.sub"), "Register a service", |call| register(call, Service)))
            .answers::<Done>("registered_service_put")
            .form(
                "detects",
                Kind::List,
                "Comma-separated names of detections that it gets besides those that it asks for",
            ),
        Route::new(Delete, one, May("ext.sub"), "Delete a registration, with all subscriptions to it", |call| {
            delete(call, Service)
        })
        .answers::<Done>("registered_service_delete"),
        Route::new(Post, "/services/{oid}/{name}/health", see(), "Ask a service how it is", health)
            .answers::<ServiceMetadata>("registered_service_ask"),
        Route::new(Post, subscription, May("ext.sub"), "Subscribe to a service", |call| subscribe(call, Service))
            .answers::<Done>("registered_service_subscribe"),
        Route::new(Patch, subscription, May("ext.sub"), "Give a subscription another key", |call| rekey(call, Service))
            .answers::<Done>("registered_service_rekey"),
        Route::new(Delete, subscription, May("ext.sub"), "End a subscription", |call| unsubscribe(call, Service))
            .answers::<Done>("registered_service_unsubscribe"),
        Route::new(
            Get,
            "/services/{oid}/{name}/deliveries",
            see(),
            "Messages that wait for a service, or were given up; the oldest 1,000 of each",
            |call| deliveries(call, Service),
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

/// Routes of extensions; those by which they are subscribed to and asked are with the built-in ones.
pub(in crate::api) fn routes_of_extensions() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    use Protocol::Extension;
    let one = "/extensions/{oid}/{name}";
    let see = || May("ext.sub");
    vec![
        Route::new(Get, "/extensions/{oid}", see(), "Extensions of others that can be used", list_extensions)
            .answers::<RegisteredExtensions>("registered_extensions_list"),
        Route::new(Get, one, see(), "One of them", |call| get(call, Extension))
            .answers::<RegisteredExtension>("registered_extension_get"),
        registration(Route::new(Post, one, May("ext.sub"), "Register an extension", |call| register(call, Extension)))
            .answers::<Done>("registered_extension_put"),
        Route::new(Delete, one, May("ext.sub"), "Delete a registration, with all subscriptions to it", |call| {
            delete(call, Extension)
        })
        .answers::<Done>("registered_extension_delete"),
        Route::new(Post, "/extensions/{oid}/{name}/schema", see(), "Ask an extension what it offers", ask_for_schema)
            .answers::<ExtensionSchema>("registered_extension_ask"),
        Route::new(
            Get,
            "/extensions/{oid}/{name}/deliveries",
            see(),
            "Messages that wait for an extension, or were given up; the oldest 1,000 of each",
            |call| deliveries(call, Extension),
        )
        .answers::<Deliveries>("extension_deliveries_list")
        .query("failed", Kind::Flag, "Only those that were given up"),
    ]
}

/// What is said of a program that is registered.
fn registration(route: Route) -> Route {
    route
        .needs("url", Kind::Text, "Where it listens; without a query")
        .form("secret", Kind::Text, "Key of the signatures; absent signs with an empty key. It is not shown again")
        .form("perms", Kind::List, "Comma-separated permissions that its identity gets where it is subscribed")
        .form(
            "flair",
            Kind::List,
            "Comma-separated, of lock, secret, segment and bulk: how its identity stands to what others made, and others \
             to what it made",
        )
        .form("is_public", Kind::Flag, "Offer it to every organization of the server; for owners")
        .form("allow_private", Kind::Flag, "It may be at a private or loopback address; for owners")
        .form("rate", Kind::Whole(1, service::RATE_MAX.into()), "Calls in a second that it gets at most, 1 to 1,000; absent bounds only calls at once")
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unknown(_) | Error::NoJob | Error::NoMessage => Self::not_found(text),
            Error::Invalid(_) => Self::bad_request(text),
            Error::Taken(_) | Error::TooMany(..) => Self::conflict(text),
            Error::Grant(..) | Error::NeedsCaller { .. } => Self::forbidden(text),
            Error::NotSubscribed(_) => Self::new(ErrorCode::NotSubscribed, text),
            Error::Full(_) => Self::unavailable(text),
            Error::Failed { .. } => Self::new(ErrorCode::ServiceFailed, text),
            Error::Store(error) => error.into(),
        }
    }
}

fn shown(call: &Call, oid: Oid, program: &Program, found: &Found) -> Value {
    let services = &call.app.services;
    let state = services.state(found.owner, program);
    let registration = &found.registration;
    let is_own = found.owner == oid;
    let mut shown = json!({
        "name": program.name, "permissions": registration.permissions, "flair": registration.flair, "is_public": registration.is_public,
        "is_own": is_own, "is_subscribed": service::subscription(&call.app.records, oid, program).is_some(),
        "is_well": state.well_at.is_some() && state.error.is_empty(), "error": state.error,
        "well_at": state.well_at.map(|at| at.as_secs()),
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    match program.protocol {
        Protocol::Service => {
            let metadata = services.metadata(found.owner, &program.name).unwrap_or_default();
            fields.insert("detects".into(), json!(registration.detects));
            fields.insert("callbacks".into(), json!(metadata.callbacks));
            fields.insert("detect_subscriptions".into(), json!(metadata.detect_subscriptions));
            fields.insert("request_params".into(), json!(metadata.request_params));
            let kept = services.kept_of(found.owner, &program.name).into_iter();
            let resources =
                kept.map(|(name, one)| (name, json!({"hash": one.hash, "category": one.category, "bytes": one.bytes})));
            fields.insert("resources".into(), Value::Object(resources.collect()));
        }
        Protocol::Extension => {
            let schema = services.schema_of(found.owner, &program.name).unwrap_or_default();
            let counted = services.counted(oid, program).into_iter().map(|(sku, counted)| (sku, counted.total));
            fields.insert("actions".into(), json!(schema.request_schema.keys().collect::<Vec<_>>()));
            fields.insert("required_events".into(), json!(schema.required_events));
            fields.insert("metrics".into(), json!(counted.collect::<BTreeMap<_, _>>()));
        }
    }
    if is_own {
        fields.insert("url".into(), json!(registration.url));
        fields.insert("has_secret".into(), json!(registration.secret.is_some()));
        fields.insert("allow_private".into(), json!(registration.allow_private));
        fields.extend(registration.rate.map(|rate| ("rate".to_owned(), json!(rate))));
        fields.insert("created".into(), json!(registration.created_at.as_secs()));
        fields.insert("by".into(), json!(registration.by));
    }
    shown
}

fn list(call: &Call, protocol: Protocol) -> Result<Map<String, Value>, ApiError> {
    let oid = call.organization()?.oid;
    let all = service::visible(&call.app.records, oid, protocol).into_iter();
    Ok(all.map(|(program, found)| (program.name.clone(), shown(call, oid, &program, &found))).collect())
}

async fn list_services(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({"services": list(&call, Protocol::Service)?})))
}

async fn list_extensions(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({"extensions": list(&call, Protocol::Extension)?})))
}

/// The program that the path names.
fn named(call: &Call, protocol: Protocol) -> Program {
    Program { protocol, name: call.path("name").to_owned() }
}

fn found(call: &Call, protocol: Protocol) -> Result<(Oid, Program, Found), ApiError> {
    let (oid, program) = (call.organization()?.oid, named(call, protocol));
    let found = service::find(&call.app.records, oid, &program).ok_or_else(|| Error::Unknown(program.clone()))?;
    Ok((oid, program, found))
}

async fn get(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, program, found) = found(&call, protocol)?;
    Ok(Reply::json(&shown(&call, oid, &program, &found)))
}

fn flair(word: &str) -> Result<Flair, ApiError> {
    let unknown = || ApiError::bad_request(format!("unknown flair: {word}; there are lock, secret, segment and bulk"));
    Flair::parse(word).ok_or_else(unknown)
}

async fn register(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let texts = |field: &str| call.fields.list(field).map(str::to_owned).collect::<Vec<String>>();
    let wanted = Wanted {
        url: call.fields.require("url")?.to_owned(),
        secret: call.fields.get("secret").map(str::to_owned),
        permissions: texts("perms"),
        flair: call.fields.list("flair").map(flair).collect::<Result<_, _>>()?,
        detects: texts("detects"),
        is_public: call.fields.flag("is_public")?,
        allow_private: call.fields.flag("allow_private")?,
        rate: call.fields.number("rate")?.and_then(|rate| rate.try_into().ok()),
    };
    if wanted.is_public || wanted.allow_private {
        call.caller.require(oid, OWNERS)?;
    }
    let actor = call.actor();
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.register(oid, &named(&call, protocol), wanted, by).await?;
    Ok(Reply::done())
}

async fn delete(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.delete(oid, &named(&call, protocol), by).await?;
    Ok(Reply::done())
}

/// Only whoever registered it may have it asked: it is asked by itself every few minutes.
async fn health(call: Call) -> Result<Reply, ApiError> {
    let (oid, service) = (call.organization()?.oid, named(&call, Protocol::Service));
    call.app.services.ask(oid, &service).await?;
    Ok(Reply::json(&*call.app.services.metadata(oid, &service.name).unwrap_or_default()))
}

/// As [`health`].
async fn ask_for_schema(call: Call) -> Result<Reply, ApiError> {
    let (oid, extension) = (call.organization()?.oid, named(&call, Protocol::Extension));
    call.app.services.ask(oid, &extension).await?;
    Ok(Reply::json(&call.app.services.schema_of(oid, &extension.name).unwrap_or_default()))
}

pub(in crate::api) async fn subscribe(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.subscribe(oid, &named(&call, protocol), by).await?;
    Ok(Reply::done())
}

pub(in crate::api) async fn rekey(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.rekey(oid, &named(&call, protocol), by).await?;
    Ok(Reply::done())
}

pub(in crate::api) async fn unsubscribe(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, actor) = (call.organization()?.oid, call.actor());
    let by = Changed { actor: &actor, caller: &call.caller };
    call.app.services.unsubscribe(oid, &named(&call, protocol), by).await?;
    Ok(Reply::done())
}

async fn deliveries(call: Call, protocol: Protocol) -> Result<Reply, ApiError> {
    let (oid, program, _) = found(&call, protocol)?;
    let Standing { waiting, dead, dropped } = call.app.services.standing(oid, &program, LISTED_MAX);
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
