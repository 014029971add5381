//! Opening the database file: is it ours, is it sound, is its schema of today.

use super::{log, now, sealing};
use crate::store::{Options, StoreError};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// Marks the file as ours: "mstr".
const APPLICATION_ID: i32 = 0x6d73_7472;

/// Schema changes, in order; number N brings version N-1 to version N. Published ones never change.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_counters.sql"),
    include_str!("migrations/0003_sensor_sizes.sql"),
    include_str!("migrations/0004_deliveries.sql"),
    include_str!("migrations/0005_live.sql"),
    include_str!("migrations/0006_claims.sql"),
    include_str!("migrations/0007_seal.sql"),
    include_str!("migrations/0008_free_claims.sql"),
    include_str!("migrations/0009_delivery_runs.sql"),
    include_str!("migrations/0010_fewer_pages.sql"),
];

/// The check of the pages at start ends after this long, so that a large file does not hold up the start: damage that it
/// did not reach is found where it is read.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// Steps of SQLite's machine between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// How long to wait for another program that looks into the file, such as a copying tool.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// After this many pages (4 KiB each) the log is copied back while the file is set up; later on the writer sees to it.
const CHECKPOINT_PAGES: u32 = 1_000;

/// The log file is cut to this size when it is reused.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// Statements kept prepared on each connection; there are fewer in the code.
const STATEMENTS_MAX: usize = 96;

/// What to do about a file that cannot be used.
const ADVICE: &str = "restore a backup made by `muster backup`, or move the file away to begin anew";

/// Translates an error of SQLite into what the caller can do about it.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    let rusqlite::Error::SqliteFailure(failure, _) = &error else { return StoreError::Failed(error.to_string()) };
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full,
        // The shared index of the log could not grow.
        _ if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(format!("{error}; {ADVICE}")),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
        // A volume that went away or became read-only, say: it may come back.
        ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Translates an error of the file system.
pub(super) fn file_error(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Unavailable(format!("{}: {error}", path.display())),
    }
}

/// Makes an empty file that only its owner may read: it holds hashes of keys, and what endpoints reported.
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// The one connection that writes.
pub(super) fn writer(options: &Options) -> Result<Connection, StoreError> {
    match create_private(&options.path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file_error(&options.path, &error));
        }
        _ => {}
    }
    log::check(&options.path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&options.path, flags).map_err(store_error)?;
    conn.busy_timeout(LOCK_WAIT).map_err(store_error)?;
    check(&mut conn, &options.path, Some(CHECK_MAX))?;
    sealing::require_key(&conn, options.seal.as_ref())?;
    set_up(&mut conn, options).map_err(store_error)?;
    options.seal.iter().try_for_each(|seal| sealing::take_over(&mut conn, seal))?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(store_error)?;
    conn.busy_timeout(LOCK_WAIT).map_err(store_error)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(conn)
}

/// A connection that copies the log back, and nothing else.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(store_error)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(store_error)?;
    Ok(conn)
}

/// Waits for locks as long as every connection does.
pub(super) fn wait_for_locks(conn: &Connection, wait: Option<Duration>) -> Result<(), rusqlite::Error> {
    conn.busy_timeout(wait.unwrap_or(LOCK_WAIT))
}

/// Refuses files that are not ours or not sound, as far as that shows within `patience`. Changes nothing: a file of
/// another program stays as it is.
pub(super) fn check(conn: &mut Connection, path: &Path, patience: Option<Duration>) -> Result<(), StoreError> {
    let unusable = |why: String| StoreError::Corrupt(format!("{}: {why}", path.display()));
    let ask = |error| match store_error(error) {
        StoreError::Corrupt(why) => unusable(why),
        other => other,
    };
    let count: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(ask)?;
    if count == 0 {
        return Ok(());
    }
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(ask)?;
    if application_id != APPLICATION_ID {
        return Err(unusable("this is a database of another program; move it away or choose another folder".into()));
    }
    let version: usize = conn
        .query_row("SELECT max(version) FROM schema_version", [], |row| row.get::<_, i64>(0))
        .map_err(ask)? as usize;
    if version > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(unusable(format!(
            "made by a newer muster (schema {version}, this one knows up to {known}); use that version, or {ADVICE}"
        )));
    }
    match verdict_on_pages(conn, patience).map_err(ask)?.as_deref() {
        None => tracing::warn!(file = %path.display(), "the database is large: it was checked in part"),
        Some("ok") => {}
        Some(verdict) => return Err(unusable(format!("damaged ({verdict}); {ADVICE}"))),
    }
    Ok(())
}

/// What SQLite says of the pages of the file; `None` if it could not say within `patience`.
fn verdict_on_pages(conn: &mut Connection, patience: Option<Duration>) -> Result<Option<String>, rusqlite::Error> {
    let begun = now();
    let is_over = patience.map(|patience| move || begun.elapsed() > patience);
    conn.progress_handler(STEPS_BETWEEN_LOOKS, is_over)?;
    let verdict = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    conn.progress_handler(0, None::<fn() -> bool>)?;
    match verdict {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(None),
        verdict => verdict.map(Some),
    }
}

fn set_up(conn: &mut Connection, options: &Options) -> Result<(), rusqlite::Error> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"), [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES_MAX}"), [], |_| Ok(()))?;
    migrate(conn)?;
    if let Some(bytes_max) = options.bytes_max {
        let page_size: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(bytes_max).unwrap_or(i64::MAX) / page_size.max(1);
        conn.query_row(&format!("PRAGMA max_page_count = {}", pages.clamp(1, 0xffff_fffe)), [], |_| Ok(()))?;
    }
    Ok(())
}

/// Brings the schema up to date, each step in a transaction of its own.
fn migrate(conn: &mut Connection) -> Result<(), rusqlite::Error> {
    for (version, sql) in (1_i64..).zip(MIGRATIONS) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT")?;
        let have: Option<i64> =
            transaction.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0))?;
        if have.unwrap_or(0) < version {
            transaction.execute_batch(sql)?;
            transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [version])?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    /// Goal: a large file does not hold up the start. Method: a check that has no time at all is told from one that found
    /// nothing, and from one that has its time.
    #[test]
    fn the_check_of_the_pages_ends_when_its_time_is_over() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT;
             WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 20000)
             INSERT INTO numbers SELECT n FROM up",
        )
        .unwrap();
        assert_eq!(verdict_on_pages(&mut conn, Some(Duration::ZERO)).unwrap(), None);
        assert_eq!(verdict_on_pages(&mut conn, None).unwrap().as_deref(), Some("ok"));
    }

    /// Fault 5.8: callers are told to come back, and not that the server is broken.
    #[test]
    fn five_8_a_disk_that_cannot_be_written_is_not_a_fault_of_the_server() {
        let of = |code| store_error(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_CANTOPEN] {
            assert!(matches!(of(code), StoreError::Unavailable(_)), "{code}");
        }
        assert!(matches!(of(ffi::SQLITE_MISUSE), StoreError::Failed(_)));
    }
}
