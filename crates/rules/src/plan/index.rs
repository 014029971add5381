//! What is looked for in the values at one path, for all rules in one pass.

use super::cover::{Clue, Cover, Place};
use super::finder::{Finder, Value};
use super::interner::Interner;
use crate::evaluate::address;
use core::net::IpAddr;
use std::collections::HashMap;

/// A list of rules or groups, in the index's `rules`.
type Rules = (u32, u32);

/// What the rules ask of one subject.
#[derive(Default)]
pub(super) struct Index {
    rules: Vec<u32>,
    finder: Finder,
    /// By text of the finder.
    literals: Vec<Literal>,
    integers: HashMap<i128, Rules>,
    /// By kind and prefix length: networks by their first address.
    networks: Vec<(bool, u8, HashMap<u128, Rules>)>,
    /// Rules with a pattern, for values that are not ASCII.
    patterns: Rules,
    present: Rules,
}

/// What a text of the finder means.
#[derive(Clone, Copy)]
struct Literal {
    /// Its number among the literals of all subjects.
    id: u32,
    /// Rules that need it.
    rules: Rules,
    /// Groups that it proves, in `rules` as well.
    groups: Rules,
}

/// All indexes while they are made: first what the covers need, then what the predicates ask for.
pub(super) struct Draft {
    /// By literal: the rules whose cover has it.
    needed_by: Vec<Vec<u32>>,
    subjects: Vec<DraftOfSubject>,
}

impl Draft {
    /// Takes the clues of the covers of all rules.
    pub(super) fn new(interner: &mut Interner, covers: &[Option<Cover>]) -> Self {
        let mut draft = Self { needed_by: Vec::new(), subjects: Vec::new() };
        draft.subjects.resize_with(interner.subjects.len(), DraftOfSubject::default);
        for (rule, cover) in (0..).zip(covers) {
            for (subject, clue) in cover.iter().flat_map(|cover| &cover.clues) {
                let of_subject = &mut draft.subjects[*subject as usize];
                let literal = match clue {
                    Clue::Text(text, place) => interner.literal(*subject, text, *place),
                    Clue::PatternText(text) => {
                        push(&mut of_subject.patterns, rule);
                        interner.literal(*subject, text, Place::Anywhere)
                    }
                    other => {
                        of_subject.add(other, rule);
                        continue;
                    }
                };
                draft.needed_by.resize_with(interner.literals.len(), Vec::new);
                push(&mut draft.needed_by[literal as usize], rule);
            }
        }
        draft
    }

    /// One index per subject, with all literals that were asked for meanwhile.
    pub(super) fn finish(mut self, interner: &Interner) -> Vec<Index> {
        self.needed_by.resize_with(interner.literals.len(), Vec::new);
        for (literal, key) in interner.literals.iter().enumerate() {
            self.subjects[key.subject as usize].literals.push(literal as u32);
        }
        let mut proves: Vec<Vec<u32>> = vec![Vec::new(); interner.literals.len()];
        for (group, literals) in interner.groups.iter().map(|group| &group.literals).enumerate() {
            literals.iter().for_each(|literal| proves[*literal as usize].push(group as u32));
        }
        self.subjects.into_iter().map(|draft| draft.finish(interner, &self.needed_by, &proves)).collect()
    }
}

#[derive(Default)]
struct DraftOfSubject {
    literals: Vec<u32>,
    integers: HashMap<i128, Vec<u32>>,
    networks: HashMap<(bool, u8), HashMap<u128, Vec<u32>>>,
    patterns: Vec<u32>,
    present: Vec<u32>,
}

impl DraftOfSubject {
    fn add(&mut self, clue: &Clue, rule: u32) {
        let list = match clue {
            Clue::Integer(int) => self.integers.entry(*int).or_default(),
            Clue::Network(network) => {
                let key = (network.addr().is_ipv4(), network.prefix_len());
                self.networks.entry(key).or_default().entry(first_address(network.network(), key.1)).or_default()
            }
            Clue::Present | Clue::Text(..) | Clue::PatternText(_) => &mut self.present,
        };
        push(list, rule);
    }

    fn finish(self, interner: &Interner, needed_by: &[Vec<u32>], proves: &[Vec<u32>]) -> Index {
        let mut index = Index::default();
        let key = |literal: &u32| &interner.literals[*literal as usize];
        index.finder = Finder::new(self.literals.iter().map(|literal| (&*key(literal).text, key(literal).place)));
        for literal in &self.literals {
            let rules = index.keep(&needed_by[*literal as usize]);
            let groups = index.keep(&proves[*literal as usize]);
            index.literals.push(Literal { id: *literal, rules, groups });
        }
        index.patterns = index.keep(&self.patterns);
        index.present = index.keep(&self.present);
        for (int, rules) in self.integers {
            let rules = index.keep(&rules);
            index.integers.insert(int, rules);
        }
        for ((is_v4, prefix), networks) in self.networks {
            let kept = networks.into_iter().map(|(first, rules)| (first, index.keep(&rules))).collect();
            index.networks.push((is_v4, prefix, kept));
        }
        index.rules.shrink_to_fit();
        index.literals.shrink_to_fit();
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

/// What a search tells of.
pub(super) trait Finds {
    /// A literal is in the value; gives whether that is news.
    fn literal(&mut self, literal: u32) -> bool;

    /// A group holds.
    fn group(&mut self, group: u32);

    /// A rule may match.
    fn rule(&mut self, rule: u32);
}

impl Index {
    fn keep(&mut self, rules: &[u32]) -> Rules {
        let start = self.rules.len() as u32;
        self.rules.extend_from_slice(rules);
        (start, self.rules.len() as u32)
    }

    fn each(&self, (start, end): Rules, finds: &mut impl Finds) {
        self.rules[start as usize..end as usize].iter().for_each(|rule| finds.rule(*rule));
    }

    /// To be called once if there is any value.
    pub(super) fn any(&self, finds: &mut impl Finds) {
        self.each(self.present, finds);
    }

    /// Searches a value that is a number; a rule may be named more than once.
    pub(super) fn integer(&self, integer: i128, finds: &mut impl Finds) {
        if let Some(rules) = self.integers.get(&integer) {
            self.each(*rules, finds);
        }
    }

    /// Searches the folded value at `start` of `texts`; a rule may be named more than once.
    ///
    /// See [`Finder::find`] for what must follow the value.
    pub(super) fn text(&self, texts: &str, (start, len): (u32, u32), is_ascii: bool, finds: &mut impl Finds) {
        let (start, len) = (start as usize, len as usize);
        self.finder.find(Value { text: texts.as_bytes(), start, len }, &mut |number| {
            let literal = self.literals[number as usize];
            if finds.literal(literal.id) {
                self.each(literal.rules, finds);
                let (start, end) = literal.groups;
                self.rules[start as usize..end as usize].iter().for_each(|group| finds.group(*group));
            }
        });
        if !is_ascii {
            self.each(self.patterns, finds);
        }
        if let Some(address) = (!self.networks.is_empty()).then(|| address::parse(&texts[start..start + len])).flatten()
        {
            for (is_v4, prefix, networks) in &self.networks {
                if *is_v4 == address.is_ipv4()
                    && let Some(rules) = networks.get(&first_address(address, *prefix))
                {
                    self.each(*rules, finds);
                }
            }
        }
    }
}
