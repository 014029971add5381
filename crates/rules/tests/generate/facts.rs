//! What the engine is told beside an event, where nothing of it matters.

use muster_rules::{Budget, Facts, NoResources, Suppression};
use parking_lot::Mutex;

/// Facts of one moment, without lookups.
pub fn facts(counters: &Mutex<Suppression>) -> Facts<'_> {
    Facts {
        now_ms: 1_700_000_000_000,
        entropy: 1,
        resources: &NoResources,
        counters,
        console_url: None,
        budget: Budget::default(),
    }
}
