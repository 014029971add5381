//! From an HTTP request to a handler: path, token, permission, body.

use super::call::{Body, bare_sensor_id};
use super::{Access, ApiError, Call, Form, Method, Reply, Route, credential, fields, live_response};
use crate::access::{Caller, Exchange};
use crate::app::App;
use crate::hive::LISTING_BYTES_MAX;
use crate::jobs::aside;
use crate::organization::Organization;
use crate::{clock, console, random};
use bytes::Bytes;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use muster_model::{Oid, Sid};
use muster_store::StoreError;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use tracing::Instrument;

/// Longest body of a request without a valid token, in bytes: an exchange of a key, or the form of a live stream.
const STRANGER_BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest body that holds a configuration: what can be pulled, packed as badly as text can be.
const DOCUMENT_BODY_BYTES_MAX: usize = LISTING_BYTES_MAX / 4 * 5;

/// Bodies from this length on are read on a thread that stands back, one at a time of each sender: reading one of 8 MiB
/// takes tens of milliseconds, in which whoever serves connections serves none.
const READ_ASIDE_BYTES_MIN: usize = 128 * 1024;

/// All routes, found by path and method.
struct Router {
    routes: Vec<Route>,
    by_path: matchit::Router<HashMap<Method, usize>>,
}

/// Path of a route as the router sees it.
pub(super) fn full_path(path: &str) -> String {
    match path.strip_prefix('/') {
        Some(outside) if outside.starts_with('/') => outside.to_owned(),
        _ => format!("/v1{path}"),
    }
}

impl Router {
    /// Makes a router.
    ///
    /// # Panics
    ///
    /// If two routes contradict each other: a fault of the table, found by its test.
    fn new(routes: Vec<Route>) -> Self {
        let mut methods: Vec<(String, HashMap<Method, usize>)> = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let path = full_path(route.path);
            match methods.iter_mut().find(|(have, _)| *have == path) {
                Some((_, by_method)) => assert!(by_method.insert(route.method, at).is_none(), "{path} twice"),
                None => methods.push((path, HashMap::from([(route.method, at)]))),
            }
        }
        let mut by_path = matchit::Router::new();
        for (path, by_method) in methods {
            by_path.insert(path.clone(), by_method).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        Self { routes, by_path }
    }

    fn find(&self, path: &str, method: &http::Method) -> Result<(&Route, HashMap<&'static str, String>), ApiError> {
        let unknown = || ApiError::not_found(format!("no such route: {method} {path}"));
        let matched = self.by_path.at(path).map_err(|_| unknown())?;
        let values = matched.params.iter().map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned());
        let values: Vec<String> = values.collect();
        let by_method = matched.value;
        let any = by_method.values().next().and_then(|at| self.routes.get(*at)).ok_or_else(unknown)?;
        // Paths that begin with an id would take every word for one.
        if begins_with_id(any.path) && !values.first().is_some_and(|value| is_id(value)) {
            return Err(unknown());
        }
        let found = by_method.iter().find(|(have, _)| have.name() == method.as_str());
        let Some((_, at)) = found else {
            let mut allowed: Vec<Method> = by_method.keys().copied().collect();
            allowed.sort_unstable();
            return Err(ApiError::method_not_allowed(method.as_str(), allowed));
        };
        let route = self.routes.get(*at).ok_or_else(unknown)?;
        let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        Ok((route, names.zip(values).collect()))
    }
}

/// Whether the first segment of a route's path is a sensor or organization.
fn begins_with_id(path: &str) -> bool {
    path.trim_start_matches('/').starts_with('{')
}

/// Whether a segment is the id of a sensor, an agent or an organization, whichever there may be.
fn is_id(segment: &str) -> bool {
    bare_sensor_id(segment).parse::<Sid>().is_ok()
}

/// Collapses repeated slashes, and puts `/v1` before `who`, which old clients call without.
/// Source: reference/rest-api.md section 3.
fn clean_path(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    match clean.as_str() {
        "" => "/".to_owned(),
        "/who" => "/v1/who".to_owned(),
        _ => clean,
    }
}

/// All routes: they are the same for every server.
static ROUTER: LazyLock<Router> = LazyLock::new(|| Router::new(super::routes()));

/// Answers one request.
pub async fn serve(app: Arc<App>, request: Request<Incoming>, source: Option<IpAddr>) -> Response<Body> {
    let telemetry = app.telemetry.clone();
    // What the log says of a request is found by the id that its client was told.
    let id = format!("{:016x}", random::number());
    let span = tracing::info_span!("request", id);
    let mut response = dispatch(app, request, source).instrument(span).await;
    telemetry.answered(response.status().as_u16());
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// What is the console's own goes there.
async fn dispatch(app: Arc<App>, mut request: Request<Incoming>, source: Option<IpAddr>) -> Response<Body> {
    if let Some(response) = console::serve(&app.console, &mut request, source).await {
        return response.unwrap_or_else(|error| Reply::from(&ApiError::from(error)).into_response());
    }
    let is_of_console = request.uri().path().starts_with("/console/");
    let mut response = respond(app, request, source).await;
    if is_of_console {
        console::harden(&mut response);
    }
    response
}

/// What was begun is finished, also if the client goes away meanwhile.
async fn respond(app: Arc<App>, request: Request<Incoming>, source: Option<IpAddr>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let refused = |error: &ApiError| match live_response::is_foreign(&path) {
        true => live_response::refusal(error, &path),
        false => Reply::from(error),
    };
    // What only the caller wants to know can see that nobody waits for it any more.
    let (_present, gone) = tokio::sync::watch::channel(());
    let stopping = || refused(&ApiError::unavailable("the server is stopping; nothing was changed. Try again"));
    let reply = if app.jobs.is_stopping() {
        stopping()
    } else {
        let jobs = app.jobs.clone();
        match jobs.spawn(answer(app, request, source, gone).in_current_span()).await {
            Ok(Some(Ok(reply))) => reply,
            Ok(Some(Err(error))) => refused(&error),
            // Cut off, and its connection with it: what became of the request cannot be told.
            Ok(None) => stopping(),
            Err(panic) => refused(&ApiError::internal(panic)),
        }
    };
    reply.into_response()
}

async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
    source: Option<IpAddr>,
    gone: tokio::sync::watch::Receiver<()>,
) -> Result<Reply, ApiError> {
    let (parts, incoming) = request.into_parts();
    let path = clean_path(parts.uri.path());
    let (route, path) = ROUTER.find(&path, &parts.method)?;
    let in_console = if route.access == Access::Public { None } else { console::caller(&app.console, &parts).await? };
    let caller = match in_console {
        Some(caller) => caller,
        None => match key_of(route, &parts.headers) {
            Some(secret) => {
                let exchange = Exchange { secret, source, ..Exchange::default() };
                match app.secrets.identify(&app.records, &exchange) {
                    Ok(caller) => caller,
                    Err(error) => return Err(credential::refused(&app, None, source, error.into()).await),
                }
            }
            None => authenticate(&app, route.access, &parts.headers, source)?,
        },
    };
    app.meter.count(&caller.credential, caller.calls_max(app.config.limits.calls_per_minute))?;
    let sender = sender_of(&app, &caller, &parts.headers, source);
    let (body, stream) = if route.takes_stream {
        (Bytes::new(), Some(incoming))
    } else {
        let of_documents = if route.takes_documents { DOCUMENT_BODY_BYTES_MAX } else { 0 };
        let (bodies, bytes_max) = match sender.is_empty() {
            false => (&app.bodies, app.config.limits.body_bytes.max(of_documents)),
            true => (&app.strangers_bodies, app.config.limits.body_bytes.min(STRANGER_BODY_BYTES_MAX)),
        };
        (bodies.receive(incoming, bytes_max).await?, None)
    };
    let (parts, fields, read) = read(&app, &sender, route, parts, &body).await?;
    let organization = authorize(&app, route.access, &caller, &path, &fields)?;
    fields::check(route, &fields)?;
    let base = base(&app, &parts);
    let headers = parts.headers;
    let call = Call { app, caller, organization, fields, body, read, stream, headers, base, source, gone, path };
    (route.handler)(call).await
}

/// The API key that a request shows itself, where the route takes one: `KEY/CONNECTOR`. The connector only names who
/// asks. Source: reference/live-response.md section 2.2.
fn key_of<'a>(route: &Route, headers: &'a HeaderMap) -> Option<&'a str> {
    let value = headers.get("x-auth-token").filter(|_| route.is_keyed)?;
    let parts = value.to_str().unwrap_or_default().split_once('/');
    let is_right = |parts: &(&str, &str)| !parts.1.is_empty() && !parts.1.contains('/');
    // No key is empty, so what has not this form is refused like a wrong one.
    Some(parts.filter(is_right).map_or("", |(key, _)| key))
}

/// Scheme and authority by which the client reached this server. A `Host` that is no authority is
/// not repeated to anyone.
fn base(app: &App, parts: &Parts) -> String {
    let scheme = parts.extensions.get::<Scheme>().map_or("http", Scheme::as_str);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_plain = |host: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(is_plain)
    };
    match host.filter(is_plain) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("https://{}", app.address.for_sensors()),
    }
}

/// The credential of a request, on a route that asks for one or not; empty if it shows none that is valid.
fn sender_of(app: &App, caller: &Caller, headers: &HeaderMap, source: Option<IpAddr>) -> String {
    match caller.credential.is_empty() {
        true => authenticate(app, Access::Token, headers, source).map(|known| known.credential).unwrap_or_default(),
        false => caller.credential.clone(),
    }
}

/// Reads the query and the body of a request; of a long body also the object in it, if the route leaves that to its
/// handler. Gives the parts back.
async fn read(
    app: &App,
    sender: &str,
    route: &'static Route,
    parts: Parts,
    body: &Bytes,
) -> Result<(Parts, Form, Option<Map<String, Value>>), ApiError> {
    if body.len() < READ_ASIDE_BYTES_MIN {
        let fields = fields::read(route, &parts.headers, parts.uri.query(), body)?;
        return Ok((parts, fields, None));
    }
    let (turn, body) = (app.reading_turns.wait(sender).await, body.clone());
    let read = aside(move || {
        // Until the thread has ended, also when nobody waits for it any more.
        let _turn = turn;
        let (fields, object) = fields::read_all(route, &parts.headers, parts.uri.query(), &body)?;
        Ok((parts, fields, object))
    });
    read.await.map_err(ApiError::internal)?
}

pub(super) fn authenticate(
    app: &App,
    access: Access,
    headers: &HeaderMap,
    source: Option<IpAddr>,
) -> Result<Caller, ApiError> {
    if access == Access::Public {
        let scope = crate::access::Scope::default();
        let nobody = String::new;
        return Ok(Caller { identity: nobody(), uid: nobody(), credential: nobody(), scope, in_console: false });
    }
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let value = value.ok_or_else(|| ApiError::unauthorized("missing header Authorization: Bearer TOKEN"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or(("", ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthorized("the Authorization header must be: Bearer TOKEN"));
    }
    let token = token.trim();
    // Keys are UUIDs, and tokens never are.
    if token.parse::<uuid::Uuid>().is_ok() {
        return Err(ApiError::unauthorized(
            "this is an API key and not a token: exchange it first with POST /jwt (fields oid and secret), \
             and send what is in jwt as Authorization: Bearer",
        ));
    }
    Ok(app.secrets.caller(&app.records, token, source, clock::now())?)
}

/// Finds the organization and checks the permission. What one may not see is 404.
fn authorize(
    app: &App,
    access: Access,
    caller: &Caller,
    path: &HashMap<&'static str, String>,
    fields: &Form,
) -> Result<Option<Arc<Organization>>, ApiError> {
    let permission = match access {
        Access::Public | Access::Token => None,
        Access::Member => Some(None),
        Access::May(permission) => Some(Some(permission)),
    };
    let Some(permission) = permission else { return Ok(None) };
    let named = path.get("oid").map(String::as_str).or_else(|| fields.get("oid"));
    let organization = match (named, path.get("sid")) {
        (Some(text), _) => match text.parse().ok().filter(|oid| caller.is_in(*oid)) {
            Some(oid) => owned(app, oid)?,
            None => None,
        },
        (None, Some(sid)) => return by_sensor(app, caller, sid, permission).map(Some),
        (None, None) => only_organization(app, caller)?,
    };
    let organization = organization.ok_or_else(|| ApiError::not_found("organization not found"))?;
    check(caller, organization.oid, permission)?;
    match fields.get("oid").filter(|oid| !oid.is_empty()).map(str::parse::<Oid>) {
        Some(beside) if beside != Ok(organization.oid) => {
            Err(ApiError::bad_request("oid names another organization than the path does"))
        }
        _ => Ok(Some(organization)),
    }
}

fn check(caller: &Caller, oid: Oid, permission: Option<&str>) -> Result<(), ApiError> {
    match permission {
        Some(permission) if !caller.may(oid, permission) => Err(ApiError::missing_permission(permission)),
        _ => Ok(()),
    }
}

/// An organization of the caller; whether someone else has it by now is told, so that the call is made there.
fn owned(app: &App, oid: Oid) -> Result<Option<Arc<Organization>>, ApiError> {
    match app.organizations.is_lost(oid) {
        true => Err(StoreError::Deposed(oid).into()),
        false => Ok(app.organization(oid)),
    }
}

fn only_organization(app: &App, caller: &Caller) -> Result<Option<Arc<Organization>>, ApiError> {
    let mut oids = caller.scope.0.keys();
    match (oids.next(), oids.next()) {
        (Some(oid), None) => owned(app, *oid),
        _ => Err(ApiError::bad_request("oid is required")),
    }
}

fn by_sensor(app: &App, caller: &Caller, sid: &str, permission: Option<&str>) -> Result<Arc<Organization>, ApiError> {
    let not_found = || ApiError::not_found("sensor not found");
    let sid: Sid = bare_sensor_id(sid).parse().map_err(|_| not_found())?;
    let mine = caller.scope.0.keys().filter_map(|oid| app.organization(*oid));
    let organization = mine.into_iter().find(|organization| organization.state.lock().fleet.ordinal(sid).is_some());
    let organization = match organization {
        Some(organization) => organization,
        // Without the permission, whether the sensor exists is not told either.
        None => {
            if let Some((oid, _)) = caller.scope.0.iter().next() {
                check(caller, *oid, permission)?;
            }
            // It may be one of theirs.
            caller.scope.0.keys().try_for_each(|oid| owned(app, *oid).map(|_| ()))?;
            return Err(not_found());
        }
    };
    check(caller, organization.oid, permission)?;
    Ok(organization)
}
