//! Messages to programs of others: in rows of their own, and in runs.

use super::{View, id_of, of, time_of};
use crate::row::*;
use crate::run::{Left, earliest, message};
use crate::sqlite::apply::integer;
use crate::sqlite::find;
use crate::sqlite::open::store_error;
use crate::store::{ENTRIES_PAGE_BYTES_MAX, StoreError};
use muster_model::{Oid, Timestamp};
use rusqlite::{Row, params, params_from_iter};

/// Runs that begin between two places, the later ones first, as [`run_of`] reads them.
pub(in crate::sqlite) const RUN: &str =
    "SELECT position, target, id, kind, at, bytes, waiting, bodies FROM delivery_run
    WHERE org = ?1 AND position BETWEEN ?2 AND ?3 ORDER BY position DESC";

/// A stored run.
pub(in crate::sqlite) struct StoredRun {
    pub(in crate::sqlite) first: Delivery,
    pub(in crate::sqlite) left: Left,
    /// A line each.
    bodies: Vec<u8>,
}

impl StoredRun {
    /// What one of them says.
    pub(in crate::sqlite) fn body(&self, number: u64) -> &[u8] {
        let mut lines = self.bodies.split(|byte| *byte == b'\n');
        lines.nth(usize::try_from(number).unwrap_or(usize::MAX)).unwrap_or_default()
    }
}

/// The first of a run by columns that begin with this one.
fn first_of(row: &Row<'_>, begin: usize) -> rusqlite::Result<Delivery> {
    let at: Timestamp = time_of(row, begin + 4)?;
    Ok(Delivery {
        position: row.get::<_, i64>(begin)?.cast_unsigned(),
        target: row.get(begin + 1)?,
        id: id_of(row, begin + 2)?,
        kind: row.get(begin + 3)?,
        at,
        bytes: row.get::<_, i64>(begin + 5)?.cast_unsigned(),
        tries: Tries { due: at, ..Tries::default() },
    })
}

fn left_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Left> {
    row.get(column).map(|left: i64| Left(left.cast_unsigned()))
}

pub(in crate::sqlite) fn run_of(row: &Row<'_>) -> rusqlite::Result<StoredRun> {
    Ok(StoredRun { first: first_of(row, 0)?, left: left_of(row, 6)?, bodies: row.get(7)? })
}

fn delivery_of(row: &Row<'_>) -> rusqlite::Result<(Oid, Delivery)> {
    let tries = Tries { made: row.get(7)?, due: time_of(row, 8)?, is_dead: row.get(9)?, error: row.get(10)? };
    Ok((Oid(id_of(row, 0)?), Delivery { tries, ..first_of(row, 1)? }))
}

impl View<'_> {
    pub(super) fn deliveries_of_their_own(
        &self,
        oid: Option<Oid>,
        each: &mut dyn FnMut(Oid, Delivery),
    ) -> Result<(), StoreError> {
        let columns = "SELECT oid, position, target, id, kind, at, bytes, made, due, is_dead, error
                       FROM delivery JOIN organization USING (org)";
        let sql = of(oid, columns, "ORDER BY oid, position");
        self.scan(&sql, params_from_iter(oid.map(|oid| oid.0.into_bytes())), |row| {
            let (oid, delivery) = delivery_of(row).map_err(store_error)?;
            each(oid, delivery);
            Ok(true)
        })
    }

    pub(super) fn deliveries_of_runs(
        &self,
        oid: Option<Oid>,
        each: &mut dyn FnMut(Oid, Delivery),
    ) -> Result<(), StoreError> {
        let columns = "SELECT oid, position, target, id, kind, at, bytes, waiting
                       FROM delivery_run JOIN organization USING (org)";
        let sql = of(oid, columns, "ORDER BY oid, position");
        self.scan(&sql, params_from_iter(oid.map(|oid| oid.0.into_bytes())), |row| {
            let read = || Ok((Oid(id_of(row, 0)?), first_of(row, 1)?, left_of(row, 7)?));
            let (oid, first, left) = read().map_err(store_error)?;
            left.numbers().for_each(|number| each(oid, message(&first, number)));
            Ok(true)
        })
    }

    pub(super) fn bodies_of(&self, oid: Oid, positions: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let Some(org) = self.organization(oid)? else { return Ok(Vec::new()) };
        let (mut bodies, mut bytes, mut last) = (Vec::new(), 0, None);
        for position in positions {
            let sql = "SELECT body FROM delivery WHERE org = ?1 AND position = ?2";
            let own: Option<Vec<u8>> = find(self.conn, sql, params![org, integer(*position)], |row| row.get(0))?;
            let body = match own {
                Some(body) => Some(body),
                None => self.body_of_run(org, *position, &mut last)?,
            };
            let Some(body) = body else { continue };
            bytes += body.len();
            bodies.push((*position, body));
            if bytes >= ENTRIES_PAGE_BYTES_MAX {
                break;
            }
        }
        Ok(bodies)
    }

    /// The body of a message that waits in a run. `last` is the run that was read last: most that are asked for together were put
    /// together.
    fn body_of_run(
        &self,
        org: i64,
        position: u64,
        last: &mut Option<StoredRun>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let body = |run: &StoredRun| {
            let number = run.left.number_at(run.first.position, position)?;
            Some(run.body(number).to_vec())
        };
        if let Some(body) = last.as_ref().and_then(body) {
            return Ok(Some(body));
        }
        let mut found = None;
        self.scan(RUN, params![org, integer(earliest(position)), integer(position)], |row| {
            let run = run_of(row).map_err(store_error)?;
            found = body(&run);
            *last = Some(run);
            Ok(found.is_none())
        })?;
        Ok(found)
    }
}
