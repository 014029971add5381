//! The rules in force, in segments.
//!
//! A search that all rules share has to be compiled from all of them, which takes long when they are many. So a change of
//! a few rules compiles a few: they make a segment of their own with what was changed shortly before, and the number of a
//! rule that is replaced or gone is struck out where it stood. Segments are merged while nobody waits: [`RuleSet::merged`]
//! compiles beside the set that is in force, and [`RuleSet::with`] takes the place of what it was made from.
//! See docs/adr/0017.
//!
//! # Invariants
//!
//! 1. What an event causes does not depend on how the rules lie in segments: rules are evaluated in the order of the set.
//! 2. Rules of a segment stand in the order that they have in the set.
//! 3. A rule that is struck out is never a candidate, and nothing waits for it.

use super::segment::Segment;
use super::shared::{Scratch, Shared};
use crate::ast::Target;
use crate::document::Document;
use crate::load::{FalsePositive, Rule, RuleMeta};
use crate::work::Work;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rules of the youngest segment, which a change compiles again: about a millisecond.
const YOUNGEST_MAX: usize = 64;

/// How much larger a segment is than all younger ones together, before it is worth the work to merge it with them.
const GROWTH: usize = 4;

/// Segments of which each event makes a search of its own. More than [`RuleSet::merged`] leaves with a million rules.
const SEGMENTS_MAX: usize = 16;

/// Stands for the number of a rule that was struck out.
const GONE: u32 = u32::MAX;

/// Namespace and name of a rule.
pub type RuleKey = (String, String);

/// Changes of a set; each rule is named once.
#[derive(Default)]
pub struct Edits {
    /// Rules that are set, or gone.
    pub rules: Vec<(RuleKey, Option<Rule>)>,
    /// The same for false-positive rules, by name.
    pub false_positives: Vec<(String, Option<FalsePositive>)>,
}

/// The compiled rules of an organization.
pub struct RuleSet {
    /// The oldest first.
    parts: Vec<Part>,
    /// The rules in force.
    order: Vec<Place>,
    false_positives: Arc<[Arc<FalsePositive>]>,
    /// The streams that some rule listens to.
    targets: BTreeSet<Target>,
}

/// A segment, and which of its rules are in force.
#[derive(Clone)]
struct Part {
    segment: Arc<Segment>,
    /// By number in the segment: the number in the set.
    numbers: Vec<u32>,
    live: usize,
}

#[derive(Clone, Copy)]
struct Place {
    part: u32,
    rule: u32,
}

/// Segments merged into one, to be put in their place.
pub struct Merged {
    of: Vec<Arc<Segment>>,
    segment: Arc<Segment>,
    /// By segment that was merged and number in it: the number in the new one.
    numbers: Vec<Vec<u32>>,
}

impl RuleSet {
    /// Compiles rules, which keep their order.
    #[must_use]
    pub fn new(rules: Vec<Rule>, false_positives: Vec<FalsePositive>) -> Self {
        let order = (0..rules.len() as u32).map(|rule| Place { part: 0, rule }).collect();
        let segments = vec![Arc::new(Segment::new(rules))];
        Self::assembled(segments, order, false_positives.into_iter().map(Arc::new).collect())
    }

    /// Numbers the rules of each segment by the order that they have in the set; leaves out segments without any.
    fn assembled(
        segments: Vec<Arc<Segment>>,
        mut order: Vec<Place>,
        false_positives: Arc<[Arc<FalsePositive>]>,
    ) -> Self {
        let part = |segment: Arc<Segment>| Part { numbers: vec![GONE; segment.len()], segment, live: 0 };
        let mut parts: Vec<Part> = segments.into_iter().map(part).collect();
        for (number, place) in (0..).zip(&order) {
            let part = &mut parts[place.part as usize];
            part.numbers[place.rule as usize] = number;
            part.live += 1;
        }
        let (mut moved, mut kept) = (Vec::with_capacity(parts.len()), 0);
        for part in &parts {
            moved.push(kept);
            kept += u32::from(part.live > 0);
        }
        order.iter_mut().for_each(|place| place.part = moved[place.part as usize]);
        parts.retain(|part| part.live > 0);
        let mut set = Self { parts, order, false_positives, targets: BTreeSet::new() };
        set.targets = set.rules().map(|rule| rule.target()).collect();
        set
    }

    /// The rules in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.order.iter().map(|place| self.at(*place))
    }

    /// How many rules are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no rule is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The false-positive rules.
    #[must_use]
    pub fn false_positives(&self) -> &[Arc<FalsePositive>] {
        &self.false_positives
    }

    /// Whether some rule listens to a stream.
    #[must_use]
    pub fn listens_to(&self, target: Target) -> bool {
        self.targets.contains(&target)
    }

    /// The set after a change. Only what is set is compiled, and what was set shortly before.
    ///
    /// The rules of the set must stand in the order of their keys, as they do in what this gives, and false-positive rules
    /// in the order of their names.
    #[must_use]
    pub fn edited(&self, edits: Edits) -> Self {
        let (mut order, mut fresh) = (self.order.clone(), Vec::new());
        let fresh_part = self.parts.len() as u32;
        for ((namespace, name), rule) in edits.rules {
            let key = (&*namespace, &*name);
            let found = order.binary_search_by(|place| match place.part == fresh_part {
                true => key_of(&fresh_rule(&fresh, *place).meta).cmp(&key),
                false => key_of(&self.at(*place).meta).cmp(&key),
            });
            if let Ok(at) = found {
                order.remove(at);
            }
            if let Some(rule) = rule {
                let (Ok(at) | Err(at)) = found;
                order.insert(at, Place { part: fresh_part, rule: fresh.len() as u32 });
                fresh.push(rule);
            }
        }
        let false_positives = edited_false_positives(&self.false_positives, edits.false_positives);
        let mut segments: Vec<_> = self.parts.iter().map(|part| Arc::clone(&part.segment)).collect();
        if !fresh.is_empty() {
            let rules = self.take_in_youngest(&mut order, fresh);
            segments.push(Arc::new(Segment::new(rules)));
        }
        let set = Self::assembled(segments, order, false_positives);
        match set.parts.len() > SEGMENTS_MAX {
            true => set.with(&set.merged_from(set.first_of_tier())),
            false => set,
        }
    }

    /// The rules that are compiled now, in order: those that are set, and the youngest segments as far as they are few.
    fn take_in_youngest(&self, order: &mut [Place], set: Vec<Rule>) -> Vec<Rule> {
        let fresh_part = self.parts.len() as u32;
        let mut live = vec![0; self.parts.len() + 1];
        order.iter().for_each(|place| live[place.part as usize] += 1);
        let (mut first, mut sum) = (self.parts.len(), set.len());
        while first > 0 && sum + live[first - 1] <= YOUNGEST_MAX {
            first -= 1;
            sum += live[first];
        }
        let (mut set, mut rules): (Vec<_>, _) = (set.into_iter().map(Some).collect(), Vec::new());
        for place in order.iter_mut().filter(|place| place.part as usize >= first) {
            rules.extend(match place.part == fresh_part {
                true => set[place.rule as usize].take(),
                false => Some(Rule::clone(self.at(*place))),
            });
            *place = Place { part: fresh_part, rule: rules.len() as u32 - 1 };
        }
        rules
    }

    /// Whether a merge of everything would bring something.
    #[must_use]
    pub fn is_scattered(&self) -> bool {
        self.parts.len() > 1 || self.parts.iter().any(|part| part.live < part.numbers.len())
    }

    /// Merges the younger segments if that leaves fewer searches for little work; all of them if `is_all`. This takes long;
    /// nothing if there is nothing to do.
    #[must_use]
    pub fn merged(&self, is_all: bool) -> Option<Merged> {
        let first = if is_all { 0 } else { self.first_of_tier() };
        let is_useful = if is_all { self.is_scattered() } else { first + 1 < self.parts.len() };
        is_useful.then(|| self.merged_from(first))
    }

    /// The oldest segment that is not much larger than all younger ones together.
    fn first_of_tier(&self) -> usize {
        let Some(mut first) = self.parts.len().checked_sub(1) else { return 0 };
        let mut sum = self.parts[first].live.max(YOUNGEST_MAX);
        while first > 0 && self.parts[first - 1].live <= GROWTH * sum {
            first -= 1;
            sum += self.parts[first].live;
        }
        first
    }

    fn merged_from(&self, first: usize) -> Merged {
        let parts = &self.parts[first..];
        let mut numbers: Vec<Vec<u32>> = parts.iter().map(|part| vec![GONE; part.numbers.len()]).collect();
        let mut rules = Vec::new();
        for place in &self.order {
            if let Some(of) = (place.part as usize).checked_sub(first) {
                numbers[of][place.rule as usize] = rules.len() as u32;
                rules.push(Rule::clone(self.at(*place)));
            }
        }
        let of = parts.iter().map(|part| Arc::clone(&part.segment)).collect();
        Merged { of, segment: Arc::new(Segment::new(rules)), numbers }
    }

    /// The set with merged segments in the place of those that they were made of; what was changed meanwhile stays so.
    #[must_use]
    pub fn with(&self, merged: &Merged) -> Self {
        let of = |part: &Part| merged.of.iter().position(|segment| Arc::ptr_eq(segment, &part.segment));
        let of: Vec<Option<usize>> = self.parts.iter().map(of).collect();
        // Where the oldest of them was, so that the youngest segment stays the last.
        let at = of.iter().position(Option::is_some).unwrap_or(self.parts.len());
        let mut segments: Vec<_> = self.parts.iter().map(|part| Arc::clone(&part.segment)).collect();
        segments.insert(at, Arc::clone(&merged.segment));
        let mut order = self.order.clone();
        for place in &mut order {
            let part = place.part as usize;
            // A rule that is in force was so when the segments were merged, or is younger and in none of them.
            *place = match of[part].map(|of| merged.numbers[of][place.rule as usize]) {
                Some(rule) => Place { part: at as u32, rule },
                None => Place { part: place.part + u32::from(part >= at), ..*place },
            };
        }
        Self::assembled(segments, order, Arc::clone(&self.false_positives))
    }

    fn at(&self, place: Place) -> &Arc<Rule> {
        self.parts[place.part as usize].segment.rule(place.rule)
    }

    pub(crate) fn rule(&self, number: u32) -> &Arc<Rule> {
        self.at(self.order[number as usize])
    }

    /// The number of a rule that is in force.
    pub(crate) fn by_fingerprint(&self, fingerprint: u64) -> Option<u32> {
        let number = |part: &Part| {
            let number = part.numbers[part.segment.by_fingerprint(fingerprint)? as usize];
            (number != GONE).then_some(number)
        };
        self.parts.iter().find_map(number)
    }

    /// Every rule of a target: the naive choice of candidates.
    pub(crate) fn all_of(&self, target: Target, candidates: &mut Vec<u32>) {
        candidates.extend((0..self.len() as u32).filter(|number| self.rule(*number).target() == target));
    }

    /// Memory to evaluate with; what belongs to segments that the set before had as well is taken from there.
    pub(crate) fn scratches(&self, before: Option<&Self>, mut scratches: Vec<Scratch>) -> Vec<Scratch> {
        let mut known: HashMap<*const Segment, Scratch> = HashMap::new();
        for part in before.into_iter().flat_map(|before| &before.parts).rev() {
            known.extend(scratches.pop().map(|scratch| (Arc::as_ptr(&part.segment), scratch)));
        }
        let scratch = |part: &Part| {
            let kept = known.remove(&Arc::as_ptr(&part.segment));
            kept.unwrap_or_else(|| Scratch::new(&part.segment))
        };
        self.parts.iter().map(scratch).collect()
    }

    /// The rules that can match an event, in order; false if `work` does not cover the search, and some may be missing.
    pub(crate) fn candidates(
        &self,
        asked: (Target, &str),
        document: &Document,
        work: &Work,
        scratches: &mut [Scratch],
        candidates: &mut Vec<u32>,
    ) -> bool {
        for (part, scratch) in self.parts.iter().zip(scratches) {
            let is_in_force = |rule: u32| part.numbers[rule as usize] != GONE;
            if !part.segment.candidates(asked, document, work, scratch, is_in_force) {
                return false;
            }
            candidates.extend(scratch.named().iter().map(|rule| part.numbers[*rule as usize]));
        }
        if self.parts.len() > 1 {
            candidates.sort_unstable();
        }
        true
    }

    /// What answers the leaves of a rule.
    pub(crate) fn shared<'a>(&'a self, number: u32, scratches: &'a mut [Scratch]) -> Shared<'a> {
        let part = self.order[number as usize].part as usize;
        Shared::new(&self.parts[part].segment, &mut scratches[part])
    }
}

fn key_of(meta: &RuleMeta) -> (&str, &str) {
    (&meta.namespace, &meta.name)
}

fn fresh_rule(fresh: &[Rule], place: Place) -> &Rule {
    &fresh[place.rule as usize]
}

fn edited_false_positives(
    before: &Arc<[Arc<FalsePositive>]>,
    edits: Vec<(String, Option<FalsePositive>)>,
) -> Arc<[Arc<FalsePositive>]> {
    if edits.is_empty() {
        return Arc::clone(before);
    }
    let mut after = before.to_vec();
    for (name, rule) in edits {
        let found = after.binary_search_by(|rule| rule.name.cmp(&name));
        if let Ok(at) = found {
            after.remove(at);
        }
        if let Some(rule) = rule {
            let (Ok(at) | Err(at)) = found;
            after.insert(at, Arc::new(rule));
        }
    }
    after.into()
}
