//! Kept records: appended, counted by stream and by sensor, and forgotten.

use super::{Tables, find, integer};
use crate::row::*;
use crate::sqlite::open::store_error;
use crate::store::{StoreError, TRIM_ENTRIES_MAX};
use muster_model::{Oid, Sid};
use rusqlite::{Params, Row, params};
use std::collections::BTreeMap;

/// The oldest records of a stream.
pub(in crate::sqlite) const OLDEST: &str = "SELECT arrival, length(body), sid FROM entry INDEXED BY entry_time
    WHERE org = ?1 AND stream = ?2 AND time < ?3 ORDER BY time, arrival LIMIT ?4";

/// The oldest records of one sensor.
pub(in crate::sqlite) const OLDEST_OF_SENSOR: &str =
    "SELECT arrival, length(body), sid FROM entry INDEXED BY entry_sensor
    WHERE org = ?1 AND sid = ?2 AND stream = ?3 ORDER BY time, arrival LIMIT ?4";

/// The oldest records about no sensor.
pub(in crate::sqlite) const OLDEST_OF_NONE: &str =
    "SELECT arrival, length(body), sid FROM entry INDEXED BY entry_sensorless
    WHERE org = ?1 AND sid IS NULL AND stream = ?2 AND stream <> 2 ORDER BY time, arrival LIMIT ?3";

/// The same of audit records, which have no index of their own for it.
pub(in crate::sqlite) const OLDEST_AUDIT_OF_NONE: &str =
    "SELECT arrival, length(body), sid FROM entry INDEXED BY entry_time
    WHERE org = ?1 AND sid IS NULL AND stream = ?2 ORDER BY time, arrival LIMIT ?3";

/// So many records come before they are counted: whoever asks until then counts fewer, which takes some microseconds.
pub(super) const COUNTED_EVERY: usize = 64;

/// What has come since records were counted, of one stream or of all.
pub(in crate::sqlite) const UNCOUNTED: &str = "entry NOT INDEXED WHERE arrival > (SELECT arrival FROM counted)";

/// A record that goes.
struct Old {
    arrival: i64,
    bytes: i64,
    sid: Option<[u8; 16]>,
}

fn old(row: &Row<'_>) -> rusqlite::Result<Old> {
    Ok(Old { arrival: row.get(0)?, bytes: row.get(1)?, sid: row.get(2)? })
}

impl Tables<'_> {
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        for entry in entries {
            let org = self.organization(entry.oid)?;
            let sid = entry.sid.map(|sid| *sid.0.as_bytes());
            self.execute(
                "INSERT INTO entry (org, stream, time, sid, id, kind, this_atom, parent_atom, investigation_id, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    org,
                    entry.stream as u8,
                    entry.time.as_micros(),
                    sid,
                    entry.id.as_bytes(),
                    &*entry.kind,
                    entry.this_atom,
                    entry.parent_atom,
                    entry.investigation_id,
                    &*entry.body,
                ],
            )?;
        }
        self.uncounted += entries.len();
        Ok(())
    }

    /// Counts the records that came, if they are many. To be called before a commit.
    pub(in crate::sqlite) fn count_now_and_then(&mut self) -> Result<(), StoreError> {
        if self.uncounted < COUNTED_EVERY { Ok(()) } else { self.count() }
    }

    /// Adds the records that came to what is counted of streams and sensors. Their lengths are taken before they are
    /// sorted: SQLite would sort them with their bodies, megabytes by way of a file.
    fn count(&mut self) -> Result<(), StoreError> {
        self.execute(
            &format!(
                "INSERT INTO sensor_size (org, stream, sid, count, bytes)
                 WITH come AS MATERIALIZED
                     (SELECT org, stream, coalesce(sid, x'') AS sid, length(body) AS bytes FROM {UNCOUNTED})
                 SELECT org, stream, sid, count(*), sum(bytes) FROM come GROUP BY org, stream, sid
                 ON CONFLICT (org, stream, sid) DO UPDATE SET
                     count = count + excluded.count, bytes = bytes + excluded.bytes"
            ),
            [],
        )?;
        self.execute(
            &format!(
                "INSERT INTO stream_size (org, stream, count, bytes)
                 WITH come AS MATERIALIZED (SELECT org, stream, length(body) AS bytes FROM {UNCOUNTED})
                 SELECT org, stream, count(*), sum(bytes) FROM come GROUP BY org, stream
                 ON CONFLICT (org, stream) DO UPDATE SET
                     count = count + excluded.count, bytes = bytes + excluded.bytes"
            ),
            [],
        )?;
        self.all_are_counted()?;
        self.uncounted = 0;
        Ok(())
    }

    /// The number of the last record is used again once that was forgotten: whatever comes next is counted.
    fn all_are_counted(&self) -> Result<(), StoreError> {
        self.execute("UPDATE counted SET arrival = (SELECT coalesce(max(arrival), 0) FROM entry)", [])
    }

    pub(super) fn trim(&mut self, oid: Oid, stream: Stream, what: Trim) -> Result<(), StoreError> {
        self.count()?;
        let org = self.organization(oid)?;
        let (code, most) = (stream as u8, TRIM_ENTRIES_MAX as i64);
        let gone = match what {
            Trim::Before(time) => self.oldest(OLDEST, params![org, code, time.as_micros(), most], i64::MAX)?,
            Trim::Sensor { sid, bytes_max } => {
                let over = self.sensor_bytes(org, stream, sid)?.saturating_sub(integer(bytes_max));
                match sid {
                    Some(sid) => self.oldest(OLDEST_OF_SENSOR, params![org, sid.0.as_bytes(), code, most], over)?,
                    None if stream == Stream::Audit => {
                        self.oldest(OLDEST_AUDIT_OF_NONE, params![org, code, most], over)?
                    }
                    None => self.oldest(OLDEST_OF_NONE, params![org, code, most], over)?,
                }
            }
        };
        let mut less = BTreeMap::<Option<[u8; 16]>, (i64, i64)>::new();
        for old in &gone {
            self.execute("DELETE FROM entry WHERE arrival = ?1", [old.arrival])?;
            let size = less.entry(old.sid).or_default();
            *size = (size.0 + 1, size.1 + old.bytes);
        }
        self.all_are_counted()?;
        less.iter().try_for_each(|(sid, size)| self.shrink((org, code), sid.as_ref(), *size))?;
        self.forgotten += gone.len();
        Ok(())
    }

    /// Takes records of one sensor, or about none, from what is counted.
    fn shrink(
        &self,
        (org, stream): (i64, u8),
        sid: Option<&[u8; 16]>,
        (count, bytes): (i64, i64),
    ) -> Result<(), StoreError> {
        let sid = sid.map_or(&[][..], |sid| sid);
        self.execute(
            "UPDATE stream_size SET count = count - ?3, bytes = bytes - ?4 WHERE org = ?1 AND stream = ?2",
            params![org, stream, count, bytes],
        )?;
        self.execute(
            "UPDATE sensor_size SET count = count - ?4, bytes = bytes - ?5 WHERE org = ?1 AND stream = ?2 AND sid = ?3",
            params![org, stream, sid, count, bytes],
        )?;
        self.execute(
            "DELETE FROM sensor_size WHERE org = ?1 AND stream = ?2 AND sid = ?3 AND count <= 0",
            params![org, stream, sid],
        )
    }

    fn sensor_bytes(&self, org: i64, stream: Stream, sid: Option<Sid>) -> Result<i64, StoreError> {
        let sid = sid.as_ref().map_or(&[][..], |sid| sid.0.as_bytes());
        let bytes = "SELECT bytes FROM sensor_size WHERE org = ?1 AND stream = ?2 AND sid = ?3";
        Ok(find(self.conn, bytes, params![org, stream as u8, sid], |row| row.get(0))?.unwrap_or(0))
    }

    /// The first records that a query gives, until so many bytes are gone with them.
    fn oldest(&self, sql: &str, params: impl Params, over: i64) -> Result<Vec<Old>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let (mut gone, mut bytes) = (Vec::new(), 0_i64);
        let mut rows = statement.query_map(params, old).map_err(store_error)?;
        while bytes < over
            && let Some(row) = rows.next()
        {
            let old = row.map_err(store_error)?;
            bytes += old.bytes;
            gone.push(old);
        }
        Ok(gone)
    }
}
