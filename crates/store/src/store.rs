//! The store's face: how to open it, commit to it, read from it.

use crate::claim::{Fenced, Held, Standing};
use crate::counts::{Counting, Counts};
use crate::memory::Memory;
use crate::row::*;
use crate::seal::Seal;
use crate::sqlite::Sqlite;
use muster_model::{Oid, Sid};
use muster_tasking::Target;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Most entries on a page, and most that a list of children holds: more would make one reader hold too much memory.
pub const ENTRIES_PAGE_MAX: usize = 10_000;

/// Bytes of bodies after which a page of entries ends early: a page is held in memory as a whole.
pub const ENTRIES_PAGE_BYTES_MAX: usize = 16 << 20;

/// Most seconds that an overview lists: each costs one seek.
pub const OVERVIEW_SECONDS_MAX: usize = 10_000;

/// Most entries that one [`Write::Trim`] forgets: it holds up every commit behind it while it runs.
pub const TRIM_ENTRIES_MAX: usize = 100;

/// Why a read or a commit failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full: nothing was written; try again when there is room.
    #[error("the disk of the data directory is full")]
    Full,
    /// Too many commits are waiting, for ten seconds already: nothing was written; try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// An [`Expect`] did not hold, or a number or id is taken.
    #[error("changed by someone else: {0}")]
    Conflict(String),
    /// Someone else owns the organization by now: nothing was written, and nothing will be.
    #[error("organization {0} is another server's by now")]
    Deposed(Oid),
    /// Whether the list is stored is not known: it is, or it is not, as a whole. Who owns what it is about must load it
    /// anew before it says anything of it.
    #[error("it is not known whether a change is stored: {0}")]
    Unknown(String),
    /// The file is damaged, or not a store of this version.
    #[error("the store cannot be used: {0}")]
    Corrupt(String),
    /// The records are sealed by a key that was not given; keys are told by their names.
    #[error(
        "the database is sealed by the key {has}, and {}: put back the sealing key that belongs to it, from where it is kept apart from the backups",
        .given.as_ref().map_or_else(|| "no key was given".to_owned(), |given| format!("the key given is {given}"))
    )]
    Sealed {
        /// By which it is sealed.
        has: String,
        /// Which was given.
        given: Option<String>,
    },
    /// The cursor of an [`EntryQuery`] was not made by this store.
    #[error("the cursor is not one that an earlier page gave")]
    Cursor,
    /// The disk cannot be written or read now, or the store is closed: nothing was written. A volume that comes back is
    /// taken up again.
    #[error("the store is not available: {0}")]
    Unavailable(String),
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
    /// Seals the bodies of records; one that is not sealed yet is, when it is opened. `None` leaves it as it is.
    pub seal: Option<Seal>,
}

/// Durable state of one server. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    adapter: Adapter,
    counting: Arc<Counting>,
    /// What this handle and its clones own; `None` for those that have the store to themselves, such as tools.
    pub(crate) held: Option<Arc<Held>>,
}

#[derive(Clone)]
enum Adapter {
    Memory(Arc<Memory>),
    Sqlite(Arc<Sqlite>),
}

/// Makes the commits of a memory store fail or wait, and its reads fail, for tests and simulation.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<FaultPlan>>);

#[derive(Default)]
struct FaultPlan {
    next: VecDeque<Option<StoreError>>,
    all: Option<StoreError>,
    reads: Option<StoreError>,
    /// Commits that are stored and answered as if that were not known.
    unknown: usize,
    gate: Option<Arc<Gate>>,
}

/// Where async commits of a memory store wait until they are let through: first to be stored, then
/// to be answered. A process that ends between the two is one that does not know what it has stored.
pub struct Gate {
    storing: Semaphore,
    answering: Semaphore,
    waiting: [AtomicUsize; 2],
}

impl Gate {
    /// How many commits wait to be stored, and to be answered.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.waiting[0].load(Ordering::Relaxed), self.waiting[1].load(Ordering::Relaxed))
    }

    /// Lets so many commits be stored, in the order in which they came.
    pub fn store(&self, commits: usize) {
        self.storing.add_permits(commits);
    }

    /// Lets so many commits be answered.
    pub fn answer(&self, commits: usize) {
        self.answering.add_permits(commits);
    }

    async fn pass(&self, door: &Semaphore, waiting: &AtomicUsize) {
        waiting.fetch_add(1, Ordering::Relaxed);
        // Never closed; what is dropped while it waits still counts, as its process is gone.
        if let Ok(permit) = door.acquire().await {
            permit.forget();
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Faults {
    /// The next commit fails with this, and leaves no trace; called several times, so do those after it.
    pub fn fail_next(&self, error: StoreError) {
        self.0.lock().next.push_back(Some(error));
    }

    /// The next commit that nothing is planned for yet is let through, whatever all others do.
    pub fn pass_next(&self) {
        self.0.lock().next.push_back(None);
    }

    /// Every commit fails with this until it is called with `None`: a disk that fills up, and gets room again.
    pub fn fail_all(&self, error: Option<StoreError>) {
        self.0.lock().all = error;
    }

    /// The next commit that succeeds is stored, and answered with [`StoreError::Unknown`].
    pub fn lose_next_answer(&self) {
        self.0.lock().unknown += 1;
    }

    /// Takes the answer of a commit that succeeded, if it is to be lost.
    pub(crate) fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        let mut plan = self.0.lock();
        match plan.unknown.checked_sub(1) {
            None => Ok(answer),
            Some(left) => {
                plan.unknown = left;
                Err(StoreError::Unknown("the answer was lost".into()))
            }
        }
    }

    /// Every look into the store fails with this until it is called with `None`.
    pub fn fail_reads(&self, error: Option<StoreError>) {
        self.0.lock().reads = error;
    }

    pub(crate) fn of_reads(&self) -> Option<StoreError> {
        self.0.lock().reads.clone()
    }

    /// From now on async commits wait at a gate of their own.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        let gate =
            Gate { storing: Semaphore::new(0), answering: Semaphore::new(0), waiting: [0, 0].map(AtomicUsize::new) };
        let gate = Arc::new(gate);
        self.0.lock().gate = Some(Arc::clone(&gate));
        gate
    }

    /// Commits that come from now on wait no more.
    pub fn open(&self) {
        self.0.lock().gate = None;
    }

    pub(crate) fn gated(&self) -> Option<Arc<Gate>> {
        self.0.lock().gate.clone()
    }

    pub(crate) fn take(&self) -> Option<StoreError> {
        let mut plan = self.0.lock();
        plan.next.pop_front().unwrap_or_else(|| plan.all.clone())
    }
}

impl Store {
    /// An empty store that lasts as long as its last clone. What it answered is "durable":
    /// a server that crashes in a simulation is started again with a clone.
    #[must_use]
    pub fn memory() -> Self {
        Self::memory_with_faults().0
    }

    /// A memory store, and what makes its commits fail.
    #[must_use]
    pub fn memory_with_faults() -> (Self, Faults) {
        let faults = Faults::default();
        let adapter = Adapter::Memory(Arc::new(Memory::new(faults.clone())));
        (Self { adapter, counting: Arc::default(), held: None }, faults)
    }

    /// A backup of a memory store: another one with what this one holds now, which fails when this one does. `None`
    /// for a store that is not in memory.
    #[must_use]
    pub fn copied(&self) -> Option<Self> {
        let Adapter::Memory(memory) = &self.adapter else { return None };
        let adapter = Adapter::Memory(Arc::new(memory.copied()));
        Some(Self { adapter, counting: Arc::default(), held: None })
    }

    /// Opens the store of a data directory, or makes it. Blocks: it checks the file and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the file is damaged, of another program, or made by a newer muster;
    /// [`StoreError::Full`] if there is no room to make it.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let counting = Arc::new(Counting::default());
        let adapter = Adapter::Sqlite(Arc::new(Sqlite::open(&options, Arc::clone(&counting))?));
        Ok(Self { adapter, counting, held: None })
    }

    /// A handle for an owner, which writes only what it has claimed.
    #[must_use]
    pub fn owning(&self) -> Self {
        Self { held: Some(Arc::default()), ..self.clone() }
    }

    /// Commits a list of changes, all or none, and answers after it is on disk.
    ///
    /// # Errors
    ///
    /// On every error but [`StoreError::Unknown`] nothing of the list is stored. [`StoreError::Conflict`] if a condition did
    /// not hold, [`StoreError::Full`] and [`StoreError::Busy`] if it may be tried again later, [`StoreError::Deposed`] if
    /// someone else has claimed an organization that it is about.
    ///
    /// # Cancel safety
    ///
    /// A caller that stops waiting does not take the list back: it may or may not be committed.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.forget(writes).await.map(|_| ())
    }

    /// As [`Store::commit`]; gives how many records were forgotten by each [`Write::Trim`] of the list together.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    ///
    /// # Cancel safety
    ///
    /// As [`Store::commit`].
    pub async fn forget(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let Some(held) = &self.held else { return self.raw(writes).await };
        let Fenced { writes, claims, owners } = held.fenced(writes)?;
        let result = self.raw(writes).await;
        held.heed(&owners, claims, result.as_ref().err());
        result
    }

    /// Without a look at claims.
    pub(crate) async fn raw(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let result = match &self.adapter {
            Adapter::Memory(memory) => match memory.gate() {
                None => memory.commit(&writes),
                Some(gate) => {
                    gate.pass(&gate.storing, &gate.waiting[0]).await;
                    let result = memory.commit(&writes);
                    gate.pass(&gate.answering, &gate.waiting[1]).await;
                    result
                }
            },
            Adapter::Sqlite(sqlite) => sqlite.commit(writes).await,
        };
        self.counted(result)
    }

    /// [`Store::commit`] for threads that may block.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.forget_blocking(writes).map(|_| ())
    }

    /// [`Store::forget`] for threads that may block.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    pub fn forget_blocking(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let Some(held) = &self.held else { return self.raw_blocking(writes) };
        let Fenced { writes, claims, owners } = held.fenced(writes)?;
        let result = self.raw_blocking(writes);
        held.heed(&owners, claims, result.as_ref().err());
        result
    }

    /// [`Store::raw`] for threads that may block.
    pub(crate) fn raw_blocking(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let result = match &self.adapter {
            Adapter::Memory(memory) => memory.commit(&writes),
            Adapter::Sqlite(sqlite) => sqlite.commit_blocking(writes),
        };
        self.counted(result)
    }

    /// In memory each list is a commit; what the durable store commits, its writer counts.
    fn counted(&self, result: Result<usize, StoreError>) -> Result<usize, StoreError> {
        match (&result, &self.adapter) {
            (Err(_), _) => self.counting.refused(),
            (Ok(_), Adapter::Memory(_)) => self.counting.committed(1, Duration::ZERO),
            (Ok(_), Adapter::Sqlite(_)) => {}
        }
        result
    }

    /// Runs `f` on one consistent view of everything committed, off the async threads.
    ///
    /// # Errors
    ///
    /// What `f` answers, or [`StoreError::Failed`] if no view could be opened.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.read(f),
            Adapter::Sqlite(sqlite) => sqlite.read(f).await,
        }
    }

    /// [`Store::read`] for threads that may block.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub fn read_blocking<T>(&self, f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.read(f),
            Adapter::Sqlite(sqlite) => sqlite.read_blocking(f),
        }
    }

    /// Copies the store, as it is at this moment, into a new file while it is in use. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the file exists or cannot be written, or if the store is in memory.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        match &self.adapter {
            Adapter::Memory(_) => {
                Err(StoreError::Failed(format!("a memory store cannot be backed up to {}", to.display())))
            }
            Adapter::Sqlite(sqlite) => sqlite.backup(to),
        }
    }

    /// Copies a database file, as it is at this moment, into a new file, while a server uses it or not. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if there is no such file, or the new one exists or cannot be written.
    pub fn backup_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        crate::sqlite::backup_file(from, to)
    }

    /// Looks whether a database file is one of this muster and sound; changes nothing. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn check_file(path: &Path) -> Result<(), StoreError> {
        crate::sqlite::check_file(path)
    }

    /// What seals its records, and may seal what stands beside them; a memory store has none.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        match &self.adapter {
            Adapter::Memory(_) => None,
            Adapter::Sqlite(sqlite) => sqlite.seal(),
        }
    }

    /// Name of the key by which a database file is sealed; `None` if it is not. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if there is no such file.
    pub fn sealed_by(path: &Path) -> Result<Option<String>, StoreError> {
        crate::sqlite::sealed_by(path)
    }

    /// What it has done since it was opened, through this value and its clones.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counting.counts()
    }

    /// Reads a database file, while a server uses it or not; changes nothing. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Store::read_blocking`]; [`StoreError::Unavailable`] if there is no such file, [`StoreError::Sealed`] if this
    /// is not its key.
    pub fn read_file<T>(
        path: &Path,
        seal: Option<&Seal>,
        f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        crate::sqlite::read_file(path, seal, f)
    }

    /// Bytes that the store takes on disk; of a memory store, the bytes of the kept bodies.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match &self.adapter {
            Adapter::Memory(memory) => memory.size_bytes(),
            Adapter::Sqlite(sqlite) => sqlite.size_bytes(),
        }
    }

    /// Finishes the waiting commits and leaves one tidy file behind; later commits, also of clones, fail.
    /// Dropping the last clone does the same. Blocks.
    pub fn close(self) {
        match &self.adapter {
            Adapter::Memory(_) => {}
            Adapter::Sqlite(sqlite) => sqlite.close(),
        }
    }
}

/// Everything that can be read. Blocking; use [`Store::read`] from async code.
pub trait Read {
    /// All configuration records of all organizations, or of one, of a kind or of all kinds.
    fn records(&mut self, oid: Option<Oid>, kind: Option<&str>) -> Result<Vec<Record>, StoreError>;
    /// How it stands with the owners of an organization.
    fn standing(&mut self, oid: Oid) -> Result<Standing, StoreError>;
    /// One configuration record.
    fn record(&mut self, oid: Oid, kind: &str, key: &str) -> Result<Option<Record>, StoreError>;
    /// Calls `each` with every sensor of one organization, or of all, by organization, then ordinal; one that cannot be
    /// read is no reason not to read the others.
    fn sensors(
        &mut self,
        oid: Option<Oid>,
        each: &mut dyn FnMut(Result<SensorRow, Unreadable>),
    ) -> Result<(), StoreError>;
    /// Highest stored sequence number of a sensor's spool, if it is this spool.
    fn spool(&mut self, oid: Oid, ordinal: u32, spool_id: [u8; 16]) -> Result<Option<u64>, StoreError>;
    /// Calls `each` with every task of one organization, or of all, by organization, then number: oldest first in each.
    /// As for sensors, one that cannot be read is told.
    fn tasks(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Result<TaskRow, Unreadable>)) -> Result<(), StoreError>;
    /// Calls `each` with every stored target of a task, by ordinal.
    fn targets(&mut self, oid: Oid, task: u64, each: &mut dyn FnMut(u32, Target)) -> Result<(), StoreError>;
    /// The stored targets of a task with these ordinals (sorted); those without a row are left out.
    fn targets_of(&mut self, oid: Oid, task: u64, ordinals: &[u32]) -> Result<Vec<(u32, Target)>, StoreError>;
    /// How many records of a stream are kept, and the bytes of their bodies.
    fn stream_size(&mut self, oid: Oid, stream: Stream) -> Result<(u64, u64), StoreError>;
    /// Calls `each` with the bytes of the kept bodies of each sensor that has records of a stream, and with
    /// those of records about no sensor, if there are any.
    fn sensor_sizes(
        &mut self,
        oid: Oid,
        stream: Stream,
        each: &mut dyn FnMut(Option<Sid>, u64),
    ) -> Result<(), StoreError>;
    /// A page of kept records. It may be shorter than asked for and still have a cursor: it ends after
    /// [`ENTRIES_PAGE_BYTES_MAX`]. Fails with [`StoreError::Cursor`] if the cursor cannot be read.
    fn entries(&mut self, query: &EntryQuery) -> Result<EntryPage, StoreError>;
    /// A kept event or detection by its id; the one that came last, should there be several. Records of other streams
    /// are not found by it.
    fn entry(&mut self, oid: Oid, stream: Stream, id: Uuid) -> Result<Option<Entry>, StoreError>;
    /// The newest event of a sensor with this atom.
    fn entry_by_atom(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Option<Entry>, StoreError>;
    /// Events of a sensor whose parent is this atom, oldest first, at most [`ENTRIES_PAGE_MAX`] and
    /// about [`ENTRIES_PAGE_BYTES_MAX`].
    fn children(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Vec<Entry>, StoreError>;
    /// Seconds (Unix) at which the sensor has events, from second `from` up to and including second `to`, sorted,
    /// each once, at most the first [`OVERVIEW_SECONDS_MAX`].
    fn overview(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<i64>, StoreError>;
    /// Counts of events of a sensor by type, sorted by type, from second `from` up to and including second `to`.
    fn event_counts(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<(String, u64)>, StoreError>;
    /// The oldest waiting records of an output, fewer than asked for after [`ENTRIES_PAGE_BYTES_MAX`].
    fn queued(&mut self, oid: Oid, output: &str, limit: usize) -> Result<Vec<Queued>, StoreError>;
    /// How many records wait for an output, and their bytes.
    fn queue_size(&mut self, oid: Oid, output: &str) -> Result<(u64, u64), StoreError>;
    /// Calls `each` with every message to programs of others, of one organization or of all, by organization, then
    /// position; those that wait in runs come after all others.
    fn deliveries(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Oid, Delivery)) -> Result<(), StoreError>;
    /// Bodies of messages at these positions, in the order asked for, fewer than asked for after
    /// [`ENTRIES_PAGE_BYTES_MAX`]; those that are not there are left out.
    fn delivery_bodies(&mut self, oid: Oid, positions: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, StoreError>;
    /// Calls `each` with every counter of an organization, by key.
    fn counters(&mut self, oid: Oid, each: &mut dyn FnMut(CounterRow)) -> Result<(), StoreError>;
    /// Calls `each` with the session itself of every live session of one organization, or of all, by organization, then
    /// number.
    fn live_sessions(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(LiveRow)) -> Result<(), StoreError>;
    /// Calls `each` with every part of this kind of a live session, by item.
    fn live(&mut self, oid: Oid, session: u64, part: LivePart, each: &mut dyn FnMut(LiveRow))
    -> Result<(), StoreError>;
    /// One part of a live session.
    fn live_one(&mut self, oid: Oid, session: u64, part: LivePart, item: u32) -> Result<Option<LiveRow>, StoreError>;
}
