//! Each [`Write`] as plain SQL.

mod delivery;
pub(super) mod entry;

use super::open::store_error;
use super::{find, standing};
use crate::claim::Claim;
use crate::row::*;
use crate::seal::Seal;
use crate::store::StoreError;
use muster_model::Oid;
use muster_tasking::Target;
use rusqlite::{Connection, Params, params};
use std::collections::HashMap;

/// Row numbers of tasks and organizations remembered; past this they are looked up anew. About 3 MB.
const REMEMBERED_MAX: usize = 65_536;

/// The tables, written to inside of a transaction.
pub(super) struct Tables<'c> {
    conn: &'c Connection,
    seal: Option<&'c Seal>,
    tasks: HashMap<(Oid, u64), i64>,
    organizations: HashMap<Oid, i64>,
    /// Records that were forgotten since [`Tables::take_forgotten`].
    forgotten: usize,
    /// Claims that were found to stand since the transaction began: nobody else can write until it ends.
    standing: Vec<Claim>,
    /// Records that were appended since they were last counted, at most: some may have been rolled back.
    uncounted: usize,
}

/// Numbers above 2^63 - 1 do not occur, except as "everything".
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl<'c> Tables<'c> {
    pub(super) fn new(conn: &'c Connection, seal: Option<&'c Seal>) -> Self {
        Self {
            conn,
            seal,
            tasks: HashMap::new(),
            organizations: HashMap::new(),
            forgotten: 0,
            standing: Vec::new(),
            uncounted: entry::COUNTED_EVERY,
        }
    }

    /// How many records were forgotten since the last call.
    pub(super) fn take_forgotten(&mut self) -> usize {
        std::mem::take(&mut self.forgotten)
    }

    /// To be called when a transaction begins.
    pub(super) fn begin(&mut self) {
        self.standing.clear();
    }

    /// To be called after every rollback: what is remembered may have been rolled back too.
    pub(super) fn forget(&mut self) {
        self.tasks.clear();
        self.organizations.clear();
        self.begin();
    }

    pub(super) fn apply(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Claim(claim) => self.claim(*claim),
            Write::Hold(claim) => self.hold(*claim),
            Write::GiveUp(claim) => self.give_up(*claim),
            Write::PutRecord { record, expect } => self.put_record(record, *expect),
            Write::DeleteRecord { oid, kind, key } => self.execute(
                "DELETE FROM record WHERE oid = ?1 AND kind = ?2 AND key = ?3",
                params![oid.0.as_bytes(), kind, key],
            ),
            Write::PutSensor(row) => self.put_sensor(row),
            Write::PutSpool { oid, ordinal, spool_id, seq, after } => {
                self.put_spool(*oid, *ordinal, *spool_id, *seq, *after)
            }
            Write::CreateTask(row) => self.create_task(row),
            Write::PutTaskControl { oid, task, control } => self.execute(
                "UPDATE task SET control = ?3 WHERE oid = ?1 AND number = ?2",
                params![oid.0.as_bytes(), integer(*task), control],
            ),
            Write::PutTargets { oid, targets } => {
                targets.iter().try_for_each(|(task, ordinal, target)| self.put_target(*oid, *task, *ordinal, target))
            }
            Write::DeleteTask { oid, task } => {
                self.tasks.remove(&(*oid, *task));
                self.execute(
                    "DELETE FROM task WHERE oid = ?1 AND number = ?2",
                    params![oid.0.as_bytes(), integer(*task)],
                )
            }
            Write::Append(entries) => self.append(entries),
            Write::Trim { oid, stream, what } => self.trim(*oid, *stream, *what),
            Write::Enqueue { oid, output, bodies } => self.enqueue(*oid, output, bodies),
            Write::Dequeue { oid, output, through } => self.dequeue(*oid, output, *through),
            Write::PutDeliveries { oid, deliveries } => self.put_deliveries(*oid, deliveries),
            Write::PutRuns { oid, runs } => self.put_runs(*oid, runs),
            Write::PutTries { oid, tries } => self.put_tries(*oid, tries),
            Write::DeleteDeliveries { oid, positions } => self.delete_deliveries(*oid, positions),
            Write::PutCounters { oid, counters } => self.put_counters(*oid, counters),
            Write::DeleteCounters { oid, keys } => self.delete_counters(*oid, keys),
            Write::PutLive(rows) => rows.iter().try_for_each(|row| self.put_live(row)),
            Write::DeleteLive { oid, session } => {
                let org = self.organization(*oid)?;
                self.execute("DELETE FROM live WHERE org = ?1 AND session = ?2", params![org, integer(*session)])
            }
        }
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.changed(sql, params).map(drop)
    }

    /// Executes a statement, and tells how many rows it changed.
    fn changed(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(store_error)
    }

    fn claim(&mut self, claim: Claim) -> Result<(), StoreError> {
        self.hold(Claim { term: claim.term.saturating_sub(1), ..claim })?;
        self.standing.clear();
        self.execute(
            "INSERT OR REPLACE INTO claim (oid, term) VALUES (?1, ?2)",
            params![claim.oid.0.as_bytes(), integer(claim.term)],
        )
    }

    fn hold(&mut self, claim: Claim) -> Result<(), StoreError> {
        if self.standing.contains(&claim) {
            return Ok(());
        }
        if standing(self.conn, claim.oid)?.term != claim.term {
            return Err(StoreError::Deposed(claim.oid));
        }
        self.standing.push(claim);
        Ok(())
    }

    fn give_up(&self, claim: Claim) -> Result<(), StoreError> {
        self.execute(
            "UPDATE claim SET is_free = 1 WHERE oid = ?1 AND term = ?2",
            params![claim.oid.0.as_bytes(), integer(claim.term)],
        )
    }

    fn put_record(&self, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let oid = record.oid.0.as_bytes();
        let have: Option<i64> = find(
            self.conn,
            "SELECT revision FROM record WHERE oid = ?1 AND kind = ?2 AND key = ?3",
            params![oid, record.kind, record.key],
            |row| row.get(0),
        )?;
        expect.check(have.map(i64::cast_unsigned), record)?;
        let sealed = self.seal.map(|seal| seal.seal_record(record));
        let body = sealed.as_ref().unwrap_or(&record.body);
        self.execute(
            "INSERT OR REPLACE INTO record (oid, kind, key, body, revision) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![oid, record.kind, record.key, body, have.unwrap_or(0) + 1],
        )
    }

    fn put_sensor(&self, row: &SensorRow) -> Result<(), StoreError> {
        let body = serde_json::to_string(row).map_err(|error| StoreError::Failed(error.to_string()))?;
        self.execute(
            "INSERT OR REPLACE INTO sensor (oid, ordinal, body) VALUES (?1, ?2, ?3)",
            params![row.sensor.oid.0.as_bytes(), row.ordinal, body],
        )
    }

    fn put_spool(
        &self,
        oid: Oid,
        ordinal: u32,
        spool_id: [u8; 16],
        seq: u64,
        after: Option<u64>,
    ) -> Result<(), StoreError> {
        if let Some(after) = after {
            let found = find(
                self.conn,
                "SELECT 1 FROM spool WHERE oid = ?1 AND ordinal = ?2 AND spool_id = ?3 AND seq = ?4",
                params![oid.0.as_bytes(), ordinal, spool_id, integer(after)],
                |_| Ok(()),
            )?;
            found.ok_or_else(|| spool_moved(ordinal))?;
        }
        self.execute(
            "INSERT INTO spool (oid, ordinal, spool_id, seq) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (oid, ordinal) DO UPDATE SET
                 seq = iif(spool_id = excluded.spool_id, max(seq, excluded.seq), excluded.seq),
                 spool_id = excluded.spool_id",
            params![oid.0.as_bytes(), ordinal, spool_id, integer(seq)],
        )
    }

    fn create_task(&self, row: &TaskRow) -> Result<(), StoreError> {
        let mut targets = row.targets.clone();
        // Runs instead of bits: a whole fleet is a few bytes.
        targets.optimize();
        let mut bytes = Vec::with_capacity(targets.serialized_size());
        targets.serialize_into(&mut bytes).map_err(|error| StoreError::Failed(error.to_string()))?;
        let mut statement = self
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO task (oid, number, task_id, spec, control, targets)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .map_err(store_error)?;
        let (oid, id) = (row.oid.0.as_bytes(), row.task_id.0.as_bytes());
        let added = statement.execute(params![oid, integer(row.number), id, row.spec, row.control, bytes]);
        if added.map_err(store_error)? == 0 { Err(row.taken()) } else { Ok(()) }
    }

    /// Row number of a task, if it is there.
    fn task_row(&mut self, oid: Oid, task: u64) -> Result<Option<i64>, StoreError> {
        if let Some(row) = self.tasks.get(&(oid, task)) {
            return Ok(Some(*row));
        }
        let found = find(
            self.conn,
            "SELECT id FROM task WHERE oid = ?1 AND number = ?2",
            params![oid.0.as_bytes(), integer(task)],
            |row| row.get(0),
        )?;
        if let Some(row) = found {
            if self.tasks.len() >= REMEMBERED_MAX {
                self.tasks.clear();
            }
            self.tasks.insert((oid, task), row);
        }
        Ok(found)
    }

    fn put_target(&mut self, oid: Oid, task: u64, ordinal: u32, target: &Target) -> Result<(), StoreError> {
        let Some(task) = self.task_row(oid, task)? else { return Ok(()) };
        self.execute(
            "INSERT INTO target (task, ordinal, state, attempts, sent_at, confirmed_at, started_at, ended_at, code, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (task, ordinal) DO UPDATE SET
                 state = excluded.state, attempts = excluded.attempts, sent_at = excluded.sent_at,
                 confirmed_at = excluded.confirmed_at, started_at = excluded.started_at,
                 ended_at = excluded.ended_at, code = excluded.code, error = excluded.error",
            params![
                task,
                ordinal,
                target.state as u8,
                target.attempts,
                target.sent_at.as_micros(),
                target.confirmed_at.as_micros(),
                target.started_at.as_micros(),
                target.ended_at.as_micros(),
                target.code,
                target.error.as_deref(),
            ],
        )
    }

    /// Short number of an organization that has entries; given at its first.
    fn organization(&mut self, oid: Oid) -> Result<i64, StoreError> {
        if let Some(org) = self.organizations.get(&oid) {
            return Ok(*org);
        }
        let id = params![oid.0.as_bytes()];
        self.execute("INSERT OR IGNORE INTO organization (oid) VALUES (?1)", id)?;
        let org = find(self.conn, "SELECT org FROM organization WHERE oid = ?1", id, |row| row.get(0))?;
        let org = org.ok_or_else(|| StoreError::Failed("an organization has no number".into()))?;
        if self.organizations.len() >= REMEMBERED_MAX {
            self.organizations.clear();
        }
        self.organizations.insert(oid, org);
        Ok(org)
    }

    fn enqueue(&self, oid: Oid, output: &str, bodies: &[Vec<u8>]) -> Result<(), StoreError> {
        let bytes: usize = bodies.iter().map(Vec::len).sum();
        let queue = find(
            self.conn,
            "INSERT INTO queue (oid, output, last, count, bytes) VALUES (?1, ?2, ?3, ?3, ?4)
             ON CONFLICT (oid, output) DO UPDATE SET
                 last = last + excluded.last, count = count + excluded.count, bytes = bytes + excluded.bytes
             RETURNING id, last",
            params![oid.0.as_bytes(), output, integer(bodies.len() as u64), integer(bytes as u64)],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?;
        let (queue, last) = queue.ok_or_else(|| StoreError::Failed("a queue has no number".into()))?;
        let first = last - integer(bodies.len() as u64) + 1;
        for (position, body) in (first..).zip(bodies) {
            self.execute(
                "INSERT INTO queued (queue, position, body) VALUES (?1, ?2, ?3)",
                params![queue, position, body],
            )?;
        }
        Ok(())
    }

    fn put_counters(&mut self, oid: Oid, counters: &[CounterRow]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        counters.iter().try_for_each(|counter| {
            self.execute(
                "INSERT INTO counter (org, key, start_ms, expires_ms, count) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (org, key) DO UPDATE SET
                     start_ms = excluded.start_ms, expires_ms = excluded.expires_ms, count = excluded.count",
                params![org, counter.key, counter.start_ms, counter.expires_ms, counter.count],
            )
        })
    }

    fn put_live(&mut self, row: &LiveRow) -> Result<(), StoreError> {
        let org = self.organization(row.oid)?;
        self.execute(
            "INSERT INTO live (org, session, part, item, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (org, session, part, item) DO UPDATE SET body = excluded.body",
            params![org, integer(row.session), row.part as u8, row.item, row.body],
        )
    }

    fn delete_counters(&mut self, oid: Oid, keys: &[[u8; 16]]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        let delete = "DELETE FROM counter WHERE org = ?1 AND key = ?2";
        keys.iter().try_for_each(|key| self.execute(delete, params![org, key]))
    }

    fn dequeue(&self, oid: Oid, output: &str, through: u64) -> Result<(), StoreError> {
        let queue = "SELECT id FROM queue WHERE oid = ?1 AND output = ?2";
        let Some(queue) = find(self.conn, queue, params![oid.0.as_bytes(), output], |row| row.get::<_, i64>(0))? else {
            return Ok(());
        };
        let through = integer(through);
        self.execute(
            "UPDATE queue SET count = queue.count - gone.count, bytes = queue.bytes - gone.bytes
             FROM (SELECT count(*) AS count, coalesce(sum(length(body)), 0) AS bytes
                   FROM queued WHERE queue = ?1 AND position <= ?2) AS gone
             WHERE id = ?1",
            params![queue, through],
        )?;
        self.execute("DELETE FROM queued WHERE queue = ?1 AND position <= ?2", params![queue, through])
    }
}
