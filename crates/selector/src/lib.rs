//! Sensor selector expressions: one line that picks sensors by their properties.
//!
//! ```
//! use muster_selector::Selector;
//!
//! let selector = Selector::parse("plat == linux and `web-tier` in tags and not isolated")?;
//! assert_eq!(
//!     selector.explain(),
//!     "and\n├─ plat == \"linux\"\n├─ \"web-tier\" in tags\n└─ not\n   └─ isolated\n"
//! );
//!
//! let error = Selector::parse("web-tier in tags").unwrap_err();
//! assert_eq!(error.hint.as_deref(), Some("quote the value, e.g. `web-tier`"));
//! # Ok::<(), muster_selector::SelectorError>(())
//! ```
//!
//! A text is parsed (`parse`), names, types, literals and patterns are checked
//! (`check`), and what remains cannot fail: it is asked of one sensor
//! ([`Selector::matches`]) or of a whole fleet at once ([`Selector::select`]).
//!
//! Source: reference/selectors.md, with the extended profile.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod ast;
mod check;
mod error;
mod evaluate;
mod explain;
mod field;
mod index;
mod literal;
mod parse;
mod pattern;
mod targeting;

pub use error::{ErrorKind, SelectorError};
pub use field::Flag;
pub use index::Fleet;
pub use targeting::Targeting;

use evaluate::Node;
use muster_model::Sensor;
use roaring::RoaringBitmap;
use std::fmt;
use std::sync::Arc;

/// A checked selector; cheap to clone.
#[derive(Clone)]
pub struct Selector(Arc<Inner>);

struct Inner {
    text: Box<str>,
    root: Node,
    mentions_deleted: bool,
}

impl Selector {
    /// Parses and checks a text of at most 16 KiB.
    ///
    /// Blank text is an error here; [`Selector::from_targeting`] takes it for `*`.
    ///
    /// # Errors
    ///
    /// The first mistake from the left; every mistake there can be is found here.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let expr = parse::parse(text)?;
        let check::Checked { root, mentions_deleted } = check::check(&expr, text)?;
        Ok(Self(Arc::new(Inner { text: text.into(), root, mentions_deleted })))
    }

    /// The selector `*`: every sensor.
    #[must_use]
    pub fn all() -> Self {
        Self(Arc::new(Inner { text: "*".into(), root: Node::All, mentions_deleted: false }))
    }

    /// Whether it is `*`.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(self.0.root, Node::All)
    }

    /// The text that it was made from, unchanged: what is to be stored.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether `is_del` occurs, so that deleted sensors are not left out.
    ///
    /// Source: reference/selectors.md section 10.
    #[must_use]
    pub fn mentions_deleted(&self) -> bool {
        self.0.mentions_deleted
    }

    /// Whether the expression is true of the sensor, deleted or not.
    ///
    /// Does not allocate, but for `contains` and `matches` on a platform code without a name.
    #[must_use]
    pub fn matches(&self, sensor: &Sensor) -> bool {
        self.0.root.holds(sensor, None)
    }

    /// Whether the sensor is one of those that [`Selector::select`] would find.
    #[must_use]
    pub fn selects(&self, sensor: &Sensor) -> bool {
        (self.0.mentions_deleted || !sensor.deleted) && self.matches(sensor)
    }

    /// The ordinals of the sensors meant: those that match, without the deleted ones unless
    /// the expression mentions `is_del`.
    #[must_use]
    pub fn select(&self, fleet: &impl Fleet) -> RoaringBitmap {
        match fleet.flagged(Flag::Deleted) {
            Some(deleted) if !self.0.mentions_deleted => index::select(&self.0.root, fleet, &(fleet.all() - deleted)),
            _ => index::select(&self.0.root, fleet, fleet.all()),
        }
    }

    /// The conditions that no sensor of the fleet meets, whatever it is asked: a sensor id that is none, a platform or
    /// architecture that does not exist, a tag that nobody has. As written in [`Selector::explain`].
    #[must_use]
    pub fn never_true(&self, fleet: &impl Fleet) -> Vec<&str> {
        let mut labels = Vec::new();
        self.0.root.collect_never_true(fleet, &mut labels);
        labels
    }

    /// The expression as a tree, one line for each node, ending in a newline.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut tree = String::new();
        explain::draw(&self.0.root, "", &mut tree);
        tree
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Selector").field(&self.0.text).finish()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}
