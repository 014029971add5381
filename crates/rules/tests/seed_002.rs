//! The examples of the defining document on response actions do what it says.
//!
//! Source: seed 002; the data in `seed_002/rules.yaml`.

use muster_rules::{
    Budget, Document, Engine, Facts, NoResources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

const START_MS: i64 = 1_700_000_000_000;

fn is_subset(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| is_subset(value, actual)))
        }
        _ => expected == actual,
    }
}

/// Runs one example; effects must be those listed, in order.
fn check(example: &Value) -> Result<(), String> {
    let any = json!({"op": "exists", "path": "event"});
    let detect = example.get("detect").unwrap_or(&any);
    let rule = json!({"detect": detect, "respond": example["respond"]});
    let loaded = RuleLoader::new(&NoResources, "").rule(RuleMeta::general("rule"), &rule.to_string());
    if let Some(code) = example["refused"].as_str() {
        return match loaded {
            Err(error) if error.code == code && error.line > 0 => Ok(()),
            other => Err(format!("expected {code}, got {other:?}")),
        };
    }
    let rules = RuleSet::new(vec![loaded.map_err(|error| error.to_string())?], Vec::new());
    let mut engine = Engine::new(Arc::new(rules), Way::Shared);
    let counters = Mutex::new(Suppression::default());
    let target = example["target"].as_str().and_then(Target::from_name).unwrap_or_default();
    for (index, event) in example["events"].as_array().into_iter().flatten().enumerate() {
        let now_ms = START_MS + event["at"].as_i64().unwrap_or(0) * 1000;
        let mut routing = json!({"event_type": event["type"].as_str().unwrap_or("X"), "hostname": "host", "oid": "o", "event_time": now_ms});
        if let Some(sid) = event["sid"].as_str() {
            routing["sid"] = sid.into();
        }
        let document = Document::from_value(&json!({"routing": routing, "event": event["event"]}));
        let facts = Facts {
            now_ms,
            entropy: index as u128,
            resources: &NoResources,
            counters: &counters,
            console_url: None,
            budget: Budget::default(),
        };
        let outcome = engine.process(&Source::from(target), &document, &facts);
        let actual: Vec<Value> =
            outcome.effects.iter().map(|decided| serde_json::to_value(&decided.effect).unwrap()).collect();
        let expected: Vec<Value> = event["does"].as_array().cloned().unwrap_or_default();
        let is_same = expected.len() == actual.len() && expected.iter().zip(&actual).all(|(e, a)| is_subset(e, a));
        if !is_same {
            return Err(format!("event {index}: expected {expected:?}, got {actual:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_example_does_what_the_document_says() {
    let examples: Vec<Value> = serde_saphyr::from_str(include_str!("seed_002/rules.yaml")).unwrap();
    let failed: Vec<String> = examples
        .iter()
        .filter_map(|example| check(example).err().map(|cause| format!("{}: {cause}", example["about"])))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(examples.len() >= 18, "examples are missing");
}
