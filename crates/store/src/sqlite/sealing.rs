//! Whether a database is sealed, by which key, and how one that is not becomes so.

use super::open::store_error;
use crate::row::Record;
use crate::seal::Seal;
use crate::store::StoreError;
use muster_model::Oid;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use uuid::Uuid;

/// Name of the key by which a database is sealed; `None` if it is not, or is older than sealing.
pub(super) fn sealed_by(conn: &Connection) -> Result<Option<String>, StoreError> {
    let table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'seal'";
    let has_table = conn.query_row(table, [], |_| Ok(())).optional().map_err(store_error)?;
    if has_table.is_none() {
        return Ok(None);
    }
    conn.query_row("SELECT key FROM seal", [], |row| row.get(0)).optional().map_err(store_error)
}

/// Refuses a database that is sealed by another key than this one.
pub(super) fn require_key(conn: &Connection, seal: Option<&Seal>) -> Result<(), StoreError> {
    match (sealed_by(conn)?, seal.map(Seal::name)) {
        (None, _) => Ok(()),
        (Some(has), Some(given)) if has == given => Ok(()),
        (Some(has), given) => Err(StoreError::Sealed { has, given }),
    }
}

/// Seals a database that is not sealed yet, as a whole or not at all.
pub(super) fn take_over(conn: &mut Connection, seal: &Seal) -> Result<(), StoreError> {
    if sealed_by(conn)?.is_some() {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
    let sealed = seal_records(&transaction, seal)?;
    transaction.execute("INSERT INTO seal (key) VALUES (?1)", [seal.name()]).map_err(store_error)?;
    transaction.commit().map_err(store_error)?;
    if sealed > 0 {
        tracing::info!(records = sealed, key = seal.name(), "the database was not sealed: its records are from now on");
        forget_plain(conn);
    }
    Ok(())
}

fn seal_records(conn: &Connection, seal: &Seal) -> Result<usize, StoreError> {
    let mut all = conn.prepare("SELECT oid, kind, key, body FROM record").map_err(store_error)?;
    let rows = all.query_map([], |row| {
        let (oid, revision) = (Oid(Uuid::from_bytes(row.get(0)?)), 0);
        Ok(Record { oid, kind: row.get(1)?, key: row.get(2)?, body: row.get(3)?, revision })
    });
    let records: Vec<Record> = rows.and_then(Iterator::collect).map_err(store_error)?;
    let update = "UPDATE record SET body = ?4 WHERE oid = ?1 AND kind = ?2 AND key = ?3";
    for record in &records {
        let body = seal.seal_record(record);
        conn.execute(update, params![record.oid.0.as_bytes(), record.kind, record.key, body]).map_err(store_error)?;
    }
    Ok(records.len())
}

/// What was in the clear is still in pages that are free now, and in the log.
fn forget_plain(conn: &Connection) {
    let cut = || conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = conn.execute_batch("VACUUM").and_then(|()| cut()) {
        tracing::warn!(
            %error,
            "free pages of the database may still hold what was in the clear: make room, stop the server and run VACUUM on it"
        );
    }
}
