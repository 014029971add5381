//! Rules tried on supplied events, without any effect. Source: reference/rest-api.md section 7.11.
//!
//! The published replay host is called at its root, which is also the root of the token
//! host: a JSON body tells them apart. The caller is checked here, since that route is public.

use super::router::authenticate;
use super::{Access, ApiError, Call, Reply};
use crate::app::App;
use crate::detect::Lookups;
use crate::hive::{self, RULE_HIVES, Verb};
use crate::{clock, random};
use muster_model::Oid;
use muster_rules::{
    Document, Engine, Facts, Rule, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way, replay,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Events in one call.
const EVENTS_MAX: usize = 10_000;

/// Results and traces in one answer; what is beyond is counted only.
const RESULTS_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Request {
    oid: String,
    rule_source: RuleSource,
    event_source: EventSource,
    #[serde(default)]
    trace: bool,
    /// 0 or absent is no limit.
    limit_event: Option<u64>,
    limit_eval: Option<u64>,
}

#[derive(Deserialize)]
struct RuleSource {
    rule_name: Option<String>,
    namespace: Option<String>,
    rule: Option<Value>,
}

#[derive(Deserialize)]
struct EventSource {
    stream: Option<String>,
    events: Option<Vec<Value>>,
}

/// A rule and the events it is tried on.
struct Trial {
    oid: Oid,
    meta: RuleMeta,
    rule: Value,
    target: Target,
    events: Vec<Value>,
    is_traced: bool,
    evaluations_max: u64,
}

pub(super) async fn run(call: Call) -> Result<Reply, ApiError> {
    let caller = authenticate(&call.app, Access::Member, &call.headers)?;
    call.app.meter.count(&caller.credential, call.app.config.limits.calls_per_minute)?;
    let request: Request = serde_json::from_value(call.json()?)
        .map_err(|error| ApiError::bad_request(format!("the body is no replay request: {error}")))?;
    let oid = request.oid.parse::<Oid>().ok().filter(|oid| caller.is_in(*oid) && call.app.organization(*oid).is_some());
    let oid = oid.ok_or_else(|| ApiError::not_found("organization not found"))?;
    let namespace = request.rule_source.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("general");
    let hive = RULE_HIVES.into_iter().find(|hive| hive.namespace() == Some(namespace));
    let hive = hive.ok_or_else(|| ApiError::bad_request("namespace must be general, managed or service"))?;
    let permission = hive.permission(Verb::Get);
    if !caller.may(oid, permission) {
        return Err(ApiError::missing_permission(permission));
    }
    let name = request.rule_source.rule_name.as_deref().filter(|name| !name.is_empty());
    let rule = match (request.rule_source.rule.filter(|rule| !rule.is_null()), name) {
        (Some(rule), _) => rule,
        (None, Some(name)) => hive::get(&call.app, hive, oid, name)?.data,
        (None, None) => return Err(ApiError::bad_request("rule_source needs rule, or rule_name of a stored rule")),
    };
    let unsupported = "event_source.events is required: replay of stored events is not available";
    let mut events = request.event_source.events.ok_or_else(|| ApiError::bad_request(unsupported))?;
    if events.len() > EVENTS_MAX {
        return Err(ApiError::too_large(format!("at most {EVENTS_MAX} events in one replay")));
    }
    let bound = |limit: Option<u64>| limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
    events.truncate(usize::try_from(bound(request.limit_event)).unwrap_or(usize::MAX));
    let trial = Trial {
        oid,
        meta: RuleMeta { namespace: namespace.to_owned(), ..RuleMeta::general(name.unwrap_or("replay")) },
        rule,
        target: target(request.event_source.stream.as_deref().unwrap_or_default())?,
        events,
        is_traced: request.trace,
        evaluations_max: bound(request.limit_eval),
    };
    let app = Arc::clone(&call.app);
    let answer = tokio::task::spawn_blocking(move || try_rule(&app, trial)).await.map_err(ApiError::internal)??;
    Ok(Reply::json(&answer))
}

fn target(stream: &str) -> Result<Target, ApiError> {
    match stream {
        "" | "event" => Ok(Target::Edr),
        "detect" => Ok(Target::Detection),
        other => {
            let known = Target::from_name(other);
            known.ok_or_else(|| ApiError::bad_request(format!("unknown event_source.stream: {other}")))
        }
    }
}

fn load(app: &App, lookups: &Lookups, trial: &Trial) -> Result<Rule, ApiError> {
    let seed = app.secrets.anon_seed(trial.oid);
    let rule = RuleLoader::new(lookups, &seed).rule_value(trial.meta.clone(), &trial.rule);
    rule.map_err(|error| hive::invalid_rule(&error))
}

fn try_rule(app: &App, trial: Trial) -> Result<Value, ApiError> {
    let began = Instant::now();
    let lookups = Lookups::load(&app.records, trial.oid);
    let rule = load(app, &lookups, &trial)?;
    let counters = Mutex::new(Suppression::default());
    let mut engine = Engine::new(Arc::new(RuleSet::new(vec![rule.clone()], Vec::new())), Way::Shared);
    let (mut results, mut traces, mut matched, mut evaluated) = (Vec::new(), Vec::new(), 0_u64, 0_u64);
    for event in &trial.events {
        if evaluated >= trial.evaluations_max {
            break;
        }
        evaluated += 1;
        let document = Document::from_value(event);
        let now_ms = clock::now().as_millis();
        let facts = Facts {
            now_ms,
            entropy: random::uuid().as_u128(),
            resources: &lookups,
            counters: &counters,
            console_url: None,
        };
        let outcome = engine.process(&Source::from(trial.target), &document, &facts);
        matched += outcome.matches.len() as u64;
        let room = RESULTS_MAX.saturating_sub(results.len());
        results.extend(outcome.effects.iter().take(room).map(|decided| result(&decided.effect)));
        if trial.is_traced && traces.len() < RESULTS_MAX {
            traces.push(replay::trace(&rule, &document, now_ms, &lookups).1);
        }
    }
    let wall_time = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(json!({
        "error": "",
        "did_match": matched > 0,
        "results": results,
        "traces": traces,
        "stats": {
            "n_scan": trial.events.len(), "n_proc": evaluated, "n_eval": evaluated, "n_match": matched, "n_shard": 1,
            "wall_time": wall_time,
        },
    }))
}

/// An effect as `action` and `data`.
fn result(effect: &muster_rules::Effect) -> Value {
    let mut data = match serde_json::to_value(effect) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let action = data.remove("action").unwrap_or_default();
    json!({"action": action, "data": data})
}
