//! Runs the golden cases of `conformance/dr/cases.yaml`, or of the folder that
//! `MUSTER_CONFORMANCE_DIR` names, in both ways of evaluation.
//!
//! Source: reference/detection-response.md section 26.

use muster_rules::{
    ArtifactFacts, Budget, Document, Effect, Engine, Facts, FalsePositive, LoadError, Resources, Rule, RuleLoader,
    RuleMeta, RuleSet, Source, Suppression, Target, Way,
};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;

const DEFAULT_NOW_MS: i64 = 1_700_000_000_000;

struct Case<'a>(&'a Value);

impl Resources for Case<'_> {
    fn has_lookup(&self, name: &str) -> bool {
        self.0["lookups"].get(name).is_some()
    }

    fn find(&self, lookup: &str, key: &str) -> Option<&Value> {
        self.0["lookups"].get(lookup)?.get(key)
    }

    fn detection(&self, reference: &str) -> Option<&Value> {
        self.0["resources"].get(reference)
    }
}

#[derive(Default)]
struct Seen {
    matched_events: Vec<usize>,
    actions: Vec<Value>,
    published: Vec<String>,
    errors: u64,
}

fn load_rule(loader: &RuleLoader<'_>, rule: &Value) -> Result<Option<Rule>, LoadError> {
    let text = |key: &str, default: &str| rule[key].as_str().unwrap_or(default).to_owned();
    let tags = rule["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let meta = RuleMeta {
        name: text("name", "rule"),
        namespace: text("namespace", "general"),
        author: text("author", ""),
        tags,
        etag: String::new(),
    };
    let loaded = loader.rule_value(meta, rule)?;
    Ok((rule["enabled"] != false).then_some(loaded))
}

fn load(case: &Case<'_>) -> Result<RuleSet, LoadError> {
    let loader = RuleLoader::new(case, "seed").needing_lookups();
    let more = case.0["more_rules"].as_array().into_iter().flatten();
    let rules = std::iter::once(&case.0["rule"]).chain(more).map(|rule| load_rule(&loader, rule));
    let rules: Vec<Option<Rule>> = rules.collect::<Result<_, _>>()?;
    let fps = case.0["fp"].as_array().into_iter().flatten();
    let fps: Vec<FalsePositive> = fps
        .map(|fp| loader.false_positive(fp["name"].as_str().unwrap_or_default(), &fp["data"]))
        .collect::<Result<_, _>>()?;
    Ok(RuleSet::new(rules.into_iter().flatten().collect(), fps))
}

fn run(case: &Case<'_>, rules: RuleSet, way: Way) -> Seen {
    let mut engine = Engine::new(Arc::new(rules), way);
    let counters = Mutex::new(Suppression::default());
    let primary = case.0["rule"]["name"].as_str().unwrap_or("rule");
    let mut seen = Seen::default();
    for (index, event) in case.0["events"].as_array().into_iter().flatten().enumerate() {
        let mut event = event.clone();
        let map = event.as_object_mut().expect("an event is an object");
        let target = map.remove("_target").unwrap_or_else(|| "edr".into());
        let artifact = map.remove("_artifact").unwrap_or_default();
        let part = |key: &str| artifact[key].as_str().unwrap_or_default();
        let artifact = ArtifactFacts { kind: part("type"), path: part("path"), source: part("source"), routing: None };
        let target = target.as_str().and_then(Target::from_name).expect("a known target");
        let time = event["routing"]["event_time"].as_i64().unwrap_or(DEFAULT_NOW_MS);
        let now_ms = case.0["now_ms"].get(index).and_then(Value::as_i64).unwrap_or(time);
        let facts = Facts {
            now_ms,
            entropy: index as u128,
            resources: case,
            counters: &counters,
            console_url: None,
            budget: Budget::default(),
        };
        let source = Source { target, artifact: Some(artifact) };
        let outcome = engine.process(&source, &Document::from_value(&event), &facts);
        seen.matched_events.extend(outcome.matches.iter().filter(|rule| rule.meta.name == primary).map(|_| index));
        for decided in &outcome.effects {
            match &decided.effect {
                Effect::Error { .. } => seen.errors += 1,
                effect => {
                    if let Effect::Report { name, published: true, .. } = effect {
                        seen.published.push(name.clone());
                    }
                    let mut action = serde_json::to_value(effect).expect("effects are JSON");
                    action["event"] = index.into();
                    action["rule"] = decided.rule.meta.name.clone().into();
                    seen.actions.push(action);
                }
            }
        }
    }
    seen.matched_events.dedup();
    seen
}

/// Nested objects as subsets, lists exactly, numbers numerically, booleans strictly.
fn is_subset(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => is_map_subset(expected, actual),
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().zip(actual).all(|(e, a)| is_subset(e, a))
        }
        (Value::Number(expected), Value::Number(actual)) => {
            expected == actual
                || expected.as_f64() == actual.as_f64() && expected.as_f64().is_some_and(|n| n.abs() < 9e15)
        }
        _ => expected == actual,
    }
}

fn is_map_subset(expected: &Map<String, Value>, actual: &Map<String, Value>) -> bool {
    expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| is_subset(value, actual)))
}

fn compare(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    let expect = &case.0["expect"];
    if let Some(matched) = expect["matched"].as_bool()
        && matched == seen.matched_events.is_empty()
    {
        return Err(format!("matched should be {matched}"));
    }
    if let Some(events) = expect["matched_events"].as_array() {
        let events: Vec<usize> = events.iter().filter_map(Value::as_u64).map(|at| at as usize).collect();
        if events != seen.matched_events {
            return Err(format!("matched events {:?}, expected {events:?}", seen.matched_events));
        }
    }
    let expected: Vec<&Value> = expect["actions"].as_array().into_iter().flatten().collect();
    let mut left: Vec<&Value> = seen.actions.iter().collect();
    for action in &expected {
        let Some(at) = left.iter().position(|actual| is_subset(action, actual)) else {
            return Err(format!("missing action {action}; left are {left:?}"));
        };
        left.remove(at);
    }
    if !left.is_empty() {
        return Err(format!("unexpected actions {left:?}"));
    }
    if let Some(published) = expect["published"].as_array() {
        let mut published: Vec<&str> = published.iter().filter_map(Value::as_str).collect();
        let mut actual = seen.published.clone();
        published.sort_unstable();
        actual.sort_unstable();
        if published != actual {
            return Err(format!("published {actual:?}, expected {published:?}"));
        }
    }
    let errors = expect["errors"].as_u64().unwrap_or(0);
    if errors == seen.errors { Ok(()) } else { Err(format!("{} errors, expected {errors}", seen.errors)) }
}

fn check(case: &Case<'_>) -> Result<(), String> {
    let expect = &case.0["expect"];
    for way in [Way::Shared, Way::EachRule] {
        let loaded = load(case);
        if expect["load_error"] == true {
            let error = loaded.err().ok_or("loaded, but should be refused")?.to_string();
            let part = expect["error_contains"].as_str().unwrap_or_default();
            if !error.contains(part) {
                return Err(format!("the error {error:?} does not contain {part:?}"));
            }
            continue;
        }
        let rules = loaded.map_err(|error| format!("refused: {error}"))?;
        compare(case, &run(case, rules, way)).map_err(|cause| format!("{way:?}: {cause}"))?;
    }
    Ok(())
}

#[test]
fn golden_cases_hold() {
    let folder = std::env::var_os("MUSTER_CONFORMANCE_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance"), PathBuf::from);
    let file = folder.join("dr/cases.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 10_000_000, max_events: 10_000_000, max_total_scalar_bytes: 1 << 30 },
        strict_booleans: true,
    };
    let cases: Vec<Value> = serde_saphyr::from_str_with_options(&text, options).expect("the cases are YAML");
    let mut failed = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap_or("?");
        if let Err(cause) = check(&Case(case)) {
            println!("FAILED {name}: {cause}");
            failed.push(name);
        }
    }
    println!("{} of {} cases passed in {}", cases.len() - failed.len(), cases.len(), file.display());
    assert!(!cases.is_empty(), "no cases in {}", file.display());
    assert!(failed.is_empty(), "failed: {failed:?}");
}
