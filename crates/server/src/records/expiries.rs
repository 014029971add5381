//! Records by when their time is over, so that nobody has to look at all of them for those.

use muster_model::{Oid, Timestamp};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// The key of one record, after when its time is over.
type Expiry = (Timestamp, Oid, String);

/// Of all organizations, by kind.
#[derive(Default)]
pub(super) struct Expiries(Mutex<BTreeMap<&'static str, BTreeSet<Expiry>>>);

impl Expiries {
    /// A record is over at another instant than before, or never.
    pub(super) fn replace(
        &self,
        (kind, oid, key): (&'static str, Oid, &str),
        before: Option<Timestamp>,
        after: Option<Timestamp>,
    ) {
        if before == after {
            return;
        }
        let mut by_kind = self.0.lock();
        let expiries = by_kind.entry(kind).or_default();
        if let Some(before) = before {
            expiries.remove(&(before, oid, key.to_owned()));
        }
        expiries.extend(after.map(|after| (after, oid, key.to_owned())));
    }

    /// Whose time is over, the first ones first.
    pub(super) fn until(&self, kind: &str, now: Timestamp) -> Vec<(Oid, String)> {
        let by_kind = self.0.lock();
        let expiries = by_kind.get(kind).into_iter().flatten();
        expiries.take_while(|(at, _, _)| *at <= now).map(|(_, oid, key)| (*oid, key.clone())).collect()
    }

    pub(super) fn lose(&self, oid: Oid) {
        self.0.lock().values_mut().for_each(|expiries| expiries.retain(|(_, owner, _)| *owner != oid));
    }
}
