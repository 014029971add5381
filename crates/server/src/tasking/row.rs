//! What the dispatch machine and the store call the same things. Pure.

use muster_model::Oid;
use muster_store::{Expect, Read, Record, StoreError, TaskRow, Write};
use muster_tasking::{Task, dispatch};

/// Kind and key of the record that says by how much the clock was set.
const CLOCK: &str = "tasking_clock";

/// Kind and key of the record that keeps the last number of a task, when that task is forgotten.
const NUMBER: &str = "tasking_number";

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
        dispatch::Write::ClockSet(set_us) => put(oid, CLOCK, set_us.to_string()),
        dispatch::Write::Control(task, control) => {
            Write::PutTaskControl { oid, task, control: text(serde_json::to_string(&*control))? }
        }
        dispatch::Write::Targets(targets) => Write::PutTargets { oid, targets },
    })
}

fn put(oid: Oid, word: &str, body: String) -> Write {
    let (kind, key) = (word.to_owned(), word.to_owned());
    Write::PutRecord { record: Record { oid, kind, key, body, revision: 0 }, expect: Expect::Any }
}

/// Forgets a task, and keeps the last number that any had: it is not given again, also if it was the one of this task.
#[must_use]
pub fn forgetting(oid: Oid, task: u64, last_number: u64) -> Vec<Write> {
    vec![Write::DeleteTask { oid, task }, put(oid, NUMBER, last_number.to_string())]
}

/// A number up to which all were given; tasks that are stored may have higher ones.
///
/// # Errors
///
/// Whatever the store says.
pub fn last_number(oid: Oid, read: &mut dyn Read) -> Result<u64, StoreError> {
    Ok(read.record(oid, NUMBER, NUMBER)?.and_then(|record| record.body.parse().ok()).unwrap_or(0))
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
