//! `muster rule replay`: events of a file through the engine here, or kept events through the server.

use super::read::{self, Lookups};
use crate::connection::{self, Global};
use crate::duration::parse_seconds;
use crate::event::headline;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, Replay};
use muster_rules::{
    Budget, Document, Effect, Engine, Facts, Rule, RuleLoader, RuleSet, Source, Suppression, Way, WrittenRule, replay,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Matches that are listed; those beyond are counted.
const MATCHES_MAX: usize = 1_000;

/// Longest description of an effect on its line.
const EFFECT_CHARS_MAX: usize = 160;

/// Which rules and which events.
#[derive(clap::Args)]
pub struct ReplayArgs {
    /// Files of rules, YAML or JSON; - is standard input
    #[arg(required_unless_present = "stored")]
    files: Vec<PathBuf>,
    /// A stored rule instead of files
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    stored: Option<String>,
    /// Namespace of the stored rule: general, managed, service (default: the first that has it)
    #[arg(long, requires = "stored")]
    namespace: Option<String>,
    /// Events of a file: a JSON list, or one object per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sid", "selector", "since", "start", "end"])]
    events: Option<PathBuf>,
    /// Kept events of this sensor (default: of all sensors)
    #[arg(long)]
    sid: Option<String>,
    /// Kept events of the sensors that this selects
    #[arg(long, value_name = "EXPR")]
    selector: Option<String>,
    /// Kept events this far back
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds, conflicts_with_all = ["start", "end"])]
    since: Option<u64>,
    /// Kept events from this second on (Unix)
    #[arg(long, value_name = "SECOND")]
    start: Option<i64>,
    /// Kept events up to this second (Unix)
    #[arg(long, value_name = "SECOND")]
    end: Option<i64>,
    /// Which kept records: event, detect, deployment, artifact_event, audit
    #[arg(long, default_value = "event")]
    stream: String,
    /// Stop after so many events; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit_events: u64,
    /// Stop after so many evaluations of operators; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit_evals: u64,
    /// Count the kept events and evaluate nothing
    #[arg(long)]
    dry_run: bool,
    /// Lookups that the rules refer to: JSON of {NAME: {INDICATOR: METADATA}}
    #[arg(long, value_name = "FILE")]
    lookups: Option<PathBuf>,
    /// Show how each event was decided, not only those that match
    #[arg(long)]
    trace: bool,
}

/// Replays.
///
/// # Errors
///
/// If a file cannot be read, a rule cannot be loaded, or whatever the server says.
pub async fn run(args: &ReplayArgs, global: &Global) -> anyhow::Result<()> {
    let lookups = Lookups::read(args.lookups.as_deref())?;
    let rules = read::all_rules(&args.files)?;
    let mut replays = Vec::new();
    match &args.events {
        Some(path) if args.stored.is_none() => {
            let mut events = read::events(path)?;
            if args.limit_events > 0 {
                events.truncate(usize::try_from(args.limit_events).unwrap_or(usize::MAX));
            }
            for (file, written) in &rules {
                let rule = RuleLoader::new(&lookups, "")
                    .written(written)
                    .map_err(|error| Usage(read::Remark::error(file, &written.name, &error).to_string()))?;
                replays.push(here(rule, &events, &lookups, args, global.json));
            }
        }
        _ => {
            let client = connection::client(global)?;
            let events = args.events.as_deref().map(read::events).transpose()?;
            let mut sources: Vec<_> = rules.iter().map(|(_, written)| literal(written)).collect();
            sources.extend(args.stored.as_ref().map(|name| {
                (name.clone(), json!({"rule_name": name, "namespace": args.namespace.as_deref().unwrap_or_default()}))
            }));
            for (name, source) in sources {
                let request = request(args, source, events.as_deref(), &lookups);
                replays.push(there(&client, &name, request, args, global.json).await?);
            }
        }
    }
    if global.json {
        show::json(&replays);
    }
    Ok(())
}

/// A rule of a file as the server takes it.
fn literal(written: &WrittenRule) -> (String, Value) {
    let mut rule = written.value();
    if rule.get("respond").is_none() {
        rule["respond"] = json!([]);
    }
    (written.name.clone(), json!({"rule": rule, "namespace": written.namespace}))
}

/// What one event made a rule do.
struct Decision<'a> {
    number: usize,
    event: &'a Value,
    matches: usize,
    effects: Vec<Value>,
    trace: Vec<replay::Step>,
}

/// Tries a rule on events in their order; the clock is the time of the event.
fn here(rule: Rule, events: &[Value], lookups: &Lookups, args: &ReplayArgs, json: bool) -> Value {
    let name = rule.meta.name.clone();
    let target = rule.target();
    let counters = Mutex::new(Suppression::default());
    let mut engine = Engine::new(Arc::new(RuleSet::new(vec![rule.clone()], Vec::new())), Way::Shared);
    let (mut listed, mut matched, mut evaluated) = (Vec::new(), 0_u64, 0_u64);
    for (at, event) in events.iter().enumerate() {
        if args.limit_evals > 0 && evaluated >= args.limit_evals {
            break;
        }
        let document = Document::from_value(event);
        let now_ms = document.event_time_ms().unwrap_or_else(|| show::now_s() * 1_000);
        let trace = replay::trace(&rule, &document, now_ms, lookups).1;
        evaluated += trace.len() as u64;
        let facts = Facts {
            now_ms,
            entropy: at as u128,
            resources: lookups,
            counters: &counters,
            console_url: None,
            budget: Budget::default(),
        };
        let outcome = engine.process(&Source::from(target), &document, &facts);
        let matches = outcome.matches.len();
        matched += u64::from(matches > 0);
        if matches == 0 && !args.trace {
            continue;
        }
        let effects = outcome.effects.iter().map(|decided| effect(&decided.effect)).collect();
        let decision = Decision { number: at + 1, event, matches, effects, trace };
        if json && listed.len() < MATCHES_MAX {
            listed.push(json!({
                "event": decision.number, "routing": event.get("routing"), "matches": decision.matches,
                "effects": decision.effects, "trace": decision.trace,
            }));
        } else if !json {
            show_decision(&name, &decision);
        }
    }
    if !json {
        show::line(show::safe(&format!("{name}: {matched} of {} events match", events.len())));
    }
    json!({"rule": name, "events": events.len(), "matched": matched, "evaluations": evaluated, "decisions": listed})
}

fn effect(effect: &Effect) -> Value {
    serde_json::to_value(effect).unwrap_or_default()
}

fn show_decision(name: &str, decision: &Decision<'_>) {
    let verdict = if decision.matches > 0 { "matches" } else { "does not match" };
    show::line(show::safe(&format!("event {} {verdict} {name}: {}", decision.number, headline(decision.event))));
    decision.trace.iter().for_each(|step| show::line(show::safe(&format!("    {step}"))));
    for effect in &decision.effects {
        show_effect(effect.get("action").and_then(Value::as_str).unwrap_or("?"), effect);
    }
}

fn show_effect(action: &str, data: &Value) {
    let what = match action {
        "report" => data.get("name").or_else(|| data.get("cat")).cloned().unwrap_or_default(),
        _ => {
            let mut data = data.clone();
            data.as_object_mut().map(|fields| fields.remove("action"));
            data
        }
    };
    show::line(show::safe(&format!("    would {action}: {}", show::shortened(&what.to_string(), EFFECT_CHARS_MAX))));
}

fn request(args: &ReplayArgs, rule_source: Value, events: Option<&[Value]>, lookups: &Lookups) -> Value {
    let since = args.since.map(|seconds| crate::event::span_since(seconds).start_s);
    let sensor_events = json!({
        "sid": args.sid.as_deref().unwrap_or_default(), "selector": args.selector.as_deref().unwrap_or_default(),
        "start_time": since.or(args.start).unwrap_or(0), "end_time": args.end.unwrap_or(0),
    });
    json!({
        "rule_source": rule_source,
        "event_source": {"stream": args.stream, "sensor_events": sensor_events, "events": events},
        // The trace of a match says why it matches, so it is always asked for.
        "trace": true, "is_dry_run": args.dry_run,
        "limit_event": args.limit_events, "limit_eval": args.limit_evals, "lookups": lookups.supplied(),
    })
}

async fn there(client: &Client, name: &str, request: Value, args: &ReplayArgs, json: bool) -> anyhow::Result<Value> {
    let replay = client.replay(request).await?;
    if !json {
        show_answer(name, &replay, args);
    }
    let mut told = serde_json::to_value(replay)?;
    told["rule"] = name.into();
    Ok(told)
}

fn show_answer(name: &str, replay: &Replay, args: &ReplayArgs) {
    let tell = |steps: &[String]| steps.iter().for_each(|step| show::line(show::safe(&format!("    {step}"))));
    for found in &replay.matches {
        // A headline is that of an event, of which a match tells the envelope.
        let event = json!({"routing": found.routing});
        show::line(show::safe(&format!("event {} matches {name}: {}", found.at + 1, headline(&event))));
        tell(&found.trace);
    }
    if args.trace {
        for trace in &replay.traces {
            show::line("decided:");
            tell(trace);
        }
    }
    for result in &replay.results {
        show_effect(&result.action, &Value::Object(result.data.clone()));
    }
    let (scanned, matched, bytes) = (replay.stats.n_scan, replay.stats.n_matched, replay.stats.n_bytes_scan);
    show::line(show::safe(&match args.dry_run {
        true => format!("{name}: {scanned} events would be evaluated ({})", show::bytes(bytes)),
        false => format!("{name}: {matched} matches in {scanned} events"),
    }));
    for (is_reached, why) in [
        (replay.limit_event_reached, "the limit of events was reached"),
        (replay.limit_eval_reached, "the limit of evaluations was reached"),
        (replay.limit_time_reached, "the server stopped it after its longest time; narrow the time range"),
    ] {
        if is_reached {
            let until = show::time_ms(replay.stats.last_event_time);
            show::line(format_args!("Cut short at {until}: {why}."));
        }
    }
}
