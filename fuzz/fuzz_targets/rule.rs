//! Any text is a rule or an error that says where. Text that is JSON means the
//! same as YAML and as a value; a rule that loads answers the same both ways.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::engines::{self, START_MS, WORDS};
use muster_rules::{
    Conversion, Document, KnownEvent, LoadError, Rule, RuleLoader, RuleMeta, RuleSet, Target, convert, lint,
    read_rules, replay,
};
use serde_json::Value;
use std::sync::Arc;

const KNOWN: [KnownEvent<'_>; 2] =
    [KnownEvent { name: "NEW_PROCESS", platform: Some("windows") }, KnownEvent { name: "DNS_REQUEST", platform: None }];

/// Longest error text: it quotes a little of the rule, and says what to do.
const ERROR_BYTES_MAX: usize = 8 * 1024;

const EVENTS: [&[u8]; 4] = [
    br#"{"routing":{"event_type":"NEW_PROCESS","sid":"s1","oid":"o","plat":268435456,"arch":2,"tags":["vip"],"this":"a","parent":"p","event_time":1700000000000},"event":{"FILE_PATH":"C:\\x\\cmd.exe","A":5,"L":[{"B":"b"},{"B":null}]}}"#,
    br#"{"routing":{"event_type":"NEW_PROCESS","sid":"s1","oid":"o","plat":536870912,"arch":5,"this":"c","parent":"a","event_time":1700000001000},"event":{"FILE_PATH":"/bin/sh","A":"5","IP":"10.1.2.3"}}"#,
    br#"{"routing":{"event_type":"DNS_REQUEST","sid":"s1","oid":"o","this":"d","parent":"c"},"event":{"DOMAIN_NAME":"a.b.example","A":true}}"#,
    b"{}",
];

fuzz_target!(|text: &str| {
    let loaded = engines::load("r", text);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        converted_once(&value);
        same_as_value(&loaded, &value);
    }
    if let Ok(rules) = read_rules(text, "r") {
        assert!(!rules.is_empty() && rules.len() <= text.len());
    }
    match loaded {
        Ok(rule) => answers(rule),
        Err(error) => says_where(&error, text),
    }
});

/// A rule that was converted has nothing left to convert.
fn converted_once(rule: &Value) {
    if let Conversion::Converted(converted) = convert(rule) {
        assert_eq!(convert(&converted), Conversion::NothingToDo, "{rule}");
    }
}

fn says_where(error: &LoadError, text: &str) {
    assert!(error.code.starts_with("rule/") && !error.message.is_empty());
    assert!(error.to_string().len() <= ERROR_BYTES_MAX, "{} bytes", error.to_string().len());
    // YAML ends lines at either character.
    let lines = text.matches(['\r', '\n']).count() + 1;
    assert!(error.line as usize <= lines, "line {} of {lines}", error.line);
}

/// A value keeps no order of its keys, and of several faults the first in the
/// text is told: the same fault is asked for only where the order is the same.
fn same_as_value(loaded: &Result<Rule, LoadError>, value: &Value) {
    let by_value = RuleLoader::new(&*WORDS, "seed").rule_value(RuleMeta::general("r"), value);
    match (loaded, &by_value, engines::load("r", &value.to_string())) {
        (Ok(_), Ok(value), Ok(sorted)) => assert_eq!(sorted.warnings, value.warnings),
        (Err(_), Err(value), Err(sorted)) => {
            assert_eq!((sorted.code, &sorted.place), (value.code, &value.place), "{sorted} / {value}");
        }
        (loaded, value, sorted) => panic!(
            "as text: {:?}; as a value: {:?}; in the value's order: {:?}",
            loaded.as_ref().err(),
            value.as_ref().err(),
            sorted.err()
        ),
    }
}

fn answers(rule: Rule) {
    for warning in lint(&rule, &KNOWN) {
        assert!(!warning.code.is_empty() && !warning.message.is_empty());
    }
    for event in EVENTS {
        let document = Document::from_json(event).expect("our own events are valid");
        let (outcome, steps) = replay::trace(&rule, &document, START_MS, &*WORDS);
        assert_eq!(outcome, replay::evaluate_one(&rule, &document, START_MS, &*WORDS));
        assert!(!outcome || !steps.is_empty());
    }
    let target = rule.target();
    let events: Vec<(Target, &[u8])> = EVENTS.iter().map(|event| (target, *event)).collect();
    engines::agreed(&Arc::new(RuleSet::new(vec![rule], Vec::new())), &events);
}
