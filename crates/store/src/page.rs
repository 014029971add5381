//! Pages of entries: where one ends and the next begins, alike in every adapter.

use crate::row::{Entry, EntryPage, EntryQuery, Stream};
use crate::store::{ENTRIES_PAGE_BYTES_MAX, ENTRIES_PAGE_MAX, StoreError};
use muster_model::{Oid, Timestamp};

/// Where an entry stands in its stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) time: Timestamp,
    /// Rises with every entry that is appended.
    pub(crate) arrival: u64,
}

impl EntryQuery {
    /// The oldest entries of a stream, as many as fit a page.
    #[must_use]
    pub fn all(oid: Oid, stream: Stream) -> Self {
        Self {
            oid,
            stream,
            sid: None,
            kind: None,
            investigation_id: None,
            from: Timestamp::from_micros(i64::MIN),
            to: Timestamp::MAX,
            forward: true,
            cursor: None,
            limit: ENTRIES_PAGE_MAX,
        }
    }

    /// Reads the cursor.
    pub(crate) fn cursor_place(&self) -> Result<Option<Place>, StoreError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let (time, arrival) = cursor.split_once('.').ok_or(StoreError::Cursor)?;
        let time = time.parse().map_err(|_| StoreError::Cursor)?;
        // Arrivals fit an SQL integer; a larger one was never given out.
        let arrival = arrival.parse::<i64>().ok().and_then(|arrival| u64::try_from(arrival).ok());
        Ok(Some(Place { time: Timestamp::from_micros(time), arrival: arrival.ok_or(StoreError::Cursor)? }))
    }
}

/// Collects entries until the page is full.
pub(crate) struct PageBuilder {
    page: EntryPage,
    limit: usize,
    bytes: usize,
    last: Option<Place>,
}

impl PageBuilder {
    /// A page of `limit` entries, brought into 1 to [`ENTRIES_PAGE_MAX`].
    pub(crate) fn new(limit: usize) -> Self {
        Self { page: EntryPage::default(), limit: limit.clamp(1, ENTRIES_PAGE_MAX), bytes: 0, last: None }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.page.entries.len() >= self.limit || self.bytes >= ENTRIES_PAGE_BYTES_MAX
    }

    pub(crate) fn push(&mut self, place: Place, entry: Entry) {
        self.bytes += entry.body.len();
        self.page.entries.push(entry);
        self.last = Some(place);
    }

    /// Notes that there is more behind the last entry.
    pub(crate) fn end(&mut self) {
        self.page.cursor = self.last.map(|last| format!("{}.{}", last.time.as_micros(), last.arrival));
    }

    pub(crate) fn finish(self) -> EntryPage {
        self.page
    }
}

/// First and last instant of a span of whole seconds, both included.
pub(crate) fn whole_seconds(from: i64, to: i64) -> (Timestamp, Timestamp) {
    (Timestamp::from_secs(from), Timestamp::from_micros(to.saturating_mul(1_000_000).saturating_add(999_999)))
}
