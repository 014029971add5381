//! Rules tried on events, without any effect. Source: reference/rest-api.md section 7.11,
//! reference/detection-response.md section 20.3.
//!
//! The events come with the request, or are those that the organization keeps. What the
//! rule would do is told and never done: nothing here reaches the part that acts.
//!
//! The published replay host is called at its root, which is also the root of the token
//! host: a JSON body tells them apart. The caller is checked here, since that route is public.
//! Below an organization it is called like everything else, so that the console can.

mod lookups;
mod source;
mod trial;

use super::router::authenticate;
use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::access::Caller;
use crate::hive::{self, RULE_HIVES, Verb};
use crate::intake::event::Actor;
use crate::jobs::aside;
use crate::names;
use lookups::Supplied;
use muster_api_types::Replay;
use muster_model::Oid;
use muster_rules::RuleMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use source::{EventSource, Events};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trial::Trial;

/// A query replaces the rule; the older client pages through its answer with a cursor, and through no other.
const NO_QUERY: &str = "query is not available: this server does not read the query language; \
    give the condition as rule_source.rule, and the events by event_source";

/// What detections say of a rule that came with the request.
const LITERAL_RULE: &str = "replay-rule";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    oid: String,
    #[serde(default)]
    rule_source: RuleSource,
    event_source: EventSource,
    #[serde(default)]
    trace: bool,
    /// Count the events, and evaluate nothing.
    #[serde(default)]
    is_dry_run: bool,
    /// 0 or absent is no limit.
    limit_event: Option<u64>,
    limit_eval: Option<u64>,
    lookups: Option<Map<String, Value>>,
    query: Option<Value>,
    /// What older clients send beside; stateful rules work here whatever it says.
    #[serde(default, rename = "is_stateful")]
    _is_stateful: IgnoredAny,
    /// What older clients send with a query, which is refused.
    #[serde(default, rename = "include_histogram")]
    _include_histogram: IgnoredAny,
    #[serde(default, rename = "include_facets")]
    _include_facets: IgnoredAny,
    #[serde(default, rename = "is_validation")]
    _is_validation: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSource {
    rule_name: Option<String>,
    namespace: Option<String>,
    rule: Option<Value>,
}

/// The request without the fields that are null, which clients write for absent ones. What belongs to the rule
/// or to events stays as it is.
fn without_nulls(mut request: Map<String, Value>) -> Map<String, Value> {
    request.retain(|_, value| !value.is_null());
    for part in ["rule_source", "event_source", "sensor_events"] {
        if let Some(Value::Object(fields)) = request.get_mut(part) {
            *fields = without_nulls(std::mem::take(fields));
        }
    }
    request
}

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/replay/{oid}", Access::Member, "Try a rule on events, without any effect", try_rule)
            .answers::<Replay>("rule_try")
            .open(),
    ]
}

async fn try_rule(mut call: Call) -> Result<Reply, ApiError> {
    let mut request = call.take_json()?.ok_or_else(|| ApiError::bad_request("the body must be a JSON object"))?;
    request.insert("oid".to_owned(), json!(call.organization()?.oid));
    let caller = call.caller.clone();
    replay(call, &caller, request).await
}

/// At the root, where the caller is not known yet.
pub(super) async fn run(call: Call, request: Map<String, Value>) -> Result<Reply, ApiError> {
    let caller = authenticate(&call.app, Access::Member, &call.headers, call.source)?;
    let calls_max = caller.calls_max(call.app.config.limits.calls_per_minute);
    call.app.meter.count(&caller.credential, calls_max)?;
    replay(call, &caller, request).await
}

async fn replay(call: Call, caller: &Caller, request: Map<String, Value>) -> Result<Reply, ApiError> {
    let request: Request = names::read(Value::Object(without_nulls(request)))
        .map_err(|error| ApiError::bad_request(format!("the body is no replay request: {error}")))?;
    let oid = request.oid.parse::<Oid>().ok().filter(|oid| caller.is_in(*oid) && call.app.organization(*oid).is_some());
    let oid = oid.ok_or_else(|| ApiError::not_found("organization not found"))?;
    if request.query.as_ref().is_some_and(|query| !query.is_null() && query != "") {
        return Err(ApiError::bad_request(NO_QUERY));
    }
    let may = |permission: &'static str| match caller.may(oid, permission) {
        true => Ok(()),
        false => Err(ApiError::missing_permission(permission)),
    };
    let (meta, rule) = find_rule(&call, oid, (request.rule_source, &caller.actor(call.source)), &may)?;
    call.app.hives.fetch_named(oid, &rule).await;
    let events = Events::of(&call.app, oid, request.event_source)?;
    if let Some(permission) = events.permission() {
        may(permission)?;
    }
    let bound = |limit: Option<u64>| limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
    let is_abandoned = Arc::new(AtomicBool::new(false));
    let trial = Trial {
        oid,
        meta,
        rule,
        is_traced: request.trace,
        is_dry_run: request.is_dry_run,
        events_max: bound(request.limit_event),
        evaluations_max: bound(request.limit_eval),
        supplied: request.lookups.map(Supplied::new).transpose()?,
        is_abandoned: Arc::clone(&is_abandoned),
    };
    let answered = async {
        let turn = call.app.replay_turns.wait(oid).await?;
        let app = Arc::clone(&call.app);
        let answer = aside(move || {
            // Until the thread has ended, also when nobody waits for it any more.
            let _turn = turn;
            trial.run(&app, events)
        });
        answer.await.map_err(ApiError::internal)?
    };
    let _leaves = Abandon(is_abandoned);
    let mut gone = call.gone.clone();
    tokio::select! {
        answer = answered => Ok(Reply::json(&answer?)),
        _ = gone.changed() => Err(ApiError::unavailable("the caller has gone")),
    }
}

/// Tells the blocking thread that nobody waits for its answer any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The rule that came with the request, or a stored one.
///
/// Published clients leave the namespace out even where their user named one: without it, the first
/// hive that has the rule counts.
fn find_rule(
    call: &Call,
    oid: Oid,
    (source, by): (RuleSource, &Actor),
    may: &dyn Fn(&'static str) -> Result<(), ApiError>,
) -> Result<(RuleMeta, Value), ApiError> {
    let namespace = source.namespace.as_deref().filter(|name| !name.is_empty());
    let is_named = |hive: &hive::Hive, name: &str| hive.namespace() == Some(name) || hive.name == name;
    let hives: Vec<&hive::Hive> =
        RULE_HIVES.into_iter().filter(|hive| namespace.is_none_or(|name| is_named(hive, name))).collect();
    let first = *hives.first().ok_or_else(|| ApiError::bad_request("namespace must be general, managed or service"))?;
    may(first.permission(Verb::Get))?;
    let meta = |hive: &hive::Hive, name: &str| RuleMeta {
        namespace: hive.namespace().unwrap_or_default().to_owned(),
        ..RuleMeta::general(name)
    };
    if let Some(rule) = source.rule.filter(|rule| !rule.is_null()) {
        return Ok((meta(first, LITERAL_RULE), rule));
    }
    let name = source.rule_name.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request("rule_source needs rule, or rule_name of a stored rule"))?;
    for hive in hives.iter().filter(|hive| may(hive.permission(Verb::Get)).is_ok()) {
        if let Ok(record) = hive::seen(&call.app.hives, hive, oid, name, by) {
            return Ok((meta(hive, name), record.data));
        }
    }
    Err(hive::Error::NotFound(name.to_owned()).into())
}
