//! What the rules have in common: equal predicates, paths, texts and lists of texts get one number each.

use super::cover::{self, Place};
use super::{Subject, literals, shared};
use crate::ast::{Comparison, Leaf, Node, Op, Operand, Predicate, Scalar, Test, Transform};
use crate::fold::folded;
use crate::path::Path;
use crate::pattern::Pattern;
use foldhash::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Texts of fewer bytes are in so many values that a look for each of them says too little.
const SOUGHT_BYTES_MIN: usize = 4;

/// What the plan knows of a predicate.
#[derive(Debug)]
pub(super) struct Known {
    /// None if it does not look at single values.
    pub(super) subject: Option<u32>,
    pub(super) needs: Needs,
}

/// What must be found in some value of the subject before a predicate can hold.
#[derive(Debug)]
pub(super) enum Needs {
    Nothing,
    /// `is_proof` if the predicate then holds.
    Text {
        literal: u32,
        is_proof: bool,
    },
    AnyOf(Box<[u32]>),
}

/// A text to look for in the values of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LiteralKey {
    pub(super) subject: u32,
    pub(super) place: Place,
    pub(super) text: Box<str>,
}

/// An `or` of texts: it holds if one of them is found.
#[derive(Debug)]
pub(super) struct Group {
    /// Must have been searched before it is known.
    pub(super) subjects: Box<[u32]>,
    pub(super) literals: Box<[u32]>,
}

/// Gives equal predicates one id, and equal paths one subject.
///
/// A predicate is many small parts: with the hasher of the standard library, which is slow to begin, many rules take a quarter
/// longer to load. This one has a seed of each process, too.
#[derive(Default)]
pub(super) struct Interner {
    by_predicate: HashMap<Arc<Predicate>, u32>,
    predicates: Vec<Arc<Predicate>>,
    subject_of: Vec<Option<u32>>,
    /// In how many places each predicate stands.
    pub(super) uses: Vec<u32>,
    by_subject: HashMap<Subject, u32>,
    pub(super) subjects: Vec<Subject>,
    /// How many patterns could be looked for by each text.
    pattern_texts: HashMap<String, u64>,
    /// By predicate with a pattern: the sets of texts by which it could be looked for.
    choices: HashMap<u32, Vec<Vec<String>>>,
    by_literal: HashMap<LiteralKey, u32>,
    pub(super) literals: Vec<LiteralKey>,
    by_group: HashMap<Vec<u32>, u32>,
    pub(super) groups: Vec<Group>,
}

impl Interner {
    /// The texts of which every match of a pattern contains one, where others are expected more often.
    pub(super) fn rarest_texts(&self, id: Option<u32>, pattern: &Pattern) -> Option<Vec<String>> {
        let uses = |text: &String| self.pattern_texts.get(text).copied().unwrap_or(1);
        let cost = |set: &Vec<String>| set.iter().map(|text| cover::text_cost(text) * uses(text)).sum::<u64>();
        match id.and_then(|id| self.choices.get(&id)) {
            Some(choices) => choices.iter().min_by_key(|set| cost(set)).cloned(),
            None => literals::choices(pattern).into_iter().min_by_key(cost),
        }
    }

    pub(super) fn literal(&mut self, subject: u32, text: &str, place: Place) -> u32 {
        let key = LiteralKey { subject, place, text: text.into() };
        *self.by_literal.entry(key).or_insert_with_key(|key| {
            self.literals.push(key.clone());
            self.literals.len() as u32 - 1
        })
    }

    /// Has the text of a leaf looked for in every event, however short it is.
    pub(super) fn seek(&mut self, leaf: &Leaf) {
        let predicate = &leaf.predicate;
        if let Some((text, place)) = compared_text(predicate) {
            let subject = self.subject(&predicate.path, &predicate.transform);
            self.literal(subject, &text, place);
        }
    }

    /// The number of a text that is looked for in every event: it is long enough to be rare, or a
    /// whole value, or was asked for. Any other is compared when a candidate asks for it.
    fn sought(&mut self, subject: u32, text: &str, place: Place) -> Option<u32> {
        if text.len() >= SOUGHT_BYTES_MIN || place == Place::Whole {
            return Some(self.literal(subject, text, place));
        }
        self.by_literal.get(&LiteralKey { subject, place, text: text.into() }).copied()
    }

    /// What is known of each predicate.
    pub(super) fn leaves(&mut self) -> Vec<Known> {
        let all: Vec<_> = self.predicates.iter().cloned().zip(self.subject_of.clone()).enumerate().collect();
        let known = |(id, (predicate, subject)): (usize, (Arc<Predicate>, Option<u32>))| {
            let needs = subject.map_or(Needs::Nothing, |subject| self.needs(id as u32, &predicate, subject));
            Known { subject, needs }
        };
        all.into_iter().map(known).collect()
    }

    fn needs(&mut self, id: u32, predicate: &Predicate, subject: u32) -> Needs {
        match &predicate.test {
            Test::Compare(comparison, _) => {
                let is_once = !matches!(comparison, Comparison::Contains { count, .. } if *count != 1);
                let is_proof = is_once && !comparison.is_case_sensitive();
                let literal = compared_text(predicate).and_then(|(text, place)| self.sought(subject, &text, place));
                literal.map_or(Needs::Nothing, |literal| Needs::Text { literal, is_proof })
            }
            Test::Matches(pattern) => match self.rarest_texts(Some(id), pattern) {
                Some(texts) => {
                    Needs::AnyOf(texts.iter().map(|text| self.literal(subject, text, Place::Anywhere)).collect())
                }
                None => Needs::Nothing,
            },
            _ => Needs::Nothing,
        }
    }

    pub(super) fn node(&mut self, node: &mut Node) {
        match &mut node.op {
            Op::All(rules) | Op::Any(rules) => rules.iter_mut().for_each(|rule| self.node(rule)),
            Op::External(inner) => self.node(inner),
            Op::Test(leaf) => self.leaf(leaf),
            // Inside `scope` and `metadata_rules` the document is another one.
            Op::Scope { .. } | Op::Lookup(_) | Op::Unanswerable => {}
        }
        if let Some(follow) = &mut node.follow {
            self.node(&mut follow.rule);
        }
    }

    fn leaf(&mut self, leaf: &mut Leaf) {
        if let Test::Compare(_, Operand::Variable(_) | Operand::Template(_)) = &leaf.predicate.test {
            return;
        }
        let id = match self.by_predicate.get(&leaf.predicate) {
            Some(id) => *id,
            None => {
                let id = self.predicates.len() as u32;
                let subject = shared::reads_samples(&leaf.predicate)
                    .then(|| self.subject(&leaf.predicate.path, &leaf.predicate.transform));
                if let Test::Matches(pattern) = &leaf.predicate.test {
                    let choices = literals::choices(pattern);
                    for text in choices.iter().flatten() {
                        *self.pattern_texts.entry(text.clone()).or_default() += 1;
                    }
                    self.choices.insert(id, choices);
                }
                self.predicates.push(leaf.predicate.clone());
                self.subject_of.push(subject);
                self.uses.push(0);
                self.by_predicate.insert(leaf.predicate.clone(), id);
                id
            }
        };
        self.uses[id as usize] += 1;
        leaf.predicate = self.predicates[id as usize].clone();
        leaf.id = Some(id);
    }

    pub(super) fn subject(&mut self, path: &Path, transform: &Transform) -> u32 {
        let subject = Subject { path: path.clone(), transform: transform.clone() };
        *self.by_subject.entry(subject.clone()).or_insert_with(|| {
            self.subjects.push(subject);
            self.subjects.len() as u32 - 1
        })
    }

    /// Gives an id to each `or` whose parts all hold just when a text is found: one look answers it.
    pub(super) fn groups(&mut self, node: &mut Node, leaves: &[Known]) {
        match &mut node.op {
            Op::All(rules) | Op::Any(rules) => rules.iter_mut().for_each(|rule| self.groups(rule, leaves)),
            Op::External(inner) => self.groups(inner, leaves),
            Op::Scope { .. } | Op::Test(_) | Op::Lookup(_) | Op::Unanswerable => {}
        }
        if let Op::Any(rules) = &node.op {
            let proofs: Option<Vec<Vec<u32>>> = rules.iter().map(|rule| self.proofs(rule, leaves)).collect();
            node.group = proofs.map(|proofs| self.group(proofs.concat()));
        }
        if let Some(follow) = &mut node.follow {
            self.groups(&mut follow.rule, leaves);
        }
    }

    /// The number of a group of literals.
    pub(super) fn group(&mut self, mut literals: Vec<u32>) -> u32 {
        literals.sort_unstable();
        literals.dedup();
        let subjects: BTreeSet<u32> = literals.iter().map(|literal| self.literals[*literal as usize].subject).collect();
        *self.by_group.entry(literals).or_insert_with_key(|literals| {
            let subjects = subjects.into_iter().collect();
            self.groups.push(Group { subjects, literals: literals.as_slice().into() });
            self.groups.len() as u32 - 1
        })
    }

    /// The literals of which each proves a node, and without which it does not hold.
    fn proofs(&self, node: &Node, leaves: &[Known]) -> Option<Vec<u32>> {
        if node.is_negated || !node.is_bare() {
            return None;
        }
        match &node.op {
            Op::Test(leaf) => proof(leaf, leaves).map(|(_, literal)| vec![literal]),
            Op::Any(_) => node.group.map(|group| self.groups[group as usize].literals.to_vec()),
            _ => None,
        }
    }
}

/// The folded text that a predicate compares values with, and where it must stand in them.
fn compared_text(predicate: &Predicate) -> Option<(String, Place)> {
    let Test::Compare(comparison, Operand::Literal(Scalar::Text(text))) = &predicate.test else { return None };
    cover::place_of(*comparison, text).map(|place| (folded(text), place))
}

/// The subject and the literal that is found just when a leaf holds.
pub(super) fn proof(leaf: &Leaf, leaves: &[Known]) -> Option<(u32, u32)> {
    let known = leaves.get(leaf.id? as usize)?;
    match known.needs {
        Needs::Text { literal, is_proof: true } => Some((known.subject?, literal)),
        _ => None,
    }
}
