//! The rule engine both ways: the shared plan, and each rule in turn.

use muster_rules::{
    Budget, Engine, Facts, FalsePositive, Resources, Rule, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Target,
    Way,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Windows that suppression may keep: few, so that eviction happens.
const WINDOWS_KEPT: usize = 64;

/// The instant of the first event, in milliseconds since the Unix epoch; each later one is `STEP_MS` on.
pub const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 700;

/// One lookup, `words`.
#[derive(Debug)]
pub struct Words(Value);

/// The lookup that rules of all targets may name.
pub static WORDS: LazyLock<Words> = LazyLock::new(|| Words(json!({"cmd.exe": {"n": 1}, "5": {}, "b": null})));

impl Resources for Words {
    fn has_lookup(&self, name: &str) -> bool {
        name == "words"
    }

    fn find(&self, _lookup: &str, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

/// Loads rule text by the name `name`.
///
/// # Errors
///
/// As [`RuleLoader::rule`].
pub fn load(name: &str, text: &str) -> Result<Rule, muster_rules::LoadError> {
    RuleLoader::new(&*WORDS, "seed").rule(RuleMeta::general(name), text)
}

/// A false-positive rule for detections of this name.
///
/// # Panics
///
/// If the rule does not load, which it always does.
#[must_use]
pub fn false_positive(cat: &str) -> FalsePositive {
    let value = json!({"op": "is", "path": "cat", "value": cat});
    RuleLoader::new(&*WORDS, "seed").false_positive("fp", &value).expect("it is a plain rule")
}

/// What each event caused, one way: the rules that matched, and the effects.
#[must_use]
pub fn story(rules: &Arc<RuleSet>, events: &[(Target, &[u8])], way: Way) -> Vec<Value> {
    let mut engine = Engine::new(rules.clone(), way);
    let counters = Mutex::new(Suppression::new(WINDOWS_KEPT));
    let tell = |(index, (target, json)): (usize, &(Target, &[u8]))| {
        let at = i64::try_from(index).unwrap_or(i64::MAX);
        let facts = Facts {
            now_ms: START_MS.saturating_add(at.saturating_mul(STEP_MS)),
            entropy: index as u128,
            resources: &*WORDS,
            counters: &counters,
            console_url: Some("https://console.example"),
            budget: Budget::default(),
        };
        match engine.process_json(&Source::from(*target), json, &facts) {
            Err(error) => json!(error.to_string()),
            Ok(outcome) => {
                let matches: Vec<&str> = outcome.matches.iter().map(|rule| rule.meta.name.as_str()).collect();
                let effects: Vec<Value> = outcome
                    .effects
                    .iter()
                    .map(|decided| serde_json::to_value(&decided.effect).expect("an effect is JSON"))
                    .collect();
                json!([matches, effects])
            }
        }
    };
    events.iter().enumerate().map(tell).collect()
}

/// Checks that both ways tell the same story, and gives it.
///
/// # Panics
///
/// If they do not.
pub fn agreed(rules: &Arc<RuleSet>, events: &[(Target, &[u8])]) -> Vec<Value> {
    let shared = story(rules, events, Way::Shared);
    let each = story(rules, events, Way::EachRule);
    for (at, (shared, each)) in shared.iter().zip(&each).enumerate() {
        assert_eq!(shared, each, "the shared plan and each rule in turn differ on event {at}");
    }
    shared
}
