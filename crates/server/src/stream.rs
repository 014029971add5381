//! Live streams: records go to whoever listens.
//!
//! A slow reader loses records and is told how many; it holds nobody back.
//! Source: reference/events.md section 13, reference/rest-api.md section 9.

use bytes::Bytes;
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{Entry, Stream};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Records that may wait for one reader. Above, they are dropped and counted.
const WAITING_MAX: usize = 4_096;

/// Readers per organization at once.
const READERS_MAX: usize = 256;

/// One record of a stream, with what filters look at.
#[derive(Clone, Debug)]
pub struct Record {
    /// Owner.
    pub oid: Oid,
    /// Which stream.
    pub stream: Stream,
    /// The sensor it is about.
    pub sid: Option<Sid>,
    /// Tags of the sensor when the record was made.
    pub tags: Arc<[Arc<str>]>,
    /// Event type, detection category, audit type.
    pub kind: String,
    /// `event_id`, `detect_id` …
    pub id: Uuid,
    /// Event time.
    pub time: Timestamp,
    /// `routing/this`.
    pub this_atom: Option<[u8; 16]>,
    /// `routing/parent`.
    pub parent_atom: Option<[u8; 16]>,
    /// `routing/investigation_id`.
    pub investigation_id: Option<String>,
    /// The whole record as JSON text.
    pub body: Bytes,
}

impl Record {
    /// The form in which it is kept.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            oid: self.oid,
            stream: self.stream,
            sid: self.sid,
            id: self.id,
            time: self.time,
            kind: self.kind.clone(),
            this_atom: self.this_atom,
            parent_atom: self.parent_atom,
            investigation_id: self.investigation_id.clone(),
            body: self.body.to_vec(),
        }
    }

    /// The investigation id up to its first `/`, by which filters compare.
    /// Source: reference/sensor.md section 10.4.
    #[must_use]
    pub fn investigation_base(&self) -> Option<&str> {
        self.investigation_id.as_deref().map(|id| id.split('/').next().unwrap_or(id))
    }

    /// Kept from outputs: made for internal use. Source: reference/events.md section 11.3.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let has_private_category = self.stream == Stream::Detect && self.kind.starts_with("__");
        has_private_category || self.investigation_id.as_deref().is_some_and(|id| id.starts_with("__"))
    }
}

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
            && self.category.as_deref().is_none_or(|wanted| record.kind == wanted)
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

    /// Hands a record to everyone who wants it.
    pub fn publish(&self, record: &Record) {
        let readers = self.0.readers.read();
        let Some(of_organization) = readers.get(&record.oid) else { return };
        for reader in of_organization.iter().filter(|reader| reader.stream == record.stream) {
            if reader.filter.admits(record) && reader.to.try_send(record.body.clone()).is_err() {
                reader.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
