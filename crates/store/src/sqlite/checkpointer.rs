//! The log is copied back into the file beside the writer, so that commits do not wait for that.
//!
//! SQLite would do it in the commit that makes the log long enough: whoever commits next would wait until some megabytes
//! are written and synced, be they another organization's. Here a thread with a connection of its own does most of it.
//! While commits come without a pause it never copies the last page, and only after that the log begins anew: a little
//! is left, which the writer copies itself. SQLite syncs the file only then, too, so the thread does it before, each time:
//! the writer would wait until the disk has taken all that was ever copied.

use super::open::{self, file_error, store_error};
use crate::store::StoreError;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// From this length on the log is copied back, in pages of 4 KiB.
const PAGES_MIN: u32 = 1_000;

/// Each time that it has grown by so much.
const PAGES_STEP: u32 = 250;

/// And before that where so many bytes came in large pieces: no page of those is written a second time, and a disk that
/// gets some megabytes at once keeps a commit waiting all the same.
const BYTES_STEP: usize = 512 * 1024;

/// At this length the writer copies what is left. A disk that was full needs about this much room before commits work
/// again, since pages are copied before the log begins anew.
const PAGES_MAX: u32 = 2_000;

/// The thread that copies, as the writer knows it.
pub(super) struct Checkpointer {
    /// Pages in the log, after the last commit.
    pages: Arc<AtomicU32>,
    /// How many those were when the thread was told last, since the log began.
    told: u32,
    /// Bytes in large pieces since then.
    bytes: usize,
    /// Held by who copies: SQLite waits for no other who does.
    turn: Arc<Mutex<()>>,
    /// What is copied into.
    file: Arc<File>,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    /// Begins to watch the log of the connection that writes.
    pub(super) fn start(writer: &mut Connection, path: &Path) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicU32::new(0));
        let watched = Arc::clone(&pages);
        // In place of what SQLite does after a commit.
        let watch = move |_: &mut _, pages| {
            watched.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(watch)).map_err(store_error)?;
        let (tell, told) = sync_channel(1);
        let turn = Arc::<Mutex<()>>::default();
        let file = Arc::new(File::open(path).map_err(|error| file_error(path, &error))?);
        let (conn, in_turn, synced) = (open::checkpointer(path)?, Arc::clone(&turn), Arc::clone(&file));
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || {
                while told.recv().is_ok() {
                    let _turn = in_turn.lock();
                    copy(&conn);
                    if let Err(error) = synced.sync_data() {
                        // SQLite hears of it, too, when it syncs the file itself.
                        tracing::error!(%error, "the disk does not take what was copied");
                    }
                }
            })
            .map_err(|error| StoreError::Failed(format!("the thread that copies the log cannot start: {error}")))?;
        Ok(Self { pages, told: 0, bytes: 0, turn, file, thread: Some((tell, thread)) })
    }

    /// To be called by the writer after each commit, with what it had of bytes in large pieces.
    pub(super) fn committed(&mut self, writer: &Connection, bytes: usize) {
        let pages = self.pages.load(Ordering::Relaxed);
        self.bytes += bytes;
        if pages < self.told {
            self.told = 0;
        }
        if pages >= PAGES_MAX {
            let _turn = self.turn.lock();
            copy(writer);
        } else if (pages >= PAGES_MIN.max(self.told + PAGES_STEP) || self.bytes >= BYTES_STEP)
            && let Some((tell, _)) = &self.thread
        {
            (self.told, self.bytes) = (pages, 0);
            // If it has not come to what it was told before, it copies both at once.
            let _ = tell.try_send(());
        }
    }

    /// What is copied into. Whoever closes a descriptor of a file gives up the locks that the process has on it, those of
    /// SQLite, too (POSIX, `fcntl`): this one stays open until the connections are closed.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Keeps the thread from copying, while somebody else does.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Waits for the end of the thread, and of its connection.
    pub(super) fn end(&mut self) {
        let Some((tell, thread)) = self.thread.take() else { return };
        drop(tell);
        if thread.join().is_err() {
            tracing::error!("the thread that copies the log ended by a panic");
        }
    }
}

/// Copies what nobody needs in the log. Not being able to is no harm: the log only stays longer.
fn copy(conn: &Connection) {
    if let Err(error) = conn.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
        tracing::debug!(%error, "the log was not copied back");
    }
}
