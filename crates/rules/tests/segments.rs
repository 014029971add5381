//! A set of rules that is changed rule by rule is as good as one that was compiled at once.

#[path = "generate/rules_and_events.rs"]
mod generate;
#[path = "generate/random.rs"]
mod random;

use muster_rules::{
    Budget, Edits, Engine, Facts, FalsePositive, Merged, NoResources, Rule, RuleLoader, RuleMeta, RuleSet, Source,
    Suppression, Target, Way,
};
use parking_lot::Mutex;
use random::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const RUNS: u64 = 8;
const STEPS: usize = 60;
const NAMES: usize = 150;
const EVENTS_PER_STEP: usize = 6;

fn rule(name: &str, etag: usize, value: &Value) -> Rule {
    let meta = RuleMeta { etag: etag.to_string(), ..RuleMeta::general(name) };
    RuleLoader::new(&NoResources, "").tested_rule(meta, value.clone()).unwrap()
}

fn false_positive(name: &str, word: &str) -> FalsePositive {
    let value = json!({"op": "contains", "path": "detect/event/A", "value": word});
    RuleLoader::new(&NoResources, "").false_positive(name, &value).unwrap()
}

fn edits(rules: impl IntoIterator<Item = (String, Option<Rule>)>) -> Edits {
    let key = |(name, rule)| (("general".to_owned(), name), rule);
    Edits { rules: rules.into_iter().map(key).collect(), false_positives: Vec::new() }
}

/// What is in force, as it is written.
#[derive(Default)]
struct Written {
    rules: BTreeMap<String, (usize, Value)>,
    false_positives: BTreeMap<String, String>,
}

impl Written {
    fn compiled(&self) -> Arc<RuleSet> {
        let rules = self.rules.iter().map(|(name, (etag, value))| rule(name, *etag, value)).collect();
        let unwanted = self.false_positives.iter().map(|(name, word)| false_positive(name, word));
        Arc::new(RuleSet::new(rules, unwanted.collect()))
    }

    /// Changes some rules at once, and at times a false-positive rule.
    fn change(&mut self, random: &mut Random, step: usize) -> Edits {
        let mut changed = BTreeMap::new();
        let most = if random.chance(8) { 40 } else { 3 };
        for _ in 0..=random.below(most) {
            let name = format!("r{:03}", random.below(NAMES));
            let value = (random.below(4) > 0).then(|| generate::rule(random)).filter(|value| {
                // The generated lookups are not there.
                RuleLoader::new(&NoResources, "").tested_rule(RuleMeta::general("r"), value.clone()).is_ok()
            });
            match &value {
                Some(value) => _ = self.rules.insert(name.clone(), (step, value.clone())),
                None => _ = self.rules.remove(&name),
            }
            let put = value.map(|value| rule(&name, step, &value));
            changed.insert(name, put);
        }
        let mut edits = edits(changed);
        if random.below(3) == 0 {
            let (name, word) = (format!("fp{}", random.below(3)), ["a", "ab", "b"][random.below(3)]);
            let is_set = random.below(2) == 0;
            match is_set {
                true => _ = self.false_positives.insert(name.clone(), word.to_owned()),
                false => _ = self.false_positives.remove(&name),
            }
            edits.false_positives.push((name.clone(), is_set.then(|| false_positive(&name, word))));
        }
        edits
    }
}

struct Told {
    engine: Engine,
    counters: Mutex<Suppression>,
}

impl Told {
    fn new(way: Way) -> Self {
        Self { engine: Engine::new(Written::default().compiled(), way), counters: Mutex::default() }
    }

    fn of(&mut self, at: usize, event: &Value) -> Value {
        let facts = Facts {
            now_ms: 1_700_000_050_000 + at as i64 * 700,
            entropy: at as u128,
            resources: &NoResources,
            counters: &self.counters,
            console_url: None,
            budget: Budget::default(),
        };
        let outcome =
            self.engine.process_json(&Source::from(Target::Edr), event.to_string().as_bytes(), &facts).unwrap();
        let matches: Vec<&str> = outcome.matches.iter().map(|rule| rule.meta.name.as_str()).collect();
        let effects: Vec<Value> =
            outcome.effects.iter().map(|decided| serde_json::to_value(&decided.effect).unwrap()).collect();
        json!([matches, effects])
    }
}

/// Goal: the invariants of `plan/set.rs`. Method: random changes of a few and of many rules, with merges that are
/// finished before, while and after other changes are made; after each, the same events to an engine with the set so made
/// and to one that asks each rule of a set compiled at once in turn. Stateful rules keep what they wait for in both.
#[test]
fn changed_rule_by_rule_is_the_same_as_compiled_at_once() {
    let (mut matches, mut merges, mut stale) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut random = Random(seed);
        let (mut written, mut set) = (Written::default(), Written::default().compiled());
        let (mut edited, mut whole) = (Told::new(Way::Shared), Told::new(Way::EachRule));
        let mut begun: Option<(Merged, usize)> = None;
        for step in 0..STEPS {
            set = Arc::new(set.edited(written.change(&mut random, step)));
            match (begun.take(), random.below(3)) {
                (Some((merged, since)), 0) => {
                    set = Arc::new(set.with(&merged));
                    merges += 1;
                    stale += usize::from(since < step);
                }
                (Some(waiting), _) => begun = Some(waiting),
                (None, 0) => {
                    if let Some(merged) = set.merged(true) {
                        set = Arc::new(set.with(&merged));
                        merges += 1;
                    }
                }
                (None, _) => begun = set.merged(random.below(4) == 0).map(|merged| (merged, step)),
            }
            let names: Vec<&str> = set.rules().map(|rule| rule.meta.name.as_str()).collect();
            assert_eq!(names, written.rules.keys().collect::<Vec<_>>(), "seed {seed}, step {step}");
            edited.engine.replace(Arc::clone(&set));
            whole.engine.replace(written.compiled());
            for number in 0..EVENTS_PER_STEP {
                let (at, event) = (step * EVENTS_PER_STEP + number, generate::event(&mut random));
                let (edited, whole) = (edited.of(at, &event), whole.of(at, &event));
                assert_eq!(edited, whole, "seed {seed}, step {step}: {event}");
                matches += whole[0].as_array().map_or(0, Vec::len);
            }
        }
    }
    assert!(matches > 5_000 && merges > 50 && stale > 15, "{matches} matches, {merges} merges, {stale} late: too few");
}

/// Goal: setting one rule compiles a number of rules that does not grow with the set. Method: which rules are the same
/// objects as before; in the end, events to see that all of them are still asked.
#[test]
fn a_change_of_one_rule_compiles_few() {
    let mut random = Random(5);
    let named = |number: usize| format!("r{number:05}");
    let first = (0..2_000).map(|number| rule(&named(number), 0, &generate::text_rule(&mut random))).collect();
    let mut set = RuleSet::new(first, Vec::new());
    for number in 1..=500 {
        let (name, before) = (named(number * 7 % 2_000), set.rules().cloned().collect::<Vec<_>>());
        let value = generate::text_rule(&mut random);
        set = set.edited(edits([(name.clone(), Some(rule(&name, number, &value)))]));
        let new = set.rules().zip(&before).filter(|(after, before)| !Arc::ptr_eq(after, before)).count();
        assert!((1..=64).contains(&new) && set.len() == 2_000, "{new} of {} rules are new", set.len());
    }
    assert!(set.is_scattered());
    let merged = set.with(&set.merged(true).unwrap());
    assert!(!merged.is_scattered());
    let (set, merged, mut matches) = (Arc::new(set), Arc::new(merged), 0);
    let mut told = [(&set, Way::Shared), (&merged, Way::Shared), (&merged, Way::EachRule)].map(|(set, way)| {
        let mut told = Told::new(way);
        told.engine.replace(Arc::clone(set));
        told
    });
    for at in 0..40 {
        let event = generate::text_event(&mut random);
        let [one, two, each] = told.each_mut().map(|told| told.of(at, &event));
        assert_eq!((&one, &two), (&each, &each), "{event}");
        matches += each[0].as_array().map_or(0, Vec::len);
    }
    assert!(matches > 500, "{matches} matches show little");
}

/// Goal: a rule that is gone is neither evaluated nor waited for, and comes back as a new one. Method: the rule stands in
/// a segment with others, so that it can only be struck out.
#[test]
fn a_rule_that_is_gone_waits_for_nothing_and_comes_back_as_new() {
    let others = (0..100).map(|number| {
        let detect = json!({"event": "NEW_PROCESS", "op": "is", "path": "event/P", "value": format!("other {number}")});
        rule(&format!("a{number:03}"), 0, &json!({"detect": detect, "respond": []}))
    });
    let detect = json!({"event": "NEW_PROCESS", "op": "is", "path": "event/P", "value": "first", "with events":
        {"event": "NEW_PROCESS", "op": "is", "path": "event/P", "value": "second"}});
    let waiting = || rule("b", 0, &json!({"detect": detect, "respond": [{"action": "report", "name": "seen"}]}));
    let set = RuleSet::new(others.chain([waiting()]).collect(), Vec::new());
    let gone = set.edited(edits([("b".to_owned(), None)]));
    let back = gone.edited(edits([("b".to_owned(), Some(waiting()))]));
    let event = |text: &str| json!({"routing": {"event_type": "NEW_PROCESS", "sid": "s"}, "event": {"P": text}});
    let mut told = Told::new(Way::Shared);
    let matches = |told: &mut Told, text: &str| told.of(0, &event(text))[0].as_array().unwrap().len();
    told.engine.replace(Arc::new(set));
    assert_eq!(matches(&mut told, "first"), 0);
    told.engine.replace(Arc::new(gone));
    told.engine.replace(Arc::new(back));
    assert_eq!(matches(&mut told, "second"), 0, "it waits for what began before it was set");
    assert_eq!((matches(&mut told, "first"), matches(&mut told, "second")), (0, 1));
}
