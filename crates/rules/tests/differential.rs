//! The shared plan against each rule in turn: the same matches, effects and state.

#[path = "generate/rules_and_events.rs"]
mod generate;
#[path = "generate/random.rs"]
mod random;

use muster_rules::{Budget, Engine, Facts, Resources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target, Way};
use parking_lot::Mutex;
use random::Random;
use serde_json::{Value, json};
use std::sync::Arc;

const SETS: u64 = 40;
const RULES_PER_SET: usize = 40;
const EVENTS_PER_SET: usize = 60;

/// The size of a large organization's set of rules.
const LARGE_SET: usize = 1_500;
const EVENTS_FOR_LARGE_SET: usize = 120;

struct Words(Value);

impl Resources for Words {
    fn has_lookup(&self, name: &str) -> bool {
        name == "words"
    }

    fn find(&self, _lookup: &str, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

/// One event: its matches and effects.
fn step(engine: &mut Engine, counters: &Mutex<Suppression>, words: &Words, index: usize, json: &[u8]) -> Value {
    let now_ms = 1_700_000_050_000 + index as i64 * 700;
    let facts = Facts {
        now_ms,
        entropy: index as u128,
        resources: words,
        counters,
        console_url: None,
        budget: Budget::default(),
    };
    let outcome = engine.process_json(&Source::from(Target::Edr), json, &facts).unwrap();
    let matches: Vec<&str> = outcome.matches.iter().map(|rule| rule.meta.name.as_str()).collect();
    let effects: Vec<Value> =
        outcome.effects.iter().map(|decided| serde_json::to_value(&decided.effect).unwrap()).collect();
    json!([matches, effects])
}

fn run(rules: &Arc<RuleSet>, events: &[Vec<u8>], words: &Words, way: Way) -> Vec<Value> {
    let mut engine = Engine::new(rules.clone(), way);
    let counters = Mutex::new(Suppression::default());
    events.iter().enumerate().map(|(index, json)| step(&mut engine, &counters, words, index, json)).collect()
}

/// As [`run`], but every few events are evaluated, undone, and evaluated again.
fn run_with_undone_steps(rules: &Arc<RuleSet>, events: &[Vec<u8>], words: &Words, random: &mut Random) -> Vec<Value> {
    let mut engine = Engine::new(rules.clone(), Way::Shared);
    let counters = Mutex::new(Suppression::default());
    let (mut told, mut from) = (Vec::new(), 0);
    while from < events.len() {
        let to = (from + 1 + random.below(8)).min(events.len());
        for is_kept in [false, true] {
            engine.begin();
            counters.lock().begin();
            told.truncate(from);
            told.extend((from..to).map(|index| step(&mut engine, &counters, words, index, &events[index])));
            if is_kept {
                engine.keep();
                counters.lock().keep();
            } else {
                engine.undo();
                counters.lock().undo();
            }
        }
        from = to;
    }
    told
}

fn loaded(words: &Words, values: impl Iterator<Item = Value>) -> Arc<RuleSet> {
    let loader = RuleLoader::new(words, "");
    let load = |(at, value): (usize, Value)| {
        let rule = loader.rule_value(RuleMeta::general(&at.to_string()), &value);
        rule.unwrap_or_else(|error| panic!("{error}: {value}"))
    };
    Arc::new(RuleSet::new(values.enumerate().map(load).collect(), Vec::new()))
}

/// Goal: invariant 1 of the crate, and of the plan's order. Method: random rules over few words, with
/// state, variables, lookups, templates, scopes and chained detections, on random events with text
/// that is not ASCII; both ways must tell the same story, event by event, and so must steps
/// that were undone before they were kept.
#[test]
fn both_ways_agree_on_every_event() {
    let words = Words(json!({"ab": {"n": 1}, "5": {}, "b": null}));
    let (mut matches, mut stateful) = (0, 0);
    for seed in 0..SETS {
        let mut random = Random(seed);
        let rules = loaded(&words, (0..RULES_PER_SET).map(|_| generate::rule(&mut random)));
        stateful += rules.rules().filter(|rule| rule.is_stateful()).count();
        let events: Vec<Vec<u8>> =
            (0..EVENTS_PER_SET).map(|_| generate::event(&mut random).to_string().into_bytes()).collect();
        let shared = run(&rules, &events, &words, Way::Shared);
        let naive = run(&rules, &events, &words, Way::EachRule);
        let undone = run_with_undone_steps(&rules, &events, &words, &mut random);
        assert_eq!(shared, undone, "seed {seed}: an undone step left a trace");
        for (at, (shared, naive)) in shared.iter().zip(&naive).enumerate() {
            assert_eq!(shared, naive, "seed {seed}, event {at}: {}", String::from_utf8_lossy(&events[at]));
            matches += naive[0].as_array().map_or(0, Vec::len);
        }
    }
    assert!(matches > 5_000 && stateful > 50, "{matches} matches and {stateful} stateful rules show little");
}

/// Goal: the same for a large set, and for texts of every length around those that are looked for in
/// other ways. Method: rules on texts of one to nine letters out of six, alone, in lists and in
/// patterns, on events with texts of the same letters.
#[test]
fn both_ways_agree_on_every_event_at_1500_rules() {
    let mut random = Random(11);
    let words = Words(json!({}));
    let rules = loaded(&words, (0..LARGE_SET).map(|_| generate::text_rule(&mut random)));
    let events: Vec<Vec<u8>> =
        (0..EVENTS_FOR_LARGE_SET).map(|_| generate::text_event(&mut random).to_string().into_bytes()).collect();
    let shared = run(&rules, &events, &words, Way::Shared);
    let naive = run(&rules, &events, &words, Way::EachRule);
    for (at, (shared, naive)) in shared.iter().zip(&naive).enumerate() {
        assert_eq!(shared, naive, "event {at}: {}", String::from_utf8_lossy(&events[at]));
    }
    let matches: usize = naive.iter().map(|told| told[0].as_array().map_or(0, Vec::len)).sum();
    let most = LARGE_SET * EVENTS_FOR_LARGE_SET / 2;
    assert!((1_000..most).contains(&matches), "{matches} matches show little");
}
