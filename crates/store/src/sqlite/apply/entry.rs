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
    WHERE org = ?1 AND sid IS NULL AND stream = ?2 ORDER BY time, arrival LIMIT ?3";

/// Number of records and bytes of their bodies, by organization, stream and sensor.
pub(super) type Sizes = BTreeMap<(i64, Stream, Option<[u8; 16]>), (i64, i64)>;

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
                    entry.kind,
                    entry.this_atom,
                    entry.parent_atom,
                    entry.investigation_id,
                    entry.body,
                ],
            )?;
            let size = self.added.entry((org, entry.stream, sid)).or_default();
            *size = (size.0 + 1, size.1 + integer(entry.body.len() as u64));
        }
        Ok(())
    }

    /// Adds what lists have added and forgotten to what is counted of streams and sensors: once for all that are written
    /// since it was done last, and so to be called before they are committed.
    pub(in crate::sqlite) fn resize(&mut self) -> Result<(), StoreError> {
        let mut streams = BTreeMap::<(i64, Stream), (i64, i64)>::new();
        for ((org, stream, sid), (count, bytes)) in std::mem::take(&mut self.added) {
            self.execute(
                "INSERT INTO sensor_size (org, stream, sid, count, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (org, stream, sid) DO UPDATE SET
                     count = count + excluded.count, bytes = bytes + excluded.bytes",
                params![org, stream as u8, sid.as_ref().map_or(&[][..], |sid| sid), count, bytes],
            )?;
            let all = streams.entry((org, stream)).or_default();
            *all = (all.0 + count, all.1 + bytes);
        }
        streams.into_iter().try_for_each(|((org, stream), (count, bytes))| {
            self.execute(
                "INSERT INTO stream_size (org, stream, count, bytes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (org, stream) DO UPDATE SET
                     count = count + excluded.count, bytes = bytes + excluded.bytes",
                params![org, stream as u8, count, bytes],
            )
        })
    }

    pub(super) fn trim(&mut self, oid: Oid, stream: Stream, what: Trim) -> Result<(), StoreError> {
        self.resize()?;
        let org = self.organization(oid)?;
        let (code, most) = (stream as u8, TRIM_ENTRIES_MAX as i64);
        let gone = match what {
            Trim::Before(time) => self.oldest(OLDEST, params![org, code, time.as_micros(), most], i64::MAX)?,
            Trim::Sensor { sid, bytes_max } => {
                let over = self.sensor_bytes(org, stream, sid)?.saturating_sub(integer(bytes_max));
                match sid {
                    Some(sid) => self.oldest(OLDEST_OF_SENSOR, params![org, sid.0.as_bytes(), code, most], over)?,
                    None => self.oldest(OLDEST_OF_NONE, params![org, code, most], over)?,
                }
            }
        };
        for old in &gone {
            self.execute("DELETE FROM entry WHERE arrival = ?1", [old.arrival])?;
            let size = self.added.entry((org, stream, old.sid)).or_default();
            *size = (size.0 - 1, size.1 - old.bytes);
        }
        let about: Vec<_> = self.added.keys().map(|(_, _, sid)| *sid).collect();
        self.resize()?;
        for sid in about {
            self.execute(
                "DELETE FROM sensor_size WHERE org = ?1 AND stream = ?2 AND sid = ?3 AND count <= 0",
                params![org, code, sid.as_ref().map_or(&[][..], |sid| sid)],
            )?;
        }
        self.forgotten += gone.len();
        Ok(())
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
