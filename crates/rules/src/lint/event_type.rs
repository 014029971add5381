//! Event types that do not exist, and platforms that do not have them.

use super::{Findings, NEVER, SUSPICIOUS};
use crate::ast::Node;

/// Edits that still make a name look like another one.
const EDITS_MAX: usize = 2;

/// Shortest name that is compared so: most short ones look like each other.
const NAME_CHARS_MIN: usize = 5;

impl Findings<'_> {
    /// A type that is unknown and looks like one that is known; others may come from adapters.
    pub(super) fn event_types(&mut self, node: &Node) {
        for event in &node.events {
            if self.known.iter().any(|known| known.name == &**event) || event.chars().count() < NAME_CHARS_MIN {
                continue;
            }
            let upper = event.to_ascii_uppercase();
            let distance = |name: &str| strsim::levenshtein(name, &upper);
            let near = self.known.iter().map(|known| (distance(known.name), known.name)).min();
            if let Some((_, name)) = near.filter(|(distance, _)| *distance <= EDITS_MAX) {
                let message = format!("no sensor sends {event}; did you mean {name}?");
                self.add(SUSPICIOUS, message, &node.place);
            }
        }
    }

    /// Types of one platform, on a sensor that must be of another one.
    pub(super) fn platform_of_types(&mut self, types: &[&str], platform: &str, place: &str) {
        let platform_of = |name: &str| self.known.iter().find(|known| known.name == name)?.platform;
        let owners: Option<Vec<&str>> = types.iter().map(|name| platform_of(name)).collect();
        if let Some(owners) = owners.filter(|owners| !owners.is_empty() && owners.iter().all(|have| *have != platform))
        {
            let message = format!("sensors of {platform} do not send {}; those of {} do", types.join(", "), owners[0]);
            self.add(NEVER, message, place);
        }
    }
}
