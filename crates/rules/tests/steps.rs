//! What rules may cost on one event: those that cost too much are cut off, all others go on.

use muster_rules::{
    Budget, Engine, Facts, NoResources, Overran, Resources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target,
    Way,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// What an event did: the rules that matched, and those that were cut off.
#[derive(Debug, PartialEq)]
struct Did {
    matched: Vec<String>,
    cut_off: Vec<String>,
}

fn did(matched: &[&str], cut_off: &[&str]) -> Did {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Did { matched: owned(matched), cut_off: owned(cut_off) }
}

fn engine(detects: &[(&str, Value)], false_positive: Option<&Value>, way: Way) -> Engine {
    let loader = RuleLoader::new(&NoResources, "");
    let respond = json!([{"action": "report", "name": "found"}]);
    let rule = |(name, detect): &(&str, Value)| {
        loader.rule_value(RuleMeta::general(name), &json!({"detect": detect, "respond": respond})).unwrap()
    };
    let false_positives = false_positive.iter().map(|data| loader.false_positive("fp", data).unwrap()).collect();
    Engine::new(Arc::new(RuleSet::new(detects.iter().map(rule).collect(), false_positives)), way)
}

fn process(engine: &mut Engine, event: &Value, budget: Budget, resources: &dyn Resources) -> Did {
    let counters = Mutex::new(Suppression::new(64));
    let facts = Facts { now_ms: 0, entropy: 0, resources, counters: &counters, console_url: None, budget };
    let event = json!({"routing": {"event_type": "X", "sid": "s"}, "event": event}).to_string();
    let outcome = engine.process_json(&Source::from(Target::Edr), event.as_bytes(), &facts).unwrap();
    Did {
        matched: outcome.matches.iter().map(|rule| rule.meta.name.clone()).collect(),
        cut_off: outcome
            .overruns
            .iter()
            .map(|overrun| match &overrun.of {
                Overran::Rule(rule) => rule.meta.name.clone(),
                Overran::FalsePositive { name, .. } => format!("false positive {name}"),
            })
            .collect(),
    }
}

fn matches(re: &str) -> Value {
    json!({"op": "matches", "path": "event/A", "re": re})
}

/// Letters a and b without any order to them, so that an automaton never comes back to a state.
fn letters(bytes: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state & 1 == 0 { 'a' } else { 'b' }
    };
    (0..bytes).map(letter).collect()
}

/// Once held a whole server for as many seconds as the event had hundreds of kilobytes.
#[test]
fn a_hostile_pattern_is_cut_off_and_the_other_rules_go_on() {
    for way in [Way::Shared, Way::EachRule] {
        let other = json!({"op": "contains", "path": "event/A", "value": "c"});
        let not = json!({"op": "matches", "path": "event/A", "re": "[ab]*a[ab]{998}c", "not": true});
        let rules = [("hostile", matches("[ab]*a[ab]{999}c")), ("not", not), ("other", other)];
        let mut engine = engine(&rules, None, way);
        for bytes in [500_000, 7_000_000] {
            let event = json!({"A": letters(bytes) + "c"});
            let did_now = process(&mut engine, &event, Budget::default(), &NoResources);
            assert_eq!(did_now, did(&["other"], &["hostile", "not"]), "{way:?}, {bytes} bytes");
        }
        let short = json!({"A": format!("a{}c", "b".repeat(999))});
        assert_eq!(
            process(&mut engine, &short, Budget::default(), &NoResources),
            did(&["hostile", "not", "other"], &[])
        );
    }
}

/// A pattern as people write them, on a text that leads it on at each place.
#[test]
fn an_ordinary_pattern_is_answered_on_the_largest_texts() {
    let rules = [("ordinary", matches("powershell.{0,300}-enc.{0,300}http"))];
    let mut engine = engine(&rules, None, Way::Shared);
    let filler = "powershell -encode me ";
    for (tail, matched) in [(" https", &["ordinary"][..]), ("", &[])] {
        let event = json!({"A": filler.repeat(2_000_000 / filler.len()) + tail});
        assert_eq!(process(&mut engine, &event, Budget::default(), &NoResources), did(matched, &[]));
    }
    let far = format!("{}{}http", filler.repeat(90_000), "x".repeat(400));
    assert_eq!(process(&mut engine, &json!({"A": far}), Budget::default(), &NoResources), did(&[], &[]));
}

/// Both engines behind a pattern find the same: texts on each side of the border between them.
#[test]
fn long_texts_mean_what_short_ones_do() {
    let patterns = [r"^ab+$", r"(?i)XYZ\b", r"\Bb\b", r"[^a-z]z$", "(?m)^q", r"\x{e9}.{3}é", "^$", "a{40}b"];
    let tails = ["ab", "xyz", "xyza", "b b", "\nq", "ééééé", "1z", "z1", &format!("{}b", "a".repeat(40)), ""];
    for pattern in patterns {
        let mut engine = engine(&[("r", matches(pattern))], None, Way::EachRule);
        for tail in tails {
            // A value that is nothing but the tail, and the same at the end of a text that is too long for the quick way.
            let regex =
                regex::bytes::Regex::new(&pattern.replace(r"\b", r"(?-u:\b)").replace(r"\B", r"(?-u:\B)")).unwrap();
            for text in [tail.to_owned(), format!("{}{tail}", "- ".repeat(2_000_000))] {
                let insensitive =
                    regex::bytes::RegexBuilder::new(regex.as_str()).case_insensitive(true).build().unwrap();
                let wanted = if insensitive.is_match(text.as_bytes()) { did(&["r"], &[]) } else { did(&[], &[]) };
                let found = process(&mut engine, &json!({"A": text}), Budget::default(), &NoResources);
                assert_eq!(found, wanted, "{pattern} on {tail:?}, {} bytes", text.len());
            }
        }
    }
}

/// Each of these needs a number of steps that is the product of two things that are large.
#[test]
fn whatever_multiplies_is_cut_off() {
    let small = Budget { rule_steps: 1 << 20, event_steps: 1 << 30 };
    let many: Vec<Value> = (0..3_000).map(|at| json!(format!("value {at}"))).collect();
    let wide: serde_json::Map<String, Value> = (0..3_000).map(|at| (format!("k{at}"), json!(at))).collect();
    let each = |op: &str| json!({"op": op, "path": "event/*/x", "value": "y"});
    let keys = (0..2_000).map(|at| json!({"op": "is", "path": format!("event/W/no{at}"), "value": 1}));
    let near: Vec<Value> = (0..200).map(|at| json!(format!("{at:0500}"))).collect();
    let cases = [
        ("lookback", json!({"op": "is", "path": "event/L", "value": "<<event/M>>"})),
        (
            "walks",
            json!({"op": "or", "rules": vec![json!({"op": "scope", "path": "event/*", "rule": each("is")}); 200]}),
        ),
        ("keys", json!({"op": "scope", "path": "event", "rule": {"op": "or", "rules": keys.collect::<Vec<_>>()}})),
        ("distance", json!({"op": "string distance", "path": "event/S", "value": near, "max": 400})),
    ];
    let event = json!({"L": many, "M": many.iter().map(|text| json!(format!("{text}!"))).collect::<Vec<_>>(),
        "W": wide, "S": "x".repeat(500)});
    for (name, detect) in cases {
        let rules = [(name, detect), ("other", json!({"op": "exists", "path": "event/S"}))];
        let mut engine = engine(&rules, None, Way::Shared);
        assert_eq!(process(&mut engine, &event, small, &NoResources), did(&["other"], &[name]));
    }
}

/// Values that many rules ask for, in an event that has nothing else, do not multiply either.
#[test]
fn a_search_that_costs_too_much_leaves_each_rule_to_itself() {
    let rules: Vec<(String, Value)> = (0..500)
        .map(|at| (format!("r{at}"), json!({"op": "is", "path": format!("event/*/L{}", at % 7), "value": 5})))
        .collect();
    let rules: Vec<(&str, Value)> = rules.iter().map(|(name, detect)| (name.as_str(), detect.clone())).collect();
    let fives: serde_json::Map<String, Value> = (0..7).map(|at| (format!("L{at}"), json!(vec![5; 2_000]))).collect();
    let mut engine = engine(&rules, None, Way::Shared);
    for rule_steps in [200_000, 1 << 27] {
        let budget = Budget { rule_steps, event_steps: 1 << 30 };
        let did_now = process(&mut engine, &Value::Object(fives.clone()), budget, &NoResources);
        assert_eq!((did_now.matched.len(), did_now.cut_off.len()), (500, 0), "{rule_steps} steps");
    }
}

#[test]
fn a_false_positive_rule_that_costs_too_much_leaves_the_detection() {
    let false_positive = json!({"op": "matches", "path": "detect/event/A", "re": "[ab]*a[ab]{999}c"});
    let rules = [("found", json!({"op": "exists", "path": "event/A"}))];
    let mut engine = engine(&rules, Some(&false_positive), Way::Shared);
    let did_now = process(&mut engine, &json!({"A": letters(500_000)}), Budget::default(), &NoResources);
    assert_eq!(did_now, did(&["found"], &["false positive fp"]));
}

#[test]
fn a_suspended_rule_is_evaluated_again_when_it_is_changed() {
    let loader = RuleLoader::new(&NoResources, "");
    let rule = |value: u32| {
        let detect = json!({"op": "is", "path": "event/A", "value": value});
        loader.rule_value(RuleMeta::general("r"), &json!({"detect": detect, "respond": []})).unwrap()
    };
    let set = |rule| Arc::new(RuleSet::new(vec![rule], Vec::new()));
    let mut engine = Engine::new(set(rule(1)), Way::Shared);
    engine.suspend(&rule(1));
    let process_one =
        |engine: &mut Engine, value| process(engine, &json!({"A": value}), Budget::default(), &NoResources);
    assert_eq!(process_one(&mut engine, 1), did(&[], &[]));
    engine.replace(set(rule(1)));
    assert_eq!(process_one(&mut engine, 1), did(&[], &[]), "the same rule is still the one that cost too much");
    engine.replace(set(rule(2)));
    assert_eq!(process_one(&mut engine, 2), did(&["r"], &[]));
    engine.replace(set(rule(1)));
    assert_eq!(process_one(&mut engine, 1), did(&["r"], &[]), "it was taken out and set again");
}
