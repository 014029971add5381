//! The durable store: one SQLite file in WAL mode.
//!
//! One thread owns the connection that writes ([`writer`]); callers hand it
//! lists, as many as there is room for. Another one copies its log back ([`checkpointer`]). Reads use a few connections of their own,
//! and never wait for the writer.

mod apply;
mod checkpointer;
mod log;
mod open;
mod read;
mod sealing;
mod waiting;
mod writer;

use crate::claim::Standing;
use crate::counts::Counting;
use crate::row::Write;
use crate::seal::Seal;
use crate::store::{Options, Read, StoreError};
use checkpointer::Checkpointer;
use muster_model::Oid;
use open::{file_error, store_error};
use parking_lot::{Condvar, Mutex};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use writer::{Answer, List, Message};

/// Lists that the writer has or is given; whoever has more waits for room, in the order of arrival.
const ROOM: usize = 8_192;

/// So long at most; then its caller can say so to its own.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// Connections that read. Reads are short, and mostly bound by the processor.
const READERS: usize = 4;

/// From when on something lasts at a disk.
#[expect(clippy::disallowed_methods, reason = "a disk knows real time alone")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) struct Sqlite {
    path: PathBuf,
    seal: Option<Seal>,
    sender: Sender<Message>,
    /// For lists that async callers have at the writer.
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
    /// Async reads wait here, and not on a thread.
    reading: Semaphore,
}

/// The one row that a statement gives, if it gives one.
fn find<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
    statement.query_row(params, read).optional().map_err(store_error)
}

/// How it stands with the owners of an organization.
fn standing(conn: &Connection, oid: Oid) -> Result<Standing, StoreError> {
    let standing = find(conn, "SELECT term, is_free FROM claim WHERE oid = ?1", [oid.0.as_bytes()], |row| {
        Ok(Standing { term: row.get::<_, i64>(0)?.cast_unsigned(), is_free: row.get(1)? })
    })?;
    Ok(standing.unwrap_or_default())
}

impl Sqlite {
    pub(crate) fn open(options: &Options, counting: Arc<Counting>) -> Result<Self, StoreError> {
        let mut conn = open::writer(options)?;
        let checkpointer = Checkpointer::start(&mut conn, &options.path)?;
        let idle = (0..READERS).map(|_| open::reader(&options.path)).collect::<Result<_, _>>()?;
        let (sender, inbox) = channel();
        let seal = options.seal.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                let file = checkpointer.file();
                writer::run(&conn, checkpointer, seal.as_ref(), &inbox, &counting);
                drop(conn);
                drop(file);
            })
            .map_err(|error| StoreError::Failed(format!("the writer thread cannot start: {error}")))?;
        Ok(Self {
            path: options.path.clone(),
            seal: options.seal.clone(),
            sender,
            room: Arc::new(Semaphore::new(ROOM)),
            thread: Mutex::new(Some(thread)),
            readers: Readers { state: Mutex::new(ReadersState { idle, is_open: true }), returned: Condvar::new() },
            reading: Semaphore::new(READERS),
        })
    }

    fn send(&self, writes: Vec<Write>, answer: Answer) -> Result<(), StoreError> {
        self.sender.send(Message::List(List { writes, answer })).map_err(|_| closed())
    }

    /// Many callers have something to store at the same time, as when ten thousand sensors carry out one order: they wait.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        // No timer is made while there is room, as nearly always.
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => match timeout(ROOM_WAIT, Arc::clone(&self.room).acquire_owned()).await {
                Ok(room) => room.map_err(|_| closed())?,
                Err(_) => return Err(StoreError::Busy),
            },
        };
        let (answer, result) = oneshot::channel();
        self.send(writes, Answer::Async(answer, room))?;
        result.await.unwrap_or_else(|_| Err(broken_off()))
    }

    /// Each caller has a thread, so they are few.
    pub(crate) fn commit_blocking(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let (answer, result) = sync_channel(1);
        self.send(writes, Answer::Blocking(answer))?;
        result.recv().unwrap_or_else(|_| Err(broken_off()))
    }

    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.reading.acquire().await.map_err(|_| closed())?;
        let sqlite = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || sqlite.read_blocking(f));
        read.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("a read did not end: {error}"))))
    }

    pub(crate) fn read_blocking<T>(
        &self,
        f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let reader = Reader { conn: Some(self.readers.take()?), readers: &self.readers };
        let conn = reader.conn.as_ref().ok_or_else(closed)?;
        // The transaction makes it one view, and ends when it is dropped.
        let transaction = conn.unchecked_transaction().map_err(store_error)?;
        f(&mut read::View { conn: &transaction, seal: self.seal.as_ref() })
    }

    pub(crate) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    pub(crate) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup_file(&self.path, to)
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        let size = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        size("") + size("-wal") + size("-shm")
    }

    pub(crate) fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        // Readers first: the connection that is closed last removes the log.
        self.readers.close();
        // An error means that the writer ended already.
        drop(self.sender.send(Message::Close));
        if thread.join().is_err() {
            tracing::error!("the writer thread ended by a panic");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer took a list, and ended without a word about it.
fn broken_off() -> StoreError {
    StoreError::Unknown("the store was closed meanwhile".into())
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

struct Readers {
    state: Mutex<ReadersState>,
    returned: Condvar,
}

struct ReadersState {
    idle: Vec<Connection>,
    is_open: bool,
}

impl Readers {
    fn take(&self) -> Result<Connection, StoreError> {
        let mut state = self.state.lock();
        while state.is_open {
            if let Some(conn) = state.idle.pop() {
                return Ok(conn);
            }
            self.returned.wait(&mut state);
        }
        Err(closed())
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.is_open = false;
        state.idle.clear();
        self.returned.notify_all();
    }
}

/// A connection on loan; goes back when dropped, also when a read panics.
struct Reader<'a> {
    conn: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let mut state = self.readers.state.lock();
        if state.is_open {
            state.idle.push(conn);
            self.readers.returned.notify_one();
        }
    }
}

/// Copies a database file, which may be in use, into a new one.
pub(crate) fn backup_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let from = open::reader(from)?;
    open::create_private(to).map_err(|error| file_error(to, &error))?;
    copy(&from, to).inspect_err(|_| drop(std::fs::remove_file(to)))
}

/// Copies page by page in one go: the copy is the state at one moment, and commits go on meanwhile.
fn copy(from: &Connection, to: &Path) -> Result<(), StoreError> {
    let mut copy = Connection::open(to).map_err(store_error)?;
    Backup::new(from, &mut copy).and_then(|backup| backup.step(-1)).map_err(store_error)?;
    copy.close().map_err(|(_, error)| store_error(error))?;
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(to).map_err(|error| file_error(to, &error))?;
    match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync(folder).map_err(|error| file_error(folder, &error)),
        _ => Ok(()),
    }
}

/// Looks whether a database file, which may be in use, is ours and sound; changes nothing.
pub(crate) fn check_file(path: &Path) -> Result<(), StoreError> {
    open::check(&mut open::reader(path)?, path, None)
}

/// Reads a database file, which may be in use.
pub(crate) fn read_file<T>(
    path: &Path,
    seal: Option<&Seal>,
    f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let conn = open::reader(path)?;
    sealing::require_key(&conn, seal)?;
    let transaction = conn.unchecked_transaction().map_err(store_error)?;
    // A key is no use to records that are not sealed yet.
    let seal = seal.filter(|_| matches!(sealing::sealed_by(&conn), Ok(Some(_))));
    f(&mut read::View { conn: &transaction, seal })
}

/// Name of the key by which a database file, which may be in use, is sealed.
pub(crate) fn sealed_by(path: &Path) -> Result<Option<String>, StoreError> {
    sealing::sealed_by(&open::reader(path)?)
}
