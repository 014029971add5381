//! Rules that were compiled together, and share one search.

use super::Subject;
use super::cover::{self, Cover};
use super::direct::Direct;
use super::index::{self, Index};
use super::interner::{Group, Interner, Known};
use super::required::{self, Requirements};
use super::shared::{Asked, Scratch};
use crate::ast::{Node, Op, Target};
use crate::document::Document;
use crate::load::Rule;
use crate::work::Work;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Candidates may be named often, by each of many values: above so many, and twice the rules, they are put in order.
const NAMED_MIN: usize = 4096;

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

/// Rules that were compiled together. They are known by their numbers in it.
pub(crate) struct Segment {
    rules: Vec<Arc<Rule>>,
    by_fingerprint: HashMap<u64, u32>,
    /// By target, then by event type; the empty type stands for all others.
    partitions: BTreeMap<Target, HashMap<Box<str>, Partition>>,
    pub(super) subjects: Vec<Subject>,
    pub(super) direct: Direct,
    /// One per subject.
    pub(super) indexes: Vec<Index>,
    /// By predicate.
    pub(super) leaves: Vec<Known>,
    pub(super) groups: Vec<Group>,
    requirements: Requirements,
    pub(super) literal_count: usize,
}

impl Segment {
    /// Compiles rules, which may have been in another segment before.
    pub(super) fn new(mut rules: Vec<Rule>) -> Self {
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
        let by_fingerprint = (0..).zip(&rules).map(|(at, rule)| (rule.fingerprint, at)).collect();
        let Interner { subjects, literals, groups, .. } = interner;
        let (literal_count, direct) = (literals.len(), Direct::new(&subjects));
        Self {
            rules,
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

    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn rule(&self, number: u32) -> &Arc<Rule> {
        &self.rules[number as usize]
    }

    pub(super) fn by_fingerprint(&self, fingerprint: u64) -> Option<u32> {
        self.by_fingerprint.get(&fingerprint).copied()
    }

    /// The rules that can match an event, in order, of those that `is_asked` for; false if `work` does not cover the search,
    /// and some may be missing.
    pub(super) fn candidates(
        &self,
        (target, kind): (Target, &str),
        document: &Document,
        work: &Work,
        scratch: &mut Scratch,
        is_asked: impl Fn(u32) -> bool,
    ) -> bool {
        scratch.begin();
        let Some(types) = self.partitions.get(&target) else { return true };
        let Some(partition) = types.get(kind).or_else(|| types.get("")) else { return true };
        let asked = Asked { rules: self, document, work };
        let named_max = (2 * self.rules.len()).max(NAMED_MIN);
        let mut named = std::mem::take(&mut scratch.named);
        for index in &partition.indexes {
            scratch.search(&asked, *index, &mut |rule| {
                if partition.has(rule) {
                    named.push(rule);
                    if named.len() > named_max {
                        named.sort_unstable();
                        named.dedup();
                    }
                }
            });
        }
        named.extend_from_slice(&partition.always);
        named.retain(|rule| is_asked(*rule) && scratch.has(&asked, self.requirements.of(*rule)));
        named.sort_unstable();
        named.dedup();
        scratch.named = named;
        !work.is_over()
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
