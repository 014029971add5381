//! Copies of rules with other literals, so that there are as many rules as wanted.

use crate::condition::Condition;
use crate::sigma::{Item, Rule, Scalar, Selection, Test};
use std::collections::BTreeSet;

/// Shortest run of letters that is changed.
const RUN_MIN: usize = 3;

/// As many rules as `count`: these first, then copies of them. One in which nothing can be changed is not copied.
pub fn grown(rules: &[Rule], count: usize) -> Vec<Rule> {
    let copies = (1..).map_while(|copy| {
        let some: Vec<Rule> = rules.iter().filter_map(|rule| altered(rule, copy)).collect();
        (!some.is_empty()).then_some(some)
    });
    rules.iter().cloned().chain(copies.flatten()).take(count).collect()
}

/// A copy. Which programs a rule is about stays the same wherever it asks for anything else: the
/// copies compete for the same events. What a rule excludes stays too, or copies would match what it excludes.
fn altered(original: &Rule, copy: usize) -> Option<Rule> {
    let mut rule = original.clone();
    rule.title = format!("{} {copy}", rule.title);
    let excluded = excluded(&rule);
    let wanted = |selection: &&Selection| !excluded.contains(&selection.name);
    let mut items = rule.selections.iter().filter(wanted).flat_map(|selection| selection.groups.iter().flatten());
    let has_others = items.any(|item| !names_program(item));
    for selection in rule.selections.iter_mut().filter(|selection| !excluded.contains(&selection.name)) {
        for item in selection.groups.iter_mut().flatten() {
            if !(has_others && names_program(item)) {
                alter(item, copy);
            }
        }
    }
    (rule.selections != original.selections).then_some(rule)
}

/// Names of the selections that stand under `not`.
fn excluded(rule: &Rule) -> BTreeSet<String> {
    fn walk(condition: &Condition, is_excluded: bool, names: &mut BTreeSet<String>) {
        match condition {
            Condition::Name(name) if is_excluded => _ = names.insert(name.clone()),
            Condition::Name(_) => {}
            Condition::Not(inner) => walk(inner, !is_excluded, names),
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| walk(part, is_excluded, names));
            }
        }
    }
    let mut names = BTreeSet::new();
    if let Ok(condition) = rule.condition() {
        walk(&condition, false, &mut names);
    }
    names
}

fn names_program(item: &Item) -> bool {
    matches!(item.field.as_str(), "Image" | "ParentImage" | "OriginalFileName")
}

fn alter(item: &mut Item, copy: usize) {
    for value in &mut item.values {
        match value {
            Scalar::Text(text) if item.test != Test::Network => *text = turned(text, copy, item.test == Test::Pattern),
            Scalar::Number(number) => *number += copy as i64,
            Scalar::Text(_) | Scalar::Null => {}
        }
    }
}

/// Moves the letters of each run on in the alphabet; in patterns only where letters stand for themselves.
fn turned(text: &str, copy: usize, is_pattern: bool) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let (mut at, mut depth) = (0, 0_usize);
    while at < letters.len() {
        match letters[at] {
            '\\' if is_pattern => at += 1,
            '[' | '{' if is_pattern => depth += 1,
            ']' | '}' if is_pattern => depth = depth.saturating_sub(1),
            letter if letter.is_ascii_alphabetic() && depth == 0 => {
                let end = letters[at..].iter().position(|next| !next.is_ascii_alphabetic());
                let end = end.map_or(letters.len(), |length| at + length);
                let is_flags = at > 0 && letters[at - 1] == '?' && is_pattern;
                if end - at >= RUN_MIN && !is_flags {
                    letters[at..end].iter_mut().for_each(|letter| *letter = moved(*letter, copy));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    letters.into_iter().collect()
}

fn moved(letter: char, by: usize) -> char {
    let first = if letter.is_ascii_uppercase() { b'A' } else { b'a' };
    let place = (usize::from(letter as u8 - first) + by) % 26;
    char::from(first + u8::try_from(place).unwrap_or_default())
}
