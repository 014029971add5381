//! The store's face: how to open it, commit to it, read from it.

use crate::row::*;
use muster_model::{Oid, Sid};
use muster_tasking::Target;
use std::path::PathBuf;
use uuid::Uuid;

/// Why a read or a commit failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full: nothing was written; try again when there is room.
    #[error("the disk of the data directory is full")]
    Full,
    /// Too many commits are waiting: nothing was written; try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// An [`Expect`] did not hold, or a number or id is taken.
    #[error("changed by someone else: {0}")]
    Conflict(String),
    /// The file is damaged, or not a store of this version.
    #[error("the store cannot be used: {0}")]
    Corrupt(String),
    /// Anything else the storage engine says.
    #[error("storage failed: {0}")]
    Failed(String),
}

/// How to open a durable store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file; made when it is not there.
    pub path: PathBuf,
    /// Most bytes that the file may have; `None` is as much as the disk holds.
    pub bytes_max: Option<u64>,
}

/// Durable state of one server. Cheap to clone.
#[derive(Clone)]
pub struct Store {}

/// Everything that can be read. Blocking; use [`Store::read`] from async code.
pub trait Read {
    /// All configuration records of all organizations, or of one, of a kind or of all kinds.
    fn records(&mut self, oid: Option<Oid>, kind: Option<&str>) -> Result<Vec<Record>, StoreError>;
    /// One configuration record.
    fn record(&mut self, oid: Oid, kind: &str, key: &str) -> Result<Option<Record>, StoreError>;
    /// Calls `each` with every sensor of every organization, by organization, then ordinal.
    fn sensors(&mut self, each: &mut dyn FnMut(SensorRow)) -> Result<(), StoreError>;
    /// Highest stored sequence number of a sensor's spool, if it is this spool.
    fn spool(&mut self, oid: Oid, ordinal: u32, spool_id: [u8; 16]) -> Result<Option<u64>, StoreError>;
    /// Calls `each` with every task of every organization, oldest first.
    fn tasks(&mut self, each: &mut dyn FnMut(TaskRow)) -> Result<(), StoreError>;
    /// Calls `each` with every stored target of a task, by ordinal.
    fn targets(&mut self, oid: Oid, task: u64, each: &mut dyn FnMut(u32, Target)) -> Result<(), StoreError>;
    /// The stored targets of a task with these ordinals (sorted); those without a row are left out.
    fn targets_of(&mut self, oid: Oid, task: u64, ordinals: &[u32]) -> Result<Vec<(u32, Target)>, StoreError>;
    /// A page of kept records.
    fn entries(&mut self, query: &EntryQuery) -> Result<EntryPage, StoreError>;
    /// A kept record by its id.
    fn entry(&mut self, oid: Oid, stream: Stream, id: Uuid) -> Result<Option<Entry>, StoreError>;
    /// The newest event of a sensor with this atom.
    fn entry_by_atom(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Option<Entry>, StoreError>;
    /// Events of a sensor whose parent is this atom, oldest first, at most 10,000.
    fn children(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Vec<Entry>, StoreError>;
    /// Seconds (Unix) at which the sensor has events between `from` and `to` seconds, sorted, each once, at most 10,000.
    fn overview(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<i64>, StoreError>;
    /// Counts of events of a sensor by type between two instants (seconds).
    fn event_counts(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<(String, u64)>, StoreError>;
    /// The oldest waiting records of an output.
    fn queued(&mut self, oid: Oid, output: &str, limit: usize) -> Result<Vec<Queued>, StoreError>;
    /// How many records wait for an output, and their bytes.
    fn queue_size(&mut self, oid: Oid, output: &str) -> Result<(u64, u64), StoreError>;
}
