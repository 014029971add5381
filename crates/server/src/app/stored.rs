//! What is stored of sensors and tasks, row by row, each read once. One that cannot be read is set aside.

use crate::damage::{Damage, Row};
use crate::tasking;
use muster_model::Oid;
use muster_store::{Read, SensorRow, StoreError};
use muster_tasking::Task;

/// One row, or why it cannot be read.
pub(super) enum Stored {
    Sensor(Box<SensorRow>),
    Task(Oid, Box<Task>),
    Damaged(Damage),
}

/// Gives every sensor, then every task of organizations that are `wanted`; of one organization, or of all.
pub(super) fn each(
    read: &mut dyn Read,
    of: Option<Oid>,
    wanted: impl Fn(Oid) -> bool,
    mut each: impl FnMut(Stored),
) -> Result<(), StoreError> {
    read.sensors(of, &mut |row| match row {
        Ok(row) if wanted(row.sensor.oid) => each(Stored::Sensor(Box::new(row))),
        Ok(_) => {}
        Err(row) => each(Stored::Damaged(Damage::of_sensor(row))),
    })?;
    let mut rows = Vec::new();
    read.tasks(of, &mut |row| rows.push(row))?;
    for row in rows {
        let row = match row {
            Ok(row) if wanted(row.oid) => row,
            Ok(_) => continue,
            Err(row) => {
                each(Stored::Damaged(Damage::of_task(row)));
                continue;
            }
        };
        let (oid, number, name) = (row.oid, row.number, row.task_id.to_string());
        match tasking::row::task(row, read) {
            Ok(task) => each(Stored::Task(oid, Box::new(task))),
            Err(StoreError::Corrupt(error)) => {
                each(Stored::Damaged(Damage { oid, row: Row::Task { number, name }, error }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Looks at every sensor, task and record of a store.
///
/// # Errors
///
/// Whatever the store says.
pub fn damaged(read: &mut dyn Read) -> Result<Vec<Damage>, StoreError> {
    let mut found = Vec::new();
    each(
        read,
        None,
        |_| true,
        |stored| match stored {
            Stored::Damaged(damage) => found.push(damage),
            Stored::Sensor(_) | Stored::Task(..) => {}
        },
    )?;
    found.extend(read.records(None, None)?.iter().filter_map(Damage::of_record));
    Ok(found)
}
