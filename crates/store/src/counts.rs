//! What a store has done since it was opened, counted where it is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that reached the disk.
    pub commits: u64,
    /// Lists of changes that those commits stored: their mean is how many callers share one disk sync.
    pub lists: u64,
    /// Lists that were not stored, for whatever reason.
    pub refused: u64,
    /// Time that the commits took, from their beginning to the end of their disk sync.
    pub time: Duration,
}

/// The same, being counted.
#[derive(Default)]
pub(crate) struct Counting {
    commits: AtomicU64,
    lists: AtomicU64,
    refused: AtomicU64,
    nanos: AtomicU64,
}

impl Counting {
    /// A commit that stored so many lists.
    pub(crate) fn committed(&self, lists: usize, time: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.lists.fetch_add(lists as u64, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A list that was not stored.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// As it stands.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            commits: self.commits.load(Ordering::Relaxed),
            lists: self.lists.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}
