//! What a rule requires of what was found, asked before its tree is walked.
//!
//! A candidate that does not match is the common case, and its nodes are spread over memory that is
//! seldom in a cache. Most fail because a text that all of the rule depends on is not there, or because
//! one is that excludes it: that is told by a few numbers that lie side by side.

use super::interner::{Interner, Known, Needs, proof};
use crate::ast::{Node, Op};
use crate::load::Rule;

/// Has the texts looked for that a rule asks for before anything else: one that is a candidate for every event
/// should fail by them.
pub(super) fn seek(node: &Node, interner: &mut Interner) {
    match &node.op {
        Op::All(rules) if !node.is_negated => rules.iter().for_each(|rule| seek(rule, interner)),
        Op::External(inner) if !node.is_negated => seek(inner, interner),
        Op::Test(leaf) => interner.seek(leaf),
        _ => {}
    }
}

/// The requirements of all rules.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    all: Vec<Requirement>,
    /// By rule: the end of its part of `all`, which begins where the one before ends.
    ends: Vec<u32>,
}

/// Something that must be found, or must not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    pub(super) of: Of,
    pub(super) is_wanted: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// A literal of a subject that proves its leaf.
    Literal {
        subject: u32,
        literal: u32,
    },
    Group(u32),
    /// A group of which something is there, unless one of its subjects is not ASCII.
    Possible(u32),
}

impl Requirements {
    /// Takes rules whose groups are known.
    pub(super) fn new<'a>(rules: impl Iterator<Item = &'a Rule>, leaves: &[Known], interner: &mut Interner) -> Self {
        let mut requirements = Self::default();
        for rule in rules {
            let mut walk = Walk { leaves, interner, found: &mut requirements.all };
            let start = walk.found.len();
            walk.holds(&rule.detect.root);
            // What must be there says no sooner than what must not.
            requirements.all[start..].sort_by_key(|requirement| !requirement.is_wanted);
            requirements.ends.push(requirements.all.len() as u32);
        }
        requirements.all.shrink_to_fit();
        requirements
    }

    /// What a rule requires; it does not match unless all of it is so.
    pub(super) fn of(&self, rule: u32) -> &[Requirement] {
        let start = rule.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.all[start as usize..self.ends[rule as usize] as usize]
    }
}

/// On its way through one rule.
struct Walk<'a> {
    leaves: &'a [Known],
    interner: &'a mut Interner,
    found: &'a mut Vec<Requirement>,
}

impl Walk<'_> {
    /// Adds what must be so for a node to hold; its filters only ever make it hold less.
    fn holds(&mut self, node: &Node) {
        if node.is_negated { self.op_fails(node) } else { self.op_holds(node) }
    }

    /// Adds what must be so for a node not to hold.
    fn fails(&mut self, node: &Node) {
        // One with filters may fail because of them, whatever it tests.
        match node.is_bare() {
            true if node.is_negated => self.op_holds(node),
            true => self.op_fails(node),
            false => {}
        }
    }

    fn op_holds(&mut self, node: &Node) {
        match &node.op {
            Op::All(rules) => rules.iter().for_each(|rule| self.holds(rule)),
            Op::External(inner) => self.holds(inner),
            Op::Any(_) if node.group.is_none() => {
                let possible = self.op_needs(node).map(|literals| Of::Possible(self.interner.group(literals)));
                self.push(possible, true);
            }
            _ => self.push(self.proof(node), true),
        }
    }

    fn op_fails(&mut self, node: &Node) {
        match &node.op {
            Op::Any(rules) if node.group.is_none() => rules.iter().for_each(|rule| self.fails(rule)),
            Op::External(inner) => self.fails(inner),
            _ => self.push(self.proof(node), false),
        }
    }

    fn proof(&self, node: &Node) -> Option<Of> {
        match &node.op {
            Op::Any(_) => node.group.map(Of::Group),
            Op::Test(leaf) => proof(leaf, self.leaves).map(|(subject, literal)| Of::Literal { subject, literal }),
            _ => None,
        }
    }

    /// Literals of which one must be there for a node to hold.
    fn needs(&self, node: &Node) -> Option<Vec<u32>> {
        if node.is_negated { None } else { self.op_needs(node) }
    }

    fn op_needs(&self, node: &Node) -> Option<Vec<u32>> {
        match &node.op {
            Op::All(rules) => rules.iter().filter_map(|rule| self.needs(rule)).min_by_key(Vec::len),
            Op::Any(rules) => {
                let all: Option<Vec<_>> = rules.iter().map(|rule| self.needs(rule)).collect();
                all.map(|all| all.concat())
            }
            Op::External(inner) => self.needs(inner),
            Op::Test(leaf) => match &self.leaves.get(leaf.id? as usize)?.needs {
                Needs::Text { literal, .. } => Some(vec![*literal]),
                Needs::AnyOf(literals) => Some(literals.to_vec()),
                Needs::Nothing => None,
            },
            _ => None,
        }
    }

    fn push(&mut self, of: Option<Of>, is_wanted: bool) {
        self.found.extend(of.map(|of| Requirement { of, is_wanted }));
    }
}
