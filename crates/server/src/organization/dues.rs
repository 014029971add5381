//! When organizations are to be told that time passed: each is looked at when it has something to do, and not before.

use muster_model::Oid;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What is due when, by the time since boot.
#[derive(Default)]
pub struct Dues {
    by_time: Mutex<BTreeSet<(Duration, Oid)>>,
    /// The first one came to be earlier.
    sooner: Notify,
}

impl Dues {
    /// An organization is due at another instant than before.
    pub(super) fn put(&self, oid: Oid, before: Option<Duration>, due: Duration) {
        let mut by_time = self.by_time.lock();
        if let Some(before) = before {
            by_time.remove(&(before, oid));
        }
        by_time.insert((due, oid));
        let is_first = by_time.first() == Some(&(due, oid));
        drop(by_time);
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Takes out those that are due.
    pub(super) fn take(&self, since_boot: Duration) -> Vec<Oid> {
        let mut by_time = self.by_time.lock();
        let mut due = Vec::new();
        while by_time.first().is_some_and(|(at, _)| *at <= since_boot) {
            due.extend(by_time.pop_first().map(|(_, oid)| oid));
        }
        due
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.lock().first().map(|(at, _)| *at)
    }

    /// Waits until something is due earlier than [`Dues::next`] said. Cancel safe.
    pub(super) async fn sooner(&self) {
        self.sooner.notified().await;
    }
}

/// An organization's entry in the [`Dues`].
#[derive(Default)]
pub(super) struct Due {
    dues: Option<Arc<Dues>>,
    at: Option<Duration>,
}

impl Due {
    /// One that is looked at for the first time soon.
    pub(super) fn enter(&mut self, dues: &Arc<Dues>, oid: Oid) {
        dues.put(oid, None, Duration::ZERO);
        (self.dues, self.at) = (Some(Arc::clone(dues)), Some(Duration::ZERO));
    }

    /// It is being looked at.
    pub(super) fn looked_at(&mut self) {
        self.at = None;
    }

    /// It is to be looked at by then. A later instant than before is found when it is looked at.
    pub(super) fn by(&mut self, oid: Oid, due: Duration) {
        if let Some(dues) = &self.dues
            && self.at.is_none_or(|at| due < at)
        {
            dues.put(oid, self.at, due);
            self.at = Some(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_organization_is_in_it_once_with_what_is_earliest() {
        let (dues, oid) = (Arc::new(Dues::default()), Oid(Uuid::from_u128(1)));
        let second = Duration::from_secs;
        let mut due = Due::default();
        due.by(oid, second(1));
        assert_eq!(dues.next(), None, "one that was not entered is looked at by nobody");
        due.enter(&dues, oid);
        assert_eq!((dues.take(second(0)), dues.next()), (vec![oid], None));
        due.looked_at();
        due.by(oid, second(60));
        due.by(oid, second(90));
        due.by(oid, second(30));
        assert_eq!((dues.take(second(29)), dues.next()), (vec![], Some(second(30))));
        assert_eq!((dues.take(second(100)), dues.next()), (vec![oid], None));
    }
}
