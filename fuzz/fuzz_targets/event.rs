//! Any bytes are an event or are refused, and rules of every operator and action
//! answer the same by the shared plan and one by one, event after event.
//!
//! Each line of the input is an event; a digit before it chooses its stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::engines;
use muster_rules::{Document, RuleSet, Target};
use std::sync::{Arc, LazyLock};

/// Rules are apart by a line of dashes.
const RULES: &str = include_str!("../event_rules.yaml");

/// Most events of one input; more would only make runs slow.
const EVENTS_MAX: usize = 12;

static RULE_SET: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let rules = RULES.split("\n---\n").enumerate().map(|(at, text)| {
        engines::load(&at.to_string(), text).unwrap_or_else(|error| panic!("rule {at}: {error}\n{text}"))
    });
    Arc::new(RuleSet::new(rules.collect(), vec![engines::false_positive("unwanted")]))
});

fuzz_target!(|data: &[u8]| {
    let events: Vec<(Target, &[u8])> =
        data.split(|byte| *byte == b'\n').take(EVENTS_MAX).map(target_and_event).collect();
    for (_, json) in &events {
        if let Ok(document) = Document::from_json(json) {
            let value = document.to_value();
            let again = Document::from_json(value.to_string().as_bytes()).expect("a value is JSON");
            assert_eq!(again.to_value(), value);
            assert_eq!(Document::from_value(&value).to_value(), value);
        }
    }
    engines::agreed(&RULE_SET, &events);
});

fn target_and_event(line: &[u8]) -> (Target, &[u8]) {
    match line.split_first() {
        Some((digit @ b'0'..=b'7', rest)) if rest.first() == Some(&b'{') => {
            (Target::ALL[usize::from(digit - b'0')].1, rest)
        }
        _ => (Target::Edr, line),
    }
}
