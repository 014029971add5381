//! Event collection and history. Source: reference/commands.md section 6.6.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde_json::json;

use super::{Failure, Fields, Job, Outcome, code, fields};
use crate::executor::ToSensor;
use crate::history::{self, Filter};
use crate::platform::host;

/// Event types that are sent without being asked for. Source: reference/events.md section 4.
const DEFAULT_EVENTS: &[&str] = &[
    "CODE_IDENTITY",
    "CONNECTED",
    "DATA_DROPPED",
    "EXISTING_PROCESS",
    "NEW_PROCESS",
    "SHUTTING_DOWN",
    "STARTING_UP",
    "SYNC",
    "TERMINATE_PROCESS",
    "USER_OBSERVED",
];
/// Types that can be added by hand; there are not more types than this.
const ADDED_MAX: usize = 128;

/// What was added to the collection by hand, each with the `boot_ms` of its end.
#[derive(Debug, Default)]
pub struct Added(BTreeMap<String, u64>);

impl Added {
    /// Whether events of this type are sent.
    pub fn sends(&self, event_type: &str, boot_ms: u64) -> bool {
        DEFAULT_EVENTS.contains(&event_type) || self.0.get(event_type).is_some_and(|until| boot_ms < *until)
    }

    fn current(&mut self, boot_ms: u64) -> &mut BTreeMap<String, u64> {
        self.0.retain(|_, until| boot_ms < *until);
        &mut self.0
    }
}

pub(super) fn add(job: &Job) -> Outcome {
    if job.arguments.has("operator") {
        return Err(Failure::unsupported("this sensor cannot watch single fields; add the whole event type"));
    }
    let seconds = job.arguments.number("expire").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    let now = host::boot_ms();
    let mut added = job.tools.added.lock().unwrap_or_else(PoisonError::into_inner);
    let current = added.current(now);
    if current.len() >= ADDED_MAX {
        return Err(Failure::new(code::BUSY, "too many event types were added; remove one with exfil_del"));
    }
    let event = job.arguments.text("event").unwrap_or_default().to_owned();
    current.insert(event, now.saturating_add(seconds.saturating_mul(1_000)));
    Ok(Fields::new())
}

pub(super) fn remove(job: &Job) -> Outcome {
    let event = job.arguments.text("event").unwrap_or_default();
    let mut added = job.tools.added.lock().unwrap_or_else(PoisonError::into_inner);
    match added.current(host::boot_ms()).remove(event) {
        Some(_) => Ok(Fields::new()),
        None => Err(Failure::new(code::FILE_NOT_FOUND, format!("{event} was not added"))),
    }
}

pub(super) fn list(job: &Job) -> Outcome {
    let mut added = job.tools.added.lock().unwrap_or_else(PoisonError::into_inner);
    let events: Vec<&String> = added.current(host::boot_ms()).keys().collect();
    Ok(fields(json!({"LIST_NOTIFICATIONS": events})))
}

pub(super) fn history_dump(job: &Job) -> Outcome {
    let atom = |name| job.arguments.text(name).and_then(bytes_of);
    let filter = Filter {
        atom: atom("atom"),
        root: atom("rootatom"),
        event_type: job.arguments.text("event").map(str::to_owned),
    };
    let events = history::dump(&job.tools.state_dir.join("history"), &filter)?;
    let count = events.len();
    for mut event in events {
        event.investigation_id.clone_from(&job.run.investigation_id);
        event.task_id = job.run.task.0.as_bytes().to_vec();
        event.replayed = true;
        if job.tools.to_sensor.blocking_send(ToSensor::Reported(event)).is_err() {
            return Err(Failure::new(code::BUSY, "the sensor stops"));
        }
    }
    let mut reply = fields(json!({"COUNT": count}));
    if count == history::DUMP_EVENTS_MAX {
        reply.insert("ERROR_MESSAGE".to_owned(), "truncated: only the newest events were sent".into());
    }
    Ok(reply)
}

fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(hexadecimal.get(at..at + 2)?, 16).ok();
    (0..hexadecimal.len()).step_by(2).map(pair).collect()
}
