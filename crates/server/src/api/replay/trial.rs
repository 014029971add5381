//! A rule and the events that it is tried on.

use super::lookups::{Supplied, TrialLookups};
use super::source::{Events, Kept};
use super::{ApiError, LITERAL_RULE};
use crate::app::App;
use crate::turns::ReplayTurns;
use crate::{clock, hive, random};
use muster_model::Oid;
use muster_rules::{
    Budget, Document, Effect, Engine, Facts, LoadError, RULE_STEPS_MAX, Rule, RuleLoader, RuleMeta, RuleSet, Source,
    Suppression, Target, Way, replay,
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long one replay may take: with the wait for its turn it stays below the silence that clients bear.
const WALL_TIME_MAX: Duration = Duration::from_secs(80);

/// Results, matches and traces in one answer, each; what is beyond is counted only.
const LISTED_MAX: usize = 1_000;

/// Bytes of the results of one answer, and of its matches, and of its traces.
const LISTED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was asked for.
pub(super) struct Trial {
    pub(super) oid: Oid,
    pub(super) meta: RuleMeta,
    pub(super) rule: Value,
    pub(super) is_traced: bool,
    pub(super) is_dry_run: bool,
    pub(super) events_max: u64,
    pub(super) evaluations_max: u64,
    pub(super) supplied: Option<Supplied>,
    /// Nobody waits for the answer.
    pub(super) is_abandoned: Arc<AtomicBool>,
}

/// A list of an answer that has a bound.
#[derive(Default)]
struct Listed {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    left_out: u64,
}

impl Listed {
    fn has_room(&self) -> bool {
        self.items.len() < LISTED_MAX && self.bytes < LISTED_BYTES_MAX
    }

    fn push(&mut self, item: &impl Serialize) {
        match to_raw_value(item) {
            Ok(item) if self.has_room() && self.bytes + item.get().len() <= LISTED_BYTES_MAX => {
                self.bytes += item.get().len();
                self.items.push(item);
            }
            _ => self.left_out += 1,
        }
    }
}

/// Why a replay ended before its events did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Events,
    Evaluations,
    Time,
}

/// A replay under way.
struct Progress<'a> {
    trial: &'a Trial,
    turns: &'a ReplayTurns,
    rule: Rule,
    target: Target,
    lookups: TrialLookups,
    engine: Engine,
    counters: Mutex<Suppression>,
    began: Instant,
    scanned: u64,
    bytes: u64,
    evaluated: u64,
    matched: u64,
    last_event_ms: Option<i64>,
    cut: Option<Cut>,
    /// Events on which the rule was cut off, as it costs too much.
    overrun: u64,
    results: Listed,
    matches: Listed,
    traces: Listed,
}

impl Trial {
    /// Tries the rule on every event, up to the limits. Blocks.
    pub(super) fn run(mut self, app: &App, events: Events) -> Result<Value, ApiError> {
        let lookups = TrialLookups { supplied: self.supplied.take(), stored: app.hives.lookups(self.oid) };
        let seed = app.secrets.anon_seed(self.oid);
        let rule = RuleLoader::new(&lookups, &seed).needing_lookups().rule_value(self.meta.clone(), &self.rule);
        let rule = rule.map_err(|error| hive::Error::Rule(on_trial(error)))?;
        let mut progress = Progress {
            trial: &self,
            turns: &app.replay_turns,
            target: events.target(),
            engine: Engine::new(Arc::new(RuleSet::new(vec![rule.clone()], Vec::new())), Way::Shared),
            rule,
            lookups,
            counters: Mutex::default(),
            began: Instant::now(),
            scanned: 0,
            bytes: 0,
            evaluated: 0,
            matched: 0,
            last_event_ms: None,
            cut: None,
            overrun: 0,
            results: Listed::default(),
            matches: Listed::default(),
            traces: Listed::default(),
        };
        match events {
            Events::Supplied { events, .. } => progress.supplied(&events),
            Events::Kept(kept) => progress.kept(app, kept)?,
        }
        Ok(progress.answer())
    }
}

/// What the published replay says of a lookup that is not there: here it can also come with the request.
/// Source: reference/detection-response.md section 20.3.
fn on_trial(mut error: LoadError) -> LoadError {
    if error.names_unknown_lookup() {
        error.message.push_str(" in replay: supply it in the request's \"lookups\" field");
    }
    error
}

impl Progress<'_> {
    fn supplied(&mut self, events: &[Value]) {
        for event in events {
            if self.is_cut() {
                return;
            }
            let document = Document::from_value(event);
            let now_ms = document.event_time_ms().unwrap_or_else(|| clock::now().as_millis());
            self.event(&document, now_ms, true);
        }
    }

    fn kept(&mut self, app: &App, mut kept: Kept) -> Result<(), ApiError> {
        let mut document = Document::default();
        while let Some(entries) = kept.next_page(app)? {
            if entries.is_empty() && self.is_cut() {
                return Ok(());
            }
            for entry in &entries {
                if self.is_cut() {
                    return Ok(());
                }
                self.bytes += entry.body.len() as u64;
                if document.parse(&entry.body).is_ok() {
                    let now_ms = document.event_time_ms().unwrap_or_else(|| entry.time.as_millis());
                    self.event(&document, now_ms, false);
                }
            }
        }
        Ok(())
    }

    fn is_cut(&mut self) -> bool {
        self.cut = if self.scanned >= self.trial.events_max {
            Some(Cut::Events)
        } else if self.evaluated >= self.trial.evaluations_max {
            Some(Cut::Evaluations)
        } else if self.began.elapsed() >= WALL_TIME_MAX || self.is_given_up() {
            Some(Cut::Time)
        } else {
            None
        };
        self.cut.is_some()
    }

    /// Nobody waits for the answer, or the server stops.
    fn is_given_up(&self) -> bool {
        self.trial.is_abandoned.load(Ordering::Relaxed) || self.turns.is_stopped()
    }

    /// The clock of a replay is the time of the event: for times of day, and for suppression.
    fn event(&mut self, document: &Document, now_ms: i64, is_always_traced: bool) {
        self.scanned += 1;
        self.last_event_ms = Some(now_ms);
        if self.trial.is_dry_run {
            return;
        }
        let steps = if self.trial.is_traced && self.traces.has_room() {
            replay::trace(&self.rule, document, now_ms, &self.lookups).1
        } else {
            Vec::new()
        };
        self.evaluated += match steps.len() {
            0 => replay::evaluations(&self.rule, document, now_ms, &self.lookups),
            steps => steps as u64,
        };
        let facts = Facts {
            now_ms,
            entropy: random::uuid().as_u128(),
            resources: &self.lookups,
            counters: &self.counters,
            console_url: None,
            budget: Budget::default(),
        };
        let outcome = self.engine.process(&Source::from(self.target), document, &facts);
        self.overrun += outcome.overruns.len() as u64;
        let is_literal = self.trial.meta.name == LITERAL_RULE;
        for decided in &outcome.effects {
            if self.results.has_room() {
                self.results.push(&result(&decided.effect, is_literal))
            } else {
                self.results.left_out += 1
            }
        }
        let matches = outcome.matches.len() as u64;
        self.matched += matches;
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        if matches > 0 && self.matches.has_room() {
            self.matches.push(&json!({"at": self.scanned - 1, "routing": routing(document), "trace": steps}));
        }
        // Of kept events, those that the first filter of the rule lets through: the others would fill the answer.
        if self.trial.is_traced && (is_always_traced || matches > 0 || steps.len() > 1) {
            self.traces.push(&steps);
        }
    }

    /// What the caller must know of the rule; the events are counted all the same.
    fn error(&self) -> String {
        match self.overrun {
            0 => String::new(),
            count => format!(
                "the rule was cut off on {count} of the events, as it needs more than {RULE_STEPS_MAX} steps there; \
                 make its patterns and paths narrower"
            ),
        }
    }

    fn answer(self) -> Value {
        let seconds = self.began.elapsed().as_secs_f64();
        let processed = if self.trial.is_dry_run { 0 } else { self.scanned };
        json!({
            "error": self.error(),
            "did_match": self.matched > 0,
            "results": self.results.items,
            "traces": self.traces.items,
            "matches": self.matches.items,
            "is_dry_run": self.trial.is_dry_run,
            "limit_event_reached": self.cut == Some(Cut::Events),
            "limit_eval_reached": self.cut == Some(Cut::Evaluations),
            "limit_time_reached": self.cut == Some(Cut::Time),
            "stats": {
                "n_scan": self.scanned, "n_bytes_scan": self.bytes, "n_proc": processed, "n_eval": self.evaluated,
                "n_matched": self.matched, "n_shard": 1, "n_batch_access": 0, "n_billed": 0, "n_free": processed,
                "n_results_left_out": self.results.left_out, "n_traces_left_out": self.traces.left_out,
                "last_event_time": self.last_event_ms, "wall_time": seconds, "cummulative_time": seconds,
                "estimated_price": {"value": 0, "currency": "USD"},
            },
        })
    }
}

/// What tells an event from others.
fn routing(document: &Document) -> Value {
    let value = document.to_value();
    let names = ["sid", "hostname", "event_type", "event_time", "event_id", "this"];
    let of = |name: &str| Some((name.to_owned(), value.pointer(&format!("/routing/{name}"))?.clone()));
    Value::Object(names.into_iter().filter_map(of).collect())
}

/// An effect as `action` and `data`.
fn result(effect: &Effect, is_literal: bool) -> Value {
    let mut data = match serde_json::to_value(effect) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let action = data.remove("action").unwrap_or_default();
    if is_literal && data.contains_key("source_rule") {
        data.insert("source_rule".to_owned(), LITERAL_RULE.into());
    }
    json!({"action": action, "data": data})
}
