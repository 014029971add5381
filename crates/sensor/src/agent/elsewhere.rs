//! Where servers find this sensor, and what it does when one of them sends it away.

use super::{Agent, Effect};
use muster_wire::{CELL_HINT_BYTES_MAX, Goaway};
use std::time::Duration;

/// Longest span within which a sensor connects again that was sent away: nobody should miss it for longer.
const AWAY_MAX: Duration = Duration::from_mins(5);

impl Agent {
    /// What the next hello brings back, so that servers find this sensor at once.
    #[must_use]
    pub fn cell_hint(&self) -> &[u8] {
        &self.cell_hint
    }

    /// It is a help and no more: one that is too long is as good as none.
    pub(super) fn keep_hint(&mut self, hint: &[u8]) {
        self.cell_hint = Some(hint).filter(|hint| hint.len() <= CELL_HINT_BYTES_MAX).unwrap_or_default().to_vec();
    }

    pub(super) fn away(&mut self, away: Goaway) {
        let within = Duration::from_millis(away.within_ms.into()).min(AWAY_MAX);
        self.out.effects.push(Effect::Away(within));
    }
}
