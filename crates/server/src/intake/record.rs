//! What a record of a stream is.

use bytes::Bytes;
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{Entry, Stream};
use std::sync::Arc;
use uuid::Uuid;

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
    pub kind: Arc<str>,
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
    pub(super) fn entry(&self) -> Entry {
        Entry {
            oid: self.oid,
            stream: self.stream,
            sid: self.sid,
            id: self.id,
            time: self.time,
            kind: Arc::clone(&self.kind),
            this_atom: self.this_atom,
            parent_atom: self.parent_atom,
            investigation_id: self.investigation_id.clone(),
            body: self.body.clone(),
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
