//! Hostile rules and events: refused with a clear error, or survived; never a panic.

#[path = "generate/rules_and_events.rs"]
mod generate;

use generate::Random;
use muster_rules::{
    Document, Engine, Facts, NoResources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way, replay,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const ROUNDS: u64 = 3_000;

/// What rules and events are spoiled with.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "<<",
    ">>",
    "[[",
    "{{ .event.",
    "| json",
    "\\",
    "/",
    "*",
    "?",
    "%s",
    "\u{0}",
    "é",
    "\u{F8FF}1\u{F8FF}",
    "(?i",
    "[a-",
    "{1,",
    "@extract:",
    "#.",
    "&a ",
    "*a ",
    "!!binary ",
    "? ",
    ": ",
    "- ",
    "\n",
    "\t",
    "\"",
    "'",
    "9999999999999999999",
    "-1",
    "1e999",
    "nan",
    "0x",
    "2006",
    "null",
    "|@reverse",
];

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

/// Goal: no input panics or hangs. Method: valid rules and events, cut, joined and spoiled at random places.
#[test]
fn spoiled_rules_and_events_never_panic() {
    let loader = RuleLoader::new(&NoResources, "");
    let counters = Mutex::new(Suppression::new(64));
    let (mut loaded, mut parsed) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let mut spoil = |text: String, times: usize| {
            let mut letters: Vec<char> = text.chars().collect();
            for _ in 0..times {
                let at = random.below(letters.len() + 1);
                match random.below(3) {
                    0 => letters.truncate(at.max(letters.len() / 2)),
                    1 => drop(letters.splice(at..(at + 1).min(letters.len()), [])),
                    _ => drop(letters.splice(at..at, random.of(PIECES).chars())),
                }
            }
            letters.into_iter().collect::<String>()
        };
        let mut source = Random(seed);
        let rule = spoil(generate::rule(&mut source).to_string(), (seed % 3) as usize);
        let event = spoil(generate::event(&mut source).to_string(), (seed % 2) as usize);
        let Ok(rule) = loader.rule(RuleMeta::general("r"), &rule) else { continue };
        loaded += 1;
        let Ok(document) = Document::from_json(event.as_bytes()) else { continue };
        parsed += 1;
        let (outcome, steps) = replay::trace(&rule, &document, 0, &NoResources);
        assert!(!outcome || !steps.is_empty());
        let mut engine = Engine::new(Arc::new(RuleSet::new(vec![rule], Vec::new())), Way::Shared);
        let facts =
            Facts { now_ms: i64::MAX, entropy: 0, resources: &NoResources, counters: &counters, console_url: None };
        engine.process(&Source::from(Target::Edr), &document, &facts);
    }
    assert!(loaded > 200 && parsed > 100, "{loaded} rules and {parsed} events were read: the test shows little");
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
