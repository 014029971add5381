//! Fuzzing without a fuzzer: mutated golden expressions, from fixed seeds.
//!
//! Coverage-guided fuzzing (cargo-fuzz) needs a nightly compiler for its sanitizer
//! flags; this runs with the pinned stable one, in seconds, the same way every
//! time. It asks for what must hold of any text: no panic, an answer that is the
//! same for one sensor and for the fleet, and an error that points into the text.

#[path = "shared/golden.rs"]
mod golden;
#[path = "shared/roster.rs"]
mod roster;

use golden::Record;
use muster_selector::{Selector, Targeting};
use roster::Roster;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Corpus {
    sensors: BTreeMap<String, Entry>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Entry {
    record: Record,
}

#[derive(Deserialize)]
struct Case {
    expression: String,
}

/// Texts tried for each seed: seconds in all without optimisation.
const TEXTS_PER_SEED: u32 = 5_000;

/// What mutation splices in: the tokens of the language, and what breaks naive lexers.
const TOKENS: [&str; 46] = [
    " ",
    "(",
    ")",
    "{",
    "}",
    "\"",
    "'",
    "`",
    "\\",
    "==",
    "!=",
    " and ",
    " or ",
    "not ",
    " in ",
    " not in ",
    " contains ",
    " matches ",
    " is ",
    "empty",
    "nil",
    "any ",
    "all ",
    " as t ",
    "tags",
    "t",
    "hostname",
    "plat",
    "kernel",
    "is_del",
    "\"/plat\"",
    "*",
    "-1",
    "0x1",
    "10.3",
    "1_0",
    "\\x",
    "\\u00e9",
    "\\777",
    "[",
    "{2}",
    "(?i)",
    "é",
    "\u{2028}",
    "\0",
    "\n",
];

/// A xorshift generator: reproducible, and enough to pick mutations.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap() % bound.max(1)
    }
}

fn mutated(corpus: &[String], choice: &mut Choice) -> String {
    let mut text: Vec<char> = corpus[choice.below(corpus.len())].chars().collect();
    for _ in 0..=choice.below(4) {
        let at = choice.below(text.len() + 1);
        match choice.below(6) {
            0 => text.truncate(at),
            1 if at < text.len() => drop(text.remove(at)),
            2 => {
                let end = at + choice.below(text.len() + 1 - at);
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            3 => {
                let other = &corpus[choice.below(corpus.len())];
                let skipped = choice.below(other.chars().count() + 1);
                text.splice(at.., other.chars().skip(skipped));
            }
            _ => drop(text.splice(at..at, TOKENS[choice.below(TOKENS.len())].chars())),
        }
    }
    text.into_iter().collect()
}

fn check(text: &str, roster: &Roster) -> bool {
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => {
            assert!(text.is_char_boundary(error.offset), "{text:?}");
            assert!(error.render(text).contains('^'), "{text:?}");
            return false;
        }
    };
    assert_eq!(selector.text(), text);
    let found = selector.select(roster);
    for (ordinal, sensor) in (0_u32..).zip(roster.sensors()) {
        assert_eq!(found.contains(ordinal), selector.selects(sensor), "{text:?} of {}", sensor.sid);
    }
    let narrowed = Selector::from_targeting(Targeting { selector: Some(text), tag: Some("a`b"), ..Default::default() });
    let narrowed = narrowed.unwrap_or_else(|error| panic!("{text:?} within parentheses: {error}"));
    for sensor in roster.sensors() {
        assert_eq!(narrowed.matches(sensor), selector.matches(sensor) && sensor.has_tag("a`b"), "{text:?}");
    }
    assert!(selector.explain().ends_with('\n'));
    true
}

#[test]
fn mutated_expressions_keep_the_promises() {
    let golden: Corpus = golden::read();
    let roster = Roster::new(golden.sensors.values().map(|entry| entry.record.sensor()).collect());
    let corpus: Vec<String> = golden.cases.into_iter().map(|case| case.expression).collect();
    for seed in [1, 0x5eed, 0xdead_beef, u64::MAX] {
        let mut choice = Choice(seed);
        let valid = (0..TEXTS_PER_SEED).filter(|_| check(&mutated(&corpus, &mut choice), &roster)).count();
        // Mutation that only ever broke texts would test nothing but the error path.
        assert!(valid > 200, "seed {seed}: only {valid} of {TEXTS_PER_SEED} texts were selectors");
    }
}
