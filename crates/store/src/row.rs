//! What is stored: rows and changes, in domain words.

use crate::claim::Claim;
use crate::run::Run;
use crate::store::StoreError;
use bytes::Bytes;
use muster_model::{Oid, Sid, TaskId, Timestamp};
pub use muster_tasking::SensorRow;
use muster_tasking::Target;
use roaring::RoaringBitmap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// One change. A list of them is one atomic commit.
#[derive(Clone, Debug)]
pub enum Write {
    /// Takes an organization over: fails with [`crate::StoreError::Deposed`] unless the claim before had the term before.
    /// Lists of all earlier owners fail from then on.
    Claim(Claim),
    /// Fails with [`crate::StoreError::Deposed`] unless this is the claim that stands.
    Hold(Claim),
    /// Whoever wants the organization may take it up, if this is the claim that stands; else nothing happens.
    GiveUp(Claim),
    /// Creates or replaces a configuration record.
    PutRecord {
        /// The record; its `revision` is ignored: the store counts it up from 1.
        record: Record,
        /// What must be stored now for the change to be made.
        expect: Expect,
    },
    /// Deletes a configuration record; deleting one that is not there is no error.
    DeleteRecord {
        /// Owner.
        oid: Oid,
        /// Kind word.
        kind: &'static str,
        /// Name within the kind.
        key: String,
    },
    /// Creates or replaces a sensor.
    PutSensor(Box<SensorRow>),
    /// Notes the highest event sequence number stored from a sensor's spool; of the same spool it only rises.
    PutSpool {
        /// Owner.
        oid: Oid,
        /// The sensor.
        ordinal: u32,
        /// Which spool; another id starts over.
        spool_id: [u8; 16],
        /// Highest stored sequence number, at most 2^63 - 1 (above that, it counts as that).
        seq: u64,
        /// Number that must be stored of this spool now; fails with [`crate::StoreError::Conflict`] if it is
        /// another one, or of another spool. `None` asks for nothing.
        after: Option<u64>,
    },
    /// Creates a reliable task; fails with [`crate::StoreError::Conflict`] if the number or id is taken.
    CreateTask(Box<TaskRow>),
    /// Replaces the control part of a task (paused, stopped …); nothing happens if the task is not there.
    PutTaskControl {
        /// Owner.
        oid: Oid,
        /// Number of the task.
        task: u64,
        /// JSON text.
        control: String,
    },
    /// Creates or replaces what is known of targets; those of a task that is not there (forgotten) are dropped.
    PutTargets {
        /// Owner.
        oid: Oid,
        /// Task number, sensor ordinal, target.
        targets: Vec<(u64, u32, Target)>,
    },
    /// Forgets a task with its targets (retention).
    DeleteTask {
        /// Owner.
        oid: Oid,
        /// Number of the task.
        task: u64,
    },
    /// Keeps records of streams.
    Append(Vec<Entry>),
    /// Forgets records of a stream (retention), at most [`crate::TRIM_ENTRIES_MAX`] of them:
    /// [`crate::Store::forget`] tells how many, so that its caller knows whether to repeat it.
    Trim {
        /// Owner.
        oid: Oid,
        /// Which stream.
        stream: Stream,
        /// Which records of it.
        what: Trim,
    },
    /// Appends to the durable queue of an output; positions rise from 1 and are never used again.
    Enqueue {
        /// Owner.
        oid: Oid,
        /// Name of the output.
        output: String,
        /// The record as it will be sent, in order.
        bodies: Vec<Vec<u8>>,
    },
    /// Takes delivered records out of the queue of an output: all up to and including `through`.
    Dequeue {
        /// Owner.
        oid: Oid,
        /// Name of the output.
        output: String,
        /// Position of the last delivered record.
        through: u64,
    },
    /// Creates or replaces messages to programs of others, with their bodies.
    PutDeliveries {
        /// Owner.
        oid: Oid,
        /// Each with its body as JSON text.
        deliveries: Vec<(Delivery, Vec<u8>)>,
    },
    /// Creates messages to programs of others that are put together.
    PutRuns {
        /// Owner.
        oid: Oid,
        /// At places that nothing has that is there.
        runs: Vec<Run>,
    },
    /// Notes what came of tries to deliver; of a message that is not there nothing is noted.
    PutTries {
        /// Owner.
        oid: Oid,
        /// Position, and how it stands.
        tries: Vec<(u64, Tries)>,
    },
    /// Forgets messages that were delivered or dropped; one that is not there is no error.
    DeleteDeliveries {
        /// Owner.
        oid: Oid,
        /// Which.
        positions: Vec<u64>,
    },
    /// Creates or replaces counters of suppressed actions.
    PutCounters {
        /// Owner.
        oid: Oid,
        /// As they are now.
        counters: Vec<CounterRow>,
    },
    /// Forgets counters; one that is not there is no error.
    DeleteCounters {
        /// Owner.
        oid: Oid,
        /// Which.
        keys: Vec<[u8; 16]>,
    },
    /// Creates or replaces parts of live sessions.
    PutLive(Vec<LiveRow>),
    /// Forgets a live session with all its parts (retention).
    DeleteLive {
        /// Owner.
        oid: Oid,
        /// Number of the session.
        session: u64,
    },
}

impl Write {
    /// Adds the organizations whose rows it changes, each at least once.
    pub(crate) fn owners(&self, owners: &mut Vec<Oid>) {
        match self {
            Self::Append(entries) => owners
                .extend(entries.chunk_by(|one, next| one.oid == next.oid).filter_map(|same| Some(same.first()?.oid))),
            Self::PutLive(rows) => {
                owners.extend(rows.chunk_by(|one, next| one.oid == next.oid).filter_map(|same| Some(same.first()?.oid)))
            }
            of_one => owners.extend(of_one.owner()),
        }
    }

    /// The organization that it is about, or the first one of several.
    pub(crate) fn owner(&self) -> Option<Oid> {
        match self {
            Self::Append(entries) => entries.first().map(|entry| entry.oid),
            Self::PutLive(rows) => rows.first().map(|row| row.oid),
            Self::Claim(claim) | Self::Hold(claim) | Self::GiveUp(claim) => Some(claim.oid),
            Self::PutRecord { record, .. } => Some(record.oid),
            Self::PutSensor(row) => Some(row.sensor.oid),
            Self::CreateTask(row) => Some(row.oid),
            Self::DeleteRecord { oid, .. }
            | Self::PutSpool { oid, .. }
            | Self::PutTaskControl { oid, .. }
            | Self::PutTargets { oid, .. }
            | Self::DeleteTask { oid, .. }
            | Self::Trim { oid, .. }
            | Self::Enqueue { oid, .. }
            | Self::Dequeue { oid, .. }
            | Self::PutDeliveries { oid, .. }
            | Self::PutRuns { oid, .. }
            | Self::PutTries { oid, .. }
            | Self::DeleteDeliveries { oid, .. }
            | Self::PutCounters { oid, .. }
            | Self::DeleteCounters { oid, .. }
            | Self::DeleteLive { oid, .. } => Some(*oid),
        }
    }

    /// Bytes of what may be large in it, and is written as it is.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(entries) => entries.iter().map(|entry| entry.body.len()).sum(),
            Self::Enqueue { bodies, .. } => bodies.iter().map(Vec::len).sum(),
            Self::PutDeliveries { deliveries, .. } => deliveries.iter().map(|(_, body)| body.len()).sum(),
            Self::PutLive(rows) => rows.iter().map(|row| row.body.len()).sum(),
            Self::PutRecord { record, .. } => record.body.len(),
            _ => 0,
        }
    }
}

/// What a [`Write::Trim`] forgets, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Records older than this.
    Before(Timestamp),
    /// Records of one sensor, or those about no sensor, until at most so many bytes of bodies are left of them.
    Sensor {
        /// Which; `None` for records about no sensor.
        sid: Option<Sid>,
        /// Bytes of bodies that may stay.
        bytes_max: u64,
    },
}

/// A part of a live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRow {
    /// Owner.
    pub oid: Oid,
    /// Number of the session.
    pub session: u64,
    /// Which part.
    pub part: LivePart,
    /// Number among the parts of this kind; 0 for the session itself.
    pub item: u32,
    /// JSON text.
    pub body: Vec<u8>,
}

/// Parts of a live session. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LivePart {
    /// The session itself.
    Session = 1,
    /// A command, and what became of it.
    Command = 2,
    /// What a command found.
    Found = 3,
    /// A file.
    File = 4,
}

/// Another link of the sensor has stored events meanwhile.
pub(crate) fn spool_moved(ordinal: u32) -> StoreError {
    StoreError::Conflict(format!("the spool of sensor {ordinal} is no longer where it was"))
}

/// Condition on the stored record for a [`Write::PutRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is asked.
    Any,
    /// There must be none.
    Absent,
    /// It must have this revision.
    Revision(u64),
}

impl Expect {
    /// Whether a record may be replaced that has the revision `have`, or is not there.
    pub(crate) fn check(self, have: Option<u64>, record: &Record) -> Result<(), StoreError> {
        let holds = match self {
            Self::Any => true,
            Self::Absent => have.is_none(),
            Self::Revision(revision) => have == Some(revision),
        };
        match (holds, have) {
            (true, _) => Ok(()),
            (false, None) => Err(StoreError::Conflict(format!("{} {} is gone", record.kind, record.key))),
            (false, Some(have)) => {
                Err(StoreError::Conflict(format!("{} {} is at revision {have}", record.kind, record.key)))
            }
        }
    }
}

/// A configuration record: organizations, keys, outputs, hive records … Some hold secrets: see its `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Owner.
    pub oid: Oid,
    /// Kind word, such as `output` or `hive/dr-general`.
    pub kind: String,
    /// Name within the kind.
    pub key: String,
    /// JSON text.
    pub body: String,
    /// Counts the writes of this record, from 1.
    pub revision: u64,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oid, kind, key, body: _, revision } = self;
        write!(f, "Record({oid} {kind}/{key}, revision {revision})")
    }
}

/// A row that cannot be read; it stays in the store as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Owner.
    pub oid: Oid,
    /// Ordinal of a sensor, or number of a task.
    pub number: u64,
    /// Why.
    pub error: String,
}

/// A reliable task as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Owner.
    pub oid: Oid,
    /// Rises within the organization; also the order of delivery.
    pub number: u64,
    /// The published id.
    pub task_id: TaskId,
    /// JSON text of what was asked.
    pub spec: String,
    /// JSON text of what may change later.
    pub control: String,
    /// The target set, fixed at creation; targets that joined a dynamic task have a row of their own.
    pub targets: RoaringBitmap,
}

impl TaskRow {
    /// Its number or id is in use.
    pub(crate) fn taken(&self) -> StoreError {
        StoreError::Conflict(format!("task {} or its number {} is taken", self.task_id, self.number))
    }
}

/// How often a suppressed action was asked for in the present window of its key. Times are milliseconds
/// since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// Digest of what is counted.
    pub key: [u8; 16],
    /// When the window began.
    pub start_ms: i64,
    /// When it is over.
    pub expires_ms: i64,
    /// The sum so far.
    pub count: i64,
}

/// A stream whose records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stream {
    /// Events of sensors.
    Event = 0,
    /// Detections.
    Detect = 1,
    /// Audit.
    Audit = 2,
    /// Deployment events.
    Deployment = 3,
    /// Artifact events.
    Artifact = 4,
}

/// One kept record of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Owner.
    pub oid: Oid,
    /// Which stream.
    pub stream: Stream,
    /// The sensor it is about, if it is about one.
    pub sid: Option<Sid>,
    /// `event_id`, `detect_id` …
    pub id: Uuid,
    /// Event time.
    pub time: Timestamp,
    /// Event type, detection category, audit type.
    pub kind: Arc<str>,
    /// Atom of the object (`routing/this`).
    pub this_atom: Option<[u8; 16]>,
    /// Atom of the responsible process (`routing/parent`).
    pub parent_atom: Option<[u8; 16]>,
    /// `routing/investigation_id`.
    pub investigation_id: Option<String>,
    /// The whole record as JSON text.
    pub body: Bytes,
}

/// Which entries to read. All conditions are ANDed.
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// Owner.
    pub oid: Oid,
    /// Which stream.
    pub stream: Stream,
    /// Only of this sensor.
    pub sid: Option<Sid>,
    /// Only of this kind (event type, category).
    pub kind: Option<String>,
    /// Only with exactly this investigation id.
    pub investigation_id: Option<String>,
    /// From this event time on.
    pub from: Timestamp,
    /// Up to and including this event time.
    pub to: Timestamp,
    /// Oldest first if true, else newest first.
    pub forward: bool,
    /// Go on after this place, as an earlier page gave it.
    pub cursor: Option<String>,
    /// At most this many, 1 to 10,000.
    pub limit: usize,
}

/// A page of entries.
#[derive(Clone, Debug, Default)]
pub struct EntryPage {
    /// In the order asked for (event time, then order of arrival).
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` on the last page.
    pub cursor: Option<String>,
}

/// One waiting record of an output's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Place in the queue; rises.
    pub position: u64,
    /// The record as it will be sent.
    pub body: Vec<u8>,
}

/// A message to a program of someone else that waits to be delivered, or that was given up; without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Place in the outbox of the organization; whoever puts it gives it, and gives none twice.
    pub position: u64,
    /// To whom.
    pub target: String,
    /// The id of the message: the same at every try.
    pub id: Uuid,
    /// What it is about, in the words of the protocol.
    pub kind: String,
    /// Since when it waits.
    pub at: Timestamp,
    /// Length of its body, or of the longest one that it was put with.
    pub bytes: u64,
    /// How it stands.
    pub tries: Tries,
}

/// How a message stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Tries that ended.
    pub made: u32,
    /// Not to be tried before.
    pub due: Timestamp,
    /// Given up: it is kept to be looked at, and to be tried again by hand.
    pub is_dead: bool,
    /// What the last try ended with; empty before the first.
    pub error: String,
}
