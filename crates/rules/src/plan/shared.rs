//! What is known of the event in hand: the values at each path, the truth of each predicate.

use super::RuleSet;
use crate::ast::{Comparison, Leaf, Operand, Predicate, Test};
use crate::document::{Document, NodeIndex};
use crate::evaluate::predicate::{self, Sample};
use crate::evaluate::{Leaves, Sight};
use crate::fold::fold_into;
use crate::path::Root;
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
}

/// Memory that evaluation reuses from event to event.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) candidates: Vec<u32>,
    /// Marks what belongs to the event in hand; doubled, since predicates keep a bit below.
    stamp: u32,
    /// Per predicate: the stamp, plus one if it holds.
    truths: Vec<u32>,
    /// Per subject: the stamp and its samples.
    subjects: Vec<(u32, Samples)>,
    samples: Vec<Kept>,
    text: String,
}

impl Scratch {
    pub(crate) fn new(rules: &RuleSet) -> Self {
        Self {
            truths: vec![0; rules.predicate_count()],
            subjects: vec![(0, Samples::default()); rules.subject_count()],
            ..Self::default()
        }
    }

    /// Forgets the event before.
    pub(super) fn begin(&mut self) {
        self.samples.clear();
        self.text.clear();
        self.stamp = self.stamp.wrapping_add(2);
        if self.stamp == 0 {
            self.truths.fill(0);
            self.subjects.fill((0, Samples::default()));
            self.stamp = 2;
        }
    }

    /// The values of a subject, found on first demand.
    pub(super) fn samples(&mut self, rules: &RuleSet, subject: u32, document: &Document) -> Samples {
        let (stamp, samples) = self.subjects[subject as usize];
        if stamp == self.stamp {
            return samples;
        }
        let wanted = &rules.subjects[subject as usize];
        let start = self.samples.len() as u32;
        let (kept, buffer) = (&mut self.samples, &mut self.text);
        let _ = wanted.path.select_values(Root { document, scope: None }, &mut |node| {
            match document.text(node) {
                None => kept.push(Kept { node, raw: None, folded: None }),
                Some(text) if wanted.transform.is_identity() => {
                    kept.push(Kept { node, raw: None, folded: Some(append(buffer, |out| fold_into(text, out))) });
                }
                Some(text) => {
                    predicate::any_transformed(&wanted.transform, text, &mut |part| {
                        let raw = Some(append(buffer, |out| out.push_str(part)));
                        kept.push(Kept { node, raw, folded: Some(append(buffer, |out| fold_into(part, out))) });
                        false
                    });
                }
            }
            ControlFlow::Continue(())
        });
        let samples = Samples { start, end: self.samples.len() as u32 };
        self.subjects[subject as usize] = (self.stamp, samples);
        samples
    }

    pub(super) fn all(&self, samples: Samples) -> &[Kept] {
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

fn append(buffer: &mut String, write: impl FnOnce(&mut String)) -> (u32, u32) {
    let start = buffer.len() as u32;
    write(buffer);
    (start, buffer.len() as u32 - start)
}

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
    rules: &'a RuleSet,
    scratch: &'a mut Scratch,
}

impl<'a> Shared<'a> {
    pub(super) fn new(rules: &'a RuleSet, scratch: &'a mut Scratch) -> Self {
        Self { rules, scratch }
    }
}

impl Leaves for Shared<'_> {
    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool {
        let Some(id) = leaf.id else { return predicate::holds(&leaf.predicate, sight) };
        let known = self.scratch.truths[id as usize];
        if known & !1 == self.scratch.stamp {
            return known & 1 == 1;
        }
        let truth = match self.rules.subject_of[id as usize] {
            None => predicate::holds(&leaf.predicate, sight),
            Some(subject) => {
                let document = sight.root.document;
                let samples = self.scratch.samples(self.rules, subject, document);
                let mut all = self.scratch.all(samples).iter();
                all.any(|kept| {
                    predicate::sample_holds(&leaf.predicate, &self.scratch.sample(document, kept), sight.now_ms)
                })
            }
        };
        self.scratch.truths[id as usize] = self.scratch.stamp | u32::from(truth);
        truth
    }
}
