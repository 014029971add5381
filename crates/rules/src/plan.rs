//! All rules of an organization as one plan, in segments: see [`set`].
//!
//! A rule is evaluated only if something that it needs was seen in the event. At
//! compile time each rule gets a *cover*: a set of predicates of which at least
//! one must hold. The covers of all rules lie in one index per path: texts in tables
//! by their rarest bytes, whole values, numbers and networks by hash. An event is walked
//! once per path; what it hits names the candidates. Those of which all that is *required*
//! was found are evaluated, with the truth of each predicate kept for the event.
//! See docs/adr/0008.
//!
//! # Invariants
//!
//! 1. A rule that matches is a candidate: covers and requirements are necessary conditions.
//! 2. Candidates are evaluated in the order of the rules, since actions of one may
//!    change variables that the next one reads.
//! 3. A predicate's kept truth depends on the event and the clock only; those that
//!    read variables or templates, or another document, have no id and are not kept.

mod cover;
mod direct;
mod finder;
mod index;
mod interner;
mod literals;
mod required;
mod segment;
mod set;
mod shared;

pub use set::{Edits, Merged, RuleKey, RuleSet};
pub(crate) use shared::Scratch;

use crate::ast::{Node, Transform};
use crate::path::Path;
use crate::pattern::Pattern;
use interner::Interner;

/// The values at one path after one transform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) path: Path,
    pub(crate) transform: Transform,
}

/// Whether something can be searched for, so that a rule is not evaluated on every event of its types.
pub(crate) fn has_cover(root: &Node) -> bool {
    cover::of(root, &mut Interner::default()).is_some()
}

/// Whether a pattern needs some text that can be searched for.
pub(crate) fn has_literal(pattern: &Pattern) -> bool {
    !literals::choices(pattern).is_empty()
}
