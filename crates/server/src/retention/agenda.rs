//! When an organization is looked at next: when the oldest that is kept of it has had its time, or after it grew.
//! Pure: the clock is the caller's.

use muster_model::{Oid, Timestamp};
use std::collections::{HashMap, HashSet};

/// What is due of whom; of an organization that is not in it, everything is.
#[derive(Default)]
pub(super) struct Agenda(HashMap<Oid, Timestamp>);

impl Agenda {
    /// These grew since they were looked at: what came may be old, or too much.
    pub(super) fn grew(&mut self, grown: &HashSet<Oid>) {
        grown.iter().for_each(|oid| _ = self.0.remove(oid));
    }

    pub(super) fn is_due(&self, oid: Oid, now: Timestamp) -> bool {
        self.0.get(&oid).is_none_or(|at| *at <= now)
    }

    /// Nothing is to be forgotten of an organization before this instant, unless it grows.
    pub(super) fn rests(&mut self, oid: Oid, until: Timestamp) {
        self.0.insert(oid, until);
    }

    /// Only these are there; whoever comes again is looked at anew.
    pub(super) fn keep(&mut self, is_there: impl Fn(Oid) -> bool) {
        self.0.retain(|oid, _| is_there(*oid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn who_neither_grows_nor_has_old_records_is_left_alone() {
        let (mut agenda, oid) = (Agenda::default(), Oid(Uuid::from_u128(1)));
        let second = Timestamp::from_secs;
        assert!(agenda.is_due(oid, second(0)), "nothing is known of it yet");
        agenda.rests(oid, second(100));
        assert!(!agenda.is_due(oid, second(99)) && agenda.is_due(oid, second(100)));
        agenda.grew(&HashSet::from([oid]));
        assert!(agenda.is_due(oid, second(1)));
        agenda.rests(oid, second(100));
        agenda.keep(|_| false);
        assert!(agenda.is_due(oid, second(1)), "it came again");
    }
}
