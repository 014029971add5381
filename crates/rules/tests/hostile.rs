//! Hostile rules and events: refused with a clear error, or survived; never a panic.

use muster_rules::{
    Budget, Decided, Document, Effect, Engine, Facts, NoResources, RuleLoader, RuleMeta, RuleSet, Source, Suppression,
    Target, Way, replay,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

fn code(text: &str) -> &'static str {
    match RuleLoader::new(&NoResources, "").rule(RuleMeta::general("r"), text) {
        Ok(_) => "loaded",
        Err(error) => {
            assert!(!error.message.is_empty() && error.to_string().len() < 5_000, "{error}");
            error.code
        }
    }
}

fn with_detect(detect: &Value) -> String {
    json!({"detect": detect, "respond": []}).to_string()
}

#[test]
fn bombs_are_refused_with_the_reason() {
    let exists = json!({"op": "exists", "path": "event"});
    let mut deep = exists.clone();
    (0..70).for_each(|_| deep = json!({"op": "and", "rules": [deep]}));
    let wide = json!({"op": "or", "rules": vec![exists.clone(); 20_001]});
    let pattern = |re: &str| json!({"op": "matches", "path": "event/A", "re": re});
    let report = |name: &str| json!({"detect": exists, "respond": [{"action": "report", "name": name}]}).to_string();
    let alias_bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let row = vec![format!("*a{}", level - 1); 8].join(", ");
        format!("{text}a{level}: &a{level} [{row}]\n")
    });
    let cases = [
        (with_detect(&deep), "rule/syntax"),
        (with_detect(&wide), "rule/syntax"),
        (with_detect(&pattern("((a{1000}){1000}){1000}")), "rule/bad-pattern"),
        (with_detect(&pattern("(a|b)(?=c)")), "rule/bad-pattern"),
        (with_detect(&pattern(&"(".repeat(10_000))), "rule/bad-pattern"),
        (with_detect(&json!({"op": "exists", "path": "a/".repeat(1000)})), "rule/too-large"),
        (report(&"{{if 1}}".repeat(5000)), "rule/bad-template"),
        (report("{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}"), "rule/bad-template"),
        (report(&"x".repeat(2 << 20)), "rule/too-large"),
        (alias_bomb, "rule/syntax"),
        ("a: *nothing".to_owned(), "rule/syntax"),
        ("[".repeat(100_000), "rule/syntax"),
        ("- ".repeat(100_000), "rule/syntax"),
        ("just text".to_owned(), "rule/wrong-type"),
        (String::new(), "rule/wrong-type"),
    ];
    for (text, expected) in cases {
        let found = code(&text);
        let is_size = expected == "rule/syntax" && found == "rule/too-large";
        assert!(found == expected || is_size, "{found} instead of {expected} for {}", &text[..text.len().min(80)]);
    }
}

/// What one rule wants done about one event.
fn effects_of(rule: &Value, event: &str) -> Vec<Decided> {
    let rule = RuleLoader::new(&NoResources, "").rule_value(RuleMeta::general("r"), rule).unwrap();
    let mut engine = Engine::new(Arc::new(RuleSet::new(vec![rule], Vec::new())), Way::Shared);
    let counters = Mutex::new(Suppression::new(64));
    let facts = Facts {
        now_ms: 0,
        entropy: 0,
        resources: &NoResources,
        counters: &counters,
        console_url: None,
        budget: Budget::default(),
    };
    let outcome = engine.process_json(&Source::from(Target::Edr), event.as_bytes(), &facts).unwrap();
    outcome.effects.clone()
}

/// Goal: the bound of a rendering holds for lookbacks too, and for all texts of one match together.
#[test]
fn texts_of_a_match_stay_bounded() {
    let event = json!({"routing": {"event_type": "X", "sid": "s"}, "event": {"A": "x".repeat(100_000)}}).to_string();
    let error_of = |tags: Vec<String>| {
        let respond: Vec<Value> = tags.iter().map(|tag| json!({"action": "add tag", "tag": tag})).collect();
        let rule = json!({"detect": {"op": "exists", "path": "event/A"}, "respond": respond});
        effects_of(&rule, &event).iter().find_map(|decided| match &decided.effect {
            Effect::Error { message, .. } => Some(message.clone()),
            _ => None,
        })
    };
    assert_eq!(error_of(vec!["<<event/A>>".repeat(5)]), None);
    assert!(error_of(vec!["<<event/A>>".repeat(6)]).is_some_and(|message| message.contains("lookbacks")));
    let repeated = "{{ range (split \"\" (printf \"%9d\" 1)) }}<<event/A>>{{ end }}".to_owned();
    assert!(error_of(vec![repeated]).is_some_and(|message| message.contains("lookbacks")));
    assert!(error_of(vec!["<<event/A>>".repeat(5); 10]).is_some_and(|message| message.contains("one match")));
}

/// Goal: many actions, or one transform, do not multiply a large event without bound.
#[test]
fn copies_of_a_match_stay_bounded() {
    const EVENT_BYTES: usize = 1 << 20;
    let event = json!({"routing": {"event_type": "X", "sid": "s"}, "event": {"A": "x".repeat(EVENT_BYTES)}});
    let run = |respond: Vec<Value>| {
        let rule = json!({"detect": {"op": "exists", "path": "event/A"}, "respond": respond});
        let effects = effects_of(&rule, &event.to_string());
        let failed = effects.iter().filter(|decided| match &decided.effect {
            Effect::Error { message, .. } => {
                assert!(message.contains("is copied to more than 50331648 bytes"), "{message}");
                true
            }
            _ => false,
        });
        (effects.len(), failed.count())
    };
    let request = |parts: usize, is_based_on_report| {
        let spec: serde_json::Map<_, _> = (0..parts).map(|part| (part.to_string(), json!("event"))).collect();
        json!({"action": "extension request", "extension name": "e", "extension action": "a",
            "extension request": spec, "based on report": is_based_on_report})
    };
    let (report, output) = (json!({"action": "report", "name": "r"}), json!({"action": "output", "name": "o"}));
    assert_eq!(run(vec![report.clone(), output.clone(), request(2, false), request(0, true)]), (4, 0));
    assert_eq!(run(vec![output; 256]), (256, 256 - 47));
    assert_eq!(run(vec![report.clone(); 256]), (256, 256 - 47));
    assert_eq!(run(vec![request(40, false), request(40, false)]), (2, 1));
    assert_eq!(run([vec![report], vec![request(0, true); 60]].concat()), (61, 61 - 47));
    assert_eq!(run(vec![request(10_000, false)]), (1, 1));
}

#[test]
fn errors_say_where_and_what_to_do() {
    let text =
        "detect:\n  op: and\n  rules:\n    - op: is windows\n    - op: containz\n      path: event/A\nrespond: []\n";
    let error = RuleLoader::new(&NoResources, "").rule(RuleMeta::general("r"), text).unwrap_err();
    assert_eq!((error.code, error.line, error.column), ("rule/unknown-op", 5, 11));
    assert_eq!(error.place, "detect/rules/1/op");
    assert!(error.help.contains("contains") && error.help.contains("is windows"), "{}", error.help);
}

/// A trace names each node that decided, in the order of evaluation.
#[test]
fn a_trace_shows_which_node_decided() {
    let text = "detect: {op: and, rules: [{op: is windows, not: true}, {op: exists, path: event/A, event: Y}]}";
    let rule = RuleLoader::new(&NoResources, "").rule(RuleMeta::general("r"), text).unwrap();
    let document = Document::from_json(br#"{"routing":{"event_type":"X","plat":1},"event":{"A":1}}"#).unwrap();
    let (outcome, steps) = replay::trace(&rule, &document, 0, &NoResources);
    let told: Vec<_> = steps.iter().map(|step| (step.place.as_str(), step.outcome, step.note.as_str())).collect();
    assert!(!outcome);
    assert_eq!(
        told,
        [("detect/rules/0", true, "after not"), ("detect/rules/1", false, "another event type"), ("detect", false, "")]
    );
}
