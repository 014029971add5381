//! Who owns records of which kind: it is asked now and then, and of kinds that few have.

use muster_model::Oid;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};

/// Owners by the word of the kind.
#[derive(Default)]
pub(super) struct Owners(RwLock<HashMap<String, BTreeSet<Oid>>>);

impl Owners {
    /// Those that own a record of this kind, in their order.
    pub(super) fn of(&self, kind: &str) -> Vec<Oid> {
        self.0.read().get(kind).into_iter().flatten().copied().collect()
    }

    /// What an organization owns was loaded, whatever was known of it before.
    pub(super) fn loaded<'a>(&self, oid: Oid, kinds: impl Iterator<Item = &'a str>) {
        let mut by_kind = self.0.write();
        by_kind.values_mut().for_each(|owners| _ = owners.remove(&oid));
        kinds.for_each(|kind| _ = by_kind.entry(kind.to_owned()).or_default().insert(oid));
    }

    /// Whether an organization owns a record of a kind now.
    pub(super) fn note(&self, kind: &str, oid: Oid, owns: bool) {
        if self.0.read().get(kind).is_some_and(|owners| owners.contains(&oid)) == owns {
            return;
        }
        let mut by_kind = self.0.write();
        let owners = by_kind.entry(kind.to_owned()).or_default();
        _ = if owns { owners.insert(oid) } else { owners.remove(&oid) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn who_has_none_any_more_is_no_owner() {
        let (owners, [one, two]) = (Owners::default(), [1, 2].map(|number| Oid(Uuid::from_u128(number))));
        owners.loaded(two, ["output", "service"].into_iter());
        owners.note("output", one, true);
        assert_eq!((owners.of("output"), owners.of("service")), (vec![one, two], vec![two]));
        owners.note("service", two, false);
        owners.loaded(one, ["service"].into_iter());
        assert_eq!((owners.of("output"), owners.of("service"), owners.of("other")), (vec![two], vec![one], vec![]));
    }
}
