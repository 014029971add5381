//! One rule on its own: the naive evaluation, and the trace of a decision.
//!
//! The engine's shared plan must agree with [`evaluate_one`] on every event.

use crate::ast::{Leaf, Node, Target};
use crate::document::Document;
use crate::evaluate::{self, Leaves, Metadata, Plain, Sight, predicate};
use crate::load::{Resources, Rule};
use crate::path::Root;
use crate::variables::Variables;
use crate::work::{Budget, Work};
use serde::Serialize;
use std::cell::Cell;
use std::fmt;

/// Most steps of one trace.
pub const TRACE_STEPS_MAX: usize = 10_000;

/// The type that a rule's `event` is compared with: it depends on the stream.
#[must_use]
pub fn event_type(target: Target, document: &Document) -> Option<&str> {
    let field = |name| document.child(0, name).and_then(|node| document.text(node));
    match target {
        Target::Detection => field("cat"),
        Target::Audit => field("etype"),
        Target::Artifact => None,
        _ => document.event_type(),
    }
}

/// Whether a rule's condition is true of one event, without any state: the naive way.
///
/// A stateful node is not true yet on a single event; a rule that costs more than [`Budget::default`] is not true.
#[must_use]
pub fn evaluate_one(rule: &Rule, document: &Document, now_ms: i64, resources: &dyn Resources) -> bool {
    walk(rule, document, now_ms, resources, &mut Plain)
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where the node stands, such as `detect/rules/0`.
    pub place: String,
    /// Its operator.
    pub op: String,
    /// Whether it was true.
    pub outcome: bool,
    /// Why, where that is not obvious.
    pub note: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.outcome { "yes" } else { "no" };
        write!(f, "{outcome:3} {} ({})", self.place, self.op)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, ": {}", self.note) }
    }
}

/// How a rule decided on one event: the nodes in the order of evaluation, children before parents.
///
/// At most [`TRACE_STEPS_MAX`] steps are kept.
#[must_use]
pub fn trace(rule: &Rule, document: &Document, now_ms: i64, resources: &dyn Resources) -> (bool, Vec<Step>) {
    let mut listener = Listener::default();
    let outcome = walk(rule, document, now_ms, resources, &mut listener);
    (outcome, listener.steps)
}

/// How many nodes a rule asks to decide on one event: what an evaluation costs.
#[must_use]
pub fn evaluations(rule: &Rule, document: &Document, now_ms: i64, resources: &dyn Resources) -> u64 {
    let mut counter = Counter(0);
    walk(rule, document, now_ms, resources, &mut counter);
    counter.0
}

fn walk(rule: &Rule, document: &Document, now_ms: i64, resources: &dyn Resources, leaves: &mut dyn Leaves) -> bool {
    let (is_void, work) = (Cell::new(false), Work::of_one_rule(Budget::default()));
    let sight = Sight {
        root: Root { document, scope: None },
        event_type: event_type(rule.target(), document).unwrap_or_default(),
        now_ms,
        variables: &Variables::default(),
        resources,
        is_void: &is_void,
        work: &work,
    };
    evaluate::stateless(&rule.detect.root, &sight, leaves, &mut Metadata::default()) && sight.is_whole()
}

struct Counter(u64);

impl Leaves for Counter {
    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool {
        predicate::holds(&leaf.predicate, sight)
    }

    fn heard(&mut self, _node: &Node, _outcome: bool, _note: &'static str) {
        self.0 += 1;
    }
}

#[derive(Default)]
struct Listener {
    steps: Vec<Step>,
}

impl Leaves for Listener {
    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool {
        predicate::holds(&leaf.predicate, sight)
    }

    fn heard(&mut self, node: &Node, outcome: bool, note: &'static str) {
        if self.steps.len() < TRACE_STEPS_MAX {
            let (place, op) = (node.place.to_string(), node.operator.to_owned());
            self.steps.push(Step { place, op, outcome, note: note.to_owned() });
        }
    }
}
