//! The one thread that writes: many lists share one disk sync.
//!
//! # Invariants
//!
//! 1. A list is answered `Ok` only after the `COMMIT` that holds it returned.
//! 2. A list that fails leaves the others of its batch alone: the batch is begun again then, each list in a savepoint
//!    of its own. Hardly any fails, and SQLite copies every page that is changed in a savepoint.
//! 3. When `COMMIT` fails, every list of the batch fails, and the batch is rolled back. Unless that was for want of room
//!    or a lock, or because a write was refused, it is not known whether the batch is on the disk.

use super::apply::Tables;
use super::checkpointer::Checkpointer;
use super::now;
use super::open::{store_error, wait_for_locks};
use super::waiting::{Size, Waiting};
use crate::counts::Counting;
use crate::row::Write;
use crate::seal::Seal;
use crate::store::StoreError;
use rusqlite::{Connection, ffi};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Most lists in one commit. Larger batches gain little: the sync is shared by enough already.
const BATCH_LISTS_MAX: usize = 256;

/// A batch takes no further list after this time, so that no caller waits long for others.
const BATCH_TIME: Duration = Duration::from_millis(2);

/// A batch of so many bytes takes no further list: it is long enough until they are written and synced.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The same of large lists: small ones, which nobody expects to take long, wait for the end of their batch.
const BATCH_LARGE_BYTES_MAX: usize = 64 * 1024;

/// After this long without a commit, the log is copied back, and begins anew with the next one.
const QUIET: Duration = Duration::from_secs(1);

/// How long the tidying in a quiet moment waits for readers that still need the log.
const TIDY_WAIT: Duration = Duration::from_millis(50);

/// Copies the log back, and keeps its length: to write over what is there takes the disk half as long as to make a file
/// longer.
const BEGIN_ANEW: &str = "PRAGMA wal_checkpoint(RESTART)";

/// Copies the log back, and gives its room back.
const CUT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What the writer is told.
pub(super) enum Message {
    /// Commit this.
    List(List),
    /// Finish.
    Close,
}

/// A list of changes, and who waits for it.
pub(super) struct List {
    pub(super) writes: Vec<Write>,
    pub(super) answer: Answer,
}

/// How many records a list forgot, once it is on disk.
pub(super) type Outcome = Result<usize, StoreError>;

/// Where the result goes. A caller that is gone is no error.
pub(super) enum Answer {
    /// With the room that the list takes until it is answered.
    Async(oneshot::Sender<Outcome>, OwnedSemaphorePermit),
    Blocking(SyncSender<Outcome>),
}

impl Answer {
    fn send(self, result: Outcome) {
        match self {
            Self::Async(sender, _room) => drop(sender.send(result)),
            Self::Blocking(sender) => drop(sender.send(result)),
        }
    }
}

/// Lists of one commit with what came of them.
type Batch = Vec<(List, Outcome)>;

/// Commits lists until it is told to close, or no one can send any more.
pub(super) fn run(
    conn: &Connection,
    checkpointer: Checkpointer,
    seal: Option<&Seal>,
    inbox: &Receiver<Message>,
    counting: &Counting,
) {
    let (tables, waiting) = (Tables::new(conn, seal), Waiting::default());
    let mut writer =
        Writer { conn, checkpointer, tables, waiting, is_open: true, is_tidy: true, began: now(), bytes: 0, counting };
    loop {
        if let Some(first) = writer.waiting.first() {
            writer.commit(first, inbox);
            writer.look_into(inbox);
            continue;
        }
        if !writer.is_open {
            break;
        }
        let wait = if writer.is_tidy { Duration::MAX } else { QUIET };
        match inbox.recv_timeout(wait) {
            Ok(Message::List(list)) => writer.waiting.put(list),
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => writer.is_open = false,
            Err(RecvTimeoutError::Timeout) => writer.tidy(BEGIN_ANEW),
        }
    }
    writer.checkpointer.end();
    writer.tidy(CUT);
}

struct Writer<'c> {
    conn: &'c Connection,
    checkpointer: Checkpointer,
    tables: Tables<'c>,
    waiting: Waiting,
    /// It was not told to close.
    is_open: bool,
    /// Nothing was committed since the log was last copied back.
    is_tidy: bool,
    /// When the transaction that is open began.
    began: Instant,
    /// Bytes of bodies in it.
    bytes: usize,
    counting: &'c Counting,
}

/// The whole transaction was rolled back under a list.
struct RolledBack;

impl Writer<'_> {
    /// Commits the first list, and of those that wait as many as a batch takes.
    fn commit(&mut self, first: List, inbox: &Receiver<Message>) {
        self.is_tidy = false;
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            first.answer.send(Err(error));
            return;
        }
        self.tables.begin();
        (self.began, self.bytes) = (now(), 0);
        let mut lists = Vec::with_capacity(BATCH_LISTS_MAX);
        let bytes_max = match self.waiting.size() {
            Size::Small => BATCH_BYTES_MAX,
            Size::Large => BATCH_LARGE_BYTES_MAX,
        };
        let mut next = Some(first);
        while let Some(list) = next.take() {
            let applied = self.apply(&list.writes);
            let is_applied = applied.is_ok();
            self.bytes += list.writes.iter().map(Write::bytes).sum::<usize>();
            lists.push((list, applied));
            if !is_applied {
                self.each_in_a_savepoint(lists.into_iter().map(|(list, _)| list).collect());
                return;
            }
            let is_full = lists.len() >= BATCH_LISTS_MAX || self.bytes >= bytes_max;
            if is_full || self.began.elapsed() >= BATCH_TIME {
                break;
            }
            self.look_into(inbox);
            next = self.waiting.another();
        }
        self.finish(lists);
    }

    /// Has what came meanwhile wait here, where organizations take turns.
    fn look_into(&mut self, inbox: &Receiver<Message>) {
        // Nothing is taken behind the order to close: callers who go on must not put off the end.
        while self.is_open && self.waiting.has_room() {
            match inbox.try_recv() {
                Ok(Message::List(list)) => self.waiting.put(list),
                Ok(Message::Close) => self.is_open = false,
                Err(_) => return,
            }
        }
    }

    fn apply(&mut self, writes: &[Write]) -> Outcome {
        self.tables.take_forgotten();
        writes.iter().try_for_each(|write| self.tables.apply(write))?;
        Ok(self.tables.take_forgotten())
    }

    /// Begins a batch again in which a list failed, so that only that list fails.
    fn each_in_a_savepoint(&mut self, lists: Vec<List>) {
        self.roll_back();
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            lists.into_iter().for_each(|list| list.answer.send(Err(error.clone())));
            return;
        }
        self.tables.begin();
        let mut batch = Batch::with_capacity(lists.len());
        let mut is_torn = false;
        for list in lists {
            let result = if is_torn { Ok(Ok(0)) } else { self.apply_in_a_savepoint(&list.writes) };
            is_torn |= result.is_err();
            batch.push((list, result.unwrap_or(Ok(0))));
        }
        if is_torn { self.one_by_one(batch) } else { self.finish(batch) }
    }

    /// Applies a list in a savepoint. The inner result is that of the list alone.
    fn apply_in_a_savepoint(&mut self, writes: &[Write]) -> Result<Outcome, RolledBack> {
        let result = self
            .execute("SAVEPOINT list")
            .and_then(|()| self.apply(writes))
            .and_then(|forgotten| self.execute("RELEASE list").map(|()| forgotten));
        if result.is_ok() {
            return Ok(result);
        }
        self.tables.forget();
        // SQLite itself rolls everything back after some errors, among them a full disk.
        if self.conn.is_autocommit()
            || self.execute("ROLLBACK TO list").and_then(|()| self.execute("RELEASE list")).is_err()
        {
            return Err(RolledBack);
        }
        Ok(result)
    }

    /// Commits and answers the batch.
    fn finish(&mut self, batch: Batch) {
        let committed = self.tables.count_now_and_then().and_then(|()| self.statement("COMMIT").map_err(commit_error));
        if let Err(error) = &committed {
            tracing::error!(%error, lists = batch.len(), "a commit failed");
            self.roll_back();
        } else {
            let stored = batch.iter().filter(|(_, result)| result.is_ok()).count();
            self.counting.committed(stored, self.began.elapsed());
        }
        if matches!(committed, Err(StoreError::Full))
            || batch.iter().any(|(_, result)| matches!(result, Err(StoreError::Full)))
        {
            // Copying the log back and starting it anew may give the room that the next commit needs. Before the
            // answers, so that a caller who makes room does not race with the copying.
            self.tidy(CUT);
        }
        for (list, result) in batch {
            list.answer.send(committed.clone().and(result));
        }
        self.checkpointer.committed(self.conn, std::mem::take(&mut self.bytes));
    }

    /// After one list tore down the transaction: gives each list of the batch a transaction of its own, so that
    /// only those fail that cannot be stored.
    fn one_by_one(&mut self, batch: Batch) {
        self.roll_back();
        for (list, _) in batch {
            if let Err(error) = self.execute("BEGIN IMMEDIATE") {
                list.answer.send(Err(error));
                continue;
            }
            self.tables.begin();
            self.began = now();
            let result = self.apply(&list.writes);
            if result.is_err() {
                self.roll_back();
                list.answer.send(result);
            } else {
                self.finish(vec![(list, result)]);
            }
        }
        self.tidy(CUT);
    }

    fn roll_back(&mut self) {
        self.tables.forget();
        if !self.conn.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Copies the log back into the file, one way or another. Not being able to is no harm: the log only stays longer.
    fn tidy(&mut self, checkpoint: &str) {
        self.is_tidy = true;
        let _alone = self.checkpointer.alone();
        let copy_back = || {
            wait_for_locks(self.conn, Some(TIDY_WAIT))?;
            self.conn.query_row(checkpoint, [], |_| Ok(()))?;
            wait_for_locks(self.conn, None)
        };
        if let Err(error) = copy_back() {
            tracing::debug!(%error, "the log was not copied back");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.statement(sql).map_err(store_error)
    }

    fn statement(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop)
    }
}

/// A `COMMIT` that breaks down may have reached the disk: the log is read from it at the next start. It has not if a
/// write to the log was refused, as on a volume that became read-only: what makes a batch count is written last.
fn commit_error(error: rusqlite::Error) -> StoreError {
    let is_refused = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_WRITE);
    match store_error(error) {
        StoreError::Unavailable(why) if is_refused => StoreError::Unavailable(why),
        refused @ (StoreError::Full | StoreError::Busy) => refused,
        other => StoreError::Unknown(other.to_string()),
    }
}
