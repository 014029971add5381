//! Covers: what must be seen in an event before a rule can match it.
//!
//! Of an `and`, the child that is expected to be seen least often covers it; of
//! an `or`, all children together. What is rare is guessed from how long a text
//! is and in how many places the rules use it.

use super::interner::Interner;
use crate::ast::{Comparison, Leaf, Node, Op, Operand, Scalar, Test, Transform};
use crate::fold::folded;
use crate::path::Path;
use ipnet::IpNet;
use std::sync::LazyLock;

/// Most clues of one cover; beyond that the rule is evaluated on every event of its type.
const CLUES_MAX: usize = 4096;

/// Text that ordinary events are full of, so finding it says little.
pub(super) const ORDINARY: &[&str] = &[
    ".exe",
    ".dll",
    "c:\\windows\\system32\\",
    "c:\\program files (x86)\\",
    "\\appdata\\local\\",
    "c:\\users\\",
    "http://",
    "https://",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/local/",
    "/bin/",
    ".com",
    "microsoft",
    "\\microsoft\\windows\\",
    "system",
];

/// One thing to look for in the values at one path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clue {
    /// The folded text, at this place of the folded value.
    Text(String, Place),
    /// Text that a pattern needs; only known for values that are ASCII.
    PatternText(String),
    Integer(i128),
    Network(IpNet),
    /// Any value at all.
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
    Whole,
}

/// A set of clues of which at least one is seen whenever the rule matches.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    pub(super) clues: Vec<(u32, Clue)>,
    cost: u64,
}

impl Cover {
    pub(super) fn subjects(&self) -> impl Iterator<Item = u32> {
        self.clues.iter().map(|clue| clue.0)
    }
}

/// The cover of a node; none if nothing must be seen.
pub(super) fn of(node: &Node, interner: &mut Interner) -> Option<Cover> {
    if matches!(node.op, Op::Unanswerable) {
        return Some(Cover::default());
    }
    if node.is_negated {
        return None;
    }
    match &node.op {
        Op::All(rules) => {
            let covers: Vec<_> = rules.iter().filter_map(|rule| of(rule, interner)).collect();
            covers.into_iter().min_by_key(|cover| cover.cost)
        }
        Op::Any(rules) => {
            let mut whole = Cover::default();
            for rule in rules {
                let part = of(rule, interner)?;
                whole.cost = whole.cost.saturating_add(part.cost);
                whole.clues.extend(part.clues);
            }
            (whole.clues.len() <= CLUES_MAX).then_some(whole)
        }
        Op::External(inner) => of(inner, interner),
        Op::Scope { path, .. } => Some(present(path, &Transform::default(), interner)),
        Op::Lookup(lookup) => Some(present(&lookup.path, &lookup.transform, interner)),
        Op::Test(leaf) => {
            let uses = leaf.id.and_then(|id| interner.uses.get(id as usize)).map_or(1, |uses| u64::from(*uses));
            let mut cover = predicate(leaf, interner)?;
            cover.cost = cover.cost.saturating_mul(uses);
            Some(cover)
        }
        Op::Unanswerable => Some(Cover::default()),
    }
}

fn present(path: &Path, transform: &Transform, interner: &mut Interner) -> Cover {
    Cover { clues: vec![(interner.subject(path, transform), Clue::Present)], cost: 2048 }
}

fn predicate(leaf: &Leaf, interner: &mut Interner) -> Option<Cover> {
    let predicate = &leaf.predicate;
    let clues = match &predicate.test {
        Test::Platform(_) | Test::Architecture(_) | Test::Tagged(_) => return None,
        // Length and existence look at nodes that hold no value, such as empty lists.
        Test::Exists { .. }
        | Test::Compare(Comparison::Greater { is_length: true } | Comparison::Lower { is_length: true }, _) => {
            return None;
        }
        Test::Compare(comparison, Operand::Literal(literal)) => {
            comparison_clue(*comparison, literal).map(|clue| vec![clue])
        }
        Test::Matches(pattern) => {
            let texts = interner.rarest_texts(leaf.id, pattern);
            texts.map(|texts| texts.into_iter().map(Clue::PatternText).collect())
        }
        Test::Network(network) => Some(vec![Clue::Network(*network)]),
        _ => None,
    };
    let clues = clues.unwrap_or_else(|| vec![Clue::Present]);
    let subject = interner.subject(&predicate.path, &predicate.transform);
    let cost = clues.iter().map(cost).sum();
    Some(Cover { clues: clues.into_iter().map(|clue| (subject, clue)).collect(), cost })
}

fn comparison_clue(comparison: Comparison, literal: &Scalar) -> Option<Clue> {
    match literal {
        Scalar::Text(text) => place_of(comparison, text).map(|place| Clue::Text(folded(text), place)),
        Scalar::Number(number) if matches!(comparison, Comparison::Is { .. }) => number.as_integer().map(Clue::Integer),
        _ => None,
    }
}

/// Where a text must stand for a comparison to hold; none if that says nothing.
pub(super) fn place_of(comparison: Comparison, text: &str) -> Option<Place> {
    match comparison {
        Comparison::Is { .. } => Some(Place::Whole),
        _ if text.is_empty() => None,
        Comparison::Contains { .. } => Some(Place::Anywhere),
        Comparison::StartsWith { .. } => Some(Place::Start),
        Comparison::EndsWith { .. } => Some(Place::End),
        Comparison::Greater { .. } | Comparison::Lower { .. } => None,
    }
}

/// A guess of how often a clue is seen, times how much that costs.
fn cost(clue: &Clue) -> u64 {
    match clue {
        Clue::Text(_, Place::Whole) => 1,
        Clue::Integer(_) => 4,
        Clue::Network(_) => 8,
        Clue::Text(text, Place::Anywhere) | Clue::PatternText(text) => text_cost(text) * 2,
        Clue::Text(text, _) => text_cost(text),
        Clue::Present => 2048,
    }
}

/// See [`cost`]; also how patterns choose between the texts that they need.
pub(super) fn text_cost(text: &str) -> u64 {
    let by_length = match text.len() {
        0..=1 => 512,
        2 => 128,
        3..=4 => 16,
        5..=7 => 4,
        _ => 2,
    };
    if is_ordinary(text) { by_length * 64 } else { by_length }
}

/// Whether a text is part of an ordinary one.
fn is_ordinary(text: &str) -> bool {
    // In all of them at once: this is asked of every text of every rule.
    static ALL: LazyLock<String> = LazyLock::new(|| ORDINARY.join("\0"));
    memchr::memmem::find(ALL.as_bytes(), text.as_bytes()).is_some()
}
