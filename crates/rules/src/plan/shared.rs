//! What is known of the event in hand: the values at each path, the truth of each predicate.

use super::finder::READ_BEYOND;
use super::index::Finds;
use super::interner::Needs;
use super::required::{Of, Requirement};
use super::segment::Segment;
use crate::ast::{Comparison, Leaf, Operand, Predicate, Test, Transform};
use crate::document::{Document, NodeIndex};
use crate::evaluate::predicate::{self, Sample};
use crate::evaluate::{Leaves, Sight};
use crate::fold::fold_into;
use crate::path::{Root, open_lists};
use crate::work::Work;
use std::ops::ControlFlow;

/// A range of samples in the scratch memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Samples {
    start: u32,
    end: u32,
}

impl Samples {
    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One value of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) node: NodeIndex,
    /// The transformed text, where it differs from the node's own.
    raw: Option<(u32, u32)>,
    folded: Option<(u32, u32)>,
    is_ascii: bool,
}

/// Memory that evaluation reuses from event to event.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Rules of the segment that the search names.
    pub(super) named: Vec<u32>,
    /// Marks what belongs to the event in hand; doubled, since predicates keep a bit below.
    stamp: u32,
    /// Per predicate: the stamp, plus one if it holds.
    truths: Vec<u32>,
    /// Per subject, what is known of it.
    subjects: Vec<Seen>,
    /// Per literal: the stamp, if it was found.
    literals: Vec<u32>,
    /// Per group: the stamp, if it holds.
    groups: Vec<u32>,
    /// Per walk of [`super::direct::Direct`]: the stamp, and whether it answers for its subjects.
    walks: Vec<(u32, bool)>,
    /// Per subject: the stamp and the node, if a walk found it.
    nodes: Vec<(u32, NodeIndex)>,
    samples: Vec<Kept>,
    /// The document's texts in lower case, then what is made of single values, each with
    /// [`READ_BEYOND`] zeros after it; empty until a value is asked for.
    text: String,
}

/// What is known of a subject.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    stamp: u32,
    samples: Samples,
    is_searched: bool,
    is_ascii: bool,
}

impl Scratch {
    pub(super) fn new(rules: &Segment) -> Self {
        Self {
            truths: vec![0; rules.leaves.len()],
            subjects: vec![Seen::default(); rules.subjects.len()],
            literals: vec![0; rules.literal_count],
            groups: vec![0; rules.groups.len()],
            walks: vec![(0, false); rules.direct.len()],
            nodes: vec![(0, 0); rules.subjects.len()],
            ..Self::default()
        }
    }

    /// Forgets the event before.
    pub(super) fn begin(&mut self) {
        self.named.clear();
        self.samples.clear();
        self.text.clear();
        self.stamp = self.stamp.wrapping_add(2);
        if self.stamp == 0 {
            self.truths.fill(0);
            self.subjects.fill(Seen::default());
            self.literals.fill(0);
            self.groups.fill(0);
            self.walks.fill((0, false));
            self.nodes.fill((0, 0));
            self.stamp = 2;
        }
    }

    /// The rules of the segment that can match the event, in order.
    pub(super) fn named(&self) -> &[u32] {
        &self.named
    }

    /// The values of a subject, found on first demand; none if `work` does not cover that.
    fn samples(&mut self, rules: &Segment, subject: u32, document: &Document, work: &Work) -> Option<Samples> {
        let seen = self.subjects[subject as usize];
        if seen.stamp == self.stamp {
            return Some(seen.samples);
        }
        let to_lower = if self.text.is_empty() { document.texts().len() as u64 / BYTES_PER_STEP } else { 0 };
        if !work.spend(to_lower) {
            return None;
        }
        let walked = self.walked(rules, subject, document);
        if self.text.is_empty() {
            // At once, as that is done many bytes at a time.
            append(&mut self.text, |out| out.push_str(document.texts()));
            self.text.make_ascii_lowercase();
        }
        let wanted = &rules.subjects[subject as usize];
        let start = self.samples.len() as u32;
        let (kept, buffer) = (&mut self.samples, &mut self.text);
        let mut keep = |node: NodeIndex| {
            if !work.spend(steps_of_value(document, node)) {
                return ControlFlow::Break(());
            }
            keep_value(document, node, &wanted.transform, kept, buffer);
            ControlFlow::Continue(())
        };
        let _ = match walked {
            Some(None) => ControlFlow::Continue(()),
            Some(Some(node)) if !document.is_list(node) => keep(node),
            Some(Some(list)) => open_lists(document, list, work, &mut keep),
            None => wanted.path.select_values(Root { document, scope: None }, work, &mut keep),
        };
        if work.is_over() {
            self.samples.truncate(start as usize);
            return None;
        }
        let samples = Samples { start, end: self.samples.len() as u32 };
        self.subjects[subject as usize] = Seen { stamp: self.stamp, samples, ..Seen::default() };
        Some(samples)
    }

    /// The node at a path of two keys, if that is known without a walk of its own.
    #[expect(clippy::option_option, reason = "known to be absent is not unknown")]
    fn walked(&mut self, rules: &Segment, subject: u32, document: &Document) -> Option<Option<NodeIndex>> {
        let walk = rules.direct.walk_of(subject)?;
        let (stamp, nodes) = (self.stamp, &mut self.nodes);
        let known = &mut self.walks[walk as usize];
        if known.0 != stamp {
            let is_answer = rules.direct.walk(walk, document, |subject, node| {
                let known = &mut nodes[subject as usize];
                if known.0 != stamp {
                    *known = (stamp, node);
                }
            });
            *known = (stamp, is_answer);
        }
        let (seen, node) = self.nodes[subject as usize];
        known.1.then_some((seen == stamp).then_some(node))
    }

    /// Looks for everything that rules ask of a subject, and names rules of which a clue is found. Where `work` does not
    /// cover that, the subject stays unsearched.
    pub(super) fn search(&mut self, asked: &Asked<'_>, subject: u32, found: &mut dyn FnMut(u32)) {
        let Asked { rules, document, work } = *asked;
        let Some(samples) = self.samples(rules, subject, document, work) else { return };
        let index = &rules.indexes[subject as usize];
        let mut finds = Found { stamp: self.stamp, literals: &mut self.literals, groups: &mut self.groups, found };
        if !samples.is_empty() {
            index.any(&mut finds);
        }
        let mut is_ascii = true;
        for sample in &self.samples[samples.start as usize..samples.end as usize] {
            let bytes = sample.folded.map_or(0, |(_, len)| len);
            if !work.spend(STEPS_PER_SEARCH + u64::from(bytes) / BYTES_PER_STEP) {
                return;
            }
            match sample.folded {
                Some(folded) => {
                    is_ascii &= sample.is_ascii;
                    index.text(&self.text, folded, sample.is_ascii, &mut finds);
                }
                None => {
                    let integer = document.number(sample.node).and_then(|number| number.as_integer());
                    integer.into_iter().for_each(|integer| index.integer(integer, &mut finds));
                }
            }
        }
        let seen = &mut self.subjects[subject as usize];
        (seen.is_searched, seen.is_ascii) = (true, is_ascii);
    }

    fn search_once(&mut self, asked: &Asked<'_>, subject: u32) {
        let seen = self.subjects[subject as usize];
        if !(seen.stamp == self.stamp && seen.is_searched) {
            self.search(asked, subject, &mut |_| {});
        }
    }

    /// Whether all that is required is so.
    pub(super) fn has(&mut self, asked: &Asked<'_>, requirements: &[Requirement]) -> bool {
        requirements.iter().all(|requirement| {
            let is_found = match requirement.of {
                Of::Group(group) => self.has_group(asked, group),
                Of::Possible(group) => {
                    let is_found = self.has_group(asked, group);
                    let is_ascii = |subject: &u32| self.subjects[*subject as usize].is_ascii;
                    is_found || !asked.rules.groups[group as usize].subjects.iter().all(is_ascii)
                }
                Of::Literal { subject, literal } => self.has_literal(asked, subject, literal),
            };
            is_found == requirement.is_wanted
        })
    }

    fn has_literal(&mut self, asked: &Asked<'_>, subject: u32, literal: u32) -> bool {
        self.search_once(asked, subject);
        self.literals[literal as usize] == self.stamp
    }

    fn has_group(&mut self, asked: &Asked<'_>, group: u32) -> bool {
        for subject in &asked.rules.groups[group as usize].subjects {
            self.search_once(asked, *subject);
        }
        self.groups[group as usize] == self.stamp
    }

    /// Whether what a leaf needs was found: it may hold then.
    fn is_possible(&mut self, asked: &Asked<'_>, subject: u32, needs: &Needs) -> bool {
        self.search_once(asked, subject);
        let is_found = |literal: &u32| self.literals[*literal as usize] == self.stamp;
        match needs {
            Needs::Nothing => true,
            Needs::Text { literal, .. } => is_found(literal),
            // The texts of a pattern are known for ASCII values only.
            Needs::AnyOf(literals) => !self.subjects[subject as usize].is_ascii || literals.iter().any(is_found),
        }
    }

    fn all(&self, samples: Samples) -> &[Kept] {
        &self.samples[samples.start as usize..samples.end as usize]
    }

    pub(super) fn folded_text(&self, sample: &Kept) -> Option<&str> {
        sample.folded.map(|span| self.slice(span))
    }

    fn slice(&self, (start, len): (u32, u32)) -> &str {
        &self.text[start as usize..(start + len) as usize]
    }

    fn sample<'a>(&'a self, document: &'a Document, kept: &Kept) -> Sample<'a> {
        let text = kept.raw.map_or_else(|| document.text(kept.node), |span| Some(self.slice(span)));
        Sample { document, node: kept.node, text, folded: self.folded_text(kept) }
    }
}

/// Steps to look for all texts of a subject in one value, beside those for its bytes.
const STEPS_PER_SEARCH: u64 = 16;
/// Bytes that are folded, kept or searched in one step.
const BYTES_PER_STEP: u64 = 4;

fn steps_of_value(document: &Document, node: NodeIndex) -> u64 {
    1 + document.text(node).map_or(0, str::len) as u64 / BYTES_PER_STEP
}

/// What is asked of a [`Scratch`]: of which rules, about which event, on whose account.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) rules: &'a Segment,
    pub(super) document: &'a Document,
    pub(super) work: &'a Work,
}

/// Keeps what a transform makes of a value. Where it makes nothing of its own, the lowered text of the document serves.
fn keep_value(document: &Document, node: NodeIndex, transform: &Transform, kept: &mut Vec<Kept>, buffer: &mut String) {
    let Some((at, text)) = document.located_text(node) else {
        return kept.push(Kept { node, raw: None, folded: None, is_ascii: true });
    };
    if transform.is_identity() {
        let is_ascii = text.is_ascii();
        let folded = if is_ascii { (at, text.len() as u32) } else { append(buffer, |out| fold_into(text, out)) };
        return kept.push(Kept { node, raw: None, folded: Some(folded), is_ascii });
    }
    predicate::any_transformed(transform, text, &mut |part| {
        let raw = Some(append(buffer, |out| out.push_str(part)));
        let folded = Some(append(buffer, |out| fold_into(part, out)));
        kept.push(Kept { node, raw, folded, is_ascii: part.is_ascii() });
        false
    });
}

struct Found<'a> {
    stamp: u32,
    literals: &'a mut [u32],
    groups: &'a mut [u32],
    found: &'a mut dyn FnMut(u32),
}

impl Finds for Found<'_> {
    fn literal(&mut self, literal: u32) -> bool {
        std::mem::replace(&mut self.literals[literal as usize], self.stamp) != self.stamp
    }

    fn group(&mut self, group: u32) {
        self.groups[group as usize] = self.stamp;
    }

    fn rule(&mut self, rule: u32) {
        (self.found)(rule);
    }
}

fn append(buffer: &mut String, write: impl FnOnce(&mut String)) -> (u32, u32) {
    let start = buffer.len() as u32;
    write(buffer);
    let len = buffer.len() as u32 - start;
    buffer.push_str(ZEROS);
    (start, len)
}

/// As many as [`READ_BEYOND`].
const ZEROS: &str = match std::str::from_utf8(&[0; READ_BEYOND]) {
    Ok(zeros) => zeros,
    Err(_) => unreachable!(),
};

/// Whether a predicate looks at single values only, so that kept samples answer it.
pub(super) fn reads_samples(predicate: &Predicate) -> bool {
    match &predicate.test {
        Test::Compare(Comparison::Greater { is_length: true } | Comparison::Lower { is_length: true }, _) => false,
        Test::Compare(_, operand) => matches!(operand, Operand::Literal(_)),
        Test::Matches(_) | Test::Distance { .. } | Test::OlderThan { .. } | Test::Network(_) | Test::Address(_) => true,
        Test::Exists { .. } | Test::Platform(_) | Test::Architecture(_) | Test::Tagged(_) => false,
    }
}

/// Answers leaves from what is known of the event, working out the rest once.
pub(crate) struct Shared<'a> {
    rules: &'a Segment,
    scratch: &'a mut Scratch,
}

impl<'a> Shared<'a> {
    pub(super) fn new(rules: &'a Segment, scratch: &'a mut Scratch) -> Self {
        Self { rules, scratch }
    }

    fn asked<'s>(&self, sight: &Sight<'s>) -> Asked<'s>
    where
        'a: 's,
    {
        Asked { rules: self.rules, document: sight.root.document, work: sight.work }
    }

    fn any_sample_holds(&mut self, leaf: &Leaf, subject: u32, sight: &Sight<'_>) -> bool {
        let document = sight.root.document;
        let Some(samples) = self.scratch.samples(self.rules, subject, document, sight.work) else { return false };
        let mut all = self.scratch.all(samples).iter();
        all.any(|kept| predicate::sample_holds(&leaf.predicate, &self.scratch.sample(document, kept), sight))
    }
}

impl Leaves for Shared<'_> {
    fn any_holds(&mut self, group: u32, sight: &Sight<'_>) -> Option<bool> {
        Some(self.scratch.has_group(&self.asked(sight), group))
    }

    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool {
        let Some(id) = leaf.id else { return predicate::holds(&leaf.predicate, sight) };
        let asked = self.asked(sight);
        let known = &self.rules.leaves[id as usize];
        if let (Some(subject), Needs::Text { literal, is_proof: true }) = (known.subject, &known.needs) {
            return self.scratch.has_literal(&asked, subject, *literal);
        }
        let kept = self.scratch.truths[id as usize];
        if kept & !1 == self.scratch.stamp {
            return kept & 1 == 1;
        }
        let truth = match (known.subject, &known.needs) {
            (None, _) => predicate::holds(&leaf.predicate, sight),
            (Some(subject), needs) => {
                let is_possible = matches!(needs, Needs::Nothing) || self.scratch.is_possible(&asked, subject, needs);
                is_possible && self.any_sample_holds(leaf, subject, sight)
            }
        };
        // What was not paid for is not known.
        if !sight.work.is_over() {
            self.scratch.truths[id as usize] = self.scratch.stamp | u32::from(truth);
        }
        truth
    }
}
