//! All rules of an organization as one plan.
//!
//! A rule is evaluated only if something that it needs was seen in the event. At
//! compile time each rule gets a *cover*: a set of predicates of which at least
//! one must hold. The covers of all rules lie in one index per path: texts in tables
//! by their rarest bytes, whole values, numbers and networks by hash. An event is walked
//! once per path; what it hits names the candidates. Those of which all that is *required*
//! was found are evaluated, with the truth of each predicate kept for the event.
//! See docs/adr/0008.
//!
//! # Invariants
//!
//! 1. A rule that matches is a candidate: covers and requirements are necessary conditions.
//! 2. Candidates are evaluated in the order of the rules, since actions of one may
//!    change variables that the next one reads.
//! 3. A predicate's kept truth depends on the event and the clock only; those that
//!    read variables or templates, or another document, have no id and are not kept.

mod cover;
mod direct;
mod finder;
mod index;
mod interner;
mod literals;
mod required;
mod shared;

use shared::Asked;
pub(crate) use shared::{Scratch, Shared};

use crate::ast::{Node, Op, Target, Transform};
use crate::document::Document;
use crate::load::{FalsePositive, Rule};
use crate::path::Path;
use crate::pattern::Pattern;
use crate::work::Work;
use cover::Cover;
use direct::Direct;
use index::Index;
use interner::{Group, Interner, Known};
use required::Requirements;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Candidates may be named often, by each of many values: above so many, and twice the rules, they are put in order.
const NAMED_MIN: usize = 4096;

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
    direct: Direct,
    /// One per subject.
    indexes: Vec<Index>,
    /// By predicate.
    leaves: Vec<Known>,
    groups: Vec<Group>,
    requirements: Requirements,
    literal_count: usize,
}

impl RuleSet {
    /// Compiles rules, which keep their order.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>, false_positives: Vec<FalsePositive>) -> Self {
        let mut interner = Interner::default();
        for rule in &mut rules {
            interner.node(&mut rule.detect.root);
        }
        let mut covers: Vec<_> = rules.iter().map(|rule| cover::of(&rule.detect.root, &mut interner)).collect();
        for (rule, _) in rules.iter().zip(&covers).filter(|(_, cover)| cover.is_none()) {
            required::seek(&rule.detect.root, &mut interner);
        }
        // Before the leaves, which look for some texts only if something else does.
        let draft = index::Draft::new(&mut interner, &covers);
        let leaves = interner.leaves();
        for rule in &mut rules {
            interner.groups(&mut rule.detect.root, &leaves);
        }
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        let requirements = Requirements::new(rules.iter().map(|rule| &**rule), &leaves, &mut interner);
        let indexes = draft.finish(&interner);
        let partitions = partitions(&rules, &mut covers);
        let by_fingerprint = rules.iter().enumerate().map(|(at, rule)| (rule.fingerprint, at as u32)).collect();
        let Interner { subjects, literals, groups, .. } = interner;
        let (literal_count, direct) = (literals.len(), Direct::new(&subjects));
        Self {
            rules,
            false_positives,
            by_fingerprint,
            partitions,
            subjects,
            direct,
            indexes,
            leaves,
            groups,
            requirements,
            literal_count,
        }
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

    /// The rules that can match an event, in order; false if `work` does not cover the search, and some may be missing.
    pub(crate) fn candidates(
        &self,
        (target, kind): (Target, &str),
        document: &Document,
        work: &Work,
        scratch: &mut Scratch,
        candidates: &mut Vec<u32>,
    ) -> bool {
        scratch.begin();
        let Some(types) = self.partitions.get(&target) else { return true };
        let Some(partition) = types.get(kind).or_else(|| types.get("")) else { return true };
        let asked = Asked { rules: self, document, work };
        let named_max = (2 * self.rules.len()).max(NAMED_MIN);
        for index in &partition.indexes {
            scratch.search(&asked, *index, &mut |rule| {
                if partition.has(rule) {
                    candidates.push(rule);
                    if candidates.len() > named_max {
                        candidates.sort_unstable();
                        candidates.dedup();
                    }
                }
            });
        }
        candidates.extend_from_slice(&partition.always);
        candidates.retain(|rule| scratch.has(&asked, self.requirements.of(*rule)));
        candidates.sort_unstable();
        candidates.dedup();
        !work.is_over()
    }

    pub(crate) fn shared<'a>(&'a self, scratch: &'a mut Scratch) -> Shared<'a> {
        Shared::new(self, scratch)
    }
}

/// Whether something can be searched for, so that a rule is not evaluated on every event of its types.
pub(crate) fn has_cover(root: &Node) -> bool {
    cover::of(root, &mut Interner::default()).is_some()
}

/// Whether a pattern needs some text that can be searched for.
pub(crate) fn has_literal(pattern: &Pattern) -> bool {
    !literals::choices(pattern).is_empty()
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
