//! Each read as plain SQL.

pub(super) mod delivery;

use super::apply::entry::UNCOUNTED;
use super::apply::integer;
use super::open::store_error;
use super::{find, standing};
use crate::claim::Standing;
use crate::page::{PageBuilder, Place, whole_seconds};
use crate::row::*;
use crate::seal::Seal;
use crate::store::{ENTRIES_PAGE_BYTES_MAX, ENTRIES_PAGE_MAX, OVERVIEW_SECONDS_MAX, Read, StoreError};
use muster_model::{Oid, Sid, TaskId, Timestamp};
use muster_tasking::{Target, TargetState};
use roaring::RoaringBitmap;
use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, params, params_from_iter};
use uuid::Uuid;

/// Columns of an entry, as [`entry_of`] reads them.
const ENTRY: &str = "SELECT arrival, sid, id, time, kind, this_atom, parent_atom, investigation_id, body FROM entry";

/// Columns of a target, as [`target_of`] reads them.
const TARGET: &str =
    "SELECT ordinal, state, attempts, sent_at, confirmed_at, started_at, ended_at, code, error FROM target";

/// One consistent view of the database: a connection inside of a transaction.
pub(super) struct View<'c> {
    pub(super) conn: &'c Connection,
    /// Opens the bodies of records, if they are sealed.
    pub(super) seal: Option<&'c Seal>,
}

fn unreadable(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a stored {what} cannot be read: {error}; restore a backup made by `muster backup`"))
}

fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn time_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        oid: Oid(id_of(row, 0)?),
        kind: row.get(1)?,
        key: row.get(2)?,
        body: row.get(3)?,
        revision: row.get::<_, i64>(4)?.cast_unsigned(),
    })
}

/// Owner and number of a row that begins with them: by these it is known also when the rest cannot be read.
fn named(row: &Row<'_>) -> Result<(Oid, u64), StoreError> {
    let read = || Ok((Oid(id_of(row, 0)?), row.get::<_, i64>(1)?.cast_unsigned()));
    read().map_err(store_error)
}

fn target_of(row: &Row<'_>) -> Result<(u32, Target), StoreError> {
    let read = || -> rusqlite::Result<_> {
        let target = Target {
            state: TargetState::Queued,
            attempts: row.get(2)?,
            sent_at: time_of(row, 3)?,
            confirmed_at: time_of(row, 4)?,
            started_at: time_of(row, 5)?,
            ended_at: time_of(row, 6)?,
            code: row.get(7)?,
            error: row.get::<_, Option<String>>(8)?.map(String::into_boxed_str),
        };
        Ok((row.get(0)?, row.get::<_, u8>(1)?, target))
    };
    let (ordinal, code, target) = read().map_err(store_error)?;
    let state = TargetState::from_code(code).ok_or_else(|| unreadable("target", format!("state {code}")))?;
    Ok((ordinal, Target { state, ..target }))
}

fn entry_of(row: &Row<'_>, oid: Oid, stream: Stream) -> rusqlite::Result<Entry> {
    Ok(Entry {
        oid,
        stream,
        sid: row.get::<_, Option<[u8; 16]>>(1)?.map(|sid| Sid(Uuid::from_bytes(sid))),
        id: id_of(row, 2)?,
        time: time_of(row, 3)?,
        kind: row.get(4)?,
        this_atom: row.get(5)?,
        parent_atom: row.get(6)?,
        investigation_id: row.get(7)?,
        body: row.get::<_, Vec<u8>>(8)?.into(),
    })
}

fn place_of(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { time: time_of(row, 3)?, arrival: row.get::<_, i64>(0)?.cast_unsigned() })
}

impl View<'_> {
    fn opened(&self, record: Record) -> Record {
        match self.seal {
            Some(seal) => seal.opened(record),
            None => record,
        }
    }

    /// Calls `each` with every row until it answers `false`.
    fn scan(
        &self,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let mut rows = statement.query(params).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    fn organization(&self, oid: Oid) -> Result<Option<i64>, StoreError> {
        find(self.conn, "SELECT org FROM organization WHERE oid = ?1", params![oid.0.as_bytes()], |row| row.get(0))
    }

    fn task_row(&self, oid: Oid, task: u64) -> Result<Option<i64>, StoreError> {
        let params = params![oid.0.as_bytes(), integer(task)];
        find(self.conn, "SELECT id FROM task WHERE oid = ?1 AND number = ?2", params, |row| row.get(0))
    }

    /// Reads entries in the order of the rows until the page is full.
    fn page(
        &self,
        sql: &str,
        params: impl Params,
        (oid, stream): (Oid, Stream),
        limit: usize,
    ) -> Result<EntryPage, StoreError> {
        let mut page = PageBuilder::new(limit);
        self.scan(sql, params, |row| {
            let place = place_of(row).map_err(store_error)?;
            if page.is_full() {
                page.end();
                return Ok(false);
            }
            page.push(place, entry_of(row, oid, stream).map_err(store_error)?);
            Ok(true)
        })?;
        Ok(page.finish())
    }
}

/// The statement for a page of entries, and its parameters. Each index is named: without statistics SQLite may pick
/// one that reads a whole stream.
fn entries_sql(query: &EntryQuery, org: i64, cursor: Option<Place>) -> (String, Vec<Value>) {
    let index = match (&query.investigation_id, query.sid) {
        (Some(_), _) => "entry_investigation",
        (None, Some(_)) => "entry_sensor",
        (None, None) => "entry_time",
    };
    let (mut from, mut to) = (query.from, query.to);
    if let Some(place) = cursor {
        if query.forward { from = from.max(place.time) } else { to = to.min(place.time) }
    }
    let mut sql = format!("{ENTRY} INDEXED BY {index} WHERE org = ? AND stream = ? AND time >= ? AND time <= ?");
    let mut values: Vec<Value> =
        vec![org.into(), i64::from(query.stream as u8).into(), from.as_micros().into(), to.as_micros().into()];
    if let Some(sid) = query.sid {
        sql += " AND sid = ?";
        values.push(sid.0.as_bytes().to_vec().into());
    }
    if let Some(kind) = &query.kind {
        sql += " AND kind = ?";
        values.push(kind.clone().into());
    }
    if let Some(id) = &query.investigation_id {
        sql += " AND investigation_id = ?";
        values.push(id.clone().into());
    }
    if let Some(place) = cursor {
        sql += if query.forward { " AND (time, arrival) > (?, ?)" } else { " AND (time, arrival) < (?, ?)" };
        values.push(place.time.as_micros().into());
        values.push(integer(place.arrival).into());
    }
    sql += if query.forward { " ORDER BY time, arrival" } else { " ORDER BY time DESC, arrival DESC" };
    (sql, values)
}

/// A query for the rows of one organization, or of all.
fn of(oid: Option<Oid>, select: &str, rest: &str) -> String {
    let which = if oid.is_some() { "oid = ?1" } else { "TRUE" };
    format!("{select} WHERE {which} {rest}")
}

impl Read for View<'_> {
    fn records(&mut self, oid: Option<Oid>, kind: Option<&str>) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let mut each = |row: &Row<'_>| {
            records.push(self.opened(record_of(row).map_err(store_error)?));
            Ok(true)
        };
        match oid {
            Some(oid) => self.scan(
                "SELECT oid, kind, key, body, revision FROM record
                 WHERE oid = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY oid, kind, key",
                params![oid.0.as_bytes(), kind],
                &mut each,
            ),
            None => self.scan(
                "SELECT oid, kind, key, body, revision FROM record
                 WHERE ?1 IS NULL OR kind = ?1 ORDER BY oid, kind, key",
                params![kind],
                &mut each,
            ),
        }?;
        Ok(records)
    }

    fn standing(&mut self, oid: Oid) -> Result<Standing, StoreError> {
        standing(self.conn, oid)
    }

    fn record(&mut self, oid: Oid, kind: &str, key: &str) -> Result<Option<Record>, StoreError> {
        let record = find(
            self.conn,
            "SELECT oid, kind, key, body, revision FROM record WHERE oid = ?1 AND kind = ?2 AND key = ?3",
            params![oid.0.as_bytes(), kind, key],
            record_of,
        )?;
        Ok(record.map(|record| self.opened(record)))
    }

    fn sensors(
        &mut self,
        oid: Option<Oid>,
        each: &mut dyn FnMut(Result<SensorRow, Unreadable>),
    ) -> Result<(), StoreError> {
        let sql = of(oid, "SELECT oid, ordinal, body FROM sensor", "ORDER BY oid, ordinal");
        self.scan(&sql, params_from_iter(oid.map(|oid| oid.0.into_bytes())), |row| {
            let (oid, number) = named(row)?;
            let body = row.get_ref(2).map_err(store_error)?;
            let sensor = body.as_str().map_err(|error| error.to_string());
            let sensor = sensor.and_then(|body| serde_json::from_str(body).map_err(|error| error.to_string()));
            each(sensor.map_err(|error| Unreadable { oid, number, error }));
            Ok(true)
        })
    }

    fn spool(&mut self, oid: Oid, ordinal: u32, spool_id: [u8; 16]) -> Result<Option<u64>, StoreError> {
        let seq: Option<i64> = find(
            self.conn,
            "SELECT seq FROM spool WHERE oid = ?1 AND ordinal = ?2 AND spool_id = ?3",
            params![oid.0.as_bytes(), ordinal, spool_id],
            |row| row.get(0),
        )?;
        Ok(seq.map(i64::cast_unsigned))
    }

    fn tasks(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Result<TaskRow, Unreadable>)) -> Result<(), StoreError> {
        let sql = of(oid, "SELECT oid, number, task_id, spec, control, targets FROM task", "ORDER BY oid, number");
        self.scan(&sql, params_from_iter(oid.map(|oid| oid.0.into_bytes())), |row| {
            let (oid, number) = named(row)?;
            let targets = row.get_ref(5).map_err(store_error)?.as_blob().map_err(|error| error.to_string());
            let targets = targets.and_then(|bytes| {
                RoaringBitmap::deserialize_from(bytes).map_err(|error| format!("its target set: {error}"))
            });
            let read = |targets| -> rusqlite::Result<_> {
                let (task_id, spec, control) = (TaskId(id_of(row, 2)?), row.get(3)?, row.get(4)?);
                Ok(TaskRow { oid, number, task_id, spec, control, targets })
            };
            let task = targets.and_then(|targets| read(targets).map_err(|error| error.to_string()));
            each(task.map_err(|error| Unreadable { oid, number, error }));
            Ok(true)
        })
    }

    fn targets(&mut self, oid: Oid, task: u64, each: &mut dyn FnMut(u32, Target)) -> Result<(), StoreError> {
        let Some(task) = self.task_row(oid, task)? else { return Ok(()) };
        self.scan(&format!("{TARGET} WHERE task = ?1 ORDER BY ordinal"), [task], |row| {
            let (ordinal, target) = target_of(row)?;
            each(ordinal, target);
            Ok(true)
        })
    }

    fn targets_of(&mut self, oid: Oid, task: u64, ordinals: &[u32]) -> Result<Vec<(u32, Target)>, StoreError> {
        let Some(task) = self.task_row(oid, task)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let sql = format!("{TARGET} WHERE task = ?1 AND ordinal = ?2");
        for ordinal in ordinals {
            self.scan(&sql, params![task, ordinal], |row| {
                found.push(target_of(row)?);
                Ok(true)
            })?;
        }
        Ok(found)
    }

    fn stream_size(&mut self, oid: Oid, stream: Stream) -> Result<(u64, u64), StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok((0, 0)) };
        let size: Option<(i64, i64)> = find(
            self.conn,
            &format!(
                "SELECT coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM (
                     SELECT count, bytes FROM stream_size WHERE org = ?1 AND stream = ?2
                     UNION ALL SELECT 1, length(body) FROM {UNCOUNTED} AND org = ?1 AND stream = ?2)"
            ),
            params![org, stream as u8],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(size.map_or((0, 0), |(count, bytes)| (count.cast_unsigned(), bytes.cast_unsigned())))
    }

    fn entries(&mut self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        let cursor = query.cursor_place()?;
        let Some(org) = self.organization(query.oid)? else { return Ok(EntryPage::default()) };
        let (sql, values) = entries_sql(query, org, cursor);
        self.page(&sql, params_from_iter(values), (query.oid, query.stream), query.limit)
    }

    fn entry(&mut self, oid: Oid, stream: Stream, id: Uuid) -> Result<Option<Entry>, StoreError> {
        // The index holds streams up to that of detections, and is taken only where that is asked for.
        find(
            self.conn,
            &format!(
                "{ENTRY} INDEXED BY entry_id WHERE id = ?1 AND stream = ?2 AND stream <= 1
                 AND org = (SELECT org FROM organization WHERE oid = ?3) ORDER BY arrival DESC LIMIT 1"
            ),
            params![id.as_bytes(), stream as u8, oid.0.as_bytes()],
            |row| entry_of(row, oid, stream),
        )
    }

    fn entry_by_atom(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Option<Entry>, StoreError> {
        find(
            self.conn,
            &format!(
                "{ENTRY} INDEXED BY entry_this WHERE sid = ?1 AND this_atom = ?2 AND stream = 0
                 AND org = (SELECT org FROM organization WHERE oid = ?3) ORDER BY time DESC, arrival DESC LIMIT 1"
            ),
            params![sid.0.as_bytes(), atom, oid.0.as_bytes()],
            |row| entry_of(row, oid, Stream::Event),
        )
    }

    fn children(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Vec<Entry>, StoreError> {
        let sql = format!(
            "{ENTRY} INDEXED BY entry_parent WHERE sid = ?1 AND parent_atom = ?2 AND stream = 0
             AND org = (SELECT org FROM organization WHERE oid = ?3) ORDER BY time, arrival"
        );
        let params = params![sid.0.as_bytes(), atom, oid.0.as_bytes()];
        Ok(self.page(&sql, params, (oid, Stream::Event), ENTRIES_PAGE_MAX)?.entries)
    }

    fn overview(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(Vec::new()) };
        let (mut from, to) = whole_seconds(from, to);
        let mut seconds = Vec::new();
        // One seek for each second, however many events it has.
        while seconds.len() < OVERVIEW_SECONDS_MAX && from <= to {
            let next = find(
                self.conn,
                "SELECT time FROM entry INDEXED BY entry_sensor
                 WHERE org = ?1 AND sid = ?2 AND stream = 0 AND time >= ?3 AND time <= ?4 ORDER BY time LIMIT 1",
                params![org, sid.0.as_bytes(), from.as_micros(), to.as_micros()],
                |row| time_of(row, 0),
            )?;
            let Some(time) = next else { break };
            seconds.push(time.as_secs());
            let Some(second) = time.as_secs().checked_add(1) else { break };
            from = Timestamp::from_secs(second);
        }
        Ok(seconds)
    }

    fn event_counts(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<(String, u64)>, StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(Vec::new()) };
        let (from, to) = whole_seconds(from, to);
        let mut counts = Vec::new();
        self.scan(
            "SELECT kind, count(*) FROM entry INDEXED BY entry_sensor
             WHERE org = ?1 AND sid = ?2 AND stream = 0 AND time >= ?3 AND time <= ?4 GROUP BY kind ORDER BY kind",
            params![org, sid.0.as_bytes(), from.as_micros(), to.as_micros()],
            |row| {
                let count: i64 = row.get(1).map_err(store_error)?;
                counts.push((row.get(0).map_err(store_error)?, count.cast_unsigned()));
                Ok(true)
            },
        )?;
        Ok(counts)
    }

    fn sensor_sizes(
        &mut self,
        oid: Oid,
        stream: Stream,
        each: &mut dyn FnMut(Option<Sid>, u64),
    ) -> Result<(), StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(()) };
        self.scan(
            &format!(
                "SELECT sid, sum(bytes) FROM (
                     SELECT sid, bytes FROM sensor_size WHERE org = ?1 AND stream = ?2
                     UNION ALL
                     SELECT coalesce(sid, x''), length(body) FROM {UNCOUNTED} AND org = ?1 AND stream = ?2)
                 GROUP BY sid ORDER BY sid"
            ),
            params![org, stream as u8],
            |row| {
                let sid = row.get::<_, Vec<u8>>(0).map_err(store_error)?;
                let bytes: i64 = row.get(1).map_err(store_error)?;
                each(Uuid::from_slice(&sid).ok().map(Sid), bytes.cast_unsigned());
                Ok(true)
            },
        )
    }

    fn queued(&mut self, oid: Oid, output: &str, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let (mut queued, mut bytes) = (Vec::new(), 0);
        self.scan(
            "SELECT position, body FROM queued
             WHERE queue = (SELECT id FROM queue WHERE oid = ?1 AND output = ?2) ORDER BY position LIMIT ?3",
            params![oid.0.as_bytes(), output, integer(limit as u64)],
            |row| {
                let position: i64 = row.get(0).map_err(store_error)?;
                let body: Vec<u8> = row.get(1).map_err(store_error)?;
                bytes += body.len();
                queued.push(Queued { position: position.cast_unsigned(), body });
                Ok(bytes < ENTRIES_PAGE_BYTES_MAX)
            },
        )?;
        Ok(queued)
    }

    fn queue_size(&mut self, oid: Oid, output: &str) -> Result<(u64, u64), StoreError> {
        let size: Option<(i64, i64)> = find(
            self.conn,
            "SELECT count, bytes FROM queue WHERE oid = ?1 AND output = ?2",
            params![oid.0.as_bytes(), output],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(size.map_or((0, 0), |(count, bytes)| (count.cast_unsigned(), bytes.cast_unsigned())))
    }

    fn deliveries(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Oid, Delivery)) -> Result<(), StoreError> {
        self.deliveries_of_their_own(oid, each)?;
        self.deliveries_of_runs(oid, each)
    }

    fn delivery_bodies(&mut self, oid: Oid, positions: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.bodies_of(oid, positions)
    }

    fn counters(&mut self, oid: Oid, each: &mut dyn FnMut(CounterRow)) -> Result<(), StoreError> {
        let sql = "SELECT key, start_ms, expires_ms, count FROM counter
                   WHERE org = (SELECT org FROM organization WHERE oid = ?1) ORDER BY key";
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let counter = |row: &Row<'_>| {
            Ok(CounterRow { key: row.get(0)?, start_ms: row.get(1)?, expires_ms: row.get(2)?, count: row.get(3)? })
        };
        let rows = statement.query_map([oid.0.as_bytes()], counter).map_err(store_error)?;
        for counter in rows {
            each(counter.map_err(store_error)?);
        }
        Ok(())
    }

    fn live_sessions(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(LiveRow)) -> Result<(), StoreError> {
        let sessions = "SELECT oid, session, body FROM live JOIN organization USING (org)";
        let part = LivePart::Session as u8;
        let sql = of(oid, sessions, &format!("AND part = {part} AND item = 0 ORDER BY oid, session"));
        self.scan(&sql, params_from_iter(oid.map(|oid| oid.0.into_bytes())), |row| {
            let read = || -> rusqlite::Result<_> {
                let (oid, session) = (Oid(id_of(row, 0)?), row.get::<_, i64>(1)?.cast_unsigned());
                Ok(LiveRow { oid, session, part: LivePart::Session, item: 0, body: row.get(2)? })
            };
            each(read().map_err(store_error)?);
            Ok(true)
        })
    }

    fn live(
        &mut self,
        oid: Oid,
        session: u64,
        part: LivePart,
        each: &mut dyn FnMut(LiveRow),
    ) -> Result<(), StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(()) };
        let sql = "SELECT item, body FROM live WHERE org = ?1 AND session = ?2 AND part = ?3 ORDER BY item";
        self.scan(sql, params![org, integer(session), part as u8], |row| {
            let (item, body) = (row.get(0).map_err(store_error)?, row.get(1).map_err(store_error)?);
            each(LiveRow { oid, session, part, item, body });
            Ok(true)
        })
    }

    fn live_one(&mut self, oid: Oid, session: u64, part: LivePart, item: u32) -> Result<Option<LiveRow>, StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(None) };
        let sql = "SELECT body FROM live WHERE org = ?1 AND session = ?2 AND part = ?3 AND item = ?4";
        let params = params![org, integer(session), part as u8, item];
        find(self.conn, sql, params, |row| Ok(LiveRow { oid, session, part, item, body: row.get(0)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::apply::entry::{OLDEST, OLDEST_AUDIT_OF_NONE, OLDEST_OF_NONE, OLDEST_OF_SENSOR};
    use crate::sqlite::open::MIGRATIONS;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().expect("a database");
        MIGRATIONS.iter().for_each(|sql| conn.execute_batch(sql).expect("the schema"));
        conn
    }

    fn plan(conn: &Connection, sql: &str, values: impl Params) -> Vec<String> {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let steps = plan.query_map(values, |row| row.get::<_, String>(3)).expect("steps");
        steps.map(|step| step.expect("a step")).collect()
    }

    /// What is forgotten is found without a look at what stays.
    #[test]
    fn the_oldest_records_are_the_first_of_an_index() {
        let conn = database();
        for (sql, place) in [
            (OLDEST, "entry_time (org=? AND stream=? AND time<?)"),
            (OLDEST_OF_SENSOR, "entry_sensor (org=? AND sid=? AND stream=?)"),
            (OLDEST_OF_NONE, "entry_sensorless (org=? AND stream=?)"),
            (OLDEST_AUDIT_OF_NONE, "entry_time (org=? AND stream=?)"),
        ] {
            let values = vec![Value::Integer(1); sql.matches('?').count()];
            let steps = plan(&conn, sql, params_from_iter(values));
            assert!(steps.len() == 1 && steps[0].ends_with(place), "{sql}: {steps:?}");
        }
    }

    /// What was not counted yet are the last rows, however many there are before them.
    #[test]
    fn only_what_came_since_is_counted() {
        let steps = plan(&database(), &format!("SELECT count(*) FROM {UNCOUNTED}"), params![]);
        assert!(steps[0].contains("SEARCH entry USING INTEGER PRIMARY KEY (rowid>?)"), "{steps:?}");
    }

    /// A query that sorts or scans costs as much as the stream is long.
    #[test]
    fn every_page_follows_an_index_in_its_order() {
        let conn = database();
        let place = Place { time: Timestamp::from_micros(5), arrival: 6 };
        for n in 0..32 {
            let has = |bit: u32| n & (1 << bit) != 0;
            let query = EntryQuery {
                sid: has(0).then_some(Sid(Uuid::nil())),
                kind: has(1).then(|| "X".to_owned()),
                investigation_id: has(2).then(|| "X".to_owned()),
                forward: has(3),
                ..EntryQuery::all(Oid(Uuid::nil()), Stream::Event)
            };
            let (sql, values) = entries_sql(&query, 1, has(4).then_some(place));
            let steps = plan(&conn, &sql, params_from_iter(values));
            assert!(steps.len() == 1 && steps[0].contains("time>? AND time<?"), "{sql}: {steps:?}");
        }
    }
}
