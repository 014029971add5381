//! Paths of two keys, such as `event/FILE_PATH`: all that start alike are found in one walk over one object.

use super::Subject;
use crate::document::{Document, Kind, NodeIndex, tag_of};
use std::collections::BTreeMap;

/// Slots per key of a table, so that most keys that nobody asks for meet an empty slot.
const SLOTS_PER_KEY: usize = 4;

/// The subjects with a path of two keys.
#[derive(Debug, Default)]
pub(super) struct Direct {
    firsts: Vec<First>,
    /// By subject: its first key in `firsts`.
    first_of: Vec<Option<u32>>,
}

/// Paths with the same first key.
#[derive(Debug)]
struct First {
    key: Box<str>,
    /// By hash of the second key's tag: the first of `seconds`; one more slot ends the last.
    heads: Vec<u32>,
    seconds: Vec<Second>,
    /// A bit for each tag, some of which share one: most keys that nobody asks for fail here.
    asked: u64,
}

#[derive(Debug)]
struct Second {
    tag: u32,
    key: Box<str>,
    subjects: Box<[u32]>,
}

impl First {
    fn new(key: &str, mut seconds: Vec<Second>) -> Self {
        let slots = (seconds.len() * SLOTS_PER_KEY).next_power_of_two();
        seconds.sort_by_key(|second| slot_of(second.tag, slots));
        let head = |slot| seconds.partition_point(|second| slot_of(second.tag, slots) < slot) as u32;
        let asked = seconds.iter().fold(0, |asked, second| asked | bit_of(second.tag));
        Self { key: key.into(), heads: (0..=slots).map(head).collect(), seconds, asked }
    }

    /// The second keys that may have a tag.
    fn seconds(&self, tag: u32) -> &[Second] {
        let slot = slot_of(tag, self.heads.len() - 1);
        &self.seconds[self.heads[slot] as usize..self.heads[slot + 1] as usize]
    }
}

impl Direct {
    pub(super) fn new(subjects: &[Subject]) -> Self {
        let mut by_first: BTreeMap<&str, BTreeMap<&str, Vec<u32>>> = BTreeMap::new();
        let mut direct = Self { first_of: vec![None; subjects.len()], ..Self::default() };
        for (at, subject) in (0..).zip(subjects) {
            if let Some((first, second)) = subject.path.two_keys() {
                by_first.entry(first).or_default().entry(second).or_default().push(at);
            }
        }
        for (number, (first, seconds)) in (0..).zip(by_first) {
            let subjects = seconds.values().flatten();
            subjects.for_each(|subject| direct.first_of[*subject as usize] = Some(number));
            let second = |(key, subjects): (&str, Vec<u32>)| Second {
                tag: tag_of(key),
                key: key.into(),
                subjects: subjects.into(),
            };
            direct.firsts.push(First::new(first, seconds.into_iter().map(second).collect()));
        }
        direct
    }

    /// How many walks there are.
    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// The walk that finds a subject.
    pub(super) fn walk_of(&self, subject: u32) -> Option<u32> {
        self.first_of[subject as usize]
    }

    /// Calls `found` with each subject of a walk and its node, the first of equal keys first; returns
    /// whether the walk answers for its subjects, which it does unless the first key holds a list.
    pub(super) fn walk(&self, walk: u32, document: &Document, mut found: impl FnMut(u32, NodeIndex)) -> bool {
        let first = &self.firsts[walk as usize];
        if !matches!(document.kind(0), Kind::Object) {
            return false;
        }
        let Some(node) = document.child(0, &first.key) else { return true };
        if matches!(document.kind(node), Kind::List) {
            return false;
        }
        for (tag, child) in document.tagged(node).filter(|(tag, _)| first.asked & bit_of(*tag) != 0) {
            let mut seconds = first.seconds(tag).iter();
            if let Some(second) = seconds.find(|second| second.tag == tag && *second.key == *document.key(child)) {
                second.subjects.iter().for_each(|subject| found(*subject, child));
            }
        }
        true
    }
}

fn bit_of(tag: u32) -> u64 {
    1 << (tag.wrapping_mul(0x85eb_ca6b) >> (u32::BITS - u64::BITS.ilog2()))
}

fn slot_of(tag: u32, slots: usize) -> usize {
    (tag.wrapping_mul(0x9e37_79b1) >> 16) as usize & (slots - 1)
}
