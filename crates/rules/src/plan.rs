//! All rules of an organization as one plan.
//!
//! A rule is evaluated only if something that it needs was seen in the event. At
//! compile time each rule gets a *cover*: a set of predicates of which at least
//! one must hold. The covers of all rules lie in one index per path: texts in an
//! Aho-Corasick automaton over the folded value, whole values, numbers and networks
//! in tables. An event is walked once per path; what it hits names the candidates,
//! and only they are evaluated, with the truth of each predicate kept for the event.
//!
//! # Invariants
//!
//! 1. A rule that matches is a candidate: covers are necessary conditions.
//! 2. Candidates are evaluated in the order of the rules, since actions of one may
//!    change variables that the next one reads.
//! 3. A predicate's kept truth depends on the event and the clock only; those that
//!    read variables or templates, or another document, have no id and are not kept.

mod cover;
mod finder;
mod index;
mod literals;
mod shared;

pub(crate) use shared::{Scratch, Shared};

use crate::ast::{Comparison, Leaf, Node, Op, Operand, Predicate, Scalar, Target, Test, Transform};
use crate::document::Document;
use crate::fold::folded;
use crate::load::{FalsePositive, Rule};
use crate::path::Path;
use crate::pattern::Pattern;
use cover::{Cover, Place};
use index::Index;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The values at one path after one transform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) path: Path,
    pub(crate) transform: Transform,
}

/// The rules that may look at events of one type.
#[derive(Debug, Default)]
struct Partition {
    /// One bit per rule.
    members: Vec<u64>,
    /// Rules without a cover.
    always: Vec<u32>,
    /// Indexes that hold a cover of some member.
    indexes: Vec<u32>,
}

impl Partition {
    fn has(&self, rule: u32) -> bool {
        self.members.get(rule as usize / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1)
    }
}

/// The compiled rules of an organization.
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    pub(crate) false_positives: Vec<FalsePositive>,
    pub(crate) by_fingerprint: HashMap<u64, u32>,
    /// By target, then by event type; the empty type stands for all others.
    partitions: BTreeMap<Target, HashMap<Box<str>, Partition>>,
    subjects: Vec<Subject>,
    /// One per subject.
    indexes: Vec<Index>,
    /// By predicate.
    leaves: Vec<Known>,
    literal_count: usize,
}

/// What the plan knows of a predicate.
#[derive(Debug)]
struct Known {
    /// None if it does not look at single values.
    subject: Option<u32>,
    needs: Needs,
}

/// What must be found in some value of the subject before a predicate can hold.
#[derive(Debug)]
enum Needs {
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
struct LiteralKey {
    subject: u32,
    place: Place,
    text: Box<str>,
}

impl RuleSet {
    /// Compiles rules, which keep their order.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>, false_positives: Vec<FalsePositive>) -> Self {
        let mut interner = Interner::default();
        for rule in &mut rules {
            interner.node(&mut rule.detect.root);
        }
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        let mut covers: Vec<_> = rules.iter().map(|rule| cover::of(&rule.detect.root, &mut interner)).collect();
        let leaves = interner.leaves();
        let indexes = index::build(&mut interner, &covers);
        let partitions = partitions(&rules, &mut covers);
        let by_fingerprint = rules.iter().enumerate().map(|(at, rule)| (rule.fingerprint, at as u32)).collect();
        let Interner { subjects, literals, .. } = interner;
        let literal_count = literals.len();
        Self { rules, false_positives, by_fingerprint, partitions, subjects, indexes, leaves, literal_count }
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    pub(crate) fn rule(&self, index: u32) -> &Arc<Rule> {
        &self.rules[index as usize]
    }

    pub(crate) fn listens_to(&self, target: Target) -> bool {
        self.partitions.contains_key(&target)
    }

    /// Every rule of a target: the naive choice of candidates.
    pub(crate) fn all_of(&self, target: Target, candidates: &mut Vec<u32>) {
        candidates.extend((0..self.rules.len() as u32).filter(|index| self.rule(*index).target() == target));
    }

    /// The rules that can match an event, in order.
    pub(crate) fn candidates(
        &self,
        target: Target,
        kind: &str,
        document: &Document,
        scratch: &mut Scratch,
        candidates: &mut Vec<u32>,
    ) {
        scratch.begin();
        let Some(types) = self.partitions.get(&target) else { return };
        let Some(partition) = types.get(kind).or_else(|| types.get("")) else { return };
        for index in &partition.indexes {
            scratch.search(self, *index, document, &mut |rule| {
                if partition.has(rule) {
                    candidates.push(rule);
                }
            });
        }
        candidates.extend_from_slice(&partition.always);
        candidates.sort_unstable();
        candidates.dedup();
    }

    pub(crate) fn shared<'a>(&'a self, scratch: &'a mut Scratch) -> Shared<'a> {
        Shared::new(self, scratch)
    }
}

/// Whether something can be searched for, so that a rule is not evaluated on every event of its types.
pub(crate) fn has_cover(root: &Node) -> bool {
    cover::of(root, &mut Interner::default()).is_some()
}

/// Gives equal predicates one id, and equal paths one subject.
#[derive(Default)]
pub(crate) struct Interner {
    by_text: HashMap<String, u32>,
    predicates: Vec<Arc<Predicate>>,
    subject_of: Vec<Option<u32>>,
    /// In how many places each predicate stands.
    uses: Vec<u32>,
    by_subject: HashMap<Subject, u32>,
    subjects: Vec<Subject>,
    /// How many patterns could be looked for by each text.
    pattern_texts: HashMap<String, u64>,
    /// By predicate with a pattern: the sets of texts by which it could be looked for.
    choices: HashMap<u32, Vec<Vec<String>>>,
    by_literal: HashMap<LiteralKey, u32>,
    literals: Vec<LiteralKey>,
}

impl Interner {
    /// The texts of which every match of a pattern contains one, where others are expected more often.
    fn rarest_texts(&self, id: Option<u32>, pattern: &Pattern) -> Option<Vec<String>> {
        let uses = |text: &String| self.pattern_texts.get(text).copied().unwrap_or(1);
        let cost = |set: &Vec<String>| set.iter().map(|text| cover::text_cost(text) * uses(text)).sum::<u64>();
        match id.and_then(|id| self.choices.get(&id)) {
            Some(choices) => choices.iter().min_by_key(|set| cost(set)).cloned(),
            None => literals::choices(pattern).into_iter().min_by_key(cost),
        }
    }

    fn literal(&mut self, subject: u32, text: &str, place: Place) -> u32 {
        let key = LiteralKey { subject, place, text: text.into() };
        *self.by_literal.entry(key).or_insert_with_key(|key| {
            self.literals.push(key.clone());
            self.literals.len() as u32 - 1
        })
    }

    /// What is known of each predicate.
    fn leaves(&mut self) -> Vec<Known> {
        let all: Vec<_> = self.predicates.iter().cloned().zip(self.subject_of.clone()).enumerate().collect();
        let known = |(id, (predicate, subject)): (usize, (Arc<Predicate>, Option<u32>))| {
            let needs = subject.map_or(Needs::Nothing, |subject| self.needs(id as u32, &predicate, subject));
            Known { subject, needs }
        };
        all.into_iter().map(known).collect()
    }

    fn needs(&mut self, id: u32, predicate: &Predicate, subject: u32) -> Needs {
        match &predicate.test {
            Test::Compare(comparison, Operand::Literal(Scalar::Text(text))) => {
                let Some(place) = cover::place_of(*comparison, text) else { return Needs::Nothing };
                let is_once = !matches!(comparison, Comparison::Contains { count, .. } if *count != 1);
                let literal = self.literal(subject, &folded(text), place);
                Needs::Text { literal, is_proof: is_once && !comparison.is_case_sensitive() }
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

    fn node(&mut self, node: &mut Node) {
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
        let text = format!("{:?}", leaf.predicate);
        let id = match self.by_text.get(&text) {
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
                self.by_text.insert(text, id);
                id
            }
        };
        self.uses[id as usize] += 1;
        leaf.predicate = self.predicates[id as usize].clone();
        leaf.id = Some(id);
    }

    pub(crate) fn subject(&mut self, path: &Path, transform: &Transform) -> u32 {
        let subject = Subject { path: path.clone(), transform: transform.clone() };
        *self.by_subject.entry(subject.clone()).or_insert_with(|| {
            self.subjects.push(subject);
            self.subjects.len() as u32 - 1
        })
    }
}

/// The event types a node can be true for; none is any.
fn types(node: &Node) -> Option<HashSet<&str>> {
    if !node.events.is_empty() {
        return Some(node.events.iter().map(|event| &**event).collect());
    }
    // A filter inside is not inverted by `not` on its own node, but it is by one further out.
    if node.is_negated {
        return None;
    }
    match &node.op {
        Op::All(rules) => rules.iter().find_map(types),
        Op::Any(rules) => rules.iter().map(types).try_fold(HashSet::new(), |mut all, part| {
            all.extend(part?);
            Some(all)
        }),
        Op::External(inner) => types(inner),
        _ => None,
    }
}

fn partitions(rules: &[Arc<Rule>], covers: &mut [Option<Cover>]) -> BTreeMap<Target, HashMap<Box<str>, Partition>> {
    let mut types_of: BTreeMap<Target, HashMap<Box<str>, Partition>> = BTreeMap::new();
    let rule_types: Vec<_> = rules.iter().map(|rule| types(&rule.detect.root)).collect();
    for (rule, types) in rules.iter().zip(&rule_types) {
        let known = types_of.entry(rule.target()).or_default();
        known.entry("".into()).or_default();
        for name in types.iter().flatten() {
            known.entry((*name).into()).or_default();
        }
    }
    for (at, rule) in rules.iter().enumerate() {
        for (name, partition) in types_of.entry(rule.target()).or_default() {
            if rule_types[at].as_ref().is_some_and(|types| !types.contains(&**name)) {
                continue;
            }
            partition.members.resize(rules.len().div_ceil(64), 0);
            partition.members[at / 64] |= 1 << (at % 64);
            match &covers[at] {
                None => partition.always.push(at as u32),
                Some(cover) => partition.indexes.extend(cover.subjects()),
            }
        }
    }
    for partition in types_of.values_mut().flat_map(HashMap::values_mut) {
        partition.indexes.sort_unstable();
        partition.indexes.dedup();
    }
    types_of
}
