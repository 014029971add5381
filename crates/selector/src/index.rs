//! Evaluation over a whole fleet.
//!
//! A fleet numbers its sensors densely and keeps bitmaps of what is asked most:
//! platform, architecture, tags, flags. Conditions on those are bitmap algebra;
//! any other condition is looked at sensor by sensor, but only for the
//! candidates that the rest of the expression leaves.

use crate::evaluate::{Node, Predicate, Test};
use crate::field::Flag;
use muster_model::{Architecture, Platform, Sensor, Sid};
use roaring::RoaringBitmap;

/// The sensors of one organization, by ordinal, and their indexes.
///
/// Indexes are complete: `None` says that no sensor has the property, not that it
/// is unknown. They may contain ordinals that [`Fleet::all`] lacks; such are ignored.
pub trait Fleet {
    /// The ordinals in use, deleted sensors included.
    fn all(&self) -> &RoaringBitmap;

    /// The sensor with this ordinal.
    fn sensor(&self, ordinal: u32) -> Option<&Sensor>;

    /// The ordinal of a sensor.
    fn by_sid(&self, sid: Sid) -> Option<u32>;

    /// Sensors with this tag in force; as [`Sensor::has_tag`] tells.
    fn tagged(&self, tag: &str) -> Option<&RoaringBitmap>;

    /// Sensors of this platform.
    fn on_platform(&self, platform: Platform) -> Option<&RoaringBitmap>;

    /// Sensors of this architecture.
    fn with_architecture(&self, architecture: Architecture) -> Option<&RoaringBitmap>;

    /// Sensors that have this flag; [`Flag::Deleted`] among them.
    fn flagged(&self, flag: Flag) -> Option<&RoaringBitmap>;
}

/// Those of `candidates` of which the expression is true.
pub(crate) fn select(node: &Node, fleet: &impl Fleet, candidates: &RoaringBitmap) -> RoaringBitmap {
    match node {
        Node::All => candidates.clone(),
        Node::Not(part) => candidates - select(part, fleet, candidates),
        Node::And(parts) => {
            let mut found: Option<RoaringBitmap> = None;
            for part in indexed_first(parts) {
                found = Some(select(part, fleet, found.as_ref().unwrap_or(candidates)));
            }
            found.unwrap_or_else(|| candidates.clone())
        }
        Node::Or(parts) => {
            let mut found = RoaringBitmap::new();
            for part in indexed_first(parts) {
                if is_indexed(part) {
                    found |= select(part, fleet, candidates);
                } else {
                    found |= select(part, fleet, &(candidates - &found));
                }
            }
            found
        }
        Node::Test(test) => condition(test, fleet, candidates),
    }
}

impl Node {
    /// Labels of the conditions that no sensor meets, in the order in which they are written.
    pub(crate) fn collect_never_true<'a>(&'a self, fleet: &impl Fleet, labels: &mut Vec<&'a str>) {
        match self {
            Self::All => {}
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.collect_never_true(fleet, labels));
            }
            Self::Not(part) => part.collect_never_true(fleet, labels),
            Self::Test(test) => {
                let is_never = match &test.predicate {
                    Predicate::Sid(sid) => sid.and_then(|sid| fleet.by_sid(sid)).is_none(),
                    Predicate::Platform(platform) => platform.is_none(),
                    Predicate::ExtPlatform(platform) => platform.is_none(),
                    Predicate::Architecture(architecture) => architecture.is_none(),
                    Predicate::Tagged(tag) => tag.as_deref().is_none_or(|tag| fleet.tagged(tag).is_none()),
                    _ => false,
                };
                if is_never && !test.negated {
                    labels.push(&test.label);
                }
            }
        }
    }
}

fn indexed_first(parts: &[Node]) -> impl Iterator<Item = &Node> {
    let indexed = parts.iter().filter(|part| is_indexed(part));
    indexed.chain(parts.iter().filter(|part| !is_indexed(part)))
}

/// Whether a node needs no look at single sensors.
fn is_indexed(node: &Node) -> bool {
    match node {
        Node::All => true,
        Node::Not(part) => is_indexed(part),
        Node::And(parts) | Node::Or(parts) => parts.iter().all(is_indexed),
        Node::Test(test) => match test.predicate {
            Predicate::Sid(_)
            | Predicate::Platform(_)
            | Predicate::Architecture(_)
            | Predicate::Flag(..)
            | Predicate::Tagged(_)
            | Predicate::Nil => true,
            Predicate::ExtPlatform(_)
            | Predicate::Text(..)
            | Predicate::Instant(..)
            | Predicate::Untagged
            | Predicate::Each(..) => false,
        },
    }
}

fn condition(test: &Test, fleet: &impl Fleet, candidates: &RoaringBitmap) -> RoaringBitmap {
    let (having, wanted) = match &test.predicate {
        Predicate::Sid(sid) => {
            let ordinal = sid.and_then(|sid| fleet.by_sid(sid));
            let found: RoaringBitmap = ordinal.into_iter().collect();
            return narrow(candidates, Some(&found), !test.negated);
        }
        Predicate::Platform(platform) => (platform.and_then(|platform| fleet.on_platform(platform)), true),
        Predicate::Architecture(architecture) => (architecture.and_then(|code| fleet.with_architecture(code)), true),
        Predicate::Flag(flag, wanted) => (fleet.flagged(*flag), *wanted),
        Predicate::Tagged(tag) => (tag.as_deref().and_then(|tag| fleet.tagged(tag)), true),
        Predicate::Nil => (None, true),
        other => {
            let is_true =
                |ordinal: &u32| fleet.sensor(*ordinal).is_some_and(|sensor| other.holds(sensor, None) != test.negated);
            return candidates.iter().filter(is_true).collect();
        }
    };
    narrow(candidates, having, wanted != test.negated)
}

/// The candidates that are in `having`, or that are not.
fn narrow(candidates: &RoaringBitmap, having: Option<&RoaringBitmap>, wanted: bool) -> RoaringBitmap {
    match (having, wanted) {
        (Some(having), true) => candidates & having,
        (Some(having), false) => candidates - having,
        (None, true) => RoaringBitmap::new(),
        (None, false) => candidates.clone(),
    }
}
