//! Stateful rules: anchors, what follows them, and when that is complete.
//!
//! Source: reference/detection-response.md section 10, resolutions.
//!
//! An anchor opens a [`Tracker`]: the rule's expression with every part that the
//! anchor decided replaced by its truth, and a [`Track`] where later events
//! decide. A track feeds a [`Machine`], which remembers what was satisfied.
//!
//! # Invariants
//!
//! 1. A tracker fires at most once; trackers completed by one event fire in anchor order.
//! 2. While a `with events` context is active, its rule opens no other for the sensor,
//!    and the event that completes one does not open the next.
//! 3. Memory per rule and sensor is bounded: the oldest tracker goes first.

use crate::ast::{Follow, Node, Op, Relation};
use crate::document::Document;
use crate::evaluate::{self, Leaves, Metadata, Sight};
use crate::load::Rule;
use std::cell::OnceCell;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Trackers of one rule on one sensor.
pub const TRACKERS_MAX: usize = 1024;
/// Nested trackers below one node of one tracker.
const NESTED_MAX: usize = 64;
/// Objects in one tree of descendants.
const FAMILY_MAX: usize = 4096;

/// What one rule remembers of one sensor.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleState {
    trackers: VecDeque<Tracker>,
}

/// A completed match.
pub(crate) struct Fire {
    /// The event that opened the match; none if it is the current one.
    pub(crate) anchor: Option<Arc<Document>>,
    pub(crate) metadata: Metadata,
}

/// One event on its way through the trackers of a sensor.
pub(crate) struct Fed<'a> {
    pub(crate) sight: Sight<'a>,
    pub(crate) document: &'a Document,
    pub(crate) time_ms: i64,
    /// The event's copy for anchors, made once for all rules.
    pub(crate) kept: &'a OnceCell<Arc<Document>>,
}

#[derive(Clone, Debug)]
struct Tracker {
    anchor: Arc<Document>,
    left: Residual,
    metadata: Metadata,
}

/// What is left of an expression after its anchor, in the shape of the rule.
#[derive(Clone, Debug)]
enum Residual {
    True,
    False,
    Parts(Vec<Residual>),
    Track(Box<Track>),
}

#[derive(Clone, Debug)]
struct Track {
    this: Option<Box<str>>,
    /// Shared with the copy that a step keeps.
    descendants: Arc<HashSet<Box<str>>>,
    has_nested: bool,
    machine: Machine,
}

/// What one node of a continuation remembers.
#[derive(Clone, Debug, Default)]
struct Machine {
    is_done: bool,
    hits_ms: VecDeque<i64>,
    children: Vec<Machine>,
    tracks: Vec<Track>,
}

impl RuleState {
    pub(crate) fn is_empty(&self) -> bool {
        self.trackers.is_empty()
    }

    /// Feeds one event to the trackers of a rule, oldest first; returns those that completed.
    pub(crate) fn advance(&mut self, rule: &Rule, fed: &Fed<'_>, leaves: &mut dyn Leaves) -> Vec<Fire> {
        let mut fires = Vec::new();
        self.trackers.retain_mut(|tracker| {
            tracker.left.feed(&rule.detect.root, fed, leaves, &mut tracker.metadata);
            let is_complete = matches!(tracker.left, Residual::True);
            if is_complete {
                let metadata = std::mem::take(&mut tracker.metadata);
                fires.push(Fire { anchor: Some(tracker.anchor.clone()), metadata });
            }
            !is_complete
        });
        fires
    }

    /// Takes one event as an anchor. `has_fired` tells that this event completed a tracker of the rule.
    pub(crate) fn open(
        &mut self,
        rule: &Rule,
        fed: &Fed<'_>,
        leaves: &mut dyn Leaves,
        has_fired: bool,
    ) -> Option<Fire> {
        let is_blocked = (has_fired || !self.trackers.is_empty()) && has_events_context(&rule.detect.root);
        let mut metadata = Metadata::default();
        let left = Residual::open(&rule.detect.root, fed, leaves, &mut metadata, is_blocked);
        match left {
            Residual::True => return Some(Fire { anchor: None, metadata }),
            Residual::False => {}
            _ => {
                if self.trackers.len() >= TRACKERS_MAX {
                    self.trackers.pop_front();
                }
                let anchor = fed.kept.get_or_init(|| Arc::new(fed.document.clone())).clone();
                self.trackers.push_back(Tracker { anchor, left, metadata });
            }
        }
        None
    }
}

/// Whether a node or one below it waits for later events, outside of continuations.
fn waits(node: &Node) -> bool {
    node.follow.is_some()
        || match &node.op {
            Op::All(rules) | Op::Any(rules) => !node.is_negated && !node.is_stateless && rules.iter().any(waits),
            Op::External(inner) => !node.is_negated && !node.is_stateless && waits(inner),
            _ => false,
        }
}

fn has_events_context(node: &Node) -> bool {
    node.follow.as_ref().is_some_and(|follow| follow.relation == Relation::Events)
        || match &node.op {
            Op::All(rules) | Op::Any(rules) => rules.iter().any(has_events_context),
            Op::External(inner) => has_events_context(inner),
            _ => false,
        }
}

fn parts(node: &Node) -> &[Node] {
    match &node.op {
        Op::All(rules) | Op::Any(rules) => rules,
        Op::External(inner) => std::slice::from_ref(inner),
        _ => &[],
    }
}

impl Residual {
    fn of(flag: bool) -> Self {
        if flag { Self::True } else { Self::False }
    }

    fn open(node: &Node, fed: &Fed<'_>, leaves: &mut dyn Leaves, metadata: &mut Metadata, is_blocked: bool) -> Self {
        if let Some(follow) = &node.follow {
            if !evaluate::node(node, &fed.sight, leaves, metadata) {
                return Self::False;
            }
            if is_blocked && follow.relation == Relation::Events {
                return Self::False;
            }
            return match Track::open(follow, fed, leaves, metadata) {
                Some(track) => Self::Track(Box::new(track)),
                None => Self::True,
            };
        }
        if !waits(node) {
            return Self::of(evaluate::node(node, &fed.sight, leaves, metadata));
        }
        if !evaluate::sees(node, &fed.sight, leaves) {
            return Self::False;
        }
        let is_any = matches!(node.op, Op::Any(_));
        let mut open = Vec::new();
        for part in parts(node) {
            let part = Self::open(part, fed, leaves, metadata, is_blocked);
            match (&part, is_any) {
                (Self::True, true) => return Self::True,
                (Self::False, false) => return Self::False,
                _ => open.push(part),
            }
        }
        Self::Parts(open).settled(node)
    }

    /// An expression of parts is decided as soon as they decide it.
    fn settled(self, node: &Node) -> Self {
        let Self::Parts(parts) = &self else { return self };
        let is_true = |part: &Self| matches!(part, Self::True);
        let is_false = |part: &Self| matches!(part, Self::False);
        let is_any = matches!(node.op, Op::Any(_));
        if (is_any && parts.iter().any(is_true)) || (!is_any && parts.iter().all(is_true)) {
            return Self::True;
        }
        if (is_any && parts.iter().all(is_false)) || (!is_any && parts.iter().any(is_false)) {
            return Self::False;
        }
        self
    }

    fn feed(&mut self, node: &Node, fed: &Fed<'_>, leaves: &mut dyn Leaves, metadata: &mut Metadata) {
        match self {
            Self::True | Self::False => {}
            Self::Track(track) => {
                if node.follow.as_ref().is_some_and(|follow| track.feed(follow, fed, leaves, metadata)) {
                    *self = Self::True;
                }
            }
            Self::Parts(left) => {
                for (part, rule) in left.iter_mut().zip(parts(node)) {
                    part.feed(rule, fed, leaves, metadata);
                }
                *self = std::mem::replace(self, Self::False).settled(node);
            }
        }
    }
}

impl Track {
    /// Opens a track at the current event; nothing is left if the event itself completes it.
    fn open(follow: &Follow, fed: &Fed<'_>, leaves: &mut dyn Leaves, metadata: &mut Metadata) -> Option<Self> {
        let mut track = Self {
            this: fed.document.this().map(Into::into),
            descendants: Arc::default(),
            has_nested: has_follow(&follow.rule),
            machine: Machine::default(),
        };
        let is_complete = follow.relation == Relation::Events && track.feed(follow, fed, leaves, metadata);
        (!is_complete).then_some(track)
    }

    fn feed(&mut self, follow: &Follow, fed: &Fed<'_>, leaves: &mut dyn Leaves, metadata: &mut Metadata) -> bool {
        let is_related = self.relates(follow.relation, fed.document);
        (is_related || self.has_nested) && self.machine.feed(&follow.rule, is_related, fed, leaves, metadata)
    }

    fn relates(&mut self, relation: Relation, document: &Document) -> bool {
        if relation == Relation::Events {
            return true;
        }
        let (Some(parent), Some(this)) = (document.parent(), &self.this) else { return false };
        let is_child = *parent == **this;
        if relation == Relation::Child || !(is_child || self.descendants.contains(parent)) {
            return is_child;
        }
        if let Some(this) = document.this().filter(|_| self.descendants.len() < FAMILY_MAX) {
            Arc::make_mut(&mut self.descendants).insert(this.into());
        }
        true
    }
}

/// Whether trackers can nest below a node of a continuation.
fn has_follow(node: &Node) -> bool {
    node.follow.is_some() || parts(node).iter().any(has_follow)
}

impl Machine {
    /// Feeds one event; true once the node is satisfied.
    fn feed(
        &mut self,
        node: &Node,
        is_related: bool,
        fed: &Fed<'_>,
        leaves: &mut dyn Leaves,
        metadata: &mut Metadata,
    ) -> bool {
        if self.is_done {
            return true;
        }
        let is_composite = !node.is_negated && !node.is_stateless && !parts(node).is_empty();
        let mut is_hit = if is_composite {
            self.feed_parts(node, is_related, fed, leaves, metadata)
        } else {
            is_related && evaluate::node(node, &fed.sight, leaves, metadata)
        };
        if let Some(follow) = &node.follow {
            is_hit = self.feed_tracks(follow, is_hit, fed, leaves, metadata);
        }
        self.is_done = is_hit && self.repeats(node, fed.time_ms);
        self.is_done
    }

    fn feed_parts(
        &mut self,
        node: &Node,
        is_related: bool,
        fed: &Fed<'_>,
        leaves: &mut dyn Leaves,
        metadata: &mut Metadata,
    ) -> bool {
        let rules = parts(node);
        self.children.resize_with(rules.len(), Machine::default);
        let is_shown = is_related && evaluate::sees(node, &fed.sight, leaves);
        let is_any = matches!(node.op, Op::Any(_));
        let mut done = 0;
        for (child, rule) in self.children.iter_mut().zip(rules) {
            done += usize::from(child.feed(rule, is_shown, fed, leaves, metadata));
        }
        let is_complete = if is_any { done > 0 } else { done == rules.len() };
        if is_complete {
            self.children.clear();
        }
        is_complete
    }

    fn feed_tracks(
        &mut self,
        follow: &Follow,
        is_anchor: bool,
        fed: &Fed<'_>,
        leaves: &mut dyn Leaves,
        metadata: &mut Metadata,
    ) -> bool {
        let before = self.tracks.len();
        self.tracks.retain_mut(|track| !track.feed(follow, fed, leaves, metadata));
        let mut is_complete = self.tracks.len() < before;
        let is_blocked = follow.relation == Relation::Events && before > 0;
        if is_anchor && !is_blocked {
            match Track::open(follow, fed, leaves, metadata) {
                None => is_complete = true,
                Some(track) => {
                    if self.tracks.len() >= NESTED_MAX {
                        self.tracks.remove(0);
                    }
                    self.tracks.push(track);
                }
            }
        }
        is_complete
    }

    /// Counts a hit; true when it is the last one that `count` and `within` ask for.
    fn repeats(&mut self, node: &Node, time_ms: i64) -> bool {
        let Some(repeat) = node.repeat else { return true };
        let count = repeat.count as usize;
        self.hits_ms.push_back(time_ms);
        if self.hits_ms.len() > count {
            self.hits_ms.pop_front();
        }
        let first = self.hits_ms.front().copied().unwrap_or(time_ms);
        self.hits_ms.len() == count && repeat.within_ms.is_none_or(|within| time_ms.saturating_sub(first) <= within)
    }
}
