//! Live streams: records go to whoever listens.
//!
//! A slow reader loses records and is told how many; it holds nobody back.
//! Source: reference/events.md section 13, reference/rest-api.md section 9.

use super::{Committed, Record};
use bytes::Bytes;
use muster_model::{Oid, Sid};
use muster_store::Stream;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Records that may wait for one reader. Above, they are dropped and counted.
const WAITING_MAX: usize = 4_096;

/// Readers per organization at once.
const READERS_MAX: usize = 256;

/// What a reader wants to see; all conditions are ANDed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Investigation id, up to its first `/`.
    pub investigation: Option<String>,
    /// Tag of the sensor.
    pub tag: Option<String>,
    /// Event type or category.
    pub category: Option<String>,
    /// The sensor.
    pub sid: Option<Sid>,
}

impl Filter {
    /// Whether a record passes.
    #[must_use]
    pub fn admits(&self, record: &Record) -> bool {
        let investigation = self.investigation.as_deref().map(|id| id.split('/').next().unwrap_or(id));
        investigation.is_none_or(|wanted| record.investigation_base() == Some(wanted))
            && self.sid.is_none_or(|wanted| record.sid == Some(wanted))
            && self.category.as_deref().is_none_or(|wanted| *record.kind == *wanted)
            && self.tag.as_deref().is_none_or(|wanted| record.tags.iter().any(|tag| **tag == *wanted))
    }
}

/// Someone who listens.
struct Reader {
    id: u64,
    stream: Stream,
    filter: Filter,
    to: mpsc::Sender<Bytes>,
    dropped: Arc<AtomicU64>,
}

/// The listening end. Dropping it ends the subscription.
pub struct Subscription {
    /// Records as JSON text, without a line end.
    pub records: mpsc::Receiver<Bytes>,
    dropped: Arc<AtomicU64>,
    oid: Oid,
    id: u64,
    hub: Arc<Hub>,
}

impl Subscription {
    /// Records lost since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.hub.readers.write();
        if let Some(of_organization) = readers.get_mut(&self.oid) {
            of_organization.retain(|reader| reader.id != self.id);
            if of_organization.is_empty() {
                readers.remove(&self.oid);
            }
        }
    }
}

#[derive(Default)]
struct Hub {
    readers: RwLock<HashMap<Oid, Vec<Reader>>>,
    next_id: AtomicU64,
}

/// All live readers of the server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Streams(Arc<Hub>);

impl Streams {
    /// Subscribes; `None` if the organization has too many readers already.
    #[must_use]
    pub fn subscribe(&self, oid: Oid, stream: Stream, filter: Filter) -> Option<Subscription> {
        let (to, records) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let mut readers = self.0.readers.write();
        let of_organization = readers.entry(oid).or_default();
        if of_organization.len() >= READERS_MAX {
            return None;
        }
        of_organization.push(Reader { id, stream, filter, to, dropped: Arc::clone(&dropped) });
        Some(Subscription { records, dropped, oid, id, hub: Arc::clone(&self.0) })
    }

    /// Whether anyone in the organization listens to a stream.
    #[must_use]
    pub fn has_readers(&self, oid: Oid, stream: Stream) -> bool {
        self.0.readers.read().get(&oid).is_some_and(|readers| readers.iter().any(|reader| reader.stream == stream))
    }

    /// Hands stored records to everyone who wants them.
    pub fn publish(&self, committed: &Committed<'_>) {
        let readers = self.0.readers.read();
        for record in committed.records() {
            let Some(of_organization) = readers.get(&record.oid) else { continue };
            for reader in of_organization.iter().filter(|reader| reader.stream == record.stream) {
                if reader.filter.admits(record) && reader.to.try_send(record.body.clone()).is_err() {
                    reader.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}
