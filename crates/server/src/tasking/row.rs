//! What the dispatch machine and the store call the same things. Pure.

use muster_model::Oid;
use muster_store::{Expect, Read, Record, StoreError, TaskRow, Write};
use muster_tasking::{Task, dispatch};

/// Kind and key of the record that says by how much the clock was set.
const CLOCK: &str = "tasking_clock";

/// What to store of the machine's writes.
///
/// # Errors
///
/// [`StoreError::Failed`] if a task cannot be written as text.
pub fn writes(oid: Oid, writes: Vec<dispatch::Write>) -> Result<Vec<Write>, StoreError> {
    writes.into_iter().map(|write| self::write(oid, write)).collect()
}

fn write(oid: Oid, write: dispatch::Write) -> Result<Write, StoreError> {
    let text = |value: serde_json::Result<String>| value.map_err(|error| StoreError::Failed(error.to_string()));
    Ok(match write {
        dispatch::Write::Sensor(row) => Write::PutSensor(row),
        dispatch::Write::Spool { ordinal, id } => Write::PutSpool { oid, ordinal, spool_id: id, seq: 0, after: None },
        dispatch::Write::Task(new) => Write::CreateTask(Box::new(TaskRow {
            oid,
            number: new.number,
            task_id: new.spec.task_id,
            spec: text(serde_json::to_string(&new.spec))?,
            control: text(serde_json::to_string(&new.control))?,
            targets: new.targets,
        })),
        dispatch::Write::ClockSet(set_us) => {
            let (kind, key, body) = (CLOCK.to_owned(), CLOCK.to_owned(), set_us.to_string());
            Write::PutRecord { record: Record { oid, kind, key, body, revision: 0 }, expect: Expect::Any }
        }
        dispatch::Write::Control(task, control) => {
            Write::PutTaskControl { oid, task, control: text(serde_json::to_string(&*control))? }
        }
        dispatch::Write::Targets(targets) => Write::PutTargets { oid, targets },
    })
}

/// By how many microseconds the clock was set ahead while the server ran.
///
/// # Errors
///
/// Whatever the store says.
pub fn clock(oid: Oid, read: &mut dyn Read) -> Result<i64, StoreError> {
    // One that cannot be read is told with the other records.
    Ok(read.record(oid, CLOCK, CLOCK)?.and_then(|record| record.body.parse().ok()).unwrap_or(0))
}

/// A task as it is stored, with its targets.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if its texts cannot be read, and whatever the store says.
pub fn task(row: TaskRow, read: &mut dyn Read) -> Result<Task, StoreError> {
    let unreadable = |error: serde_json::Error| StoreError::Corrupt(format!("task {}: {error}", row.task_id));
    let spec = serde_json::from_str(&row.spec).map_err(unreadable)?;
    let control = serde_json::from_str(&row.control).map_err(unreadable)?;
    let mut task = Task::new(row.number, spec, control, row.targets);
    read.targets(row.oid, row.number, &mut |ordinal, target| task.restore(ordinal, target))?;
    Ok(task)
}
