//! Whether a node is true of one event: the walk that every way of evaluating shares.
//!
//! The walk asks a [`Leaves`] for the truth of each leaf. [`Plain`] works each one
//! out from the document; the shared plan answers from what it knows already. So
//! both can differ in speed only.
//!
//! Source: reference/detection-response.md sections 4 and 5.

pub(crate) mod address;
pub(crate) mod predicate;
mod times;

use crate::ast::{Leaf, Lookup, Node, Op};
use crate::document::Document;
use crate::fold::folded;
use crate::load::Resources;
use crate::path::Root;
use crate::variables::Variables;
use crate::work::Work;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::ops::ControlFlow;

/// What a rule sees while it looks at one event.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) root: Root<'a>,
    pub(crate) event_type: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) variables: &'a Variables,
    pub(crate) resources: &'a dyn Resources,
    /// Set when a value could not be made, so that the rule cannot match this event even under `not`.
    pub(crate) is_void: &'a Cell<bool>,
    /// What the rule may still cost. When that is over, nothing is true any more, and the rule cannot match either.
    pub(crate) work: &'a Work,
}

impl Sight<'_> {
    /// Whether what was found counts: every value was made, and every step paid for.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_void.get() && !self.work.is_over()
    }
}

/// Steps to come to a node and to leave it.
const NODE_STEPS: u64 = 16;

/// Who knows the truth of leaves.
pub(crate) trait Leaves {
    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool;

    /// Whether any leaf of a group holds; none if that is not known as a whole.
    fn any_holds(&mut self, _group: u32, _sight: &Sight<'_>) -> Option<bool> {
        None
    }

    /// Hears of each node with its outcome; only the trace listens.
    fn heard(&mut self, _node: &Node, _outcome: bool, _note: &'static str) {}
}

/// Works every leaf out from the document: the naive way, and the oracle for the other.
pub(crate) struct Plain;

impl Leaves for Plain {
    fn holds(&mut self, leaf: &Leaf, sight: &Sight<'_>) -> bool {
        predicate::holds(&leaf.predicate, sight)
    }
}

/// Metadata of lookups that hit, by resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata(pub(crate) Map<String, Value>);

/// Evaluates a node on one event, without what follows it.
pub(crate) fn node<L: Leaves + ?Sized>(
    node: &Node,
    sight: &Sight<'_>,
    leaves: &mut L,
    metadata: &mut Metadata,
) -> bool {
    if !sight.work.spend(NODE_STEPS) || !sees(node, sight, leaves) {
        return false;
    }
    let truth = match &node.op {
        Op::All(rules) => rules.iter().all(|rule| stateless(rule, sight, leaves, metadata)),
        Op::Any(rules) => match node.group.and_then(|group| leaves.any_holds(group, sight)) {
            Some(truth) => truth,
            None => rules.iter().any(|rule| stateless(rule, sight, leaves, metadata)),
        },
        Op::Scope { path, rule } => scope(path, rule, sight, leaves, metadata),
        Op::External(inner) => stateless(inner, sight, leaves, metadata),
        Op::Test(leaf) => leaves.holds(leaf, sight),
        Op::Lookup(lookup) => look_up(lookup, sight, leaves, metadata),
        Op::Unanswerable => {
            leaves.heard(node, false, "cannot be answered here");
            return false;
        }
    };
    let outcome = truth != node.is_negated;
    leaves.heard(node, outcome, if node.is_negated { "after not" } else { "" });
    outcome
}

/// Evaluates a node where no state can be kept: one that needs a later event is not true yet.
pub(crate) fn stateless<L: Leaves + ?Sized>(
    rule: &Node,
    sight: &Sight<'_>,
    leaves: &mut L,
    metadata: &mut Metadata,
) -> bool {
    node(rule, sight, leaves, metadata) && rule.follow.is_none()
}

/// The filters of a node, which `not` does not invert: event types, then times.
pub(crate) fn sees<L: Leaves + ?Sized>(node: &Node, sight: &Sight<'_>, leaves: &mut L) -> bool {
    if !node.events.is_empty() && !node.events.iter().any(|event| &**event == sight.event_type) {
        leaves.heard(node, false, "another event type");
        return false;
    }
    if !node.times.is_empty() && !node.times.iter().any(|window| times::is_inside(window, sight.now_ms)) {
        leaves.heard(node, false, "outside of its times");
        return false;
    }
    true
}

fn scope<L: Leaves + ?Sized>(
    path: &crate::path::Path,
    rule: &Node,
    sight: &Sight<'_>,
    leaves: &mut L,
    metadata: &mut Metadata,
) -> bool {
    let mut is_found = false;
    let _ = path.select_values(sight.root, sight.work, &mut |element| {
        let inner = Sight { root: Root { scope: Some(element), ..sight.root }, ..*sight };
        is_found = stateless(rule, &inner, leaves, metadata);
        if is_found || sight.work.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

/// Steps to find a key, beside those for its bytes.
const LOOKUP_STEPS: u64 = 64;

fn look_up<L: Leaves + ?Sized>(lookup: &Lookup, sight: &Sight<'_>, leaves: &mut L, metadata: &mut Metadata) -> bool {
    predicate::any_text(&lookup.path, &lookup.transform, sight, &mut |text| {
        if !sight.work.spend(LOOKUP_STEPS + text.len() as u64) {
            return false;
        }
        let is_folded =
            lookup.is_case_sensitive || text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let key = if is_folded { text.into() } else { std::borrow::Cow::Owned(folded(text)) };
        let Some(found) = sight.resources.find(&lookup.resource, &key).filter(|found| !found.is_null()) else {
            return false;
        };
        if let Some(rule) = &lookup.metadata {
            let document = Document::from_value(found);
            let inner = Sight { root: Root { document: &document, scope: None }, ..*sight };
            if !stateless(rule, &inner, leaves, &mut Metadata::default()) {
                return false;
            }
        }
        metadata.0.insert(lookup.resource.to_string(), found.clone());
        true
    })
}
