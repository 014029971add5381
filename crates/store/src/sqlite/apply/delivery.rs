//! Messages to programs of others: in rows of their own, and in runs.

use super::{Tables, integer};
use crate::row::*;
use crate::run::{Left, Run, earliest, message};
use crate::sqlite::open::store_error;
use crate::sqlite::read::delivery::{RUN, run_of};
use crate::store::StoreError;
use muster_model::Oid;
use rusqlite::params;

impl Tables<'_> {
    pub(super) fn put_deliveries(&mut self, oid: Oid, deliveries: &[(Delivery, Vec<u8>)]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        deliveries.iter().try_for_each(|(delivery, body)| self.put_delivery(org, delivery, body))
    }

    fn put_delivery(&self, org: i64, delivery: &Delivery, body: &[u8]) -> Result<(), StoreError> {
        let Delivery { position, target, id, kind, at, bytes, tries } = delivery;
        self.execute(
            "INSERT OR REPLACE INTO delivery
                 (org, position, target, id, kind, at, made, due, is_dead, error, bytes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                org,
                integer(*position),
                target,
                id.as_bytes(),
                kind,
                at.as_micros(),
                tries.made,
                tries.due.as_micros(),
                tries.is_dead,
                tries.error,
                integer(*bytes),
                body,
            ],
        )
    }

    pub(super) fn put_runs(&mut self, oid: Oid, runs: &[Run]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        runs.iter().try_for_each(|Run { first, bodies }| {
            self.execute(
                "INSERT OR REPLACE INTO delivery_run (org, position, waiting, target, id, kind, at, bytes, bodies)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    org,
                    integer(first.position),
                    Left::all(bodies.len()).0.cast_signed(),
                    first.target,
                    first.id.as_bytes(),
                    first.kind,
                    first.at.as_micros(),
                    integer(first.bytes),
                    bodies.join(&b'\n'),
                ],
            )
        })
    }

    pub(super) fn put_tries(&mut self, oid: Oid, tries: &[(u64, Tries)]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        let update =
            "UPDATE delivery SET made = ?3, due = ?4, is_dead = ?5, error = ?6 WHERE org = ?1 AND position = ?2";
        for (position, tries) in tries {
            let Tries { made, due, is_dead, error } = tries;
            let params = params![org, integer(*position), made, due.as_micros(), is_dead, error];
            if self.changed(update, params)? == 0 {
                self.take_out(org, *position, tries)?;
            }
        }
        Ok(())
    }

    /// A message of a run with which something went wrong gets a row of its own.
    fn take_out(&self, org: i64, position: u64, tries: &Tries) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached(RUN).map_err(store_error)?;
        let mut rows =
            statement.query(params![org, integer(earliest(position)), integer(position)]).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            let run = run_of(row).map_err(store_error)?;
            let Some(number) = run.left.number_at(run.first.position, position) else { continue };
            let delivery = Delivery { tries: tries.clone(), ..message(&run.first, number) };
            self.put_delivery(org, &delivery, run.body(number))?;
            return self.leave(org, run.first.position, run.left.without(run.first.position, position, position));
        }
        Ok(())
    }

    pub(super) fn delete_deliveries(&mut self, oid: Oid, positions: &[u64]) -> Result<(), StoreError> {
        let org = self.organization(oid)?;
        let delete = "DELETE FROM delivery WHERE org = ?1 AND position BETWEEN ?2 AND ?3";
        // One statement for each row of positions without a gap: most that are delivered together were put together.
        for row in positions.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
            let (Some(first), Some(last)) = (row.first(), row.last()) else { continue };
            if self.changed(delete, params![org, integer(*first), integer(*last)])? < row.len() {
                self.delete_of_runs(org, *first, *last)?;
            }
        }
        Ok(())
    }

    /// Takes messages between two places out of the runs in which they wait.
    fn delete_of_runs(&self, org: i64, first: u64, last: u64) -> Result<(), StoreError> {
        let sql = "SELECT position, waiting FROM delivery_run WHERE org = ?1 AND position BETWEEN ?2 AND ?3";
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map(params![org, integer(earliest(first)), integer(last)], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), Left(row.get::<_, i64>(1)?.cast_unsigned())))
        });
        // All are read before one is changed.
        let runs: Vec<(u64, Left)> = rows.and_then(Iterator::collect).map_err(store_error)?;
        for (begin, left) in runs {
            let rest = left.without(begin, first, last);
            if rest != left {
                self.leave(org, begin, rest)?;
            }
        }
        Ok(())
    }

    /// These wait in a run from now on; it goes with the last.
    fn leave(&self, org: i64, begin: u64, left: Left) -> Result<(), StoreError> {
        if left == Left(0) {
            let delete = "DELETE FROM delivery_run WHERE org = ?1 AND position = ?2";
            return self.execute(delete, params![org, integer(begin)]);
        }
        let update = "UPDATE delivery_run SET waiting = ?3 WHERE org = ?1 AND position = ?2";
        self.execute(update, params![org, integer(begin), left.0.cast_signed()])
    }
}
