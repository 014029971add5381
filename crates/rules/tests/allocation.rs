//! No heap allocation for an event that matches nothing.

#[path = "generate/facts.rs"]
mod facts;

use allocation_counter::measure;
use facts::facts;
use muster_rules::{
    Document, Engine, NoResources, Rule, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// One rule of each kind of test, none of which holds for [`events`].
fn rules() -> Vec<Value> {
    let path = "event/COMMAND_LINE";
    let tests = [
        json!({"op": "contains", "path": path, "value": "mimikatz", "case sensitive": false}),
        json!({"op": "contains", "path": path, "value": "Chrome", "case sensitive": true}),
        json!({"op": "contains", "path": path, "value": "chrome", "count": 3}),
        json!({"op": "starts with", "path": path, "value": "-", "case sensitive": false}),
        json!({"op": "ends with", "path": "event/FILE_PATH", "value": "\\cmd.exe", "file name": true}),
        json!({"op": "is", "path": "event/PARENT/FILE_PATH", "value": "c:\\x.exe", "case sensitive": false}),
        json!({"op": "is", "path": "event/PROCESS_ID", "value": 4}),
        json!({"op": "is greater than", "path": "event/PROCESS_ID", "value": 100_000}),
        json!({"op": "is lower than", "path": path, "value": 3, "length of": true}),
        json!({"op": "matches", "path": path, "re": "chrome.*-enc[0-9]{2,4}$", "case sensitive": false}),
        json!({"op": "exists", "path": "event/NOPE/DEEP"}),
        json!({"op": "cidr", "path": "event/NETWORK_ACTIVITY/?/DESTINATION/IP_ADDRESS", "cidr": "192.0.2.0/24"}),
        json!({"op": "is private address", "path": "event/NETWORK_ACTIVITY/?/DESTINATION/IP_ADDRESS"}),
        json!({"op": "is", "path": "event/DOMAIN_NAME", "value": "evil", "sub domain": "-2"}),
        json!({"op": "is", "path": "*/DESTINATION/?", "value": 1}),
        json!({"op": "is tagged", "tag": "vip"}),
        json!({"op": "is linux"}),
        json!({"op": "is older than", "path": "routing/event_time", "seconds": 1_000_000_000}),
        json!({"op": "or", "rules": [
            {"op": "ends with", "path": path, "value": ".vbs"}, {"op": "ends with", "path": path, "value": ".js"},
        ]}),
        json!({"op": "and", "rules": [
            {"op": "exists", "path": path},
            {"op": "contains", "path": path, "value": "chrome", "not": true},
            {"op": "contains", "path": path, "value": "\\", "not": true},
        ]}),
    ];
    let events = ["NEW_PROCESS", "NETWORK_CONNECTIONS", "DNS_REQUEST"];
    let rule = |(event, test): (&str, &Value)| {
        // A bare negation has no text to look for: such a rule is walked on every event of its type.
        let detect = json!({"event": event, "op": "and", "rules": [{"op": "is windows"}, test]});
        json!({"detect": detect, "respond": [{"action": "report", "name": "r"}]})
    };
    events.iter().flat_map(|event| tests.iter().map(move |test| rule((event, test)))).collect()
}

fn events() -> Vec<Document> {
    let routing = |kind: &str| json!({"event_type": kind, "sid": "s", "plat": 0x1000_0000, "arch": 2, "event_time": 1_700_000_000_000_i64, "tags": ["x"]});
    let made = [
        (
            "NEW_PROCESS",
            json!({
                "FILE_PATH": "C:\\Program Files\\Chrome\\chrome.exe", "COMMAND_LINE": "\"C:\\chrome.exe\" --type=renderer \u{e9}",
                "PROCESS_ID": 4120, "PARENT": {"FILE_PATH": "C:\\Windows\\explorer.exe"},
            }),
        ),
        (
            "NETWORK_CONNECTIONS",
            json!({"NETWORK_ACTIVITY": [
            {"DESTINATION": {"IP_ADDRESS": "203.0.113.9", "PORT": 443}}, {"DESTINATION": {"IP_ADDRESS": "2001:db8::1", "PORT": 53}},
        ], "PROCESS_ID": 4120}),
        ),
        ("DNS_REQUEST", json!({"DOMAIN_NAME": "www.example.com", "PROCESS_ID": 4120})),
        ("OTHER", json!({"COMMAND_LINE": "mimikatz"})),
    ];
    made.iter().map(|(kind, event)| Document::from_value(&json!({"routing": routing(kind), "event": event}))).collect()
}

/// Goal: a busy engine allocates nothing for what matches nothing. Method: rules with every kind
/// of test on events that none matches, the second time, when all buffers have grown.
#[test]
fn an_event_that_matches_nothing_allocates_nothing() {
    let loader = RuleLoader::new(&NoResources, "");
    let load = |(at, value): (usize, &Value)| loader.rule_value(RuleMeta::general(&at.to_string()), value).unwrap();
    let rules: Vec<Rule> = rules().iter().enumerate().map(load).collect();
    let mut engine = Engine::new(Arc::new(RuleSet::new(rules, Vec::new())), Way::Shared);
    let counters = Mutex::new(Suppression::default());
    let facts = facts(&counters);
    let source = Source::from(Target::Edr);
    let events = events();
    for event in &events {
        let matches: Vec<_> =
            engine.process(&source, event, &facts).matches.iter().map(|rule| &rule.meta.name).collect();
        assert!(matches.is_empty(), "{matches:?} match {}", event.to_value());
    }
    for event in &events {
        let made = measure(|| _ = engine.process(&source, event, &facts));
        assert_eq!(made.count_total, 0, "{} bytes for {}", made.bytes_total, event.to_value());
    }
    assert!(measure(|| drop(std::hint::black_box(vec![1]))).count_total > 0, "the counter counts");
}
