//! The clues of all rules about one path, searched in one pass over its values.

use super::Interner;
use super::cover::{Clue, Cover, Place};
use super::shared::{Samples, Scratch};
use crate::document::Document;
use crate::evaluate::address;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use core::net::IpAddr;
use std::collections::HashMap;

/// Up to this many bytes of text the automaton is a table, which is faster and larger.
const TABLE_TEXT_BYTES_MAX: usize = 4 << 10;

/// A list of rules, in the index's `rules`.
type Rules = (u32, u32);

/// The clues about one subject.
#[derive(Default)]
pub(super) struct Index {
    rules: Vec<u32>,
    automaton: Option<AhoCorasick>,
    /// By pattern of the automaton: rules by where the text must stand.
    texts: Vec<TextRules>,
    wholes: HashMap<Box<str>, Rules>,
    integers: HashMap<i128, Rules>,
    /// By kind and prefix length: networks by their first address.
    networks: Vec<(bool, u8, HashMap<u128, Rules>)>,
    /// Rules with a pattern, for values that are not ASCII.
    patterns: Rules,
    present: Rules,
}

#[derive(Clone, Copy, Default)]
struct TextRules {
    anywhere: Rules,
    start: Rules,
    end: Rules,
}

/// Builds one index per subject from the covers of all rules.
pub(super) fn build(interner: &Interner, covers: &[Option<Cover>]) -> Vec<Index> {
    let mut drafts: Vec<Draft> = Vec::new();
    drafts.resize_with(interner.subjects.len(), Draft::default);
    for (rule, cover) in covers.iter().enumerate() {
        for (subject, clue) in cover.iter().flat_map(|cover| &cover.clues) {
            drafts[*subject as usize].add(clue, rule as u32);
        }
    }
    drafts.into_iter().map(Draft::finish).collect()
}

#[derive(Default)]
struct Draft {
    texts: HashMap<String, [Vec<u32>; 3]>,
    wholes: HashMap<String, Vec<u32>>,
    integers: HashMap<i128, Vec<u32>>,
    networks: HashMap<(bool, u8), HashMap<u128, Vec<u32>>>,
    patterns: Vec<u32>,
    present: Vec<u32>,
}

impl Draft {
    fn add(&mut self, clue: &Clue, rule: u32) {
        let list = match clue {
            Clue::Text(text, place) => &mut self.texts.entry(text.clone()).or_default()[*place as usize],
            Clue::PatternText(text) => {
                push(&mut self.patterns, rule);
                &mut self.texts.entry(text.clone()).or_default()[Place::Anywhere as usize]
            }
            Clue::Whole(text) => self.wholes.entry(text.clone()).or_default(),
            Clue::Integer(int) => self.integers.entry(*int).or_default(),
            Clue::Network(network) => {
                let key = (network.addr().is_ipv4(), network.prefix_len());
                self.networks.entry(key).or_default().entry(first_address(network.network(), key.1)).or_default()
            }
            Clue::Present => &mut self.present,
        };
        push(list, rule);
    }

    fn finish(self) -> Index {
        let mut index = Index::default();
        let mut texts: Vec<_> = self.texts.into_iter().collect();
        texts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (_, [anywhere, start, end]) in &texts {
            let rules = TextRules { anywhere: index.keep(anywhere), start: index.keep(start), end: index.keep(end) };
            index.texts.push(rules);
        }
        let bytes: usize = texts.iter().map(|text| text.0.len()).sum();
        let kind = if bytes <= TABLE_TEXT_BYTES_MAX { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        if !texts.is_empty() {
            let patterns = texts.iter().map(|text| &text.0);
            index.automaton =
                AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(kind)).build(patterns).ok();
        }
        if index.automaton.is_none() && !texts.is_empty() {
            // Too many states for an automaton: looking at every event is slow and right.
            let all: Vec<u32> = texts.into_iter().flat_map(|(_, lists)| lists.into_iter().flatten()).collect();
            index.texts.clear();
            index.present = index.keep(&[all, self.present].concat());
        } else {
            index.present = index.keep(&self.present);
        }
        index.patterns = index.keep(&self.patterns);
        for (text, rules) in self.wholes {
            let rules = index.keep(&rules);
            index.wholes.insert(text.into(), rules);
        }
        for (int, rules) in self.integers {
            let rules = index.keep(&rules);
            index.integers.insert(int, rules);
        }
        for ((is_v4, prefix), networks) in self.networks {
            let kept = networks.into_iter().map(|(first, rules)| (first, index.keep(&rules))).collect();
            index.networks.push((is_v4, prefix, kept));
        }
        index.rules.shrink_to_fit();
        index
    }
}

fn push(list: &mut Vec<u32>, rule: u32) {
    if list.last() != Some(&rule) {
        list.push(rule);
    }
}

fn first_address(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let shift = u32::from(width - prefix.min(width));
    bits.checked_shr(shift).map_or(0, |high| high << shift)
}

impl Index {
    fn keep(&mut self, rules: &[u32]) -> Rules {
        let start = self.rules.len() as u32;
        self.rules.extend_from_slice(rules);
        (start, self.rules.len() as u32)
    }

    fn each(&self, (start, end): Rules, found: &mut impl FnMut(u32)) {
        self.rules[start as usize..end as usize].iter().copied().for_each(found);
    }

    /// Names every rule of which a clue is seen; a rule may be named more than once.
    pub(super) fn search(&self, document: &Document, scratch: &Scratch, samples: Samples, mut found: impl FnMut(u32)) {
        self.each(self.present, &mut found);
        for sample in scratch.all(samples) {
            match scratch.folded_text(sample) {
                Some(text) => self.search_text(text, &mut found),
                None => {
                    let integer = document.number(sample.node).and_then(|number| number.as_integer());
                    if let Some(rules) = integer.and_then(|integer| self.integers.get(&integer)) {
                        self.each(*rules, &mut found);
                    }
                }
            }
        }
    }

    fn search_text(&self, text: &str, found: &mut impl FnMut(u32)) {
        if let Some(automaton) = &self.automaton {
            for hit in automaton.find_overlapping_iter(text) {
                let rules = self.texts[hit.pattern().as_usize()];
                self.each(rules.anywhere, found);
                if hit.start() == 0 {
                    self.each(rules.start, found);
                }
                if hit.end() == text.len() {
                    self.each(rules.end, found);
                }
            }
        }
        if let Some(rules) = self.wholes.get(text) {
            self.each(*rules, found);
        }
        if !text.is_ascii() {
            self.each(self.patterns, found);
        }
        if let Some(address) = (!self.networks.is_empty()).then(|| address::parse(text)).flatten() {
            for (is_v4, prefix, networks) in &self.networks {
                if *is_v4 == address.is_ipv4()
                    && let Some(rules) = networks.get(&first_address(address, *prefix))
                {
                    self.each(*rules, found);
                }
            }
        }
    }
}
